"""Recordings damaged while they are served: found before it is shown, and served once mended."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sessions_app.importers.result import ImportResult
from sessions_app.recording import ChangedRecording, CorruptRecording, TruncatedRecording
from sessions_app.recording.file import Recording
from streaming.store.catalogue import Catalogue, SessionInfo
from streaming.store.frame_store import UNREADABLE, FrameStore, SegmentKey
from streaming.store.open_recordings import RECHECK_SECONDS, WARN_SECONDS
from tests.recordings import record
from tests.samples import small_race

MEMORY = 20_000_000


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def race() -> ImportResult:
    return small_race(seconds=20.0, cars=3)


@pytest.fixture
def info(race: ImportResult, tmp_path: Path) -> SessionInfo:
    return record(tmp_path, race)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Known(Catalogue):
    """A database that has one session, unchanged."""

    def __init__(self, info: SessionInfo) -> None:
        super().__init__()
        self._info = info

    async def find(self, slug: str) -> SessionInfo | None:
        return self._info


@pytest.fixture
async def store(clock: Clock, info: SessionInfo) -> AsyncIterator[FrameStore]:
    store = FrameStore(memory_bytes=MEMORY, clock=clock, catalogue=Known(info))
    yield store
    await store.close()


class Watched:
    """A recording that is being served, its right bytes, and what becomes of its file."""

    def __init__(self, store: FrameStore, info: SessionInfo) -> None:
        self.store, self.info, self.path = store, info, info.path
        self.good = info.path.read_bytes()
        with Recording(info.path) as recording:
            self.segments = [recording.segment(i) for i in range(recording.segment_count)]

    async def segment(self, index: int, stride: int = 1) -> bytes:
        return await self.store.segment(self.info, SegmentKey(self.info.version, stride, index))

    def flip_bit_of_segment(self, index: int) -> None:
        """As a failing disk does it: nothing but the content tells."""
        content = bytearray(self.good)
        content[self.good.find(self.segments[index]) + 9] ^= 0x10
        times = self.path.stat()
        with self.path.open("r+b") as stream:
            stream.write(content)
        os.utime(self.path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def replace(self, content: bytes) -> None:
        """By renaming, as a careful tool does."""
        beside = self.path.with_suffix(".new")
        beside.write_bytes(content)
        beside.replace(self.path)


@pytest.fixture
async def watched(store: FrameStore, info: SessionInfo, clock: Clock) -> Watched:
    watched = Watched(store, info)
    assert await watched.segment(0) == watched.segments[0]
    clock.now += 10
    return watched


def cut_off(watched: Watched) -> None:
    os.truncate(watched.path, len(watched.good) // 2)


def empty(watched: Watched) -> None:
    os.truncate(watched.path, 0)


def cut_off_and_removed(watched: Watched) -> None:
    os.truncate(watched.path, len(watched.good) // 2)
    watched.path.unlink()


def summary_flipped(watched: Watched) -> None:
    content = bytearray(watched.good)
    content[-100] ^= 1
    watched.path.write_bytes(content)


DAMAGE: dict[Callable[[Watched], None], type[Exception]] = {
    cut_off: TruncatedRecording,
    empty: TruncatedRecording,
    cut_off_and_removed: FileNotFoundError,
    summary_flipped: CorruptRecording,
}


def in_place(watched: Watched) -> None:
    watched.path.write_bytes(watched.good)


def by_renaming(watched: Watched) -> None:
    watched.replace(watched.good)


@pytest.mark.parametrize("repair", [in_place, by_renaming])
@pytest.mark.parametrize("damage", DAMAGE)
async def test_nothing_is_shown_of_a_damaged_file_and_a_repaired_one_is_served(
    watched: Watched,
    clock: Clock,
    damage: Callable[[Watched], None],
    repair: Callable[[Watched], None],
) -> None:
    damage(watched)
    key = SegmentKey(watched.info.version, 1, 5)
    assert watched.store.segment_if_cached(key) is None
    for stride in (1, 2):
        with pytest.raises(DAMAGE[damage]):
            await watched.segment(2, stride)
    with pytest.raises(DAMAGE[damage]):
        await watched.store.rows(watched.info, 25, 3)
    assert await watched.segment(0) == watched.segments[0], "it was read while it was right"
    repair(watched)
    clock.now += RECHECK_SECONDS
    assert await watched.segment(5) == watched.segments[5]
    assert await watched.segment(2, 2)
    assert await watched.store.rows(watched.info, 25, 3)


async def test_a_flipped_bit_is_found_and_the_other_segments_are_served(
    watched: Watched, clock: Clock
) -> None:
    watched.flip_bit_of_segment(3)
    for stride, index in ((1, 3), (2, 1), (16, 0)):
        with pytest.raises(CorruptRecording, match="segment 3"):
            await watched.segment(index, stride)
    with pytest.raises(CorruptRecording, match="segment 3"):
        await watched.store.rows(watched.info, 80, 1)
    assert await watched.segment(4) == watched.segments[4]
    assert watched.store.files.opened == 1, "it is the same file: opening it again would not help"
    watched.replace(watched.good)
    assert await watched.segment(3) == watched.segments[3]


async def test_a_file_written_anew_with_the_same_content_is_not_noticed(watched: Watched) -> None:
    """Nobody is told of trouble that is over before it is asked about."""
    watched.path.write_bytes(watched.good)
    os.utime(watched.path)
    assert await watched.segment(1) == watched.segments[1]
    assert watched.store.files.opened == 2


async def test_rows_of_a_file_written_anew_are_made_at_once(watched: Watched) -> None:
    os.utime(watched.path, ns=(0, 0))
    assert await watched.store.rows(watched.info, 0, 1)
    assert watched.store.files.opened == 2


async def test_a_file_removed_while_it_plays_plays_on(watched: Watched) -> None:
    watched.path.unlink()
    for index, segment in enumerate(watched.segments):
        assert await watched.segment(index) == segment


async def test_a_file_replaced_by_another_recording_plays_on_as_it_was(
    watched: Watched, tmp_path: Path
) -> None:
    watched.replace(record(tmp_path, small_race(20.0, cars=2), "other").path.read_bytes())
    for index, segment in enumerate(watched.segments):
        assert await watched.segment(index) == segment


async def test_a_file_that_changes_all_the_time_is_not_opened_all_the_time(
    watched: Watched, clock: Clock
) -> None:
    for time_ns in range(1, 10):
        os.utime(watched.path, ns=(0, time_ns))
        try:
            await watched.segment(time_ns)
        except ChangedRecording:
            assert time_ns > 1
    assert watched.store.files.opened == 2
    clock.now += RECHECK_SECONDS
    assert await watched.segment(9) == watched.segments[9]


async def test_a_damaged_file_is_looked_at_twice_a_second_however_many_ask(
    watched: Watched, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(watched)
    looked = 0

    def look(path: Path) -> Recording:
        nonlocal looked
        looked += 1
        return Recording(path)

    monkeypatch.setattr("streaming.store.open_recordings._open_file", look)
    for expected in (1, 1, 1, 2, 2, 2, 3):
        asked = (watched.segment(i, stride) for i in (3, 4) for stride in (1, 2))
        errors = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(error, TruncatedRecording) for error in errors)
        assert looked == expected
        clock.now += 0.2


async def test_a_file_is_closed_when_the_thread_that_reads_it_is_done(watched: Watched) -> None:
    files = watched.store.files
    version = watched.info.version
    with files.reading(version) as source:
        cut_off(watched)
        assert files.recheck(version, source, ChangedRecording("as the test wants"))
        assert (len(files), files.closed) == (0, 0)
    assert files.closed == 1


async def test_the_log_names_the_file_once_a_minute_and_says_when_it_is_right(
    watched: Watched, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "streaming.store.recordings")
    cut_off(watched)
    for _ in range(5):
        with pytest.raises(UNREADABLE):
            await watched.segment(3)
        clock.now += WARN_SECONDS / 4
    in_place(watched)
    assert await watched.segment(3)
    first, second, last = [record.getMessage() for record in caplog.records]
    assert str(watched.path) in first
    assert first == second
    assert "can be read again" in last
