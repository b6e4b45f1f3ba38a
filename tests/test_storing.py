"""A result is stored in the database and on disk together, or not at all."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError

from sessions_app.importers.report import Report
from sessions_app.importers.result import (
    EventRecord,
    ImportSourceError,
    LapRecord,
    StintRecord,
)
from sessions_app.locks import SessionBusy, SessionLock, remove_leftovers
from sessions_app.models import Entity, Lap, Session
from sessions_app.recording.file import Recording
from sessions_app.storing import SlugTaken, store_result

from .samples import small_play, small_race

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path, settings) -> Path:
    settings.RECORDINGS_DIR = tmp_path
    return tmp_path


def test_it_works(recordings: Path) -> None:
    session = store_result(small_race(30), slug="race")
    assert session.state == Session.State.READY
    assert session.frame_count == 750
    assert session.entities.count() == 20
    assert session.geometry.shapes["corners"][1]["label"] == "2"
    assert session.events.count() == 4
    assert session.stints.count() == 20
    with Recording(session.recording_path) as recording:
        assert recording.version == session.version
        assert recording.metadata["title"] == session.title


def test_a_taken_slug_is_refused_and_nothing_changes(recordings: Path) -> None:
    before = store_result(small_race(30), slug="race")
    with pytest.raises(SlugTaken, match="'race'"):
        store_result(small_play(), slug="race")
    assert Session.objects.get(slug="race").version == before.version
    assert len(list(recordings.iterdir())) == 1


def test_replacing_leaves_one_file_and_the_new_rows(recordings: Path) -> None:
    store_result(small_race(30), slug="race")
    after = store_result(small_play(), slug="race", replace=True)
    assert [p.name for p in recordings.iterdir()] == [after.recording]
    assert {e.code for e in Entity.objects.all()} == {"QB", "WR", "CB", "LB", "ball"}
    assert not after.laps.exists()


@pytest.mark.parametrize("slug", ["", "../race", "a b", "-x", "x" * 81, "ä"])
def test_a_slug_that_cannot_stand_in_an_address_is_refused(recordings: Path, slug: str) -> None:
    with pytest.raises(ValidationError):
        store_result(small_play(), slug=slug)
    assert list(recordings.iterdir()) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses every write beyond it, also the one that closing a file repeats."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [1, 1_000, 5_000, 20_000])
def test_a_full_disk_leaves_what_was_there(recordings: Path, size: int) -> None:
    before = store_result(small_play(), slug="race")
    with no_file_larger_than(size), pytest.raises(OSError, match="File too large"):
        store_result(small_race(30), slug="race", replace=True)
    assert Session.objects.get(slug="race").version == before.version
    if size == 1:
        # Not even the lock's own line could be written: the next store takes what is left of it.
        remove_leftovers()
    assert [p.name for p in recordings.iterdir()] == [before.recording]


def test_two_at_once_are_refused_and_nothing_changes(recordings: Path) -> None:
    with SessionLock("race"), pytest.raises(SessionBusy, match="'race' is being imported"):
        store_result(small_play(), slug="race")
    assert not Session.objects.exists()
    assert list(recordings.iterdir()) == []
    assert store_result(small_play(), slug="race").state == Session.State.READY


def test_another_session_is_no_hindrance(recordings: Path) -> None:
    with SessionLock("race"):
        assert store_result(small_play(), slug="play").state == Session.State.READY


def test_who_may_watch_may_be_changed_while_the_recording_is_written(recordings: Path) -> None:
    store_result(small_play(), slug="play")

    def close_it(_fraction: float, message: str) -> None:
        if message == "writing the recording":
            Session.objects.filter(slug="play").update(access=Session.Access.PRIVATE)

    store_result(small_play(), slug="play", replace=True, progress=close_it)
    assert Session.objects.get(slug="play").access == Session.Access.PRIVATE


class TestLeftovers:
    """What a killed process leaves is what its lock lists; tests/test_import_kills.py kills one."""

    @staticmethod
    def killed(recordings: Path, slug: str, *names: str) -> Path:
        """Files as somebody who wrote them left them, and the lock with its list."""
        for name in names:
            (recordings / name).write_bytes(b"x")
        lock = recordings / f".{slug}.session.lock"
        listed = [name.removeprefix(".").partition(".mcap")[0] + ".mcap" for name in names]
        lock.write_text("".join(f"{name}\n" for name in listed))
        return lock

    def test_are_removed_with_their_list(self, recordings: Path) -> None:
        self.killed(recordings, "race", "race.1.mcap", ".race.2.mcap.77.partial")
        remove_leftovers()
        assert list(recordings.iterdir()) == []

    def test_what_the_database_names_stays(self, recordings: Path) -> None:
        session = store_result(small_play(), slug="race")
        self.killed(recordings, "race", "race.1.mcap")
        with (recordings / ".race.session.lock").open("a") as lock:
            lock.write(f"{session.recording}\n")
        remove_leftovers()
        assert [p.name for p in recordings.iterdir()] == [session.recording]

    def test_what_nobody_listed_stays(self, recordings: Path) -> None:
        """A recording of another database in the same folder is no leftover."""
        (recordings / "race.20250101000000000000.mcap").write_bytes(b"x")
        store_result(small_play(), slug="race")
        remove_leftovers()
        assert len(list(recordings.iterdir())) == 2

    def test_a_cut_off_list_names_only_whole_lines(self, recordings: Path) -> None:
        lock = self.killed(recordings, "race", "race.1.mcap")
        (recordings / "race.10.mcap").write_bytes(b"x")
        lock.write_text("race.1.mcap\nrace.10.mc")
        remove_leftovers()
        assert [p.name for p in recordings.iterdir()] == ["race.10.mcap"]

    def test_who_still_writes_is_left_alone(self, recordings: Path) -> None:
        with SessionLock("race") as lock:
            (recordings / "race.1.mcap").write_bytes(b"x")
            lock.add_leftover("race.1.mcap")
            remove_leftovers()
            assert (recordings / "race.1.mcap").exists()
        assert list(recordings.iterdir()) == []

    def test_any_store_removes_them(self, recordings: Path) -> None:
        self.killed(recordings, "race", "race.1.mcap")
        session = store_result(small_play(), slug="play")
        assert [p.name for p in recordings.iterdir()] == [session.recording]

    def test_a_database_that_is_away_keeps_the_list(
        self, recordings: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(**_: object) -> None:
            raise DatabaseError("server closed the connection")

        lock = SessionLock("race")
        lock.__enter__()
        (recordings / "race.1.mcap").write_bytes(b"x")
        lock.add_leftover("race.1.mcap")
        with monkeypatch.context() as context:
            context.setattr(Session.objects, "filter", away)
            with pytest.raises(DatabaseError):
                lock.__exit__(None, None, None)
        assert (recordings / "race.1.mcap").exists()
        remove_leftovers()
        assert list(recordings.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_a_database_that_refuses_leaves_no_file(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise IntegrityError("CHECK constraint failed: lap_ends_after_start")

    monkeypatch.setattr(Lap.objects, "bulk_create", refuse)
    with pytest.raises(ImportSourceError) as caught:
        store_result(small_race(60), slug="race")
    assert str(caught.value) == (
        "the database does not take what was made of the source: expected records that "
        "`validated` checked (the log has the reason)"
    )
    assert not Session.objects.exists()
    assert list(recordings.iterdir()) == []


LAP = LapRecord("C00", 90, 10, 20)
STINT = StintRecord("C00", 90, 1, 2)
WRONG: dict[str, tuple[str, object]] = {
    "a lap twice": ("laps", [LAP, LAP]),
    "a lap that ends before it starts": ("laps", [dataclasses.replace(LAP, end_frame=5)]),
    "a lap of nobody": ("laps", [dataclasses.replace(LAP, entity="?")]),
    "a lap number too large": ("laps", [dataclasses.replace(LAP, number=40_000)]),
    "a lap of endless time": ("laps", [dataclasses.replace(LAP, duration=float("inf"))]),
    "a lap outside the frames": ("laps", [dataclasses.replace(LAP, end_frame=10**6)]),
    "a stint twice": ("stints", [STINT, STINT]),
    "a stint that ends before it starts": ("stints", [dataclasses.replace(STINT, lap_end=0)]),
    "a stint with a negative age": ("stints", [dataclasses.replace(STINT, tyre_age_at_start=-1)]),
    "an event outside the frames": ("events", [EventRecord(10**6, "flag")]),
    "an event of a negative lap": ("events", [EventRecord(5, "flag", lap=-1)]),
    "an event of nobody": ("events", [EventRecord(5, "flag", entity="?")]),
    "a year that is none": ("year", -1),
    "metadata without a number": ("metadata", {"length": float("nan")}),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_breaks_a_rule_of_the_database_is_left_out_and_listed(
    recordings: Path, what: str
) -> None:
    field, value = WRONG[what]
    changes: dict[str, Any] = {field: value, "report": Report()}
    wrong = dataclasses.replace(small_race(60), **changes)
    session = store_result(wrong, slug="race")
    findings = session.report["findings"]
    assert sum(f["count"] for f in findings) == 1
    assert findings[0]["examples"][0]["found"]
    strict = dataclasses.replace(wrong, report=Report(strict=True))
    with pytest.raises(ImportSourceError, match="expected"):
        store_result(strict, slug="other")
    assert not Session.objects.filter(slug="other").exists()


def test_entities_must_be_those_of_the_columns(recordings: Path) -> None:
    result = small_play()
    odd = dataclasses.replace(result, entities=list(result.entities)[::-1])
    with pytest.raises(ValidationError, match="order"):
        store_result(odd, slug="play")
    assert list(recordings.iterdir()) == []
