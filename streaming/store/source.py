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
