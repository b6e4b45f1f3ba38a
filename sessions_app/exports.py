"""Exports of stored sessions: made once for each version, kept in a bounded folder.

An export is a file named by session, version and rate. It is written under another name and then
renamed, so that whoever finds it finds it whole. One is made at a time; who waits sees how far the
one that is being made has come.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from .exporting import FORMATS, ExportRefused, ExportSource, Format
from .exporting.source import stride_of
from .importers.result import (
    Corner,
    EntityRecord,
    EventRecord,
    GeometryRecord,
    LapRecord,
    StintRecord,
)
from .locks import FolderLock
from .models import Geometry, Session
from .recording.file import Recording

LOCK = "exports.lock"
_PROGRESS_STEP = 0.01
"""Progress is written when it has grown by so much."""


@dataclass(frozen=True, slots=True)
class Export:
    """One file that can be made: which session, version, format and rate.

    Attributes:
        session: that is exported.
        format: one of `FORMATS`.
        stride: frames from one exported moment to the next.
    """

    session: Session
    format: Format
    stride: int

    @property
    def path(self) -> Path:
        """Where the file is kept once it is made."""
        name = f"{self.session.slug}.{self.session.version}.{self.stride}{self.format.extension}"
        return Path(settings.EXPORTS_DIR) / name

    @property
    def progress_path(self) -> Path:
        """How far it has come, while it is being made; why it failed, afterwards."""
        return self.path.with_name(f".{self.path.name}.progress")

    @property
    def file_name(self) -> str:
        """For whoever downloads it."""
        return f"{self.session.slug}-{self.session.version}{self.format.extension}"

    def progress(self) -> tuple[float, str]:
        """(fraction done, what went wrong or ""); (0, "") if nobody makes it."""
        try:
            about = json.loads(self.progress_path.read_text())
            return float(about["progress"]), str(about["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0, ""


def export_of(session: Session, format: str, rate: float | None = None) -> Export:
    """What is to be made.

    Args:
        session: with a recording.
        format: one of `FORMATS`.
        rate: moments a second; None for what is usual of the format.

    Raises:
        ExportRefused: no such format, or no recording that is whole, or no such rate.
    """
    if format not in FORMATS:
        raise ExportRefused(f"format {format!r}: expected one of {', '.join(FORMATS)}")
    if session.state != Session.State.READY or not session.version:
        raise ExportRefused(
            f"session {session.slug!r} is {session.state}: expected one that is ready"
        )
    about = FORMATS[format]
    return Export(session, about, stride_of(session.frame_rate, rate, about.usual_rate))


def write_export(export: Export, path: Path, progress: Callable[[float], None]) -> None:
    """Write an export to `path`, whole or not at all.

    Raises: ExportRefused; OSError; RecordingError if the recording is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with Recording(export.session.recording_path) as recording:
            export.format.write(_source(export, recording), partial, progress)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def make_export(export: Export) -> None:
    """Make the file of an export, if it is not there, and keep the folder within its bound.

    Waits for one that is being made. Progress, and why it failed, are left beside it.
    Raises: as `write_export`.
    """
    folder = export.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(LOCK)
    lock.acquire(wait=True)
    shown = -1.0

    def show(fraction: float, error: str = "") -> None:
        nonlocal shown
        if error or fraction - shown >= _PROGRESS_STEP:
            shown = fraction
            text = json.dumps({"progress": round(fraction, 3), "error": error})
            partial = export.progress_path.with_name(f"{export.progress_path.name}.new")
            partial.write_text(text)
            partial.replace(export.progress_path)

    try:
        if export.path.exists():
            return
        for left in folder.glob(".*.partial"):
            # Of a process that was killed: who makes one has the lock.
            left.unlink(missing_ok=True)
        show(0.0)
        try:
            write_export(export, export.path, show)
        except BaseException as error:
            show(max(shown, 0.0), str(error)[:500] or type(error).__name__)
            raise
        export.progress_path.unlink(missing_ok=True)
        _keep_within(folder, settings.EXPORTS_BYTES, export.path)
    finally:
        lock.release()


def _keep_within(folder: Path, most: int, newest: Path) -> None:
    """Remove the files used longest ago until the rest fits; the newest stays in any case."""
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    used = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in files), reverse=True)
    total = newest.stat().st_size
    for _, size, path in used:
        if path == newest:
            continue
        total += size
        if total > most:
            path.unlink(missing_ok=True)
            total -= size


def _source(export: Export, recording: Recording) -> ExportSource:
    session = export.session
    entities = list(session.entities.order_by("index"))
    codes = {entity.pk: entity.code for entity in entities}
    return ExportSource(
        slug=session.slug,
        version=session.version,
        title=session.title,
        kind=session.kind,
        start=None if session.start_time is None else session.start_time.timestamp(),
        schema=recording.schema,
        frame_count=recording.frame_count,
        entities=[
            EntityRecord(e.code, e.name, e.number, e.team, e.colour, e.kind, e.attributes)
            for e in entities
        ],
        geometry=_geometry(session),
        events=[
            EventRecord(e.frame, e.kind, e.message, e.entity, e.value, e.lap, e.sector)
            for e in session.events.order_by("frame", "pk")
        ],
        laps=[
            LapRecord(
                codes[lap.entity_id],
                lap.number,
                lap.start_frame,
                lap.end_frame,
                lap.duration,
                (lap.sector1, lap.sector2, lap.sector3),
                lap.position,
                lap.pit_in,
                lap.pit_out,
            )
            for lap in session.laps.order_by("entity__index", "number")
        ],
        stints=[
            StintRecord(
                codes[s.entity_id],
                s.number,
                s.lap_start,
                s.lap_end,
                s.compound,
                s.tyre_age_at_start,
            )
            for s in session.stints.order_by("entity__index", "number")
        ],
        read=recording.columns,
        stride=export.stride,
    )


def _geometry(session: Session) -> GeometryRecord | None:
    ground = Geometry.objects.filter(session=session).first()
    if ground is None:
        return None
    shapes = dict(ground.shapes)
    corners = [Corner(**corner) for corner in shapes.pop("corners", ())]
    return GeometryRecord(
        kind=ground.kind,
        unit=ground.unit,
        bounds=(ground.x_min, ground.y_min, ground.x_max, ground.y_max),
        rotation=ground.rotation,
        length=ground.length,
        corners=corners,
        **{name: _tuples(value) for name, value in shapes.items()},
    )


def _tuples(value: Any) -> Any:
    """JSON's lists as they were before."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
