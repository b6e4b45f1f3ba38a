"""Recording files opened on demand, a bounded number of them, closed when no one reads them."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sessions_app.recording.file import Recording

from .source import FrameSource

MAX_OPEN = 64
"""Each takes a mapping and, for two hours of race, about 1 MB of offsets."""

IDLE_SECONDS = 300.0


class StaleVersion(Exception):
    """The session was imported again: its old frames are gone, the viewer must reconnect."""


@dataclass(slots=True)
class _Open:
    recording: Recording
    used_at: float
    readers: int = 0


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
        self._executor = executor
        self._max_open = max_open
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._files: OrderedDict[str, _Open] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Recording]] = {}
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

    async def open(self, path: Path, version: str) -> FrameSource:
        """The source of `version`, opened if need be; opened once, however many wait for it.

        Raises: FileNotFoundError; CorruptRecording; StaleVersion if `path` holds another version.
        """
        source = self.peek(version)
        if source is not None:
            return source
        task = self._opening.get(version)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.get_running_loop().create_task(self._open(path, version))
            self._opening[version] = task
            task.add_done_callback(lambda _: self._opening.pop(version, None))
        return await asyncio.shield(task)

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

    async def _open(self, path: Path, version: str) -> Recording:
        loop = asyncio.get_running_loop()
        recording = await loop.run_in_executor(self._executor, _open_file, path)
        self.opened += 1
        if recording.version != version:
            recording.close()
            self.closed += 1
            raise StaleVersion(
                f"{path} holds version {recording.version}, not {version}: "
                "the session was imported again"
            )
        self._files[version] = _Open(recording, self._clock())
        self._close_surplus()
        self._schedule_sweep(loop)
        return recording

    def _close_surplus(self) -> None:
        surplus = len(self._files) - self._max_open
        for version in [v for v, e in self._files.items() if not e.readers][:-1]:
            if surplus <= 0:
                return
            self._close(version)
            surplus -= 1

    def close_idle(self) -> None:
        """Close what no one has used for `idle_seconds`."""
        oldest = self._clock() - self._idle_seconds
        for version in [v for v, e in self._files.items() if not e.readers and e.used_at < oldest]:
            self._close(version)

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweep is None or self._sweep_loop is not loop:
            self._sweep_loop = loop
            self._sweep = loop.call_later(self._idle_seconds / 2, self._swept, loop)

    def _swept(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        self.close_idle()
        if self._files:
            self._schedule_sweep(loop)

    def _close(self, version: str) -> None:
        self._files.pop(version).recording.close()
        self.closed += 1

    def close(self) -> None:
        """Close everything that no thread is reading."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for version in [v for v, e in self._files.items() if not e.readers]:
            self._close(version)


def _open_file(path: Path) -> Recording:
    """Blocking: reads the summary, and asks the kernel to fetch the rest in the background, so
    that the event loop does not wait for the disk when it slices the mapping."""
    with path.open("rb") as stream:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    return Recording(path)
