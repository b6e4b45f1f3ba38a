"""The database rows of a live session, from its first frame until it is stored as a recording.

Its frames are not here: a producer's worker keeps them in a log (`streaming/live/`). The functions
block; the caller holds the session's lock (`locks.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from .access import Visibility
from .importers.result import EntityRecord, EventRecord, GeometryRecord
from .models import Event, Session
from .storing import add_entities, add_geometry


class NotLive(Exception):
    """The session is there and is not live: it is a recording, or being imported."""


def begin_live(
    slug: str,
    *,
    title: str,
    kind: str,
    frame_rate: float,
    version: str,
    entities: Sequence[EntityRecord],
    geometry: GeometryRecord | None,
    metadata: Mapping[str, Any],
    live: Mapping[str, Any],
    access: str | None = None,
    owner: int | None = None,
) -> None:
    """Make the rows of a session that begins.

    Args:
        slug: of the session, which must not be there.
        title: for viewers.
        kind: "race" and so on.
        frame_rate: frames a second.
        version: names what is cached of it.
        entities: known so far.
        geometry: the ground, or None.
        metadata: JSON-able.
        live: `fields` of the frames, or the `content_type` of the pictures.
        access: who may watch; None for everybody.
        owner: primary key of the user whose program sends it, or None.

    Raises:
        NotLive: a session of that slug is there already.
        ValidationError: the slug or a text cannot stand in the database.
    """
    with transaction.atomic():
        if Session.objects.filter(slug=slug).exists():
            raise NotLive(f"session {slug!r} is there already: choose another slug")
        session = Session(
            slug=slug,
            title=title,
            kind=kind,
            state=Session.State.LIVE,
            progress=100,
            frame_rate=frame_rate,
            version=version,
            access=access or Visibility.PUBLIC.value,
            source="live",
            metadata=dict(metadata),
            live=dict(live),
            owner_id=owner,
        )
        session.clean_fields(exclude=("version",))
        session.save()
        add_entities(session, entities)
        if geometry is not None:
            add_geometry(session, geometry)


def grow_live(slug: str, version: str, frame_count: int, start_time: float | None) -> None:
    """Write down how far it is. start_time: of frame 0, Unix seconds."""
    start = None
    if start_time is not None and math.isfinite(start_time) and 0 <= start_time < 1e10:
        start = datetime.fromtimestamp(start_time, UTC)
    # What REST makes of it has an ETag of this time.
    _live(slug).update(
        frame_count=frame_count, version=version, start_time=start, updated_at=timezone.now()
    )


def add_live_event(slug: str, event: EventRecord) -> None:
    """Add an event to a live session."""
    session = _live(slug).first()
    if session is not None:
        Event.objects.create(
            session=session,
            frame=event.frame,
            kind=event.kind,
            message=event.message,
            entity=event.entity,
            value=event.value,
            lap=event.lap,
            sector=event.sector,
        )
        _live(slug).update(updated_at=timezone.now())


def add_live_entity(slug: str, entity: EntityRecord, index: int, version: str) -> None:
    """Add an entity, with the version that names the session's frames from now on."""
    session = _live(slug).first()
    if session is not None:
        with transaction.atomic():
            add_entities(session, [entity], index)
            _live(slug).update(version=version, updated_at=timezone.now())


def is_live(slug: str) -> bool:
    """Whether a session of that slug is live."""
    return bool(_live(slug).exists())


def silent_since(moment: datetime) -> list[str]:
    """Slugs of the live sessions of which nothing has come since then."""
    return list(
        Session.objects.filter(state=Session.State.LIVE, updated_at__lt=moment).values_list(
            "slug", flat=True
        )
    )


def withdraw_live(slug: str) -> None:
    """Delete the rows of a live session that has no frame and ended."""
    _live(slug).delete()


def _live(slug: str) -> Any:
    return Session.objects.filter(slug=slug, state=Session.State.LIVE)


__all__ = [
    "NotLive",
    "ValidationError",
    "add_live_entity",
    "add_live_event",
    "begin_live",
    "grow_live",
    "is_live",
    "silent_since",
    "withdraw_live",
]
