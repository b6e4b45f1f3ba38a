"""Recording files, opened on demand, bounded in number, closed when they are not used."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sessions_app.recording import RecordingError
from sessions_app.recording.file import Recording

from .source import FrameSource

logger = logging.getLogger("streaming.store.recordings")

MAX_OPEN = 64
"""Each takes a descriptor and, for two hours of race, about 120 kB of offsets."""

IDLE_SECONDS = 300.0

RECHECK_SECONDS = 0.5
"""How soon a file that could not be used is looked at again, however many ask for it meanwhile. A
viewer asks once a second, so a file that was put right is served within two."""

WARN_SECONDS = 60.0
"""How often the log says that a recording cannot be used."""

Explain = Callable[[Exception], Awaitable[Exception]]
"""Called with why a file could not be used; what it returns is raised instead."""


class StaleVersion(Exception):
    """The session was imported again: its old frames do not exist any more; connect again."""


@dataclass(slots=True)
class _Open:
    recording: Recording
    opened_at: float
    used_at: float
    readers: int = 0
    dropped: bool = False


class OpenRecordings:
    """The open files of one process, by version. Belongs to one event loop."""

    def __init__(
        self,
        executor: Executor,
        *,
        max_open: int = MAX_OPEN,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            executor: threads that open, read and close.
            max_open: files at once; beyond it the one not used for longest is closed.
            idle_seconds: after which a file that nobody uses is closed.
            clock: monotonic seconds.
        """
        self._executor = executor
        self._max_open = max_open
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._files: OrderedDict[str, _Open] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Recording]] = {}
        self._failed: dict[str, tuple[float, Exception]] = {}
        self._warned: dict[str, float] = {}
        self._live: dict[str, FrameSource] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_loop: asyncio.AbstractEventLoop | None = None
        self.opened = 0
        self.closed = 0

    def __len__(self) -> int:
        return len(self._files)

    def attach(self, version: str, source: FrameSource) -> None:
        """Serve `version` from `source` (a live session) instead of a file."""
        self._live[version] = source

    def detach(self, version: str) -> None:
        """The live session is over; its version may be in a file by now."""
        self._live.pop(version, None)

    def peek(self, version: str) -> FrameSource | None:
        """The source of `version` if it is open now. Do not keep it across an await."""
        entry = self._files.get(version)
        if entry is None:
            return self._live.get(version)
        entry.used_at = self._clock()
        self._files.move_to_end(version)
        return entry.recording

    async def open(self, path: Path, version: str, explain: Explain | None = None) -> FrameSource:
        """The source of `version`, opened if need be; opened once, however many wait for it.

        A file that could not be used is not tried again for `RECHECK_SECONDS`: the same error is
        raised at once, so that the viewers of a damaged recording take nothing from others.

        Raises: FileNotFoundError and other OSErrors; CorruptRecording; StaleVersion if `path` holds
        another version; what `explain` makes of them.
        """
        source = self.peek(version)
        if source is not None:
            return source
        task = self._opening.get(version)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            failed_at, failure = self._failed.get(version, (0.0, None))
            if failure is not None and self._clock() - failed_at < RECHECK_SECONDS:
                raise failure.with_traceback(None)
            task = asyncio.get_running_loop().create_task(self._open(path, version, explain))
            self._opening[version] = task
            task.add_done_callback(lambda done: self._open_done(version, done))
        return await asyncio.shield(task)

    def _open_done(self, version: str, task: asyncio.Task[Recording]) -> None:
        if self._opening.get(version) is task:
            del self._opening[version]
        if not task.cancelled():
            # The callers get the error; this only marks it as read if all were cancelled.
            task.exception()

    def recheck(self, version: str, source: FrameSource, error: Exception) -> bool:
        """After a failed read, check whether the file is still the one that was opened.

        If not, it is closed, so that the next `open` opens the present file; at most once in
        `RECHECK_SECONDS`.

        Returns:
            Whether to try again at once.
        """
        entry = self._files.get(version)
        if entry is None or entry.recording is not source:
            # Another caller has closed it already. A live session has no file to be opened.
            return self._live.get(version) is not source
        now = self._clock()
        if entry.recording.is_current or now - entry.opened_at < RECHECK_SECONDS:
            self._warn(version, error)
            return False
        self._drop(version)
        return True

    def _warn(self, version: str, error: Exception) -> None:
        now = self._clock()
        if now - self._warned.get(version, -WARN_SECONDS) >= WARN_SECONDS:
            self._warned = {v: t for v, t in self._warned.items() if now - t < WARN_SECONDS}
            self._warned[version] = now
            logger.warning("a recording cannot be read: %s", error)

    @contextmanager
    def reading(self, version: str) -> Iterator[FrameSource]:
        """Keep an open source open while a thread reads it. Raises: KeyError if it is not open."""
        entry = self._files.get(version)
        if entry is None:
            yield self._live[version]
            return
        entry.readers += 1
        try:
            yield entry.recording
        finally:
            entry.readers -= 1
            if entry.dropped and not entry.readers:
                self._release(entry)

    async def _open(self, path: Path, version: str, explain: Explain | None) -> Recording:
        loop = asyncio.get_running_loop()
        try:
            recording = await loop.run_in_executor(self._executor, _open_file, path)
            self.opened += 1
            if recording.version != version:
                recording.close()
                self.closed += 1
                raise StaleVersion(
                    f"{path} holds version {recording.version}, not {version}: "
                    "the session was imported again"
                )
        except (OSError, RecordingError, StaleVersion) as error:
            problem = error if explain is None else await explain(error)
            now = self._clock()
            self._failed = {v: f for v, f in self._failed.items() if now - f[0] < RECHECK_SECONDS}
            self._failed[version] = (now, problem)
            if not isinstance(problem, StaleVersion):
                self._warn(version, problem)
            raise problem from None
        if self._warned.pop(version, None) is not None:
            logger.warning("%s can be read again", path)
        now = self._clock()
        self._files[version] = _Open(recording, opened_at=now, used_at=now)
        self._close_surplus()
        self._schedule_sweep(loop)
        return recording

    def _close_surplus(self) -> None:
        surplus = len(self._files) - self._max_open
        for version in [v for v, e in self._files.items() if not e.readers][:-1]:
            if surplus <= 0:
                return
            self._drop(version)
            surplus -= 1

    def close_idle(self) -> None:
        """Close files that were not used for `idle_seconds`."""
        oldest = self._clock() - self._idle_seconds
        for version in [v for v, e in self._files.items() if not e.readers and e.used_at < oldest]:
            self._drop(version)

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweep is None or self._sweep_loop is not loop:
            self._sweep_loop = loop
            self._sweep = loop.call_later(self._idle_seconds / 2, self._swept, loop)

    def _swept(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        self.close_idle()
        if self._files:
            self._schedule_sweep(loop)

    def _drop(self, version: str) -> None:
        """Take the file out of use, and close it once no thread reads it."""
        entry = self._files.pop(version)
        entry.dropped = True
        if not entry.readers:
            self._release(entry)

    def _release(self, entry: _Open) -> None:
        entry.recording.close()
        self.closed += 1

    def close(self) -> None:
        """Close everything that no thread is reading."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for version in [v for v, e in self._files.items() if not e.readers]:
            self._drop(version)


def _open_file(path: Path) -> Recording:
    """Blocking: reads the summary, and asks the kernel to fetch the rest in the background, so
    that the event loop does not wait for the disk when it reads a segment."""
    with path.open("rb") as stream:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    return Recording(path)
