"""Data messages as numpy arrays: what the Python client hands out. No I/O.

The format is in docs/protocol.md, section 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from sessions_app.recording import CorruptRecording, Schema, decode_segment

from ..playback.protocol import DataKind


@dataclass(frozen=True, slots=True)
class Frames:
    """Consecutive samples as they came in one message.

    numbers: the frames' numbers, shape (samples,), in playing order (falling when backwards).
    values: field → quantities in the field's unit, shape (samples, entities), or (samples, 1) for
    fields of the whole session; NaN where missing. Fields that are no numbers are in `rows` only.
    rows: the maps of a rows connection, as sent; empty with segments.
    """

    numbers: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    generation: int
    seq: int
    stride: int
    rows: Sequence[Mapping[str, Any]] = ()

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.values[name]

    def __len__(self) -> int:
        return len(self.numbers)


def decode_data(message: bytes, schema: Schema) -> Frames:
    """One binary message. schema: of what this connection is sent.

    Raises: CorruptRecording if it is no data message, or its segment is none.
    """
    try:
        return _decode(message, schema)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        # msgpack's own errors are ValueErrors; the others say that a part is of another type.
        raise CorruptRecording(f"no data message: {error}") from error


def _decode(message: bytes, schema: Schema) -> Frames:
    kind, generation, seq, first, count, stride, payload = msgpack.unpackb(message)
    if not (0 <= first < 2**32 and 0 < count < 2**16 and abs(stride) < 2**15):
        raise ValueError(f"{count} frames from {first}, stride {stride}")
    numbers = first + np.arange(count) * abs(stride)
    if kind == DataKind.SEGMENT:
        _, columns = decode_segment(payload, schema)
        values = {f.name: columns.quantities(f.name) for f in schema.fields}
        if stride < 0:
            numbers = numbers[::-1]
            values = {name: v[::-1] for name, v in values.items()}
        return Frames(numbers, values, generation, seq, stride)
    if kind == DataKind.ROW:
        values = row_values(payload, schema.entities)
        return Frames(numbers, values, generation, seq, stride, (payload,))
    return Frames(numbers, {}, generation, seq, stride, ({"media": payload},))


def row_values(row: Mapping[str, Any], entities: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """A row's numbers: per entity shape (1, entities), per frame (1, 1); NaN where missing."""
    per_entity: Mapping[str, Mapping[str, Any]] = row.get("drivers", row.get("entities", {}))
    values: dict[str, NDArray[np.float64]] = {}
    for at, code in enumerate(entities):
        for name, value in per_entity.get(code, {}).items():
            if isinstance(value, int | float):
                array = values.setdefault(name, np.full((1, len(entities)), np.nan))
                array[0, at] = value
    for name, value in itertools.chain(row.items(), row.get("weather", {}).items()):
        if isinstance(value, int | float):
            # "lap" is the leader's in a frame and each driver's in the map below it.
            values.setdefault(f"leader_{name}" if name in values else name, np.array([[value]]))
    return values
