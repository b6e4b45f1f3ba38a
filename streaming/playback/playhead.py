"""A playhead by itself: what a resume token and a room carry, and what a viewer starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Playhead(NamedTuple):
    """A position in a recording, and whether time passes.

    Attributes:
        frame: position in frames; may lie between two.
        speed: factor of real time; negative backwards.
        playing: whether time passes.
        generation: of the viewer's last seek.
        room: that the viewer is in, or None.
    """

    frame: float
    speed: float
    playing: bool
    generation: int = 0
    room: str | None = None


def playhead_from(data: Mapping[str, Any]) -> Playhead:
    """Inverse of `Playhead._asdict` after JSON. Raises: KeyError, TypeError, ValueError."""
    return Playhead(
        float(data["frame"]),
        float(data["speed"]),
        bool(data["playing"]),
        int(data["generation"]),
        data.get("room"),
    )
