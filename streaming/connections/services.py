"""What a connection needs of the worker that it is on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..monitoring.registry import Registry
from ..rooms.hub import RoomHub
from ..store.frame_store import FrameStore
from .admission import Admission
from .open_connections import OpenConnections
from .renewals import Renewals
from .resume import ResumeMemory
from .session_watch import SessionWatch
from .timers import TimerWheel


class Services(Protocol):
    """A `Worker`, as far as its connections see it; a test may hand in less.

    Attributes:
        read_event_messages: (slug, version) → the session's `event` messages; blocking.
        read_plain_metadata: (slug, version) → what the plain dialect tells of it; blocking.
    """

    admission: Admission
    connections: OpenConnections
    frames: FrameStore
    registry: Registry
    renewals: Renewals
    resume: ResumeMemory
    rooms: RoomHub
    watch: SessionWatch
    wheel: TimerWheel
    read_event_messages: Callable[[str, str], Sequence[dict[str, Any]]]
    read_plain_metadata: Callable[[str, str], dict[str, Any]]
