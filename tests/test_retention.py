"""Old recordings go, oldest first; pinned ones stay."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.locks import SessionLock
from sessions_app.models import Session
from sessions_app.retention import Stored, outdated, remove, stored_sessions

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def stored(slug: str, days: int, size: int = 10, *, pinned: bool = False) -> Stored:
    return Stored(slug, NOW - timedelta(days=days), size, pinned)


def slugs(found: list[Stored]) -> list[str]:
    return [one.slug for one in found]


FOUR = [stored("c", 5), stored("a", 40), stored("b", 30, pinned=True), stored("d", 1)]


@pytest.mark.parametrize(
    ("days", "most", "gone"),
    [
        (0, 0, []),
        (31, 0, ["a"]),
        (4, 0, ["a", "c"]),
        (40, 0, []),
        (0, 40, []),
        (0, 30, ["a"]),
        (0, 20, ["a", "c"]),
        (0, 5, ["a", "c", "d"]),
        (4, 20, ["a", "c"]),
        (31, 20, ["a", "c"]),
    ],
)
def test_which_go(days: int, most: int, gone: list[str]) -> None:
    assert slugs(outdated(FOUR, NOW, days=days, most_bytes=most)) == gone


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50), st.booleans()), max_size=20),
    st.integers(1, 500),
)
def test_no_more_go_than_have_to(rows: list[tuple[int, int, bool]], most: int) -> None:
    everything = [stored(str(i), days, size, pinned=p) for i, (days, size, p) in enumerate(rows)]
    gone = outdated(everything, NOW, most_bytes=most)
    left = [one for one in everything if one not in gone]
    assert not any(one.pinned for one in gone)
    room = sum(one.size for one in left)
    assert room <= most or all(one.pinned for one in left)
    assert not gone or room + gone[-1].size > most


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.RECORDINGS_DIR = tmp_path
    settings.RETENTION_DAYS, settings.RETENTION_BYTES = 30, 0
    return tmp_path


def recorded(folder: Path, slug: str, days: float, **about: Any) -> Session:
    path = folder / f"{slug}.mcap"
    path.write_bytes(b"x" * 100)
    written = datetime.now(UTC).timestamp() - days * 86_400
    os.utime(path, (written, written))
    return Session.objects.create(
        slug=slug, title=slug, state="ready", recording=path.name, version="v", frame_count=1,
        **about,
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_command_removes_rows_and_files(folder: Path) -> None:
    recorded(folder, "old", 31)
    recorded(folder, "pinned", 31, pinned=True)
    recorded(folder, "new", 29)
    out = io.StringIO()
    call_command("retention", "--dry-run", stdout=out)
    assert out.getvalue().startswith("would remove old, 0.0 MB of 20")
    assert Session.objects.count() == 3
    out = io.StringIO()
    call_command("retention", stdout=out)
    assert out.getvalue() == "removed old\n"
    assert set(Session.objects.values_list("slug", flat=True)) == {"pinned", "new"}
    assert {path.name for path in folder.iterdir()} == {"pinned.mcap", "new.mcap"}


@pytest.mark.django_db(transaction=True)
def test_what_was_pinned_or_is_imported_meanwhile_stays(folder: Path) -> None:
    recorded(folder, "busy", 31)
    pinned = recorded(folder, "pinned", 31)
    chosen = stored_sessions()
    assert len(chosen) == 2
    pinned.pinned = True
    pinned.save()
    with SessionLock("busy"):
        assert remove(chosen) == []
    assert Session.objects.count() == 2
    assert remove(chosen) == ["busy"]


def test_without_a_limit_nothing_is_removed(folder: Path, settings: Any) -> None:
    settings.RETENTION_DAYS = 0
    with pytest.raises(CommandError, match="expected RETENTION_DAYS or RETENTION_GB"):
        call_command("retention")
