"""A viewer's figures for its statistics: those that are not written on the hot path."""

from __future__ import annotations

from ..playback.viewer import Viewer
from ..statistics.connection import SECOND, ConnectionStatistics


def sample(statistics: ConnectionStatistics, viewer: Viewer, now_ns: int) -> None:
    """Bring `statistics` up to date with `viewer`."""
    now = now_ns / SECOND
    timeline = viewer.timeline
    statistics.status = viewer.status(now).value
    statistics.frame = timeline.frame(now)
    statistics.speed = timeline.speed
    statistics.generation = viewer.generation
    statistics.target_fps = viewer.target_fps
    statistics.credit = viewer.credit.left
    statistics.window = viewer.credit.window
    statistics.room = viewer.room
    for reason, frames in viewer.dropped.items():
        counted = statistics.dropped.get(reason.value, 0)
        if frames > counted:
            statistics.drop(reason, frames - counted)
