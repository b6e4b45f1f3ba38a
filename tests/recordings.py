"""Recordings on disk and what the streaming side knows of them, without a database."""

from __future__ import annotations

from pathlib import Path

from sessions_app.importers.result import ImportResult
from sessions_app.recording.file import write_recording
from streaming.store.catalogue import SessionInfo


def record(folder: Path, result: ImportResult, name: str = "sample") -> SessionInfo:
    """Write a result's frames to `folder` and describe them as the catalogue would."""
    path = folder / f"{name}.mcap"
    version = write_recording(path, result.columns)
    return info_of(path, version, result)


def info_of(path: Path, version: str, result: ImportResult) -> SessionInfo:
    """What the catalogue says of a result stored at `path`."""
    columns = result.columns
    return SessionInfo(
        slug="sample",
        title=result.title,
        kind=result.kind,
        state="ready",
        version=version,
        path=path,
        progress=100.0,
        message="",
        frame_rate=columns.schema.frame_rate,
        frame_count=columns.frame_count,
        access="public",
        lap_length=None if result.geometry is None else result.geometry.length,
    )
