"""The `event` messages of a session, read once and shared by all its viewers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sessions_app.models import Event

from ...playback.protocol import MessageType


@lru_cache(maxsize=64)
def read_event_messages(slug: str, version: str) -> tuple[dict[str, Any], ...]:
    """In order of their frames; blocking. version: names what may be kept."""
    return tuple(
        {"type": MessageType.EVENT.value, **values}
        for values in Event.objects.filter(session__slug=slug)
        .order_by("frame", "id")
        .values("frame", "kind", "message", "entity", "value", "lap", "sector")
    )
