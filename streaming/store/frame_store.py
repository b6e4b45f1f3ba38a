"""The frame store: payloads from memory, then from Redis, then from the recording file.

Every piece is named by the recording's version, so nothing is ever invalidated, only evicted. A
piece is a segment (deflated, what browsers decode) or the rows of up to 50 frames (a list of
msgpack maps). Whole stride-1 segments need no making: they are read from the file, quicker than
Redis is to ask (docs/decisions/0004-frame-store.md), so Redis never holds them.

What needs making is made once: one task per piece in a process, one lock per piece in Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import msgpack

from sessions_app.recording import CorruptRecording, RecordingError, Schema

from .byte_cache import ByteCache
from .catalogue import Catalogue, SessionInfo
from .open_recordings import OpenRecordings, StaleVersion
from .rows import encode_rows
from .shared_cache import SharedCache
from .source import FrameSource, PictureSource
from .subset import EVERYTHING, subset_schema
from .thinning import STRIDES, build_rows, build_segment, rows_span, segment_span

BUILD_THREADS = 2
"""Making is mostly interpreted code: more threads would only take turns, and starve the loop."""

ROW_BYTES = 90
"""What a bytes object in a list costs beside its content."""


MAX_ROWS_AT_ONCE = 50
"""Rows of the last segment of a live session that are made on the event loop, some 0.2 ms each."""

NEWEST_KEPT = 64
"""Last segments of live sessions, by subset, whose rows are kept."""


class SegmentKey(NamedTuple):
    """Names a segment: stride 1, 2, 4 … 64; index k holds frames k*F*stride, +stride, …"""

    version: str
    stride: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which no one wants of a key
    subset: str = EVERYTHING


class RowsKey(NamedTuple):
    """Names the rows of a block of frames (`thinning.rows_span`). lap_length: they contain what
    follows from it, and it may be corrected without a new version."""

    version: str
    stride: int
    index: int  # type: ignore[assignment]  # shadows tuple.index, which no one wants of a key
    subset: str
    lap_length: float | None


PieceKey = SegmentKey | RowsKey

UNREADABLE = (CorruptRecording, OSError)
"""What reading from a file that is no longer right raises."""


class FrameStore:
    """Segments and rows of any session. One per worker; belongs to one event loop at a time.

    Attributes:
        files: the open recordings.
        shared: what all workers have made.
        counts: what was made.
        open_live: attaches a live session that is not attached here yet.
    """

    def __init__(
        self,
        *,
        memory_bytes: int,
        catalogue: Catalogue | None = None,
        shared: SharedCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a store; it opens and reads nothing yet.

        Args:
            memory_bytes: bound of the in-process cache.
            catalogue: of sessions, to explain a missing file; its own by default.
            shared: what all workers have made; None for a single worker.
            clock: monotonic seconds, of what is tried again and closed when idle.
        """
        self._executor = ThreadPoolExecutor(BUILD_THREADS, thread_name_prefix="frames")
        self.files = OpenRecordings(self._executor, clock=clock)
        self.shared = shared
        self._catalogue = catalogue or Catalogue()
        self._memory: ByteCache[PieceKey, Any] = ByteCache(memory_bytes)
        self._making: dict[PieceKey, asyncio.Task[Any]] = {}
        self._pictures: dict[str, PictureSource] = {}
        self._newest: dict[RowsKey, list[bytes]] = {}
        self.counts: Counter[str] = Counter()
        self.open_live: Callable[[SessionInfo], Awaitable[FrameSource]] | None = None

    async def schema(self, info: SessionInfo) -> Schema:
        """Return the recording's schema; opens the file if need be. Raises: as
        `OpenRecordings.open`."""
        return (await self._open(info, info.version)).schema

    def frame_count(self, info: SessionInfo) -> int:
        """Frames that exist now: of a live session those that its producer here has published."""
        if not info.is_live:
            return info.frame_count
        pictures = self._pictures.get(info.version)
        if pictures is not None:
            return pictures.frame_count
        source = self.files.peek(info.version)
        return info.frame_count if source is None else source.frame_count

    def attach(self, version: str, source: FrameSource) -> None:
        """Serve `version` from a live session's memory. Only whole segments are cached."""
        self.files.attach(version, source)

    def attach_pictures(self, version: str, source: PictureSource) -> None:
        """Serve `version` from a live session of pictures."""
        self._pictures[version] = source

    async def pictures(self, info: SessionInfo) -> PictureSource | None:
        """The pictures of a live session; None of any other session."""
        if not info.is_live or self.open_live is None:
            return None
        if info.version not in self._pictures and self.files.peek(info.version) is None:
            # Attached by then, or there are no frames: the caller opens it and is told why.
            with suppress(OSError, RecordingError, StaleVersion):
                await self.open_live(info)
        return self._pictures.get(info.version)

    def arrived(self, version: str) -> float | None:
        """When the newest frame of a live session came from its producer, Unix seconds."""
        source = self._pictures.get(version) or self.files.peek(version)
        arrived: float | None = getattr(source, "arrived", None)
        return arrived

    def newest_picture(self, version: str) -> bytes | None:
        """The newest picture of a live session that is attached here."""
        source = self._pictures.get(version)
        return None if source is None or source.newest is None else source.newest[2]

    def detach(self, version: str) -> None:
        """Undo `attach` and `attach_pictures`."""
        self._pictures.pop(version, None)
        self.files.detach(version)

    def segment_if_cached(self, key: SegmentKey) -> bytes | None:
        """The segment if that takes microseconds: from memory, or read from an open file."""
        segment: bytes | None = self._memory.get(key)
        if segment is None and key.stride == 1 and key.subset == EVERYTHING:
            source = self.files.peek(key.version)
            if source is not None:
                # Handling the failure takes too long here: `segment` does it.
                with suppress(*UNREADABLE):
                    return self._slice(source, key)
        return segment

    async def segment(self, info: SessionInfo, key: SegmentKey) -> bytes:
        """Return a segment; it is made if need be, once for all that wait for it.

        Args:
            info: the session.
            key: version, stride, index and subset.

        Returns:
            The deflated segment (docs/recording-format.md).

        Raises:
            IndexError: beyond the recording's end.
            InvalidColumns: the subset is of another recording.
            StaleVersion: the session was imported again.
            CorruptRecording, OSError: the file cannot be read.
        """
        cached = self.segment_if_cached(key)
        if cached is not None:
            return cached
        source = await self._open(info, key.version)
        if key.stride == 1 and key.subset == EVERYTHING:
            return self._slice(source, key)
        segment: bytes = await self._once(key, lambda: self._find_segment(info, key))
        return segment

    def rows_if_cached(
        self, info: SessionInfo, first: int, count: int, stride: int = 1, subset: str = EVERYTHING
    ) -> list[bytes] | None:
        """As `rows`, but None if anything would have to be opened or made. Args: as `rows`."""
        source = self.files.peek(info.version)
        if source is None:
            return None
        rows: list[bytes] = []
        for key, part in _row_blocks(info, source, first, count, stride, subset):
            block = self._memory.get(key)
            if block is None and info.is_live:
                block = self._newest_rows(key, source)
            if block is None:
                return None
            rows += block[part]
        return rows

    def _newest_rows(self, key: RowsKey, source: FrameSource) -> list[bytes] | None:
        """The rows of a live session's last segment, which grows: only those are made that were
        not there before, at once, as every viewer at the edge wants them now."""
        size = source.schema.segment_frames
        first = key.index * size
        count = source.frame_count - first
        if key.stride != 1 or not 0 < count <= size:
            return None
        known = self._newest.get(key)
        rows = [] if known is None else known
        if len(rows) < count:
            if count - len(rows) > MAX_ROWS_AT_ONCE:
                return None
            columns = source.columns(first + len(rows), first + count)
            if key.subset != EVERYTHING:
                columns = columns.subset(subset_schema(source.schema, key.subset))
            rows += encode_rows(
                columns,
                first + len(rows),
                1,
                recorded=source.schema,
                lap_length=key.lap_length,
            )
            if known is None:
                while len(self._newest) >= NEWEST_KEPT:
                    del self._newest[next(iter(self._newest))]
                self._newest[key] = rows
        return rows

    async def rows(
        self, info: SessionInfo, first: int, count: int, stride: int = 1, subset: str = EVERYTHING
    ) -> list[bytes]:
        """Return the rows of frames first, first + stride, …; they are made if need be.

        Args:
            info: the session.
            first: number of the first frame.
            count: rows wanted; fewer are returned at the recording's end.
            stride: 1, 2, 4 … 64. If `first` is no multiple of it, the rows are picked out of the
                stride-1 rows, which costs more.
            subset: of fields and entities (`store/subset.py`).

        Returns:
            One msgpack map for each frame.

        Raises:
            ValueError: an unknown stride.
            IndexError, InvalidColumns, StaleVersion, CorruptRecording, OSError: as `segment`.
        """
        source = await self._open(info, info.version)
        rows: list[bytes] = []
        for key, part in _row_blocks(info, source, first, count, stride, subset):
            rows += (await self._row_block(info, key))[part]
        return rows

    def prefetch_rows(
        self, info: SessionInfo, frame: int, stride: int = 1, subset: str = EVERYTHING
    ) -> None:
        """The row of `frame` will be wanted soon: make its block now unless that is done or under
        way. Does nothing beyond the ends, or while the file is not open.

        Args:
            info: the session.
            frame: number of the frame.
            stride, subset: as `rows`.
        """
        source = self.files.peek(info.version)
        if source is None or not 0 <= frame < source.frame_count:
            return
        grid = stride if frame % stride == 0 else 1
        index = frame // rows_span(source.schema, grid)
        key = RowsKey(info.version, grid, index, subset, info.lap_length)
        if key not in self._memory and key not in self._making and self._is_whole(key):
            self._start(key, lambda: self._find_rows(info, key))
            self.counts["expected"] += 1

    async def _open(self, info: SessionInfo, version: str) -> FrameSource:
        if info.is_live and self.open_live is not None:
            source = self.files.peek(version)
            return await self.open_live(info) if source is None else source
        return await self.files.open(
            info.path, version, lambda error: self._explained(info, version, error)
        )

    async def _explained(self, info: SessionInfo, version: str, error: Exception) -> Exception:
        """The folder cannot tell why there is no such file, or one of another version."""
        if not isinstance(error, FileNotFoundError | StaleVersion):
            return error
        # An import that takes the place of another removes its file last of all.
        self._catalogue.forget(info.slug)
        now = await self._catalogue.find(info.slug)
        if now is None or now.version != version:
            return StaleVersion(f"{info.slug!r} was imported again or deleted")
        if isinstance(error, StaleVersion):
            return CorruptRecording(f"{info.path}: holds another recording than {version}")
        return error

    async def _row_block(self, info: SessionInfo, key: RowsKey) -> list[bytes]:
        block: list[bytes] | None = self._memory.get(key)
        if block is None:
            block = await self._once(key, lambda: self._find_rows(info, key))
        return block

    def _slice(self, source: FrameSource, key: SegmentKey) -> bytes:
        try:
            segment = source.segment(key.index)
        except UNREADABLE as error:
            self.files.recheck(key.version, source, error)
            raise
        self.counts["segments_read"] += 1
        if (key.index + 1) * source.schema.segment_frames <= source.frame_count:
            self._memory.put(key, segment, len(segment))
        return segment

    async def _once(self, key: PieceKey, find: Callable[[], Any]) -> Any:
        """Run `find` for `key` in one task, which all callers of the same key share.

        Shielded: a caller that is cancelled must not cancel the task of the others.
        """
        task = self._making.get(key)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._start(key, find)
        else:
            self.counts["joined"] += 1
        return await asyncio.shield(task)

    def _start(self, key: PieceKey, find: Callable[[], Any]) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(find())
        self._making[key] = task
        task.add_done_callback(lambda done: self._making_done(key, done))
        return task

    def _making_done(self, key: PieceKey, task: asyncio.Task[Any]) -> None:
        if self._making.get(key) is task:
            del self._making[key]
        if not task.cancelled():
            # The callers get the error; this only marks it as read if all were cancelled.
            task.exception()

    async def _find_segment(self, info: SessionInfo, key: SegmentKey) -> bytes:
        finished = self._finished(key.version)

        def build(source: FrameSource) -> bytes:
            return build_segment(source, key.stride, key.index, key.subset, finished)

        name = f"s:{key.version}:{key.stride}:{key.index}:{key.subset}"
        segment = await self._shared_or_made(info, key, name, build)
        if self._is_whole(key):
            self._memory.put(key, segment, len(segment))
        return segment

    async def _find_rows(self, info: SessionInfo, key: RowsKey) -> list[bytes]:
        finished = self._finished(key.version)

        def build(source: FrameSource) -> bytes:
            rows = build_rows(source, key.stride, key.index, key.subset, key.lap_length, finished)
            packed: bytes = msgpack.packb(rows)
            return packed

        length = 0.0 if key.lap_length is None else key.lap_length
        name = f"r:{key.version}:{key.stride}:{key.index}:{key.subset}:{length:.1f}"
        rows: list[bytes] = msgpack.unpackb(await self._shared_or_made(info, key, name, build))
        if self._is_whole(key):
            self._memory.put(key, rows, sum(map(len, rows)) + ROW_BYTES * len(rows))
        return rows

    async def _shared_or_made(
        self, info: SessionInfo, key: PieceKey, name: str, build: Callable[[FrameSource], bytes]
    ) -> bytes:
        """From Redis, or made here under the cluster's lock and offered to the others."""
        shared = self.shared
        if shared is None or not self._is_whole(key):
            return await self._build(info, key.version, build)
        claim = await shared.claim(name)
        if claim.value is not None:
            return claim.value
        try:
            made = await self._build(info, key.version, build)
        except BaseException:
            shared.release(claim)
            raise
        shared.offer(claim, made)
        return made

    async def _build(
        self, info: SessionInfo, version: str, build: Callable[[FrameSource], bytes]
    ) -> bytes:
        """In a thread, so that the loop goes on sending; the file stays open meanwhile.

        Once more if the file was found to be another by now: what is there may well be right."""
        source = await self._open(info, version)
        try:
            return await self._build_from(version, build)
        except UNREADABLE as error:
            if not self.files.recheck(version, source, error):
                raise
        await self._open(info, version)
        return await self._build_from(version, build)

    async def _build_from(self, version: str, build: Callable[[FrameSource], bytes]) -> bytes:
        with self.files.reading(version) as source:
            self.counts["built"] += 1
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, build, source)

    def _finished(self, version: str) -> Callable[[int, int], bytes | None]:
        """Reads the cache from a building thread: one dict look-up, which the interpreter makes
        atomic, and no reordering."""
        return lambda stride, index: self._memory.peek(SegmentKey(version, stride, index))

    def _is_whole(self, key: PieceKey) -> bool:
        """Whether no frame can be added to it: the last piece of a live session grows."""
        source = self.files.peek(key.version)
        if source is None:
            return False
        span = rows_span if isinstance(key, RowsKey) else segment_span
        return (key.index + 1) * span(source.schema, key.stride) <= source.frame_count

    def stats(self) -> dict[str, Any]:
        """Counters since the start, for metrics, the admin and the benchmarks."""
        return {
            "memory": {
                "bytes": self._memory.bytes,
                "limit": self._memory.limit,
                "entries": len(self._memory),
                "hits": self._memory.hits,
                "misses": self._memory.misses,
                "evictions": self._memory.evictions,
            },
            "made": {
                name: self.counts[name] for name in ("built", "joined", "expected", "segments_read")
            },
            "files": {
                "open": len(self.files),
                "opened": self.files.opened,
                "closed": self.files.closed,
            },
            "redis": None if self.shared is None else self.shared.stats(),
        }

    async def close(self) -> None:
        """Release files and threads. The store cannot be used afterwards."""
        for task in list(self._making.values()):
            task.cancel()
        self.files.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self.shared is not None:
            self.shared.close()


def _row_blocks(
    info: SessionInfo, source: FrameSource, first: int, count: int, stride: int, subset: str
) -> list[tuple[RowsKey, slice]]:
    """Which rows of which blocks are `count` rows from frame `first` on, `stride` apart."""
    stop = min(first + count * stride, source.frame_count)
    if stride not in STRIDES:
        raise ValueError(f"stride {stride}: expected one of {STRIDES}")
    if not 0 <= first < stop:
        raise IndexError(f"{count} rows from frame {first}: the recording has {source.frame_count}")
    grid = stride if first % stride == 0 else 1
    span = rows_span(source.schema, grid)
    step = stride // grid
    parts = []
    for index in range(first // span, (stop - 1) // span + 1):
        start = index * span
        # The first wanted frame in this block: it continues the count from `first`.
        frame = max(first, first + -(-(start - first) // stride) * stride)
        end = min(start + span, stop)
        if frame < end:
            part = slice((frame - start) // grid, -(-(end - start) // grid), step)
            parts.append((RowsKey(info.version, grid, index, subset, info.lap_length), part))
    return parts
