"""What is recorded of each entity in each frame: fields and the schema that orders them.

A field's samples are integers; the quantity is `sample * scale` in the field's unit. `MISSING`
stands for "no value" (an entity that was not seen, a lap time that does not exist yet).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidColumns

MISSING = -(2**31)
"""The sample that means "no value": the one int32 that has no counterpart of opposite sign."""

MAX_ENTITIES = 65_535
MAX_FIELDS = 255


class FieldKind(enum.StrEnum):
    """How a value between two frames is found.

    | kind     | between frames                                        |
    |----------|-------------------------------------------------------|
    | `cubic`  | cubic interpolation: positions, progress              |
    | `linear` | linear interpolation: speed, pedals, temperatures     |
    | `angle`  | linear along the shorter arc, unit degrees, 0…360     |
    | `held`   | the earlier frame's value: gear, tyre, position       |
    """

    CUBIC = "cubic"
    LINEAR = "linear"
    ANGLE = "angle"
    HELD = "held"

    @property
    def difference_order(self) -> int:
        """Order of the differences that code this kind best: 2 where values glide, else 1."""
        return 2 if self is FieldKind.CUBIC or self is FieldKind.LINEAR else 1


class Scope(enum.StrEnum):
    """Whether a field has one value per entity or one per frame (weather, flags)."""

    ENTITY = "entity"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Field:
    """One recorded quantity.

    Attributes:
        name: identifier on the wire, `[a-z][a-z0-9_]*`.
        unit: "dm", "km/h", "%", "s", "" for pure numbers.
        scale: quantity per integer step, in `unit`; greater than 0.
        kind: how values between two frames are found.
        scope: one value per entity, or one per frame.
        labels: for enumerations, the name of value 0, 1, 2…; else empty.

    Raises:
        InvalidColumns: the name or the scale is not as above.
    """

    name: str
    unit: str = ""
    scale: float = 1.0
    kind: FieldKind = FieldKind.HELD
    scope: Scope = Scope.ENTITY
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise InvalidColumns(f"field name {self.name!r}: expected a lower-case identifier")
        if not self.scale > 0:
            raise InvalidColumns(f"field {self.name!r}: scale {self.scale}: expected more than 0")

    def quantise(self, values: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
        """Convert quantities to samples.

        Args:
            values: in `unit`, any shape, NaN where missing.

        Returns:
            int32 samples of the same shape, `MISSING` where missing.

        Raises:
            InvalidColumns: a value does not fit 32 bits at this scale.
        """
        scaled = np.asarray(values, dtype=np.float64) / self.scale
        missing = np.isnan(scaled)
        rounded = np.rint(np.where(missing, 0.0, scaled))
        if rounded.size and float(np.abs(rounded).max()) > 2**31 - 1:
            raise InvalidColumns(
                f"field {self.name!r}: {float(np.abs(rounded).max()) * self.scale:g} {self.unit} "
                f"does not fit 32 bits at scale {self.scale:g}"
            )
        samples = rounded.astype(np.int32)
        samples[missing] = MISSING
        return samples

    def quantities(self, samples: NDArray[np.int32]) -> NDArray[np.float64]:
        """Int32 samples (any shape) → quantities in `unit`, NaN where missing."""
        result: NDArray[np.float64] = samples.astype(np.float64) * self.scale
        result[samples == MISSING] = np.nan
        return result

    def as_dict(self) -> dict[str, Any]:
        """The field as it stands in `welcome.schema.fields` and in the recording file."""
        result: dict[str, Any] = {
            "name": self.name,
            "unit": self.unit,
            "scale": float(self.scale),
            "kind": self.kind.value,
            "scope": self.scope.value,
        }
        if self.labels:
            result["labels"] = list(self.labels)
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Field:
        """Inverse of `as_dict`. Raises: InvalidColumns for an unknown kind or scope."""
        try:
            return cls(
                name=_text(data["name"]),
                unit=_text(data.get("unit", "")),
                scale=float(data.get("scale", 1.0)),
                kind=FieldKind(data.get("kind", "held")),
                scope=Scope(data.get("scope", "entity")),
                labels=tuple(_text(label) for label in data.get("labels", ())),
            )
        except (KeyError, ValueError) as error:
            raise InvalidColumns(f"field {dict(data)!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Schema:
    """The order of fields and entities in every frame of a recording, and its time base.

    `schema["x"]` is the field of that name; `"x" in schema` tests whether there is one.

    Attributes:
        fields: 1 to 255, in the order in which segments carry them; names are unique.
        entities: codes in the order of the columns, at most 65,535; unique.
        frame_rate: frames per second of recorded time; greater than 0.
        segment_frames: frames in one segment of stride 1; 1…1000.

    Raises:
        InvalidColumns: anything is not as above.
    """

    fields: tuple[Field, ...]
    entities: tuple[str, ...]
    frame_rate: float = 25.0
    segment_frames: int = 25
    _by_name: dict[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {f.name: f for f in self.fields})
        if len(self._by_name) != len(self.fields):
            raise InvalidColumns("schema: two fields have the same name")
        if len(set(self.entities)) != len(self.entities):
            raise InvalidColumns("schema: two entities have the same code")
        if not 0 < len(self.fields) <= MAX_FIELDS:
            raise InvalidColumns(f"schema: {len(self.fields)} fields: expected 1 to {MAX_FIELDS}")
        if len(self.entities) > MAX_ENTITIES:
            raise InvalidColumns(f"schema: more than {MAX_ENTITIES} entities")
        if not self.frame_rate > 0:
            raise InvalidColumns(f"schema: frame rate {self.frame_rate}: expected more than 0")
        if not 1 <= self.segment_frames <= 1000:
            raise InvalidColumns(f"schema: {self.segment_frames} frames a segment: expected 1…1000")

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def width(self, field: Field) -> int:
        """Number of columns of `field`: the entities, or 1 for a session-wide field."""
        return len(self.entities) if field.scope is Scope.ENTITY else 1

    def subset(
        self, fields: Iterable[str] | None = None, entities: Iterable[str] | None = None
    ) -> Schema:
        """Return the schema of some fields and entities, in this schema's order.

        Args:
            fields: names; None for all.
            entities: codes; None for all.

        Raises:
            InvalidColumns: a field or an entity is unknown.
        """
        wanted_fields = set(self._by_name) if fields is None else set(fields)
        wanted_entities = set(self.entities) if entities is None else set(entities)
        for name in sorted(wanted_fields - set(self._by_name)):
            raise InvalidColumns(f"unknown field {name!r}: expected one of {list(self._by_name)}")
        for code in sorted(wanted_entities - set(self.entities)):
            raise InvalidColumns(f"unknown entity {code!r}: expected one of {list(self.entities)}")
        return Schema(
            fields=tuple(f for f in self.fields if f.name in wanted_fields),
            entities=tuple(e for e in self.entities if e in wanted_entities),
            frame_rate=self.frame_rate,
            segment_frames=self.segment_frames,
        )

    def as_dict(self) -> dict[str, Any]:
        """The schema as it stands in the recording file and (fields, entities) in `welcome`."""
        return {
            "fields": [f.as_dict() for f in self.fields],
            "entities": list(self.entities),
            "frame_rate": float(self.frame_rate),
            "segment_frames": self.segment_frames,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Inverse of `as_dict`. Raises: InvalidColumns for anything that does not fit."""
        try:
            return cls(
                fields=tuple(Field.from_dict(f) for f in data["fields"]),
                entities=tuple(_text(code) for code in data["entities"]),
                frame_rate=float(data["frame_rate"]),
                segment_frames=int(data["segment_frames"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidColumns(f"schema: {error!r}") from error


def _text(value: object) -> str:
    """Raises: TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} found: expected a text")
    return value


def default_segment_frames(frame_rate: float) -> int:
    """Frames in one segment: one second of them, but at least ten so that deltas pay."""
    return min(1000, max(10, round(frame_rate)))
