"""What may be imported over REST: entries of the folders that the operator named, nothing else.

Knows the places and which importer reads what lies there, but not the importers: those need
packages that a server without imports does not have.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .importers.bounds import is_regular
from .importers.text import shown

MAPPING_SUFFIXES = (".yaml", ".yml", ".json", ".toml")
GEOMETRY_NAMES = ("geometry.json", "circuit.json")
_NOT_IN_SLUGS = re.compile(r"[^A-Za-z0-9]+")


class UnknownSource(Exception):
    """No source of that name; the message says which there are."""


class ImporterMissing(Exception):
    """This installation cannot read that kind of source; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something to import. importer: its name in the registry, "" to be recognised by the content;
    options: of `ImportOptions`, as JSON can hold them."""

    name: str
    path: Path
    importer: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The slug of its session unless the request names another."""
        return slug_of(self.name)


def slug_of(name: str) -> str:
    """What of a file's or source's name, without its suffixes, can stand in an address."""
    return _NOT_IN_SLUGS.sub("-", name.partition(".")[0]).strip("-")[:80]


def find_source(name: str, named: Mapping[str, str]) -> Source:
    """`name`, or `name/entry` for something inside the folder of that name in IMPORT_SOURCES.

    A file or folder with a mapping is a table, a folder with an outline beside its tables is
    OpenF1's; the format of anything else is recognised when it is imported. Symbolic links and
    special files are no sources.
    Raises: UnknownSource, also for whatever would lead out of the folder.
    """
    first, _, entry = name.partition("/")
    if first not in named:
        known = ", ".join(sorted(named)) or "none: set IMPORT_SOURCES=name=folder,…"
        raise UnknownSource(f"no source is called {shown(first)}; there is: {known}")
    base = Path(named[first]).resolve()
    # Nothing hidden, no "..", no second slash that would make it absolute, no NUL.
    plain = all(p and not p.startswith(".") and "\x00" not in p for p in entry.split("/"))
    path = base / entry if plain else base
    # A link below the folder leads anywhere, today or tomorrow: none is followed.
    if not (plain and _is_itself(path) if entry else path.exists()):
        raise UnknownSource(f"source {first!r} has no entry {shown(entry)}")
    return source_at(name, path)


def source_at(name: str, path: Path) -> Source:
    """What lies at a path that may be imported from: which importer reads it, with which options.

    Raises: UnknownSource for a mapping that has no table.
    """
    if is_regular(path):
        mapping = _mapping_of(path)
        return Source(name, path, "table" if mapping else "", _with_mapping(mapping))
    mapping = _first([path / f"mapping{suffix}" for suffix in MAPPING_SUFFIXES])
    if mapping is not None:
        table = _first(p for p in sorted(path.iterdir()) if p != mapping)
        if table is None:
            raise UnknownSource(f"{name!r} has a mapping, but no table beside it")
        return Source(name, table, "table", _with_mapping(mapping))
    geometry = _first([path / file for file in GEOMETRY_NAMES])
    if geometry is None:
        return Source(name, path, "")
    return Source(name, path, "openf1", {"geometry": str(geometry)})


def _mapping_of(table: Path) -> Path | None:
    """`<table>.mapping.yaml` beside the table, else the folder's `mapping.yaml`."""
    stem = table.name.partition(".")[0]
    return _first(
        table.with_name(f"{name}{suffix}")
        for name in (f"{stem}.mapping", "mapping")
        for suffix in MAPPING_SUFFIXES
    )


def _with_mapping(mapping: Path | None) -> dict[str, str]:
    return {} if mapping is None else {"mapping": str(mapping)}


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if is_regular(path)), None)


def _is_itself(path: Path) -> bool:
    """Whether it is there, and not by a link."""
    try:
        return path.resolve(strict=True) == path
    except (OSError, RuntimeError, ValueError):  # too long a name; links in a circle; no text
        return False


def fetching_importers(downloads: object) -> tuple[str, ...]:
    """The importers that fetch a session by year, circuit and kind. downloads: the setting that
    says from where and into which folder; None where nothing is fetched."""
    return () if downloads is None else ("openf1",)


def require_importer(name: str) -> None:
    """Raises: ImporterMissing if that importer, or what it reads with, is not installed."""
    if name == "fastf1":
        if importlib.util.find_spec("fastf1") is None:
            raise ImporterMissing(
                "sessions by year, round and type come from FastF1, which is not installed: "
                "pip install fastf1, then start the service again"
            )
    elif importlib.util.find_spec("pyarrow") is None:
        raise ImporterMissing("imports need pyarrow, which is not installed: pip install pyarrow")
