"""Aircraft that come and go: readsb's snapshots, tar1090's traces, and tables of state vectors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sessions_app.importers.adsb import IMPORTER, import_adsb
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError, no_progress

NOW = 1_700_000_000.0


def imported(source: Path, **options: object) -> ImportResult:
    assert IMPORTER.recognises(source, ImportOptions())
    return import_adsb(source, ImportOptions(**options), no_progress)  # type: ignore[arg-type]


def findings(result: ImportResult) -> dict[tuple[str, str], int]:
    assert result.report is not None
    return {(f["column"], f["done"]): f["count"] for f in result.report.as_dict()["findings"]}


def row(second: float, code: str = "4b1805", **more: Any) -> dict[str, Any]:
    return {
        "timestamp": int((NOW + second) * 1000), "icao24": code, "callsign": "SWR1",
        "latitude": 47.0, "longitude": 8.0 + second / 1000, "altitude": 30_000.0,
        "groundspeed": 400.0, "track": 90.0,
        "vertical_rate": 0.0, **more,
    }  # fmt: skip


def test_a_table_of_state_vectors(tmp_path: Path) -> None:
    rows = [row(t) for t in range(0, 100, 10)] + [row(t, "3c6444") for t in range(50, 200, 10)]
    (tmp_path / "sky.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    result = imported(tmp_path / "sky.json.gz")
    assert (result.kind, result.source) == ("flight", "adsb:sky.json.gz")
    assert [(e.code, e.name, e.kind) for e in result.entities] == [
        ("4b1805", "SWR1", "aircraft"),
        ("3c6444", "SWR1", "aircraft"),
    ]
    # The source's own rate: a frame every ten seconds.
    assert result.columns.schema.frame_rate == 0.1
    assert result.columns.frame_count == 20
    seen = ~np.isnan(result.columns.quantities("x"))
    assert seen[:, 0].tolist() == [True] * 10 + [False] * 10
    assert seen[:, 1].tolist() == [False] * 5 + [True] * 15
    assert result.columns.quantities("speed")[0, 0] == 400
    assert result.start_time is not None
    assert result.start_time.timestamp() == NOW


def test_opensky_writes_metres(tmp_path: Path) -> None:
    (tmp_path / "states.csv").write_text(
        "time,icao24,lat,lon,velocity,heading,vertrate,callsign,baroaltitude\n"
        f"{NOW:.0f},4b1805,47,8,100,90,5,SWR1,1000\n"
        f"{NOW + 1:.0f},4b1805,47,8.001,100,90,5,SWR1,1000\n"
    )
    columns = imported(tmp_path / "states.csv").columns
    assert columns.quantities("altitude")[0, 0] == pytest.approx(3281, abs=1)
    assert columns.quantities("speed")[0, 0] == pytest.approx(194.4, abs=0.1)
    assert columns.quantities("vertical_rate")[0, 0] == pytest.approx(984, abs=1)


def snapshot(second: float, *aircraft: Any) -> str:
    return json.dumps({"now": NOW + second, "messages": 5, "aircraft": list(aircraft)})


def test_a_folder_of_readsb_snapshots(tmp_path: Path) -> None:
    for t in range(5):
        own = {"hex": "4b1805", "flight": "SWR1    ", "lat": 47.0, "lon": 8.0 + t / 1000,
               "alt_baro": "ground" if t == 0 else 1000 * t, "gs": 150.5, "track": 270.0,
               "baro_rate": -64, "seen_pos": 0.5, "r": "HB-JCA", "t": "BCS3"}  # fmt: skip
        unplaced = {"hex": "3c6444", "seen": 1.0}
        (tmp_path / f"history_{t}.json").write_text(snapshot(t, own, unplaced))
    (tmp_path / "receiver.json").write_text('{"version": "3.14"}')
    result = imported(tmp_path)
    [entity] = result.entities
    assert (entity.name, entity.attributes["registration"]) == ("SWR1", "HB-JCA")
    assert entity.attributes["type"] == "BCS3"
    altitude = result.columns.quantities("altitude")[:, 0]
    assert altitude.tolist() == [0, 1000, 2000, 3000, 4000]
    assert result.start_time is not None
    assert result.start_time.timestamp() == NOW - 0.5
    # Without a position nothing can be shown of it.
    assert findings(result) == {("", "record left out"): 1}


def test_tar1090_traces_are_gzipped_whatever_their_name(tmp_path: Path) -> None:
    trace = [
        [10.0 * i, 47.0, 8.0 + i / 100, "ground" if i == 0 else 500 * i, 120.0, 45.0, 0, 640,
         {"flight": "SWR2"} if i == 1 else None, "adsb_icao", None, None, None, None]
        for i in range(4)
    ]  # fmt: skip
    data = {"icao": "4b1805", "r": "HB-JCA", "timestamp": NOW, "trace": trace}
    folder = tmp_path / "traces" / "05"
    folder.mkdir(parents=True)
    path = folder / "trace_full_4b1805.json"
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    result = imported(tmp_path)
    assert result.entities[0].name == "SWR2"
    assert result.columns.quantities("direction")[:, 0].tolist() == [45.0] * 4
    assert result.columns.quantities("vertical_rate")[0, 0] == 640


def test_what_cannot_be_believed_is_left_out_and_listed(tmp_path: Path) -> None:
    rows = [row(t) for t in range(0, 300, 10)]
    rows[3]["latitude"] = 147.0
    rows[4]["groundspeed"] = -3.0
    rows[5]["altitude"] = "high"
    rows[6]["timestamp"] = None
    rows.append(row(5, "nobody"))
    path = tmp_path / "sky.json"
    path.write_text(json.dumps(rows))
    result = imported(path)
    assert [e.code for e in result.entities] == ["4b1805"]
    assert findings(result) == {
        ("latitude", "value left out"): 1,
        ("speed", "value left out"): 1,
        ("altitude", "value left out"): 1,
        ("timestamp", "row left out"): 1,
        ("hex", "row left out"): 1,
    }
    with pytest.raises(ImportSourceError, match=r"sky\.json, row 6, column altitude: 'high' found"):
        imported(path, strict=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", snapshot(0, 5, {"hex": 5}, {"hex": "4b1805", "lat": "x", "lon": None})),
        ("a.json", '{"now": "noon", "aircraft": []}'),
        ("trace_full_4b1805.json", '{"icao": "4b1805", "timestamp": 1, "trace": [[], 5, null]}'),
        ("trace_full_4b1805.json", '{"icao": "4b1805", "timestamp": 1, "trace": 5}'),
        ("a.csv", "icao24,timestamp,latitude,longitude\n"),
        ("a.csv", "icao24,timestamp,latitude,longitude\n4b1805,noon,1,2\n"),
    ],
)
def test_a_file_without_a_position_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    for strict in (False, True):
        with pytest.raises(ImportSourceError) as caught:
            imported(tmp_path / name, strict=strict)
        assert "\n" not in str(caught.value)


def test_other_tables_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,who,x,y\n0,a,1,2\n")
    (tmp_path / "b.json").write_text('{"now": 5}')
    assert not IMPORTER.recognises(tmp_path, ImportOptions())


@pytest.mark.realdata
def test_a_real_day_over_switzerland(realdata: Path) -> None:
    path = realdata / "adsb" / "switzerland.json.gz"
    if not path.is_file():
        pytest.skip(f"no real recording at {path}")
    result = imported(path)
    assert len(result.entities) == 842
    assert result.columns.duration == pytest.approx(17 * 3600, rel=0.01)
    here = (~np.isnan(result.columns.quantities("x"))).sum(axis=1)
    assert here.max() < 60
    x = result.columns.quantities("x")
    assert np.nanmax(x) - np.nanmin(x) < 400_000
