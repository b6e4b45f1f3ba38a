"""How one frame's samples stand in a row: field after field, in each entity after entity. Pure.

A row is `width` little-endian int32, `MISSING` where nothing is known. It is what the log keeps.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sessions_app.recording import MISSING, Field, Schema, Scope

from .wire import RefusalCode

Rows = NDArray[np.int32]


class BadPayload(Exception):
    """A frame's payload does not fit the schema. code: why, for programs."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Layout:
    """Where each value stands in a row.

    Attributes:
        schema: whose fields and entities they are.
        width: values in a row.
        offsets: by field name, where it begins.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.offsets: dict[str, int] = {}
        self.width = 0
        for field in schema.fields:
            self.offsets[field.name] = self.width
            self.width += schema.width(field)
        self._entities = {code: index for index, code in enumerate(schema.entities)}
        self._empty = array("i", [MISSING]) * self.width
        assert self._empty.itemsize == 4

    def row(self, payload: Any) -> bytes:
        """A telemetry payload as a row.

        Args:
            payload: `{"entities": {code: {field: value}}, "session": {field: value}}`; values in
                the schema's units, None for missing, of an enumeration also its label. What is not
                named is missing.

        Raises:
            BadPayload: an unknown name, or a value that is no number or does not fit.
        """
        if not isinstance(payload, Mapping):
            raise BadPayload(RefusalCode.BAD_FRAME, _NO_MAP)
        row = self._empty[:]
        for key, part in payload.items():
            if key not in ("entities", "session") or not isinstance(part, Mapping):
                raise BadPayload(RefusalCode.BAD_FRAME, _NO_MAP)
        for code, values in payload.get("entities", {}).items():
            index = self._entities.get(code)
            if index is None:
                raise BadPayload(
                    RefusalCode.UNKNOWN_ENTITY,
                    f"entity {code!r:.60}: expected one of the schema's; say `entity` first",
                )
            if not isinstance(values, Mapping):
                raise BadPayload(RefusalCode.BAD_FRAME, f"entity {code!r}: expected field → value")
            for name, value in values.items():
                field = self._field(name, Scope.ENTITY)
                row[self.offsets[name] + index] = _sample(field, value)
        for name, value in payload.get("session", {}).items():
            row[self.offsets[name]] = _sample(self._field(name, Scope.SESSION), value)
        return row.tobytes()

    def _field(self, name: object, scope: Scope) -> Field:
        if isinstance(name, str) and name in self.schema:
            field = self.schema[name]
            if field.scope is scope:
                return field
        known = [f.name for f in self.schema.fields if f.scope is scope]
        raise BadPayload(
            RefusalCode.UNKNOWN_FIELD,
            f"field {name!r:.60} of {scope.value} scope: expected one of {', '.join(known)[:300]}",
        )

    def rows(self, data: bytes) -> Rows:
        """Rows of this layout from the log's bytes, shape (frames, width)."""
        return np.frombuffer(data, "<i4").astype(np.int32).reshape(-1, self.width)

    def values(self, rows: Rows) -> dict[str, Rows]:
        """By field name the samples, shape (frames, its width); views."""
        return {
            field.name: rows[
                :, self.offsets[field.name] : self.offsets[field.name] + self.schema.width(field)
            ]
            for field in self.schema.fields
        }

    def widened(self, rows: Rows, before: Layout) -> Rows:
        """Rows of a layout with fewer entities as rows of this one; what is new is missing."""
        result = np.full((len(rows), self.width), MISSING, np.int32)
        for name, values in before.values(rows).items():
            start = self.offsets[name]
            result[:, start : start + values.shape[1]] = values
        return result


_NO_MAP = 'payload: expected {"entities": {code: {field: value}}, "session": {field: value}}'


def _sample(field: Field, value: Any) -> int:
    if value is None:
        return MISSING
    if isinstance(value, str) and value in field.labels:
        return field.labels.index(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        expected = f"a number in {field.unit}" if field.unit else "a number"
        if field.labels:
            expected += f" or one of {', '.join(field.labels)}"
        raise BadPayload(
            RefusalCode.BAD_VALUE, f"field {field.name!r} {value!r:.60}: expected {expected}"
        )
    sample = round(value / field.scale)
    if not -(2**31) < sample < 2**31:
        raise BadPayload(
            RefusalCode.BAD_VALUE,
            f"field {field.name!r} {value!r:.60}: does not fit 32 bits at scale {field.scale:g}",
        )
    return sample
