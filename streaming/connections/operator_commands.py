"""What an operator may do to a connection from the admin, the terminal or REST."""

from __future__ import annotations

import time
from typing import Any, Protocol

from ..playback.protocol import CloseCode
from ..playback.viewer import Viewer
from .pump import Pump, bye


class Operated(Protocol):
    """A connection, as far as an operator's commands see it."""

    id: str
    pump: Pump

    @property
    def viewer(self) -> Viewer | None:
        """The viewer, once frames may flow."""

    def note_status(self, viewer: Viewer) -> None:
        """Set the viewer's present status in the statistics."""


def operate(connection: Operated, name: str, **args: Any) -> None:
    """Carry out an operator's command.

    Args:
        connection: that it is for.
        name: "disconnect", "pause" or "keyframe".
        args: of `disconnect`: `code` (a CloseCode's number) and `reason`.

    Raises:
        ValueError: for an unknown command, or one that needs a viewer before there is one.
    """
    viewer, now = connection.viewer, time.monotonic()
    if name == "disconnect":
        code = CloseCode(args.get("code", CloseCode.DONE))
        connection.pump.close(code, bye(args.get("reason") or "closed by an operator"))
    elif viewer is None:
        raise ValueError(f"connection {connection.id} has no viewer yet")
    elif name == "pause":
        viewer.pause(now)
    elif name == "keyframe":
        viewer.refresh(now)
    else:
        raise ValueError(f"unknown command {name!r}: expected disconnect, pause or keyframe")
    if viewer is not None:
        connection.note_status(viewer)
    connection.pump.wake()
