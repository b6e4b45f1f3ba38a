"""All frames of a recording (or of a part of it) as one integer array per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidColumns
from .fields import Schema, Scope

Samples = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Columns:
    """Frames as columns: one array of samples per field. Immutable.

    Attributes:
        schema: the order of fields and entities, and the frame rate.
        values: by field name an int32 array of shape (frames, width); width is the number of
            entities, or 1 for a field of session scope. Missing samples are `MISSING`. The arrays
            are not copied; do not change them afterwards.

    Raises:
        InvalidColumns: a field is missing or unknown, or an array has another type or shape.
    """

    schema: Schema
    values: Mapping[str, Samples]

    def __post_init__(self) -> None:
        names = [f.name for f in self.schema.fields]
        if set(self.values) != set(names):
            odd = sorted(set(self.values) ^ set(names))
            raise InvalidColumns(f"columns and schema differ in {odd}: schema has {names}")
        frames = self.frame_count
        for f in self.schema.fields:
            array = self.values[f.name]
            expected = (frames, self.schema.width(f))
            if array.dtype != np.int32 or array.shape != expected:
                raise InvalidColumns(
                    f"field {f.name!r}: {array.dtype} {array.shape}: expected int32 {expected}"
                )

    @classmethod
    def from_quantities(cls, schema: Schema, values: Mapping[str, NDArray[Any]]) -> Columns:
        """Make columns from quantities in each field's unit.

        Args:
            schema: of the columns.
            values: by field name a float array of shape (frames, width), NaN where missing;
                (frames,) is accepted for session scope.

        Raises:
            InvalidColumns: a field is missing, or does not fit 32 bits or the schema.
        """
        samples: dict[str, Samples] = {}
        for f in schema.fields:
            if f.name not in values:
                raise InvalidColumns(f"field {f.name!r}: no values given")
            array = np.asarray(values[f.name])
            samples[f.name] = f.quantise(array.reshape(len(array), -1))
        return cls(schema, samples)

    @property
    def frame_count(self) -> int:
        return len(self.values[self.schema.fields[0].name])

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return self.frame_count / self.schema.frame_rate

    def quantities(self, name: str) -> NDArray[np.float64]:
        """The field in its unit, shape (frames, width), NaN where missing."""
        return self.schema[name].quantities(self.values[name])

    def slice(self, start: int, stop: int, stride: int = 1) -> Columns:
        """Return frames start, start + stride, … before stop, as views of the same arrays."""
        return Columns(self.schema, {k: v[start:stop:stride] for k, v in self.values.items()})

    def subset(self, schema: Schema) -> Columns:
        """These frames with the fields and entities of `schema` (from `Schema.subset`) only."""
        keep = np.array([self.schema.entities.index(code) for code in schema.entities], dtype=int)
        values = {}
        for f in schema.fields:
            array = self.values[f.name]
            values[f.name] = array[:, keep] if f.scope is Scope.ENTITY else array
        return Columns(schema, values)

    def blocks(self, frames: int) -> Iterator[tuple[int, Columns]]:
        """(first frame, columns) of consecutive blocks of `frames` frames; the last is shorter."""
        for start in range(0, self.frame_count, frames):
            yield start, self.slice(start, start + frames)


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Join consecutive parts of one recording. Raises: InvalidColumns if there is no part."""
    if not parts:
        raise InvalidColumns("nothing to concatenate")
    if len(parts) == 1:
        return parts[0]
    schema = parts[0].schema
    return Columns(
        schema, {f.name: np.concatenate([p.values[f.name] for p in parts]) for f in schema.fields}
    )
