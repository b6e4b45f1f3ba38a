"""MCAP files: a recording of ours comes back as it was; of others, positions are understood."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import Writer

from sessions_app.importers.bounds import Bounds
from sessions_app.importers.mcap import IMPORTER, import_mcap
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError, no_progress
from sessions_app.recording.file import write_recording
from sessions_app.storing import _file_metadata

from .samples import small_race

NOW = 1_700_000_000


def imported(source: Path, **options: Any) -> ImportResult:
    assert IMPORTER.recognises(source, ImportOptions())
    return import_mcap(source, ImportOptions(**options), no_progress)


def test_a_recording_of_ours_comes_back_as_it_was(tmp_path: Path) -> None:
    race = small_race(20.0, 3)
    path = tmp_path / "race.mcap"
    start = NOW * 1_000_000_000
    version = write_recording(path, race.columns, start_ns=start, metadata=_file_metadata(race))
    result = imported(path)
    assert (result.title, result.kind) == (race.title, race.kind)
    assert list(result.entities) == list(race.entities)
    assert result.geometry is not None
    assert race.geometry is not None
    assert result.geometry.bounds == race.geometry.bounds
    assert len(result.geometry.centre_line) == len(race.geometry.centre_line)
    assert result.start_time is not None
    assert result.start_time.timestamp() == NOW
    again = tmp_path / "again.mcap"
    metadata = _file_metadata(replace(result, source=race.source))
    assert write_recording(again, result.columns, start_ns=start, metadata=metadata) == version
    assert (result.columns.values["x"] == race.columns.values["x"]).all()


def test_a_damaged_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    race = small_race(20.0, 3)
    path = tmp_path / "race.mcap"
    write_recording(path, race.columns, metadata=_file_metadata(race))
    whole = path.read_bytes()
    for part in (len(whole) // 2, len(whole) - 8, 20):
        path.write_bytes(whole[:part])
        with pytest.raises(ImportSourceError) as caught:
            imported(path)
        assert "\n" not in str(caught.value)


def foreign(path: Path, channels: dict[str, tuple[str, list[Any]]], step: float = 0.5) -> Path:
    """A file of others. channels: by topic, the name of the schema and messages `step` apart."""
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        for topic, (schema, messages) in channels.items():
            number = writer.register_schema(schema, "jsonschema", b"{}")
            channel = writer.register_channel(topic, "json", number)
            for i, content in enumerate(messages):
                time = int((NOW + i * step) * 1e9)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                writer.add_message(channel, time, data, publish_time=time)
        writer.finish()
    return path


def fix(i: int) -> dict[str, Any]:
    return {"timestamp": {"sec": NOW, "nsec": 0}, "frame_id": "", "latitude": 47 + i / 1e5,
            "longitude": 8.0, "altitude": 400}  # fmt: skip


def pose(i: float) -> dict[str, Any]:
    return {"frame_id": "map", "pose": {"position": {"x": i, "y": -i, "z": 0}}}


def test_locations_are_a_map(tmp_path: Path) -> None:
    fixes = [fix(i) for i in range(10)]
    path = foreign(tmp_path / "a.mcap", {"/car/gps": ("foxglove.LocationFix", fixes)})
    result = imported(path)
    assert [e.code for e in result.entities] == ["car/gps"]
    assert result.geometry is not None
    assert result.geometry.origin == pytest.approx((47.000045, 8.0))
    assert np.diff(result.columns.quantities("y")[:, 0]) == pytest.approx([1.1] * 9, abs=0.11)
    assert result.columns.schema.frame_rate == 2.0
    assert result.start_time is not None
    assert result.start_time.timestamp() == NOW


def test_poses_are_metres_and_other_topics_are_passed_over(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "a.mcap",
        {
            "/robot": ("foxglove.PoseInFrame", [pose(i) for i in range(5)]),
            "/log": ("foxglove.Log", [{"message": "hello"}]),
        },
    )
    result = imported(path)
    assert result.columns.quantities("x")[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert result.columns.quantities("y")[:, 0].tolist() == [0, -1, -2, -3, -4]


def test_a_message_that_cannot_be_believed_is_left_out(tmp_path: Path) -> None:
    messages = [pose(0), b"{", pose(2), {"pose": None}, [1], pose(5)]
    path = foreign(tmp_path / "a.mcap", {"/robot": ("foxglove.PoseInFrame", messages)})
    result = imported(path)
    assert result.columns.quantities("x")[0, 0] == 0
    assert result.columns.duration == pytest.approx(3, abs=0.8)
    assert result.report is not None
    assert result.report.as_dict()["rows_left_out"] == 3
    with pytest.raises(ImportSourceError, match=r"a\.mcap, row 2: .* expected a JSON object"):
        imported(path, strict=True)


MAPPING = """
time: log_time
entity: topic
fields:
  x: {column: where.east, unit: m}
  y: {column: where.north, unit: m}
  depth: {column: depth, unit: m}
"""


def test_any_json_by_a_mapping(tmp_path: Path) -> None:
    sub = [{"where": {"east": i, "north": 2 * i}, "depth": 10 + i} for i in range(4)]
    path = foreign(tmp_path / "a.mcap", {"/sub": ("x.Dive", sub), "/other": ("x.Ping", [{}])})
    with pytest.raises(ImportSourceError, match=r"channels of JSON: /sub, /other\): expected fox"):
        imported(path)
    mapping = tmp_path / "m.yaml"
    mapping.write_text(MAPPING)
    result = imported(path, mapping=mapping)
    assert [e.code for e in result.entities] == ["/sub"]
    assert result.columns.quantities("depth")[:, 0].tolist() == [10, 11, 12, 13]
    assert result.start_time is not None
    mapping.write_text(MAPPING.replace("where.east", "nowhere").replace("where.north", "never"))
    mapping.write_text(mapping.read_text().replace("column: depth", "column: nothing"))
    with pytest.raises(ImportSourceError, match="no message with nowhere, never found"):
        imported(path, mapping=mapping)


def test_messages_and_bytes_are_bounded(tmp_path: Path) -> None:
    poses = [pose(i) for i in range(50)]
    path = foreign(tmp_path / "a.mcap", {"/robot": ("foxglove.PoseInFrame", poses)})
    for bounds in (Bounds(rows=10), Bounds(unpacked_bytes=1000)):
        with pytest.raises(ImportSourceError, match="IMPORT_"):
            imported(path, bounds=bounds)
