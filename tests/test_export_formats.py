"""A small race as files of every format, read back with other people's readers."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from mcap.reader import make_reader

from sessions_app.exporting import FORMATS, ExportRefused, ExportSource
from sessions_app.exporting.source import degrees, stride_of
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult
from sessions_app.importers.table import import_table
from sessions_app.recording import Columns, Field, FieldKind, Schema

from .small_race import CODES, FRAMES, LAP_METRES, small_race

LAKE = (46.5, 6.6)
SECONDS_EARTH = 6_371_008.8


def source_of(result: ImportResult, stride: int = 1) -> ExportSource:
    columns = result.columns
    return ExportSource(
        slug="small",
        version="0123456789abcdef",
        title=result.title,
        kind=result.kind,
        start=None if result.start_time is None else result.start_time.timestamp(),
        schema=columns.schema,
        frame_count=columns.frame_count,
        entities=result.entities,
        geometry=result.geometry,
        events=result.events,
        laps=result.laps,
        stints=result.stints,
        read=columns.slice,
        stride=stride,
    )


def exported(name: str, folder: Path, source: ExportSource) -> Path:
    path = folder / f"out{FORMATS[name].extension}"
    done: list[float] = []
    FORMATS[name].write(source, path, done.append)
    assert done[-1] == 1.0
    return path


def lake() -> ImportResult:
    """The same race on a ground whose place on Earth is known, in metres."""
    race = small_race()
    assert race.geometry is not None
    return dataclasses.replace(race, geometry=dataclasses.replace(race.geometry, origin=LAKE))


def test_parquet_gives_the_same_samples_again(tmp_path: Path) -> None:
    race = small_race()
    path = exported("parquet", tmp_path, source_of(race))
    again = import_table(path, ImportOptions())
    assert again.columns.schema.fields == race.columns.schema.fields
    assert again.columns.schema.entities == CODES
    assert again.columns.schema.frame_rate == 25.0
    for name, samples in race.columns.values.items():
        np.testing.assert_array_equal(again.columns.values[name], samples, err_msg=name)
    assert (again.title, again.kind, again.start_time) == (race.title, race.kind, race.start_time)
    about = ("code", "name", "number", "team", "colour", "kind")
    for ours, theirs in zip(race.entities, again.entities, strict=True):
        assert [getattr(ours, n) for n in about] == [getattr(theirs, n) for n in about]


def test_a_gap_of_one_frame_stays_a_gap_in_parquet(tmp_path: Path) -> None:
    fields = (Field("x", "m", 0.1, FieldKind.CUBIC), Field("y", "m", 0.1, FieldKind.CUBIC))
    values = {"x": np.arange(10.0)[:, None], "y": np.zeros((10, 1))}
    for name in values:
        values[name][4, 0] = np.nan
    columns = Columns.from_quantities(Schema(fields, ("A",), 10.0, 10), values)
    race = dataclasses.replace(
        small_race(), samples=columns, entities=small_race().entities[:1], geometry=None, laps=()
    )
    again = import_table(exported("parquet", tmp_path, source_of(race)), ImportOptions())
    np.testing.assert_array_equal(again.columns.values["x"], columns.values["x"])


def test_csv_has_a_row_for_each_entity_and_moment(tmp_path: Path) -> None:
    path = exported("csv", tmp_path, source_of(small_race(), stride=25))
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == FRAMES // 25 * 3
    second = rows[3]
    assert (second["time"], second["entity"], second["entity_team"]) == ("1", "AAA", "Team")
    assert second["tyre"] == "soft"
    assert float(second["progress"]) == pytest.approx(1 / 20)
    assert second["last_lap_time"] == ""


def test_json_is_one_document(tmp_path: Path) -> None:
    document = json.loads(exported("json", tmp_path, source_of(small_race(), 5)).read_text())
    assert document["rate"] == 5.0
    assert len(document["frames"]) == FRAMES // 5
    frame, seconds, _, cars = document["frames"][10]
    assert (frame, seconds) == (50, 2.0)
    names = [f["name"] for f in document["entity_fields"]]
    assert cars[0][names.index("status")] == "track"
    assert cars[1][names.index("position")] == 2
    assert document["laps"][0]["entity"] == "AAA"
    assert document["geometry"]["length"] == LAP_METRES


def messages(path: Path) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """By topic; each is checked against the schema that its channel names."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    validators: dict[int, Any] = {}
    with path.open("rb") as stream:
        for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            if schema.id not in validators:
                described = json.loads(schema.data)
                jsonschema.Draft202012Validator.check_schema(described)
                assert described["title"] == schema.name
                validators[schema.id] = jsonschema.Draft202012Validator(described)
            content = json.loads(message.data)
            validators[schema.id].validate(content)
            found.setdefault(f"{channel.topic} {schema.name}", []).append(
                (message.log_time, content)
            )
    return found


def test_mcap_places_entities_in_metres_of_the_ground(tmp_path: Path) -> None:
    race = small_race()
    found = messages(exported("mcap", tmp_path, source_of(race, stride=5)))
    places = found["/entities/AAA/place foxglove.PoseInFrame"]
    assert len(places) == FRAMES // 5
    assert race.start_time is not None
    assert places[1][0] == round((race.start_time.timestamp() + 0.2) * 1e9)
    stamp = places[1][1]["timestamp"]
    assert stamp["sec"] * 10**9 + stamp["nsec"] == places[1][0]
    position = places[0][1]["pose"]["position"]
    assert position["x"] == pytest.approx(LAP_METRES / (2 * np.pi), abs=0.1)
    # Car 2 has no x in the last second.
    assert len(found["/entities/CCC/place foxglove.PoseInFrame"]) == FRAMES // 5 - 5
    values = found["/entities/BBB/values replay.Values"][0][1]
    assert (values["position"], values["status"]) == (2, "track")
    assert "last_lap_time" not in values
    log = found["/events foxglove.Log"]
    assert [m["message"] for _, m in log] == [e.message for e in race.events]
    (ground,) = found["/ground foxglove.SceneUpdate"]
    assert len(ground[1]["entities"][0]["lines"][0]["points"]) == 60
    assert found["/session replay.SessionValues"][0][1]["track_status"] == "clear"


def test_mcap_places_entities_on_earth_where_that_is_known(tmp_path: Path) -> None:
    found = messages(exported("mcap", tmp_path, source_of(lake(), stride=25)))
    fix = found["/entities/AAA/place foxglove.LocationFix"][0][1]
    east = LAP_METRES / (2 * np.pi)
    assert fix["latitude"] == pytest.approx(LAKE[0], abs=1e-6)
    away = np.radians(fix["longitude"] - LAKE[1]) * SECONDS_EARTH * np.cos(np.radians(LAKE[0]))
    assert away == pytest.approx(east, abs=0.1)


def test_geojson_has_lines_in_degrees(tmp_path: Path) -> None:
    document = json.loads(exported("geojson", tmp_path, source_of(lake(), 25)).read_text())
    assert document["type"] == "FeatureCollection"
    assert document["replay"]["origin_known"] is True
    ground, *cars = document["features"]
    assert ground["geometry"]["coordinates"][0] == ground["geometry"]["coordinates"][-1]
    assert [f["id"] for f in cars] == list(CODES)
    (line,) = cars[0]["geometry"]["coordinates"]
    (times,) = cars[0]["properties"]["coordTimes"]
    assert (len(line), times[:2]) == (60, [0.0, 1.0])
    for longitude, latitude in line:
        assert abs(longitude - LAKE[1]) < 0.01
        assert abs(latitude - LAKE[0]) < 0.01


def test_geojson_says_that_a_place_is_not_known(tmp_path: Path) -> None:
    document = json.loads(exported("geojson", tmp_path, source_of(small_race(), 25)).read_text())
    assert document["replay"]["origin_known"] is False
    longitude, latitude = document["features"][1]["geometry"]["coordinates"][0][0]
    assert longitude == pytest.approx(np.degrees(LAP_METRES / (2 * np.pi) / SECONDS_EARTH), 1e-3)
    assert latitude == 0.0


def test_a_recording_without_places_has_no_map(tmp_path: Path) -> None:
    columns = Columns.from_quantities(
        Schema((Field("heat"),), ("A",), 1.0, 10), {"heat": np.ones((3, 1))}
    )
    race = dataclasses.replace(small_race(), samples=columns, geometry=None)
    with pytest.raises(ExportRefused, match="expected a recording with x and y"):
        FORMATS["geojson"].write(source_of(race), tmp_path / "x", lambda _: None)


def test_rates_are_strides_of_the_recording() -> None:
    assert stride_of(25.0, None, None) == 1
    assert stride_of(25.0, None, 5.0) == 5
    assert stride_of(4.0, None, 5.0) == 1
    assert stride_of(25.0, 1.0, 5.0) == 25
    with pytest.raises(ExportRefused, match="rate 50: expected more than 0, at most 25"):
        stride_of(25.0, 50.0, None)


def test_degrees_wrap_at_the_date_line() -> None:
    _, longitude = degrees(np.array([3000.0]), np.array([0.0]), (0.0, 179.99))
    assert longitude[0] == pytest.approx(-179.983, abs=1e-3)
