"""A qualifying becomes parts, runs and an order by best lap, from live timing and from OpenF1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions_app.agreement import Standings
from sessions_app.importers.livetiming import import_livetiming
from sessions_app.importers.livetiming.official import agreement_with_live_timing
from sessions_app.importers.openf1 import import_openf1
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError
from sessions_app.importers.validation import validated
from sessions_app.racing import CarStatus, SectorMark, SessionKind, session_kind, session_type
from tests.small_qualifying import (
    BEGAN,
    DELETED,
    DELETED_AT,
    FLAG,
    GREEN,
    SHOWN,
    TAKEN_BACK_AT,
    archive,
    openf1_folder,
    timing_lines,
)

OPTIONS = ImportOptions(frame_rate=5.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("quali") / "live", timing_lines())


@pytest.fixture(scope="module")
def live(folder: Path) -> ImportResult:
    return validated(import_livetiming(folder, OPTIONS))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> ImportResult:
    source = openf1_folder(tmp_path_factory.mktemp("quali") / "openf1")
    return validated(import_openf1(source, OPTIONS))


@pytest.fixture(params=["live", "tables"])
def session(request: pytest.FixtureRequest) -> ImportResult:
    result: ImportResult = request.getfixturevalue(request.param)
    return result


def frame(result: ImportResult, seconds: float) -> int:
    """The frame at seconds after the streams began."""
    assert result.start_time is not None
    return round((BEGAN + seconds - result.start_time.timestamp()) * 5.0)


def order(result: ImportResult, seconds: float) -> list[str]:
    position = result.columns.values["position"][frame(result, seconds)]
    return [result.entities[i].code for i in np.argsort(position)]


def value(result: ImportResult, name: str, seconds: float, code: str | None = None) -> float:
    column = 0 if code is None else [e.code for e in result.entities].index(code)
    return float(result.columns.quantities(name)[frame(result, seconds), column])


def test_the_order_is_that_of_the_best_laps_of_each_part(session: ImportResult) -> None:
    assert session.kind == "qualifying"
    assert order(session, SHOWN[1] - 10) == ["LEC", "PIA", "NOR", "HAM"]
    assert order(session, SHOWN[2] + 5) == ["LEC", "NOR", "PIA", "HAM"]
    assert order(session, FLAG[2]) == ["NOR", "LEC", "PIA", "HAM"]
    assert value(session, "best_lap_time", FLAG[2], "NOR") == pytest.approx(40.1)
    assert value(session, "gap_to_leader", FLAG[2], "LEC") == pytest.approx(0.4)
    assert np.isnan(value(session, "best_lap_time", SHOWN[2] + 5, "NOR"))


def test_parts_with_their_ends_and_eliminations(session: ImportResult) -> None:
    parts = session.metadata["session_parts"]
    assert [p["name"] for p in parts] == ["Q1", "Q2", "Q3"]
    assert [p["green_frame"] for p in parts] == [frame(session, t) for t in GREEN]
    assert [p["flag_frame"] for p in parts] == [frame(session, t) for t in FLAG]
    assert parts[1]["start_frame"] == frame(session, SHOWN[1])
    out = [e.entity for e in session.events if e.kind == "elimination"]
    assert out == [code for part in parts for code in part["eliminated"]]
    assert value(session, "session_part", SHOWN[1] + 1) == 2
    assert value(session, "session_part", SHOWN[1] - 1) == 1


def test_the_clock_counts_down_to_the_flag(session: ImportResult) -> None:
    assert value(session, "session_clock", GREEN[0] + 100) == 200
    assert value(session, "session_clock", FLAG[1] - 1) == 1
    assert value(session, "session_clock", FLAG[1] + 20) == 0


def test_as_many_go_on_as_the_timing_says(live: ImportResult, tables: ImportResult) -> None:
    assert [p["eliminated"] for p in live.metadata["session_parts"]] == [["HAM"], ["PIA"], []]
    assert value(live, "best_lap_time", FLAG[2], "HAM") == pytest.approx(43.0)
    # Ten and fewer cars: the tables alone eliminate no one.
    assert [p["eliminated"] for p in tables.metadata["session_parts"]] == [[], [], []]


def test_a_deleted_lap_counts_until_it_is_taken_back(
    live: ImportResult, tables: ImportResult
) -> None:
    for result, until in ((live, TAKEN_BACK_AT), (tables, DELETED_AT)):
        assert order(result, until - 1)[0] == "PIA"
        assert order(result, until + 1)[0] == "LEC"
        (deleted,) = result.metadata["deleted_laps"]
        assert (deleted["entity"], deleted["lap"], deleted["time"]) == ("PIA", 2, DELETED)
        assert deleted["reason"] == "TRACK LIMITS AT TURN 3"
        (event,) = (e for e in result.events if e.kind == "lap_deleted")
        assert (event.entity, event.lap, event.frame) == ("PIA", 2, frame(result, DELETED_AT))


def test_runs_are_told_with_the_kinds_of_their_laps(session: ImportResult) -> None:
    runs = session.metadata["runs"]["PIA"]
    assert [run["kinds"] for run in runs] == [["out", "push", "in"]] * 3
    assert [run["part"] for run in runs] == ["Q1", "Q1", "Q2"]
    assert [run["best"] for run in runs] == [None, 42.0, 41.2]
    laps = [lap for lap in session.laps if lap.entity == "PIA"]
    assert [(lap.pit_out, lap.pit_in) for lap in laps[:3]] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_results_have_the_best_lap_of_each_part(session: ImportResult) -> None:
    first = session.metadata["results"][0]
    assert (first["entity"], first["position"]) == ("NOR", 1)
    times = {name: (best["lap"], best["time"]) for name, best in first["laps"].items()}
    assert times == {"Q1": (2, 42.5), "Q2": (5, 41.0), "Q3": (8, 40.1)}
    lap = first["laps"]["Q3"]
    assert lap["end_frame"] - lap["start_frame"] == pytest.approx(40.1 * 5, abs=1)


def test_cars_are_in_the_pits_between_their_runs(session: ImportResult) -> None:
    status = [value(session, "status", t, "NOR") for t in (GREEN[0] - 5, 130, 350, 620)]
    assert status == [CarStatus.PIT, CarStatus.TRACK, CarStatus.PIT, CarStatus.TRACK]


def test_sectors_are_marked_as_they_are_beaten(tmp_path: Path) -> None:
    lines = timing_lines(positions=False)
    for at, value_ in ((200.0, "15.500"), (205.0, "15.200")):
        number = "4" if at == 200.0 else "16"
        data = {"Lines": {number: {"Sectors": {"0": {"Value": value_}}}}}
        lines.append((at, "TimingData", data))
    result = import_livetiming(
        archive(tmp_path / "live", sorted(lines, key=lambda x: x[0])), OPTIONS
    )
    marks = [value(result, "sector1_mark", t, code) for code in ("NOR", "LEC") for t in (178, 260)]
    assert marks[0] == SectorMark.OVERALL_BEST
    assert marks[1] == SectorMark.PERSONAL_BEST
    assert marks[3] == SectorMark.OVERALL_BEST


def test_without_positions_the_order_is_still_there(tmp_path: Path, live: ImportResult) -> None:
    source = archive(tmp_path / "live", timing_lines(positions=False))
    result = import_livetiming(source, OPTIONS)
    assert np.isnan(result.columns.quantities("x")).all()
    assert order(result, FLAG[2]) == order(live, FLAG[2])
    assert result.report is not None
    assert "where the cars were: nothing in the source tells it" in result.report.estimated


def test_broken_and_late_lines_cost_nothing_else(folder: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "live"
    spoilt.mkdir()
    for path in folder.iterdir():
        rows = path.read_text("utf-8-sig").splitlines()
        if path.stem == "TimingData":
            rows = rows[::-1]
            rows.insert(3, '00:05:00.000{"Lines":{"4"')
        (spoilt / path.name).write_text("\n".join(rows))
    result = import_livetiming(spoilt, OPTIONS)
    assert order(result, FLAG[2]) == ["NOR", "LEC", "PIA", "HAM"]
    assert result.report is not None
    (finding,) = (f for f in result.report.findings.values() if f.table == "TimingData")
    assert (finding.count, finding.examples[0].row) == (1, 4)
    with pytest.raises(ImportSourceError, match=r"TimingData\.jsonStream, row 4"):
        import_livetiming(spoilt, ImportOptions(strict=True))


def test_a_folder_without_live_timing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match="no line of the live timing"):
        import_livetiming(tmp_path, OPTIONS)
    (tmp_path / "notes.txt").write_text("whatever\n" * 3)
    with pytest.raises(ImportSourceError, match="expected some"):
        import_livetiming(tmp_path, OPTIONS)


ODD = st.sampled_from(
    [None, True, -1, 10**400, "", "x", "1:99:99.9", [], {}, [None], {"0": 3}, {"99999": 1}]
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_a_line_holds_there_is_a_session_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = timing_lines(positions=False)
    for _ in range(data.draw(st.integers(1, 8))):
        index = data.draw(st.integers(0, len(lines) - 1))
        at, topic, said = lines[index]
        how = data.draw(st.sampled_from(["odd", "drop", "late", "twice"]))
        if how == "odd":
            lines[index] = (at, topic, spoilt(said, data))
        elif how == "drop":
            del lines[index]
        elif how == "late":
            lines[index] = (at + data.draw(st.sampled_from([-50.0, 70.0, 90_000.0])), topic, said)
        else:
            lines.append(lines[index])
    lines = [(max(at, 0.0), topic, said) for at, topic, said in lines]
    source = archive(tmp_path_factory.mktemp("odd") / "live", lines)
    message = ""
    try:
        result = validated(import_livetiming(source, ImportOptions(frame_rate=1.0)))
    except ImportSourceError as error:
        message = str(error)
    assert "\n" not in message
    if message:
        return
    position = result.columns.values["position"]
    assert (np.sort(position, axis=1) == np.arange(1, len(result.entities) + 1)).all()


def spoilt(said: Any, data: st.DataObject) -> Any:
    """The data of a line with one value replaced by an odd one."""
    if isinstance(said, dict) and said and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(said)))
        return {**said, key: spoilt(said[key], data)}
    return data.draw(ODD)


@pytest.mark.parametrize(
    ("name", "kind", "short"),
    [
        ("Race", SessionKind.RACE, "R"),
        ("Sprint", SessionKind.SPRINT, "S"),
        ("Qualifying", SessionKind.QUALIFYING, "Q"),
        ("Sprint Shootout", SessionKind.SPRINT_QUALIFYING, "SQ"),
        ("Sprint Qualifying", SessionKind.SPRINT_QUALIFYING, "SQ"),
        ("Practice 2", SessionKind.PRACTICE, "FP2"),
        ("", SessionKind.RACE, "R"),
    ],
)
def test_kinds_by_the_names_of_the_feeds(name: str, kind: SessionKind, short: str) -> None:
    assert (session_kind(name), session_type(name)) == (kind, short)


REAL = (
    "static-2025-mexico-qualifying",
    "undercut/2024_Imola_Qualifying",
    "undercut/2024_Silverstone_Practice_1",
)


@pytest.fixture
def real(realdata: Path) -> Callable[[str], Path]:
    def at(name: str) -> Path:
        path = realdata / "livetiming" / name
        if not path.exists():
            pytest.skip(f"no real recording at {path}")
        return path

    return at


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_the_order_is_the_timings_own(name: str, real: Callable[[str], Path]) -> None:
    result = import_livetiming(real(name), ImportOptions(frame_rate=5.0))
    assert result.start_time is not None
    first = result.start_time.timestamp()
    position = result.columns.values["position"]
    standings = Standings([e.code for e in result.entities], first, 5.0, position)
    numbers = [int(entity.number) for entity in result.entities]
    last = first + result.frame_count / 5.0
    order = agreement_with_live_timing(real(name), standings, numbers, first, last).order
    assert order is not None
    assert order.cars_everywhere >= 0.995
