"""Options of an import; each importer uses those that concern it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .bounds import Bounds


@dataclass(frozen=True, slots=True)
class Downloads:
    """Where sessions are fetched from, and where what was fetched is kept.

    Attributes:
        folder: of everything that was fetched.
        openf1_url: of an OpenF1 server, with a slash at its end.
        openf1_per_minute: requests that it allows.
        backoff: seconds before a request is tried again, doubled each time.
    """

    folder: Path
    openf1_url: str = "https://api.openf1.org/v1/"
    openf1_per_minute: float = 30.0
    backoff: float = 1.0


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import.

    Attributes:
        title: instead of the one made from the source.
        geometry: file of a circuit's outline, or a folder of them.
        mapping: file that maps the columns of a table.
        lead: seconds kept before the start.
        tail: seconds kept after the last car's finish.
        frame_rate: frames a second; None for the source's usual rate.
        year: of the season, where the source does not have it; or of the session to be fetched.
        round: of the season, likewise.
        circuit: of the session to be fetched, as people call it: "monaco".
        session: likewise: "race", "qualifying", or a short form as "R", "FP1".
        downloads: for sessions that are fetched; None where nothing may be.
        bounds: limits of bytes, rows and files that are read.
        strict: refuse a source of which anything cannot be believed, instead of leaving that out.
    """

    title: str = ""
    geometry: Path | None = None
    mapping: Path | None = None
    lead: float = 60.0
    tail: float = 60.0
    frame_rate: float | None = None
    year: int | None = None
    round: int | None = None
    circuit: str = ""
    session: str = ""
    downloads: Downloads | None = None
    bounds: Bounds = field(default_factory=Bounds)
    strict: bool = False
