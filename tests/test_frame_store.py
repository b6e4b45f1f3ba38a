"""The frame store: right bytes of any stride and subset, each made once, memory bounded."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import msgpack
import numpy as np
import pytest

from sessions_app.importers.result import ImportResult
from sessions_app.recording import Columns, CorruptRecording, InvalidColumns, decode_segment
from streaming.store.byte_cache import ENTRY_BYTES, ByteCache
from streaming.store.catalogue import Catalogue, SessionInfo
from streaming.store.frame_store import FrameStore, SegmentKey
from streaming.store.open_recordings import OpenRecordings, StaleVersion
from streaming.store.subset import subset_key, subset_schema
from streaming.store.thinning import STRIDES, segment_count
from tests.recordings import record
from tests.samples import small_play, small_race

MEMORY = 20_000_000


@pytest.fixture(scope="module")
def race() -> ImportResult:
    return small_race(seconds=101.4)


@pytest.fixture(scope="module")
def info(race: ImportResult, tmp_path_factory: pytest.TempPathFactory) -> SessionInfo:
    return record(tmp_path_factory.mktemp("recordings"), race)


@pytest.fixture
async def store() -> AsyncIterator[FrameStore]:
    store = FrameStore(memory_bytes=MEMORY)
    yield store
    await store.close()


def assert_same(found: Columns, expected: Columns) -> None:
    assert found.schema.entities == expected.schema.entities
    for name, values in expected.values.items():
        np.testing.assert_array_equal(found.values[name], values, err_msg=name)


@pytest.mark.parametrize("stride", STRIDES)
async def test_every_segment_of_every_stride_holds_its_frames(
    store: FrameStore, info: SessionInfo, race: ImportResult, stride: int
) -> None:
    schema = race.columns.schema
    for index in range(segment_count(schema, info.frame_count, stride)):
        segment = await store.segment(info, SegmentKey(info.version, stride, index))
        header, columns = decode_segment(segment, schema)
        first = index * 25 * stride
        assert (header.first_frame, header.stride) == (first, stride)
        assert_same(columns, race.columns.slice(first, first + 25 * stride, stride))


async def test_a_stride_made_from_cached_finer_ones_is_the_same(
    info: SessionInfo, race: ImportResult, store: FrameStore
) -> None:
    direct = await store.segment(info, SegmentKey(info.version, 8, 1))
    other = FrameStore(memory_bytes=MEMORY)
    for stride in (2, 4):
        for index in range(2, 8):
            await other.segment(info, SegmentKey(info.version, stride, index))
    assert await other.segment(info, SegmentKey(info.version, 8, 1)) == direct
    await other.close()


async def test_a_subset_has_only_what_was_asked_for(
    store: FrameStore, info: SessionInfo, race: ImportResult
) -> None:
    schema = await store.schema(info)
    key = subset_key(schema, ["x", "gear", "rain"], ["C01", "C19"])
    segment = await store.segment(info, SegmentKey(info.version, 2, 3, key))
    wanted = subset_schema(schema, key)
    _, columns = decode_segment(segment, wanted)
    assert_same(columns, race.columns.slice(150, 200, 2).subset(wanted))


async def test_beyond_the_end_is_an_index_error(store: FrameStore, info: SessionInfo) -> None:
    for stride in (1, 64):
        with pytest.raises(IndexError):
            await store.segment(info, SegmentKey(info.version, stride, 10_000))
    with pytest.raises(IndexError):
        await store.rows(info, info.frame_count, 1)


async def test_a_subset_of_another_recording_is_refused(
    store: FrameStore, info: SessionInfo
) -> None:
    with pytest.raises(InvalidColumns):
        await store.segment(info, SegmentKey(info.version, 1, 0, "ffffffffff.1"))


@pytest.mark.parametrize(
    ("first", "count", "stride"),
    [
        (0, 1, 1),
        (3, 60, 1),
        (24, 2, 1),
        (0, 30, 4),
        (7, 40, 4),
        (128, 3, 64),
        (2533, 10, 1),
        (2530, 9, 2),
    ],
)
async def test_rows_are_those_of_their_frames(
    store: FrameStore, info: SessionInfo, first: int, count: int, stride: int
) -> None:
    rows = [msgpack.unpackb(row) for row in await store.rows(info, first, count, stride)]
    expected = range(first, min(first + count * stride, info.frame_count), stride)
    assert [row["frame_index"] for row in rows] == list(expected)
    # The leader's race progress follows from the frame alone.
    for row in rows:
        assert row["drivers"]["C00"]["race_progress"] == pytest.approx(
            row["frame_index"] / 500, abs=1e-4
        )


async def test_rows_are_there_at_once_when_they_were_asked_for_before(
    store: FrameStore, info: SessionInfo
) -> None:
    assert store.rows_if_cached(info, 30, 40) is None
    rows = await store.rows(info, 30, 40)
    assert store.rows_if_cached(info, 30, 40) == rows
    assert store.rows_if_cached(info, 30, 80) is None


async def test_a_corrected_lap_length_is_not_served_from_old_rows(
    store: FrameStore, info: SessionInfo
) -> None:
    def dist(rows: list[bytes]) -> float:
        return msgpack.unpackb(rows[0])["drivers"]["C00"]["dist"]

    short = dist(await store.rows(dataclasses.replace(info, lap_length=1000.0), 500, 1))
    long = dist(await store.rows(dataclasses.replace(info, lap_length=2000.0), 500, 1))
    assert (short, long) == (1000.0, 2000.0)


async def test_many_at_once_make_each_piece_once(store: FrameStore, info: SessionInfo) -> None:
    keys = [SegmentKey(info.version, 4, index) for index in range(5)]
    found = await asyncio.gather(*(store.segment(info, keys[i % 5]) for i in range(100)))
    assert store.counts["built"] == 5
    assert len(set(found)) == 5


async def test_a_viewer_that_leaves_does_not_take_the_piece_away(
    store: FrameStore, info: SessionInfo
) -> None:
    key = SegmentKey(info.version, 16, 0)
    first = asyncio.create_task(store.segment(info, key))
    second = asyncio.create_task(store.segment(info, key))
    await asyncio.sleep(0)
    first.cancel()
    assert len(await second) > 0
    assert store.counts["built"] == 1


async def test_an_unfinished_last_segment_of_a_live_session_is_not_kept(
    store: FrameStore, race: ImportResult, info: SessionInfo
) -> None:
    class Growing:
        """A live session: whole segments so far, then some frames."""

        schema = race.columns.schema
        frame_count = 60

        def columns(self, start: int, stop: int) -> Columns:
            return race.columns.slice(start, stop)

        def segment(self, index: int) -> bytes:
            from sessions_app.recording import encode_segment

            stop = min(25 * index + 25, self.frame_count)
            return encode_segment(self.columns(25 * index, stop), 25 * index)

    live = Growing()
    store.attach("live", live)
    before = decode_segment(await store.segment(info, SegmentKey("live", 1, 2)), live.schema)[0]
    coarse = decode_segment(await store.segment(info, SegmentKey("live", 2, 1)), live.schema)[0]
    live.frame_count = 75
    after = decode_segment(await store.segment(info, SegmentKey("live", 1, 2)), live.schema)[0]
    finer = decode_segment(await store.segment(info, SegmentKey("live", 2, 1)), live.schema)[0]
    assert (before.frames, after.frames) == (10, 25)
    assert (coarse.frames, finer.frames) == (5, 13)


async def test_memory_stays_below_its_bound(info: SessionInfo) -> None:
    store = FrameStore(memory_bytes=30_000)
    for index in range(60):
        await store.segment(info, SegmentKey(info.version, 1, index))
    stats = store.stats()["memory"]
    assert stats["bytes"] <= 30_000
    assert stats["evictions"] > 0
    assert stats["entries"] > 1
    await store.close()


def test_the_cache_forgets_what_was_used_least_recently() -> None:
    cache: ByteCache[str, bytes] = ByteCache(3 * (100 + ENTRY_BYTES))
    for name in "abc":
        cache.put(name, bytes(100), 100)
    cache.get("a")
    cache.put("d", bytes(100), 100)
    assert [name in cache for name in "abcd"] == [True, False, True, True]
    cache.put("huge", bytes(10), 10_000)
    assert "huge" not in cache
    assert cache.bytes == 3 * (100 + ENTRY_BYTES)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_files_are_few_and_close_when_no_one_reads_them(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    clock = Clock()
    infos = [record(tmp_path, small_race(2.0, cars=n + 1), f"r{n}") for n in range(4)]
    with ThreadPoolExecutor(1) as executor:
        files = OpenRecordings(executor, max_open=2, idle_seconds=10, clock=clock)
        for info in infos:
            await files.open(info.path, info.version)
        assert len(files) == 2
        assert files.peek(infos[0].version) is None
        with files.reading(infos[2].version):
            clock.now = 5
            files.peek(infos[3].version)
            clock.now = 12
            files.close_idle()
            assert len(files) == 2, "one was used 7 s ago, the other is being read"
        files.close_idle()
        assert len(files) == 1
        files.close()
        assert files.opened == files.closed == 4


@pytest.mark.parametrize(
    ("there", "now", "error"),
    [
        (False, "same", FileNotFoundError),
        (False, "other", StaleVersion),
        (False, None, StaleVersion),
        (True, "same", CorruptRecording),
        (True, "other", StaleVersion),
        (True, None, StaleVersion),
    ],
)
async def test_a_file_that_is_gone_or_another_was_taken_the_place_of_or_is_wrong(
    info: SessionInfo,
    tmp_path: Path,
    there: bool,
    now: str | None,
    error: type[Exception],
) -> None:
    path = record(tmp_path, small_play()).path if there else tmp_path / "gone.mcap"
    wanted = dataclasses.replace(info, path=path, version="same")

    class Asked(Catalogue):
        forgotten: ClassVar[list[str]] = []

        def forget(self, slug: str) -> None:
            self.forgotten.append(slug)

        async def find(self, slug: str) -> SessionInfo | None:
            assert self.forgotten.pop() == slug == wanted.slug, "the database is asked anew"
            return None if now is None else dataclasses.replace(wanted, version=now)

    store = FrameStore(memory_bytes=MEMORY, catalogue=Asked())
    with pytest.raises(error):
        await store.schema(wanted)
    with pytest.raises(error):
        await store.segment(wanted, SegmentKey("same", 1, 0))
