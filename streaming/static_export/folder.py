"""Writing the folder: pages, scripts, REST answers and segments, whole or not at all.

    index.html                                  the library
    static/…                                    scripts and styles
    sessions/<slug>/index.html                  the player
    sessions/<slug>/welcome.json                what the socket would say first
    sessions/<slug>/session.json, laps.json …   answers of the REST API (docs/rest.md)
    sessions/<slug>/<version>/segments/<stride>/<index>

A segment's name has the recording's version in it, so a host may let browsers keep it for good.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.staticfiles.finders import get_finders
from ninja import Schema as Body

from sessions_app.api import bodies
from sessions_app.api.moments import standings_of
from sessions_app.models import Session
from sessions_app.recording import Schema
from sessions_app.recording.file import Recording

from ..connections.dialects.welcome import recording_welcome
from ..store.subset import EVERYTHING
from ..store.thinning import build_segment, segment_count
from .pages import library_page, player_page

STRIDES = (1, 8, 64)
"""To play at any speed, to scrub, and to show any moment at once. The strides between would add as
many bytes again as stride 2 has; a host sends them no faster than these."""
MARK = "replay-static.json"
"""In the top folder: that it was made by an export, and may be replaced by another."""
APP = "streaming/"
TEXTS = frozenset({".html", ".css", ".js", ".json", ".svg"})
NOT_SERVED = frozenset({"admin", "package.json"})
"""Of our static files, what only a server's pages use."""

Progress = Callable[[float, str], None]


class NotExportable(Exception):
    """The session has no whole recording, or the folder holds something else."""


@dataclass(frozen=True, slots=True)
class Exported:
    """files, bytes: in the folder, without the compressed copies."""

    files: int
    bytes: int


def export_static(
    sessions: Sequence[Session], target: Path, *, compressed: bool, progress: Progress
) -> Exported:
    """Write a folder that any host of files serves.

    Args:
        sessions: in the order in which the library shows them.
        target: the folder; made, or replaced if an export made it.
        compressed: write `NAME.gz` beside every text, for hosts that serve these.
        progress: called with the fraction done, 0 to 1, and what is being done.

    Returns:
        What was written.

    Raises:
        NotExportable: a session cannot be played, or the folder is not ours.
        OSError, RecordingError: a recording cannot be read, or the folder not be written.
    """
    for session in sessions:
        if session.state != Session.State.READY or not session.version:
            raise NotExportable(f"session {session.slug!r} is {session.state}: expected ready")
    _require_ours(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        _write(sessions, partial, progress)
        if compressed:
            _compress(partial)
        _put_in_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    files = [path for path in target.rglob("*") if path.is_file() and path.suffix != ".gz"]
    return Exported(len(files), sum(path.stat().st_size for path in files))


def _require_ours(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise NotExportable(f"{target} is a file: expected a folder, or a name that is free")
    if any(target.iterdir()) and not (target / MARK).exists():
        raise NotExportable(
            f"{target} is not empty and has no {MARK}: only a folder that was exported before is "
            "replaced; choose another"
        )


def _put_in_place(partial: Path, target: Path) -> None:
    old = partial.with_suffix(".old")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _write(sessions: Sequence[Session], top: Path, progress: Progress) -> None:
    top.mkdir(parents=True)
    (top / MARK).write_text(json.dumps({"sessions": [session.slug for session in sessions]}))
    (top / "index.html").write_text(library_page(sessions))
    _copy_static(top / "static")
    for number, session in enumerate(sessions):

        def report(fraction: float, number: int = number, slug: str = session.slug) -> None:
            progress((number + fraction) / len(sessions), slug)

        _write_session(session, top / "sessions" / session.slug, report)


def _copy_static(target: Path) -> None:
    for finder in get_finders():
        for name, storage in finder.list([]):
            if not name.startswith(APP) or NOT_SERVED & set(Path(name).parts):
                continue
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with storage.open(name) as source:
                path.write_bytes(source.read())


def _write_session(session: Session, folder: Path, progress: Callable[[float], None]) -> None:
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(player_page(session))
    with Recording(session.recording_path) as recording:
        for name, body in _answers(session, recording):
            text = body if isinstance(body, str) else body.model_dump_json(by_alias=True)
            (folder / f"{name}.json").write_text(text)
        _write_segments(recording, folder / session.version / "segments", progress)


def _answers(session: Session, recording: Recording) -> Iterator[tuple[str, Body | str]]:
    """What the REST API answers to whoever is not logged in, and the `welcome`, by name."""
    yield "welcome", json.dumps(_welcome(session, recording.schema))
    detail = async_to_sync(bodies.detail)(session, recording.schema, staff=False)
    yield "session", detail
    yield "events", async_to_sync(bodies.events)(session, session.events.all())
    yield "laps", async_to_sync(bodies.laps)(session)
    yield "classification", async_to_sync(bodies.classification)(session)
    optional: dict[str, Body | None] = {
        "geometry": async_to_sync(bodies.geometry)(session),
        "report": async_to_sync(bodies.report)(session, staff=False),
    }
    start = detail.metadata.get("race_start_frame") or 0
    optional["standings"] = standings_of(recording.columns(start, start + 1), start)
    for name, body in optional.items():
        if body is not None:
            yield name, body


def _welcome(session: Session, schema: Schema) -> dict[str, Any]:
    """Without what only a server knows. strides: that there are."""
    about = recording_welcome(session, schema, session.frame_count)
    return {**about, "generation": 0, "strides": list(STRIDES)}


def _write_segments(recording: Recording, folder: Path, progress: Callable[[float], None]) -> None:
    counts = {s: segment_count(recording.schema, recording.frame_count, s) for s in STRIDES}
    done, total = 0, sum(counts.values())
    for stride, count in counts.items():
        (folder / str(stride)).mkdir(parents=True)

        def finished(finer: int, index: int, folder: Path = folder) -> bytes | None:
            path = folder / str(finer) / str(index)
            return path.read_bytes() if path.exists() else None

        for index in range(count):
            segment = build_segment(recording, stride, index, EVERYTHING, finished)
            (folder / str(stride) / str(index)).write_bytes(segment)
            done += 1
            if done % 100 == 0:
                progress(done / total)


def _compress(top: Path) -> None:
    for path in [path for path in top.rglob("*") if path.suffix in TEXTS]:
        packed = gzip.compress(path.read_bytes(), 9, mtime=0)
        path.with_name(f"{path.name}.gz").write_bytes(packed)
