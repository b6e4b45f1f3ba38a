"""What the store makes pieces of."""

from __future__ import annotations

from typing import Protocol

from sessions_app.recording import Columns, Schema


class FrameSource(Protocol):
    """Where frames come from: a recording file, or a live session in the making."""

    schema: Schema
    frame_count: int

    def segment(self, index: int) -> bytes:
        """Deflated bytes of the stride-1 segment `index`. Raises: IndexError."""

    def columns(self, start: int, stop: int) -> Columns:
        """Frames start … stop - 1. Raises: IndexError."""


class PictureSource(Protocol):
    """A live session of pictures. newest: (number, Unix time, bytes), None before the first;
    frame_count: numbers up to it; size: width and height in pixels, None where not known;
    start_time: Unix seconds of frame 0, None before the first."""

    content_type: str
    frame_count: int
    size: tuple[int, int] | None
    start_time: float | None

    @property
    def newest(self) -> tuple[int, float, bytes] | None: ...
