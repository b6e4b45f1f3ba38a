"""The plain dialect: what browser front ends of the F1 replay app speak. See docs/protocol.md.

Its clients cannot acknowledge, so the transport alone bounds them and the newest frame wins.
"""

from __future__ import annotations

import time
from typing import Any

from channels.db import database_sync_to_async

from ...playback.command_parser import parse_command
from ...playback.commands import (
    Bye,
    Command,
    CommandError,
    GoLive,
    Pause,
    Ping,
    Play,
    Seek,
    SetSpeed,
)
from ...playback.protocol import CloseCode, Encoding, ErrorCode, MessageType
from ...playback.viewer import Viewer
from ...store.catalogue import SessionInfo
from ..lifecycle import Connection

PLAIN_ACTIONS = "play, pause, seek, speed"


class PlainConnection(Connection):
    """One client that asked for no subprotocol."""

    plain = True

    __slots__ = ("_sent_progress",)

    async def opened(self, info: SessionInfo) -> None:
        self._sent_progress: tuple[str, float, str] | None = None
        self.session_changed(info)

    def not_admitted(self, reason: str) -> None:
        """Its front ends know this message, and look at no close code."""
        self._failed_to_load(reason)

    async def message(self, text: str | bytes) -> None:
        command = parse_command(text, clamp_seek=True)
        viewer = self.viewer
        if isinstance(command, Bye):
            self.pump.close(CloseCode.DONE)
        elif isinstance(command, Ping):
            self.client_reported(command)
        elif viewer is None:
            self.hold(command)
        else:
            self.apply(viewer, command)

    def execute(self, viewer: Viewer, command: Command) -> None:
        now = time.monotonic()
        match command:
            case Play():
                viewer.play(now, command.speed)
            case Pause():
                viewer.pause(now)
            case Seek():
                # A front end's slider may overshoot by one; the nearest frame is what is meant.
                last = viewer.timeline.last_frame
                if command.frame is not None:
                    viewer.seek(now, frame=min(command.frame, last))
                else:
                    viewer.seek(
                        now, time=min(command.time or 0.0, last / viewer.timeline.frame_rate)
                    )
                self.statistics.seek_started(time.monotonic_ns())
            case SetSpeed():
                viewer.set_speed(command.speed, now)
            case GoLive():
                viewer.go_live(now)
            case _:
                raise CommandError(
                    ErrorCode.UNKNOWN_ACTION,
                    f"not in the plain dialect: expected one of {PLAIN_ACTIONS}; "
                    "connect with subprotocol replay.v1 for the rest",
                    command.id,
                )

    def session_changed(self, info: SessionInfo) -> None:
        self.info = info
        viewer = self.viewer
        if viewer is not None:
            self.session_grew(viewer, info)
            return
        if (current := (info.state, info.progress, info.message)) == self._sent_progress:
            return
        self._sent_progress = current
        if info.state == "failed":
            self._failed_to_load(info.message)
        elif info.is_ready or info.is_live:
            self.spawn(self._open(info))
        else:
            self.pump.enqueue(self._progress(info.progress, info.message))

    def _failed_to_load(self, message: str) -> None:
        self.pump.enqueue({"type": MessageType.LOADING_ERROR.value, "message": message})

    def _progress(self, progress: float, message: str) -> dict[str, Any]:
        return {
            "type": MessageType.LOADING_PROGRESS.value,
            "progress": progress,
            "message": message,
            "elapsed_seconds": self.elapsed,
        }

    async def _open(self, info: SessionInfo) -> None:
        read = database_sync_to_async(self._services.read_plain_metadata)
        metadata = await read(info.slug, info.version)
        frames = self._services.frames.frame_count(info)
        self.pump.enqueue(self._progress(100.0, "ready"))
        self.pump.enqueue(
            {
                "type": MessageType.LOADING_COMPLETE.value,
                "frames": frames,
                "load_time_seconds": self.elapsed,
                "elapsed_seconds": self.elapsed,
                "metadata": metadata,
            }
        )
        self.pump.info = info
        self.pump.viewer = Viewer(
            frame_count=frames,
            frame_rate=info.frame_rate,
            segment_frames=1,
            now=time.monotonic(),
            encoding=Encoding.ROWS,
            lead=0.0,
            window=None,
            live=info.is_live,
            acknowledge_within=self._services.admission.limits.ack_timeout,
        )
        self.apply_held(self.pump.viewer)
        if not info.is_live:
            self.unwatch()
        self.pump.wake()
