"""Some spoilt real tables, the same in each run; `python -m tests.mutations` runs for longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from sessions_app.importers.options import ImportOptions
from sessions_app.importers.registry import run_importer
from sessions_app.importers.result import ImportSourceError

from .mutations import Row, Tables, check, make_case, make_table_case, real_play, real_tables

pytestmark = [pytest.mark.realdata, pytest.mark.django_db]

CASES = 8
MORE_CASES = [pytest.param(seed, marks=pytest.mark.long) for seed in range(CASES, 24)]


@pytest.fixture(scope="module")
def tables(realdata: Path) -> Tables:
    folder = realdata / "openf1-2024-austria"
    if not folder.is_dir():
        pytest.skip(f"no real recording at {folder}")
    return real_tables(folder)


@pytest.mark.parametrize("seed", [*range(CASES), *MORE_CASES])
def test_a_spoilt_race_is_imported_or_refused_in_one_line(
    tables: Tables,
    tmp_path: Path,
    settings: settings,  # type: ignore[valid-type]
    seed: int,
) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    settings.RECORDINGS_DIR = recordings  # type: ignore[attr-defined]
    case = make_case(tables, tmp_path / "race", seed)
    assert check(case, recordings), case.done


@pytest.fixture(scope="module")
def play(realdata: Path) -> list[Row]:
    plays = sorted((realdata / "nfl").glob("*.tsv.gz"))
    if not plays:
        pytest.skip(f"no play at {realdata / 'nfl'}")
    return real_play(plays[0])


@pytest.mark.parametrize("seed", range(CASES))
def test_a_spoilt_play_is_imported_or_refused_in_one_line(
    play: list[Row],
    tmp_path: Path,
    settings: settings,  # type: ignore[valid-type]
    seed: int,
) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    settings.RECORDINGS_DIR = recordings  # type: ignore[attr-defined]
    case = make_table_case(play, tmp_path / "play", seed)
    assert check(case, recordings), case.done


def test_a_session_without_positions_is_refused_in_one_line(realdata: Path) -> None:
    """Unquoted lists make its laps longer than their header, and no table has positions."""
    folder = realdata / "openf1-csv-malformed"
    if not folder.is_dir():
        pytest.skip(f"no real recording at {folder}")
    for strict in (False, True):
        with pytest.raises(ImportSourceError) as caught:
            run_importer("", folder, ImportOptions(strict=strict))
        assert "\n" not in str(caught.value)
        wanted = "values found: expected 16" if strict else "no table of positions: expected"
        assert wanted in str(caught.value)
