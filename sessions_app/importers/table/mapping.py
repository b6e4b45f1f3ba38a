"""The mapping file of the table importer: what the columns of a table mean. Described in
docs/importing.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ...recording import FieldKind
from ...recording.errors import InvalidColumns
from ...recording.fields import Field, Scope
from ..bounds import Allowance
from ..result import ImportSourceError
from ..text import cleaned, shown

MAX_MAPPING = 200_000
"""Bytes of a mapping file: ten lines, or a ground of some thousand points."""
MAX_NESTING = 16
"""Levels of a mapping; `geometry.lines` has five."""
MAX_NUMBER = 1e12
MAX_LABELS = 1000
"""Of one enumeration."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

TIME_UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}
"""Seconds in each unit that a column of numbers may count."""

_KEYS = (
    "title",
    "kind",
    "time",
    "entity",
    "fields",
    "rate",
    "max_gap",
    "delimiter",
    "geometry",
    "events",
    "start",
)
_GEOMETRY_KINDS = ("field", "map", "circuit")


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """A recorded field and the column that its values come from."""

    field: Field
    column: str


@dataclass(frozen=True, slots=True)
class GeometryMapping:
    """The ground. bounds: (x_min, y_min, x_max, y_max) or None for the extent of the data;
    lines: of (x, y); latitude, longitude: columns that x and y are projected from, or ""."""

    kind: str
    unit: str = ""
    bounds: tuple[float, float, float, float] | None = None
    lines: Sequence[Sequence[tuple[float, float]]] = ()
    latitude: str = ""
    longitude: str = ""


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A whole mapping. time_unit: seconds per step of a numeric time column, None if it holds ISO
    times; rate: frames a second, None for the source's own; max_gap: seconds; start: aware, of the
    time 0 of a numeric time column, None if not known."""

    path: Path
    time: str
    time_unit: float | None
    entity: str
    attributes: Mapping[str, str]
    fields: Sequence[FieldMapping]
    title: str = ""
    kind: str = "other"
    rate: float | None = None
    max_gap: float = 2.0
    delimiter: str | None = None
    events: str = ""
    geometry: GeometryMapping | None = field(default=None)
    start: datetime | None = None


_ATTRIBUTES = ("name", "number", "team", "colour", "kind")


def read_mapping(path: Path) -> TableMapping:
    """Raises: ImportSourceError naming the file, the key and what was expected there."""
    return parse_mapping(_read(path), path)


def parse_mapping(data: bytes | bytearray, path: Path) -> TableMapping:
    """A mapping's text. path: of the file that it is from, for messages.

    Raises: ImportSourceError naming the file, the key and what was expected there.
    """
    keys = _Keys(path, _loaded(data, path), "")
    keys.only(_KEYS)
    geometry = _geometry(keys.child("geometry")) if "geometry" in keys else None
    time, time_unit = _time(keys)
    entity = keys.child_or_text("entity", "column")
    entity.only(("column", *_ATTRIBUTES))
    return TableMapping(
        path=path,
        time=time,
        time_unit=time_unit,
        entity=entity.text("column"),
        attributes={name: entity.text(name) for name in _ATTRIBUTES if name in entity},
        fields=_fields(keys, geometry),
        title=cleaned(keys.text("title", ""), 200),
        kind=keys.text("kind", "other", most=20),
        rate=keys.positive("rate", None),
        max_gap=keys.positive("max_gap", 2.0) or 2.0,
        delimiter=_delimiter(keys),
        events=keys.text("events", ""),
        geometry=geometry,
        start=_start(keys, time_unit),
    )


def _start(keys: _Keys, time_unit: float | None) -> datetime | None:
    if "start" not in keys:
        return None
    if time_unit is None:
        raise keys.wrong("start", "the column has times of day: expected no start beside them")
    text = keys.text("start")
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{shown(text)} found: expected a time such as 2024-06-30T13:00:00+00:00"
        raise keys.wrong("start", problem) from None
    return start if start.tzinfo is not None else start.replace(tzinfo=UTC)


def _read(path: Path) -> bytes | bytearray:
    try:
        return Allowance().read(path, MAX_MAPPING)
    except OSError as error:
        raise ImportSourceError(f"{error.strerror}: expected a mapping file", file=path) from error


def plain_yaml(path: Path) -> Any:
    """What a file says, as `_loaded`. Raises: ImportSourceError."""
    return _loaded(_read(path), path)


def _loaded(data: bytes | bytearray, path: Path) -> Any:
    """What a YAML file says, if it says it plainly: aliases let a file of 400 bytes stand for
    millions of values, and tags name types that no key here has.

    Raises: ImportSourceError naming the file, and the line of what is not plain.
    """
    try:
        text = data.decode("utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise _unwanted(path, event, f"alias *{event.anchor}", "the value itself")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_NESTING:
                raise _unwanted(path, event, "nesting", f"at most {MAX_NESTING} levels")
            tag = getattr(event, "tag", None)
            if tag not in (None, "!"):
                raise _unwanted(path, event, f"tag {tag}", "none")
        return yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: no UTF-8, a day that no calendar has, a number of more digits than are read.
        raise ImportSourceError(f"{error}: expected YAML", file=path) from error


def _unwanted(path: Path, event: Any, found: str, expected: str) -> ImportSourceError:
    line = event.start_mark.line + 1
    return ImportSourceError(f"line {line}: {found} found: expected {expected}", file=path)


class _Keys:
    """A mapping of the file, which knows its place in it for error messages."""

    def __init__(self, path: Path, data: Any, place: str) -> None:
        self.path, self.place = path, place
        if not isinstance(data, dict):
            raise self.wrong("", f"{shown(data)} found: expected keys and values")
        for key in data:
            if not isinstance(key, str):
                raise self.wrong("", f"{shown(key)} found: expected a text as key (in quotes)")
        self.data: dict[str, Any] = data

    def wrong(self, key: str, problem: str) -> ImportSourceError:
        place = ".".join(part for part in (self.place, key) if part)
        where = f"key {place}: " if place else ""
        return ImportSourceError(f"{where}{problem}", file=self.path)

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def only(self, known: Sequence[str]) -> None:
        for key in self.data:
            if key not in known:
                raise self.wrong(cleaned(key, 60), f"unknown: expected one of {', '.join(known)}")

    def text(self, key: str, default: str | None = None, *, most: int = 200) -> str:
        value = self.data.get(key, default)
        if value is None:
            raise self.wrong(key, "missing: expected a text")
        if isinstance(value, dict | list):
            raise self.wrong(key, f"{shown(value)} found: expected a text")
        text = str(value)
        if len(text) > most:
            raise self.wrong(key, f"{shown(text)} found: expected at most {most} characters")
        return text

    def positive(self, key: str, default: float | None) -> float | None:
        value = self.data.get(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e6:
            raise self.wrong(key, f"{shown(value)} found: expected a number above 0")
        return float(value)

    def numbers(self, key: str, value: Any, count: int) -> tuple[float, ...]:
        good = isinstance(value, list) and len(value) == count
        if not good or not all(_is_number(v) for v in value):
            raise self.wrong(key, f"{shown(value)} found: expected {count} numbers")
        return tuple(float(v) for v in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of different texts."""
        value: Any = self.data.get(key)
        good = isinstance(value, list) and 0 < len(value) <= MAX_LABELS
        if not good or not all(isinstance(v, str) and 0 < len(v) <= 60 for v in value):
            raise self.wrong(key, f"{shown(value)} found: expected a list of texts")
        if len(set(value)) != len(value):
            raise self.wrong(key, f"{shown(value)} found: expected each text once")
        return tuple(value)

    def child(self, key: str) -> _Keys:
        if key not in self:
            raise self.wrong(key, "missing: expected keys and values")
        return _Keys(self.path, self.data[key], ".".join(p for p in (self.place, key) if p))

    def child_or_text(self, key: str, short: str) -> _Keys:
        """`key: name` is short for `key: {short: name}`."""
        if isinstance(self.data.get(key), str | int):
            place = ".".join(p for p in (self.place, key) if p)
            return _Keys(self.path, {short: self.data[key]}, place)
        return self.child(key)


def _is_number(value: Any) -> bool:
    """No NaN, no infinity, nothing that no ground is as large as."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and -MAX_NUMBER <= value <= MAX_NUMBER


def _delimiter(keys: _Keys) -> str | None:
    text = keys.text("delimiter", "")
    if text and (len(text) > 1 or not text.isascii() or text in '\r\n"\0'):
        raise keys.wrong("delimiter", f"{shown(text)} found: expected one character such as ;")
    return text or None


def _time(keys: _Keys) -> tuple[str, float | None]:
    time = keys.child_or_text("time", "column")
    time.only(("column", "unit", "rate"))
    if "unit" in time and "rate" in time:
        raise time.wrong("rate", "expected a unit or a rate, not both")
    if "rate" in time:
        rate = time.positive("rate", None)
        return time.text("column"), None if rate is None else 1.0 / rate
    if "unit" not in time:
        return time.text("column"), None
    unit = time.text("unit")
    if unit not in TIME_UNITS:
        raise time.wrong("unit", f"{shown(unit)} found: expected one of {', '.join(TIME_UNITS)}")
    return time.text("column"), TIME_UNITS[unit]


def _fields(keys: _Keys, geometry: GeometryMapping | None) -> list[FieldMapping]:
    if geometry is not None and geometry.latitude:
        metre = geometry.unit or "m"
        found = [FieldMapping(Field(n, metre, 0.1, FieldKind.CUBIC), "") for n in ("x", "y")]
        if "fields" not in keys:
            return found
    else:
        found = []
    fields = keys.child("fields")
    for name in fields.data:
        own = fields.child_or_text(name, "column")
        own.only(("column", "unit", "scale", "kind", "scope", "labels"))
        if any(f.field.name == name for f in found):
            raise fields.wrong(name, "comes from latitude and longitude: expected another name")
        if len(name) > 60:
            raise fields.wrong(cleaned(name, 60), "expected a name of at most 60 characters")
        place = name in ("x", "y")
        usual = "cubic" if place else "held" if "labels" in own else "linear"
        kind = own.text("kind", usual)
        if kind not in list(FieldKind):
            raise own.wrong("kind", f"{shown(kind)} found: expected one of {', '.join(FieldKind)}")
        labels = own.texts("labels") if "labels" in own else ()
        if labels and kind != FieldKind.HELD:
            raise own.wrong("labels", f"of a {kind} field: expected kind held")
        scope = own.text("scope", Scope.ENTITY)
        if scope not in list(Scope):
            raise own.wrong("scope", f"{shown(scope)} found: expected one of {', '.join(Scope)}")
        scale = own.positive("scale", 1.0 if labels else 0.01 if place else 0.1) or 1.0
        unit = own.text("unit", "", most=20)
        try:
            made = Field(str(name), unit, scale, FieldKind(kind), Scope(scope), labels)
        except InvalidColumns as error:
            raise fields.wrong(str(name), str(error)) from error
        found.append(FieldMapping(made, own.text("column")))
    names = [f.field.name for f in found]
    for name in ("x", "y"):
        if name not in names:
            raise keys.wrong(f"fields.{name}", "missing: expected the column of a position")
    for f in found:
        if f.field.name in ("x", "y") and (f.field.labels or f.field.scope is Scope.SESSION):
            raise keys.wrong(f"fields.{f.field.name}", "expected the number of each entity's place")
    return found


def _geometry(keys: _Keys) -> GeometryMapping:
    keys.only(("kind", "unit", "bounds", "lines", "latitude", "longitude"))
    kind = keys.text("kind", "map" if "latitude" in keys else "field")
    if kind not in _GEOMETRY_KINDS:
        raise keys.wrong(
            "kind", f"{shown(kind)} found: expected one of {', '.join(_GEOMETRY_KINDS)}"
        )
    if ("latitude" in keys) != ("longitude" in keys):
        raise keys.wrong("", "expected latitude and longitude, or neither")
    bounds = None
    if "bounds" in keys:
        x0, y0, x1, y1 = keys.numbers("bounds", keys.data["bounds"], 4)
        if not (x0 < x1 and y0 < y1):
            raise keys.wrong("bounds", "expected x_min, y_min, x_max, y_max, in this order")
        bounds = (x0, y0, x1, y1)
    lines = []
    given = keys.data.get("lines") or []
    if not isinstance(given, list):
        raise keys.wrong("lines", f"{shown(given)} found: expected a list of lines")
    for line in given:
        if not isinstance(line, list) or len(line) < 2:
            raise keys.wrong("lines", f"{shown(line)} found: expected lists of at least two points")
        points = [keys.numbers("lines", point, 2) for point in line]
        lines.append([(x, y) for x, y in points])
    return GeometryMapping(
        kind=kind,
        unit=keys.text("unit", "", most=10),
        bounds=bounds,
        lines=lines,
        latitude=keys.text("latitude", ""),
        longitude=keys.text("longitude", ""),
    )
