"""Some spoilt real tables, the same in each run; `python -m tests.mutations` runs for longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from .mutations import Tables, check, make_case, real_tables

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
