"""The one place where an import's result is stored: database and recording file, or neither."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from numpy.typing import NDArray

from .importers.result import EntityRecord, GeometryRecord, ImportResult, ImportSourceError
from .importers.text import cleaned
from .importers.validation import validated
from .locks import SessionBusy, SessionLock, remove_leftovers
from .models import Entity, Event, Geometry, Lap, Session, Stint
from .racing import RACE_FIELDS, SEGMENT_SECONDS
from .recording import Schema
from .recording.curves import Clock
from .recording.dense import FORMAT_SAMPLES
from .recording.file import Recording, write_recording
from .recording.segment import inflate, read_header
from .uploads import remove_upload

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]

_RECORDED_SHAPES = (
    "centre_line",
    "inner_edge",
    "outer_edge",
    "pit_lane",
    "sectors",
    "marshal_sectors",
    "drs_zones",
    "lines",
    "origin",
)


class SlugTaken(Exception):
    """A session of that slug is there already and was not to be replaced."""


def store_result(
    result: ImportResult,
    *,
    slug: str,
    replace: bool = False,
    access: str | None = None,
    progress: Progress | None = None,
    lock: SessionLock | None = None,
    together: Callable[[], None] | None = None,
) -> Session:
    """Store a whole session, ready to be watched.

    The recording is written under a name that no session points to; one transaction then makes the
    database point to it; what it replaces is removed last. A failure or a kill at any point leaves
    the session as it was before or as it is to be, and at most files that the session's lock lists:
    they are removed at the end, by the next store, or at the next start of the service.

    Args:
        result: what an importer or the simulation made.
        slug: names the session.
        replace: take the place of a session of that slug; one still loading always gives way.
        access: who may watch; None leaves it as it is.
        progress: called with the fraction done, 0 to 1, and what is being done.
        lock: the session's, if the caller holds it already.
        together: called inside the transaction, for what has to be true with it.

    Returns:
        The session.

    Raises:
        SlugTaken: If there is a session of that slug, and it is not to be replaced.
        SessionBusy: If another process is storing that session.
        ImportSourceError: If nothing is left that can be stored; strict, if anything is wrong.
        ValidationError: For a slug that cannot stand in an address.
        InvalidColumns: If the frames do not fit their schema.
        OSError: If the recording cannot be written, for example for want of space.
    """
    result = validated(result)
    remove_leftovers()
    with nullcontext(lock) if lock is not None else SessionLock(slug) as held:
        return _store(
            result,
            held,
            replace=replace,
            access=access,
            report=progress or (lambda _fraction, _message: None),
            together=together or (lambda: None),
        )


def one_line(error: BaseException) -> str:
    """What went wrong as one line of at most 500 characters, for staff and the log."""
    return cleaned(str(error)) or type(error).__name__


def _store(
    result: ImportResult,
    lock: SessionLock,
    *,
    replace: bool,
    access: str | None,
    report: Progress,
    together: Callable[[], None],
) -> Session:
    slug = lock.slug
    session = Session.objects.filter(slug=slug).first()
    if session is not None and not replace and not session.loading:
        raise SlugTaken(f"session {slug!r} is there already: choose another slug, or replace it")
    before = session.recording if session is not None else ""
    name = f"{slug}.{datetime.now(UTC):%Y%m%d%H%M%S%f}.mcap"
    _filled(session or Session(slug=slug), result, access, name)
    lock.add_leftover(name)
    start = result.start_time
    version = write_recording(
        Path(settings.RECORDINGS_DIR) / name,
        result.samples,
        start_ns=0 if start is None else int(start.timestamp() * 1_000_000_000),
        metadata=_file_metadata(result),
        progress=lambda fraction: report(fraction, "writing the recording"),
    )
    lock.add_leftover(before)
    try:
        with transaction.atomic():
            # Read again: somebody may have changed who may watch while the recording was written.
            there = Session.objects.select_for_update().filter(slug=slug).first()
            session = _filled(there or Session(slug=slug), result, access, name)
            session.version = version
            session.save()
            _replace_rows(session, result)
            together()
    except (IntegrityError, DataError) as error:
        # What `validated` should have found: the program's fault, not the source's.
        logger.exception("storing %s", slug)
        raise ImportSourceError(
            "the database does not take what was made of the source: expected records that "
            "`validated` checked (the log has the reason)"
        ) from error
    report(1.0, "ready")
    return session


def upgrade_recording(slug: str, progress: Progress | None = None) -> tuple[int, int] | None:
    """Rewrite a session's recording of format 1 in the present one: the same frames in fewer bytes.

    Its version changes, so viewers of that moment load the session anew. A failure or a kill leaves
    the session as it was or as it is to be, as `store_result`.

    Args:
        slug: of a session that is there.
        progress: called with the fraction done, 0 to 1, and what is being done.

    Returns:
        (bytes of the file before, after); None if it is of the present format already.

    Raises:
        SessionBusy: If another process is storing that session.
        RecordingError: If the file is damaged; it stays as it is.
        OSError: If a file cannot be read or written.
    """
    report = progress or (lambda _fraction, _message: None)
    with SessionLock(slug) as lock:
        session = Session.objects.get(slug=slug)
        with Recording(session.recording_path) as old:
            if read_header(inflate(old.segment(0))).format == FORMAT_SAMPLES:
                return None
            name = f"{slug}.{datetime.now(UTC):%Y%m%d%H%M%S%f}.mcap"
            lock.add_leftover(name)
            path = Path(settings.RECORDINGS_DIR) / name
            version = write_recording(
                path,
                _Rewritten(old, in_longer_segments(old.schema)),
                start_ns=old.start_ns,
                metadata=old.metadata,
                progress=lambda fraction: report(fraction, "writing the recording"),
            )
        before = session.recording_path.stat().st_size
        lock.add_leftover(session.recording)
        with transaction.atomic():
            session = Session.objects.select_for_update().get(slug=slug)
            session.recording, session.version = name, version
            session.save(update_fields=("recording", "version"))
        return before, path.stat().st_size


def in_longer_segments(schema: Schema) -> Schema:
    """The schema with segments of a race's length, if it is that of a race."""
    if any(field.name not in schema for field in RACE_FIELDS):
        return schema
    frames = min(1000, max(schema.segment_frames, round(SEGMENT_SECONDS * schema.frame_rate)))
    return dataclasses.replace(schema, segment_frames=frames)


@dataclasses.dataclass(frozen=True, slots=True)
class _Rewritten:
    """The frames of a recording in another one, read part by part."""

    recording: Recording
    schema: Schema
    clocks: Sequence[Clock] = ()

    @property
    def frame_count(self) -> int:
        return self.recording.frame_count

    def held(self, start: int, stop: int) -> Mapping[str, NDArray[np.int32]]:
        return self.recording.columns(start, stop).values


def delete_recording(session: Session) -> None:
    """Remove a session's file; its database rows are the caller's to delete."""
    if session.recording:
        session.recording_path.unlink(missing_ok=True)


def delete_session(session: Session) -> None:
    """Delete a session with its recording and its uploads; whoever watches it is told so within
    seconds. An import of it that runs stores nothing. Raises: OSError; DatabaseError, then nothing
    has happened."""
    uploads = list(session.import_jobs.values_list("source", flat=True))
    try:
        with SessionLock(session.slug) as lock:
            # Removed at the end of the block, or by the next holder of the lock after a kill.
            lock.add_leftover(session.recording)
            session.delete()
    except SessionBusy:
        # The import that holds the lock removes what it has written.
        session.delete()
        delete_recording(session)
    for source in uploads:
        remove_upload(source)


def _filled(session: Session, result: ImportResult, access: str | None, name: str) -> Session:
    """Fill and check the session's row. name: of the recording file. Raises: ValidationError."""
    codes = [e.code for e in result.entities]
    if codes != list(result.schema.entities):
        raise ValidationError("The entities are not those of the columns, in their order.")
    session.title = result.title
    session.kind = result.kind
    session.state = Session.State.READY
    session.progress = 100
    session.message = ""
    session.year = result.year
    session.round = result.round
    session.start_time = result.start_time
    session.frame_rate = result.schema.frame_rate
    session.frame_count = result.frame_count
    session.recording = name
    session.source = result.source[:255]
    session.metadata = dict(result.metadata)
    session.live = {}
    session.report = {} if result.report is None else result.report.as_dict()
    if access is not None:
        session.access = access
    session.clean_fields(exclude=("version",))
    return session


def _file_metadata(result: ImportResult) -> dict[str, Any]:
    """The metadata in the recording file, so that the file alone can be imported elsewhere."""
    return {
        "title": result.title,
        "kind": result.kind,
        "source": result.source,
        "metadata": dict(result.metadata),
        "entities": [dataclasses.asdict(e) for e in result.entities],
        "geometry": None if result.geometry is None else dataclasses.asdict(result.geometry),
    }


def _shapes(record: GeometryRecord) -> dict[str, Any]:
    shapes: dict[str, Any] = {
        name: value for name in _RECORDED_SHAPES if (value := getattr(record, name))
    }
    shapes["corners"] = [dataclasses.asdict(c) for c in record.corners]
    return shapes


def add_entities(
    session: Session, entities: Sequence[EntityRecord], first: int = 0
) -> dict[str, Entity]:
    """Add rows of entities, in the order of the columns. Returns: those rows by code.

    Args:
        session: that they are in.
        entities: the records.
        first: column of the first of them.
    """
    rows = Entity.objects.bulk_create(
        Entity(
            session=session,
            index=i,
            code=e.code,
            name=e.name,
            number=e.number,
            team=e.team,
            colour=e.colour,
            kind=e.kind,
            attributes=dict(e.attributes),
        )
        for i, e in enumerate(entities, first)
    )
    return {row.code: row for row in rows}


def add_geometry(session: Session, g: GeometryRecord) -> None:
    """Add the row of the ground, which must not be there yet."""
    x_min, y_min, x_max, y_max = g.bounds
    Geometry.objects.create(
        session=session,
        kind=g.kind,
        unit=g.unit,
        x_min=x_min,
        y_min=y_min,
        x_max=x_max,
        y_max=y_max,
        rotation=g.rotation,
        length=g.length,
        shapes=_shapes(g),
    )


def _replace_rows(session: Session, result: ImportResult) -> None:
    """Replace entities, geometry, events, laps and stints; inside the caller's transaction."""
    session.events.all().delete()
    session.entities.all().delete()
    Geometry.objects.filter(session=session).delete()
    entities = add_entities(session, result.entities)
    if result.geometry is not None:
        add_geometry(session, result.geometry)
    Event.objects.bulk_create(
        (
            Event(
                session=session,
                frame=e.frame,
                kind=e.kind,
                message=e.message[:500],
                entity=e.entity,
                value=e.value,
                lap=e.lap,
                sector=e.sector,
            )
            for e in result.events
        ),
        batch_size=500,
    )
    Lap.objects.bulk_create(
        (
            Lap(
                session=session,
                entity=entities[lap.entity],
                number=lap.number,
                start_frame=lap.start_frame,
                end_frame=lap.end_frame,
                duration=lap.duration,
                sector1=lap.sectors[0],
                sector2=lap.sectors[1],
                sector3=lap.sectors[2],
                position=lap.position,
                pit_in=lap.pit_in,
                pit_out=lap.pit_out,
            )
            for lap in result.laps
        ),
        batch_size=500,
    )
    Stint.objects.bulk_create(
        (
            Stint(
                session=session,
                entity=entities[s.entity],
                number=s.number,
                lap_start=s.lap_start,
                lap_end=s.lap_end,
                compound=s.compound,
                tyre_age_at_start=s.tyre_age_at_start,
            )
            for s in result.stints
        ),
        batch_size=500,
    )
