"""Viewers that play and look closely: whether the picture stood still, was wrong, or was lost.

Stillness of a rows viewer, which has no buffer, is its longest wait for a row beyond a frame's
time. A segments viewer plays on from its buffer; it stands still when that is empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sessions_app.recording.file import Recording
from streaming.client import Frames, ReplayClient, ReplayClosed, connect

NEAR_SECONDS = 1.0
"""By which a playhead may be off after a fault: what a viewer takes for the same place."""


class Truth:
    """What was recorded: every frame that a viewer gets is held against it."""

    def __init__(self, path: Path) -> None:
        with Recording(path) as recording:
            self.frame_count = recording.frame_count
            self.rate = float(recording.schema.frame_rate)
            self._x = recording.columns(0, recording.frame_count).quantities("x")

    def agrees(self, frames: Frames) -> bool:
        """Whether these are the frames of those numbers."""
        expected = self._x[frames.numbers]
        return "x" not in frames.values or np.allclose(frames["x"], expected, equal_nan=True)


@dataclass(slots=True)
class Viewer:
    """One viewer as it looks to who sits in front of it. Times are monotonic seconds.

    Attributes:
        still: longest stillness.
        wrong: frames that are not those of the recording.
        closed: how the connection ended for good, or None.
        errors: what the server has told it with `error`.
    """

    client: ReplayClient
    truth: Truth
    still: float = 0.0
    wrong: int = 0
    frames: int = 0
    closed: ReplayClosed | None = None
    errors: list[str] = field(default_factory=list)
    _start: int = 0
    _played_at: float = 0.0
    _generation: int = -1
    _begun: float = 0.0
    _first: float = 0.0
    _until: float = 0.0

    async def play(self, start: int) -> None:
        """Play from frame `start` with an empty buffer."""
        await self.client.seek(frame=start)
        await self.client.play()
        self._start, self._played_at = start, time.monotonic()

    def forget(self) -> None:
        """What was seen so far does not count, but for what the buffer holds."""
        self.still, self.wrong, self.frames = 0.0, 0, 0
        self.errors.clear()

    def expected_frame(self) -> float:
        """Where the playhead is if nothing has disturbed it."""
        return self._start + (time.monotonic() - self._played_at) * self.truth.rate

    async def is_at_its_place(self) -> bool:
        """Whether it plays, where it should, by the server's word."""
        if self.closed is not None:
            return False
        try:
            async with asyncio.timeout(10):
                state = await self.client.play()
        except Exception:
            return False
        off = abs(state.frame - self.expected_frame()) / self.truth.rate
        return state.status in ("playing", "buffering") and off <= NEAR_SECONDS

    async def watch(self) -> None:
        """Look at what comes, until cancelled or closed for good."""
        try:
            async for frames in self.client:
                self._look(frames, time.monotonic())
        except ReplayClosed as closed:
            self.closed = closed

    def told(self, message: Mapping[str, Any]) -> None:
        """Called with every control message."""
        if message.get("type") == "error":
            self.errors.append(message["message"])

    def stop(self) -> None:
        """The last wait counts, though nothing has come after it."""
        self.still = max(self.still, time.monotonic() - self._until)

    def _look(self, frames: Frames, now: float) -> None:
        self.frames += len(frames)
        if not self.truth.agrees(frames):
            self.wrong += 1
        ahead = 1 / self.truth.rate
        if frames.generation != self._generation:
            self._generation, self._begun, self._until = frames.generation, now, now
            self._first = float(frames.numbers[0])
        if self.client.encoding == "rows":
            self.still = max(self.still, now - self._until)
            self._until = now + ahead
        else:
            self.still = max(self.still, now - self._until)
            held = self._begun + (float(frames.numbers[-1]) + 1 - self._first) * ahead
            self._until = max(self._until, held)


class Audience:
    """Viewers side by side: how many of each encoding, and what they saw."""

    def __init__(self, viewers: list[Viewer]) -> None:
        self.viewers = viewers

    def of(self, encoding: str) -> list[Viewer]:
        return [v for v in self.viewers if v.client.encoding == encoding]

    def still(self, encoding: str) -> float:
        """Longest stillness of any of them, in seconds."""
        return max((v.still for v in self.of(encoding)), default=0.0)

    @property
    def wrong(self) -> int:
        return sum(v.wrong for v in self.viewers)

    async def lost(self) -> int:
        """Viewers that are not where they should be, or do not play."""
        return (await asyncio.gather(*(v.is_at_its_place() for v in self.viewers))).count(False)

    async def play(self, *, apart: int = 20) -> None:
        """Everyone plays from a place of its own, `apart` frames from the next."""
        await asyncio.gather(*(v.play(apart * i) for i, v in enumerate(self.viewers)))

    def forget(self) -> None:
        for viewer in self.viewers:
            viewer.forget()

    def stop(self) -> None:
        for viewer in self.viewers:
            if viewer.closed is None:
                viewer.stop()


@asynccontextmanager
async def audience(
    url: str, truth: Truth, *, segments: int = 0, rows: int = 0, lead: float | None = None
) -> AsyncIterator[Audience]:
    """That many viewers of each encoding, connected and watching."""
    encodings: Iterable[str] = ["segments"] * segments + ["rows"] * rows
    async with contextlib.AsyncExitStack() as stack:
        viewers = []
        for encoding in encodings:
            client = connect(url, encoding=encoding, fields=["x"], lead=lead, max_retries=40)
            viewer = Viewer(client, truth)
            client.on_message = viewer.told
            await stack.enter_async_context(client)
            viewers.append(viewer)
        tasks = [asyncio.create_task(v.watch()) for v in viewers]
        try:
            yield Audience(viewers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
