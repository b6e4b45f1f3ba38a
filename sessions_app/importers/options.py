"""What a caller may ask of an importer; each importer uses what concerns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .bounds import Bounds


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import.

    title: instead of the one made from the source. geometry: a circuit's outline, or a folder of
    them. mapping: what the columns of a table mean. lead, tail: seconds kept before the start and
    after the last car's finish. frame_rate: frames a second, None for the source's usual one.
    year, round: of the season, where the source does not tell. bounds: what reading may cost.
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
    bounds: Bounds = field(default_factory=Bounds)
    strict: bool = False
