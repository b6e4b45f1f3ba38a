"""A race in live timing: laps are counted when they are done, and the order is that of a race."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sessions_app.importers.livetiming import import_livetiming
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult
from tests.small_qualifying import BEGAN, Line, archive, lap_text, place, stamp

START = 120.0
LAP = {4: 60.0, 16: 61.0}
LAPS = 5
STOP = {16: 3}
"""Laps at whose end a car drives through the pit lane."""


def race_lines() -> list[Line]:
    info = {"Name": "Race", "Meeting": {"Location": "Ring"}, "StartDate": "2024-06-01T12:00:00"}
    lines: list[Line] = [
        (0.0, "SessionInfo", info),
        (1.0, "DriverList", {"4": {"Tla": "NOR"}, "16": {"Tla": "LEC"}}),
        (1.0, "LapCount", {"CurrentLap": 1, "TotalLaps": LAPS}),
        (
            START,
            "SessionData",
            {"StatusSeries": {"0": {"Utc": stamp(START), "SessionStatus": "Started"}}},
        ),
    ]
    for index, (number, duration) in enumerate(LAP.items()):
        key = str(number)
        whole = {"RacingNumber": key, "Position": str(index + 1), "NumberOfLaps": 0, "InPit": False}
        lines.append((2.0, "TimingData", {"Lines": {key: whole}}))
        tyre = {"Compound": "MEDIUM", "StartLaps": 0}
        lines.append((3.0, "TimingAppData", {"Lines": {key: {"Stints": [tyre]}}}))
        for lap in range(1, LAPS + 1):
            end = START + lap * duration
            stops = STOP.get(number) == lap
            if stops:
                lines.append((end - 8, "TimingData", {"Lines": {key: {"InPit": True}}}))
                lines.append(
                    (end + 15, "TimingData", {"Lines": {key: {"InPit": False, "PitOut": True}}})
                )
                hard = {"1": {"Compound": "HARD", "StartLaps": 0}}
                lines.append((end + 16, "TimingAppData", {"Lines": {key: {"Stints": hard}}}))
            sectors = (duration / 3, duration / 3, duration / 3)
            for k in (0, 1):
                at = end - duration + sum(sectors[: k + 1])
                value = {str(k): {"Value": f"{sectors[k]:.3f}"}}
                lines.append((at, "TimingData", {"Lines": {key: {"Sectors": value}}}))
            lines.append((end, "TimingData", {"Lines": {key: {"NumberOfLaps": lap}}}))
            last = {"LastLapTime": {"Value": lap_text(duration)}}
            lines.append((end + 0.3, "TimingData", {"Lines": {key: last}}))
    for at in range(0, int(START + (LAPS + 1) * 61)):
        spots, cars = {}, {}
        for index, (number, duration) in enumerate(LAP.items()):
            x, y = place(max(at - START, 0.0) / duration - 0.01 * (index + 1))
            spots[str(number)] = {"X": x, "Y": y, "Z": 1}
            speed = 0 if at < START else 100
            if number in STOP and abs(at - START - STOP[number] * duration - 4) < 10:
                speed = 60
            cars[str(number)] = {"Channels": {"0": 9000, "2": speed, "3": 5, "4": 50, "5": 0}}
        moment = stamp(at)
        lines.append((at, "Position", {"Position": [{"Timestamp": moment, "Entries": spots}]}))
        lines.append((at, "CarData", {"Entries": [{"Utc": moment, "Cars": cars}]}))
    return sorted(lines, key=lambda line: line[0])


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> ImportResult:
    folder = archive(tmp_path_factory.mktemp("race") / "live", race_lines())
    return import_livetiming(folder, ImportOptions(frame_rate=5.0))


def test_laps_end_where_the_timing_counts_them(race: ImportResult) -> None:
    assert (race.kind, race.metadata["total_laps"]) == ("race", LAPS)
    for code, duration in (("NOR", 60.0), ("LEC", 61.0)):
        laps = [lap for lap in race.laps if lap.entity == code]
        assert [lap.number for lap in laps] == list(range(1, LAPS + 1))
        assert [lap.duration for lap in laps] == [duration] * LAPS
        assert laps[-1].sectors[0] == pytest.approx(duration / 3, abs=1e-3)
    assert race.start_time is not None
    start = BEGAN + START - race.start_time.timestamp()
    assert race.metadata["race_start_frame"] == pytest.approx(start * 5.0, abs=1)


def test_the_order_is_that_of_a_race(race: ImportResult) -> None:
    position = race.columns.values["position"]
    assert position[-1].tolist() == [1, 2]
    assert "session_part" not in race.schema
    finish = race.metadata["finish_frame"]
    gap = race.columns.quantities("gap_to_leader")[finish + 30, 1]
    assert math.isclose(gap, 5.0, abs_tol=0.7)


def test_a_stop_changes_the_tyres(race: ImportResult) -> None:
    stints = [(s.lap_start, s.lap_end, s.compound) for s in race.stints if s.entity == "LEC"]
    assert stints == [(1, 3, "medium"), (4, LAPS, "hard")]
    outs = [lap.number for lap in race.laps if lap.entity == "LEC" and lap.pit_out]
    assert outs == [4]
    assert np.nanmax(race.columns.quantities("pit_stops")[:, 1]) == 1
