"""`check_standings`, and the figure in the import report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from sessions_app.importers.openf1.official import agreement_with_folder
from sessions_app.models import Session
from sessions_app.standings_check import recorded_standings

from .small_race import CODES, lap_seconds, store_small_race


@pytest.fixture
def race(db: None) -> Session:
    return store_small_race()


def tables(folder: Path) -> Path:
    """Official tables of the small race, in which B leads from 30 s on."""
    start = 1_742_097_600.0

    def at(seconds: float) -> str:
        return f"{np.datetime64(round((start + seconds) * 1000), 'ms')}Z"

    laps = ["driver_number,lap_number,date_start,lap_duration"]
    for car in range(len(CODES)):
        one = lap_seconds(car)
        laps += [f"{car + 1},{n + 1},{at(n * one)},{one:.3f}" for n in range(3)]
    (folder / "laps.csv").write_text("\n".join(laps))
    order = [(0, 1, 1), (0, 2, 2), (0, 3, 3), (30, 2, 1), (30, 1, 2)]
    rows = [f"{at(seconds)},{car},{place}" for seconds, car, place in order]
    (folder / "position.csv").write_text("date,driver_number,position\n" + "\n".join(rows))
    gaps = [(10, 2, "0.1"), (20.2, 2, "0.25"), (40, 3, "+1 LAP"), (41, 3, "")]
    rows = [f"{at(seconds)},{car},{gap}" for seconds, car, gap in gaps]
    (folder / "intervals.csv").write_text("date,driver_number,gap_to_leader\n" + "\n".join(rows))
    return folder


def test_a_session_is_compared_with_its_own_laps(
    race: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("check_standings", "small")
    said = capsys.readouterr().out
    assert "6 of 6 crossings agree with the lap table (100.00%)" in said
    assert "AAA: 2 of 2 crossings" in said


def test_a_session_is_compared_with_official_tables(
    race: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("check_standings", "small", against=tables(tmp_path))
    said = capsys.readouterr().out
    # B leads officially for half of the time, and never here.
    assert "leader 5" in said
    assert "gaps against the official ones: 0.0" in said
    assert "of 2 rows" in said
    assert "CCC: 2 of 2 crossings, 100.00% of the time in the official place" in said


def test_lapped_cars_have_no_gap_in_seconds(race: Session, tmp_path: Path) -> None:
    standings = recorded_standings(race)
    found = agreement_with_folder(
        tables(tmp_path), standings, [1, 2, 3], standings.first, standings.first + 60
    )
    assert found.gaps is not None
    assert found.gaps.rows == 2
    assert found.order is not None
    assert found.order.of_car[2] == 1.0


def test_what_cannot_be_compared_is_said_in_one_line(race: Session, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="expected a table laps, position or intervals"):
        call_command("check_standings", "small", against=tmp_path)
    with pytest.raises(CommandError, match="there is no session 'nowhere'"):
        call_command("check_standings", "nowhere")
