"""Formula 1 sessions through FastF1: recorded streams without a network, and what REST asks for."""

from __future__ import annotations

import base64
import json
import math
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sessions_app.importers.fastf1 import IMPORTER
from sessions_app.importers.options import Downloads, ImportOptions
from sessions_app.importers.registry import run_importer
from sessions_app.importers.result import ImportSourceError

pytest.importorskip("fastf1", reason="FastF1 is an extra of its own")

BEGIN = datetime(2024, 6, 1, 13, 0, tzinfo=UTC)
"""Of the streams; the race starts a minute later."""
CARS = {"1": ("VER", "Red Bull Racing"), "44": ("HAM", "Mercedes")}
LAP_SECONDS, LAPS, LEAD = 40, 3, 60


def stamp(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(seconds: float, content: Any) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"00:{int(minutes):02}:{rest:06.3f}{json.dumps(content)}\r\n"


def packed(content: Any) -> str:
    """As the streams' .z topics have it: base64 of raw deflate."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = packer.compress(json.dumps(content).encode()) + packer.flush()
    return base64.b64encode(data).decode()


def place(car: int, seconds: float) -> dict[str, Any]:
    lap = max(seconds - LEAD, 0) / (LAP_SECONDS + car)
    angle = 2 * math.pi * (lap - 0.01 * car)
    return {
        "Status": "OnTrack",
        "X": round(3000 * math.cos(angle)),
        "Y": round(3000 * math.sin(angle)),
        "Z": 7,
    }


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short race of two cars on a circle, as the archive serves it."""
    folder = tmp_path_factory.mktemp("streams")
    length = LEAD + (LAPS + 1) * LAP_SECONDS
    topics: dict[str, list[str]] = {}

    def add(topic: str, seconds: float, content: Any) -> None:
        topics.setdefault(topic, []).append(line(seconds, content))

    add("SessionInfo", 0, {
        "Meeting": {"Name": "Test Grand Prix", "Location": "Testville", "Number": 8,
                    "Country": {"Name": "Nowhere"}, "Circuit": {"Key": 999, "ShortName": "Test"}},
        "Name": "Race", "Type": "Race", "StartDate": "2024-06-01T15:01:00",
        "EndDate": "2024-06-01T17:00:00", "GmtOffset": "02:00:00",
    })  # fmt: skip
    add("DriverList", 0, {
        number: {"RacingNumber": number, "Tla": code, "FullName": code, "FirstName": code,
                 "LastName": code, "TeamName": team, "TeamColour": "3671C6", "CountryCode": "NED",
                 "BroadcastName": code, "Reference": code, "HeadshotUrl": "", "Line": 1}
        for number, (code, team) in CARS.items()
    })  # fmt: skip
    add("SessionStatus", 0, {"Status": "Inactive"})
    add("SessionStatus", LEAD, {"Status": "Started"})
    add("SessionStatus", length - 10, {"Status": "Finished"})
    add("TrackStatus", 0, {"Status": "1", "Message": "AllClear"})
    add("RaceControlMessages", LEAD, {"Messages": [
        {"Utc": stamp(LEAD)[:19], "Category": "Flag", "Flag": "GREEN", "Scope": "Track",
         "Message": "GREEN LIGHT - PIT EXIT OPEN"}]})  # fmt: skip
    add("WeatherData", 10, {"AirTemp": "20.0", "Humidity": "50", "Pressure": "1000",
                            "Rainfall": "0", "TrackTemp": "30.5",
                            "WindDirection": "90", "WindSpeed": "1.5"})  # fmt: skip
    for tenth in range(0, length * 4):
        seconds = tenth / 4
        entries = {n: place(i, seconds) for i, n in enumerate(CARS)}
        sample = {"Position": [{"Timestamp": stamp(seconds), "Entries": entries}]}
        add("Position.z", seconds, packed(sample))
        channels = {
            "0": 10_000,
            "2": 160 if seconds > LEAD else 0,
            "3": 5,
            "4": 80,
            "5": 0,
            "45": 8,
        }
        cars = {n: {"Channels": channels} for n in CARS}
        add("CarData.z", seconds, packed({"Entries": [{"Utc": stamp(seconds), "Cars": cars}]}))
    timing: list[tuple[float, str, dict[str, Any]]] = []
    for i, number in enumerate(CARS):
        own = LAP_SECONDS + i
        timing.append((0, number, {"Line": i + 1, "Position": str(i + 1), "NumberOfLaps": 0}))
        # From the garage to the grid.
        timing.append((5, number, {"InPit": True}))
        timing.append((20, number, {"InPit": False}))
        for lap in range(1, LAPS + 1):
            end = LEAD + lap * own + 0.4 * i
            for sector, part in enumerate((0.25, 0.35, 0.4)):
                at = end - own * (1 - sum((0.25, 0.35, 0.4)[: sector + 1]))
                value = {"Value": f"{own * part:.3f}"}
                timing.append((at, number, {"Sectors": {str(sector): value}}))
            timing.append((end, number, {"LastLapTime": {"Value": f"0:{own:.3f}"},
                                         "NumberOfLaps": lap}))  # fmt: skip
    for seconds, number, content in sorted(timing, key=lambda entry: entry[0]):
        add("TimingData", seconds, {"Lines": {number: content}})
    add("TimingAppData", 1, {"Lines": {
        n: {"RacingNumber": n, "Stints": {"0": {
            "Compound": "MEDIUM", "New": "true", "TotalLaps": 0, "StartLaps": 0}}}
        for n in CARS}})  # fmt: skip
    for topic, lines in topics.items():
        (folder / f"{topic}.jsonStream").write_text("".join(lines), encoding="utf-8-sig")
    return folder


def test_recorded_streams_become_a_race(streams: Path, tmp_path: Path) -> None:
    result = run_importer("fastf1", streams, ImportOptions())
    assert (result.title, result.kind) == ("Test Grand Prix 2024, Race", "race")
    assert result.source == f"fastf1:{streams.name}"
    assert result.round == 8
    assert {e.code: e.team for e in result.entities} == dict(CARS.values())
    laps = {(lap.entity, lap.number): lap.duration for lap in result.laps}
    assert laps["VER", 2] == pytest.approx(40.0)
    assert laps["HAM", 2] == pytest.approx(41.0)
    speed = result.columns.quantities("speed")
    assert np.nanmax(speed) == 160
    x, y = result.columns.quantities("x")[:, 0], result.columns.quantities("y")[:, 0]
    assert np.hypot(x, y)[~np.isnan(x)] == pytest.approx(3000, abs=15)
    # What was read before of a session of that name does not count.
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    for path in streams.iterdir():
        lines = path.read_text().splitlines(keepends=True)
        (shorter / path.name).write_text("".join(lines[: len(lines) // 2 + 1]))
    assert len(run_importer("fastf1", shorter, ImportOptions()).laps) < len(result.laps)
    assert result.report is not None
    read = {t["table"] for t in result.report.as_dict()["tables"]}
    assert {"location", "car_data", "laps", "drivers", "race_control", "weather"} <= read


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("Position.z", "no positions found"), ("SessionInfo", "no SessionInfo found")],
)
def test_streams_that_lack_what_is_needed(
    streams: Path, tmp_path: Path, missing: str, expected: str
) -> None:
    for path in streams.iterdir():
        if not path.name.startswith(missing):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ImportSourceError, match=expected):
        run_importer("fastf1", tmp_path, ImportOptions())


def test_what_is_no_stream_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ImportSourceError, match=r"no stream found: expected NAME\.jsonStream"):
        run_importer("fastf1", tmp_path, ImportOptions())
    assert not IMPORTER.recognises(tmp_path, ImportOptions())


def test_a_session_by_round_comes_from_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network and with an empty cache it says so in one line, having tried both."""
    import fastf1

    asked: list[tuple[Any, ...]] = []

    def get_session(*wanted: Any) -> Any:
        asked.append((*wanted, fastf1.Cache._requests_session_cached is not None))
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(fastf1, "get_session", get_session)
    options = ImportOptions(year=2024, round=8, session="Q", downloads=Downloads(tmp_path))
    with pytest.raises(ImportSourceError, match="2024, 8, Q: ConnectionError: no route") as caught:
        run_importer("fastf1", None, options)
    assert "\n" not in str(caught.value)
    assert [a[:3] for a in asked] == [(2024, 8, "Q")] * 2
    with pytest.raises(ImportSourceError, match="expected --year 2024 --round 8 --session R"):
        run_importer("fastf1", None, ImportOptions(year=2024, downloads=Downloads(tmp_path)))


@pytest.mark.realdata
def test_real_streams_of_a_qualifying_are_loaded(realdata: Path) -> None:
    """As far as FastF1: its tables are there for all cars."""
    from sessions_app.importers.fastf1 import _library, _live_data, _loaded, _tables

    folder = realdata / "livetiming" / "static-2025-mexico-qualifying"
    if not folder.is_dir():
        pytest.skip(f"no real recording at {folder}")
    fastf1 = _library()
    data = _live_data(folder, ImportOptions())
    # The long streams are read in the small race above.
    for topic in ("Position.z", "CarData.z"):
        data.data[topic] = data.data[topic][:300]
    tables = dict(_tables(_loaded(fastf1, data, folder)))
    assert len(tables["drivers"]["driver_number"]) == 20
    assert sum(name.endswith("/location") for name in tables) == 20
    assert len(tables["laps"]["lap_number"]) > 250
