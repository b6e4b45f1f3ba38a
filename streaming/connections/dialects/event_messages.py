"""The `event` messages of a session."""

from __future__ import annotations

from typing import Any

from sessions_app.models import Event

from ...playback.protocol import MessageType


def read_event_messages(slug: str, version: str) -> tuple[dict[str, Any], ...]:
    """In order of their frames; blocking. version: what is read may be kept by it."""
    return tuple(
        {"type": MessageType.EVENT.value, **values}
        for values in Event.objects.filter(session__slug=slug)
        .order_by("frame", "id")
        .values("frame", "kind", "message", "entity", "value", "lap", "sector")
    )
