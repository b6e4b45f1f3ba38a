"""Many msgpack maps of one shape at once, with numpy instead of one pack call a value.

In a batch every value has a slot of its widest size, at the same place in every map, so that what
is the same in all maps (heads, keys, type bytes) is one template, and each column of values is
written with one assignment. Then the bytes that a shorter value leaves of its slot are dropped: nil
is one byte of a slot of nine, a code of two letters leaves the rest out. What stays, map after map,
is ordinary msgpack, minimal but for integers, whose width is that of the largest in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_NIL = 0xC0
_FLOAT_64 = 0xCB
_MAP_16 = 0xDE
_INTEGERS = (
    (0xD0, ">i1", -(2**7), 2**7 - 1),
    (0xD1, ">i2", -(2**15), 2**15 - 1),
    (0xD2, ">i4", -(2**31), 2**31 - 1),
    (0xD3, ">i8", -(2**63), 2**63 - 1),
)
_MOST_FIXED = 127


class Column(NamedTuple):
    """Part of every map. at: where the first one stands in a map; every: how far apart the repeated
    ones are; kind: numpy's name of what is there; content: shape (maps, repeated, of that kind)."""

    at: int
    every: int
    kind: str
    content: NDArray[Any]

    def moved(self, by: int) -> Column:
        return Column(self.at + by, self.every, self.kind, self.content)

    def within(self, whole: NDArray[Any]) -> NDArray[Any]:
        """The view of `whole`, shape (maps, bytes of a map), that is this column's."""
        kind = np.dtype(self.kind)
        strides = (whole.shape[1], self.every, kind.itemsize)
        return np.ndarray(self.content.shape, kind, whole, self.at, strides)


@dataclass(frozen=True, slots=True)
class Batch:
    """template: a map's bytes where no column says otherwise; values: uint8; keep: bool, the bytes
    that stay (each column may leave some out)."""

    maps: int
    template: bytes
    values: list[Column] = field(default_factory=list)
    keep: list[Column] = field(default_factory=list)

    @classmethod
    def join(cls, parts: Sequence[Batch | bytes]) -> Batch:
        """Parts of the same maps, one after the other; plain bytes are the same in every map."""
        template: list[bytes] = []
        values: list[Column] = []
        keep: list[Column] = []
        at = maps = 0
        for part in parts:
            if isinstance(part, Batch):
                maps = part.maps
                values += (column.moved(at) for column in part.values)
                keep += (column.moved(at) for column in part.keep)
                part = part.template
            template.append(part)
            at += len(part)
        return cls(maps, b"".join(template), values, keep)

    def grouped(self, each: int) -> Batch:
        """`each` maps after another as one. Of a batch that is not grouped already."""
        width = len(self.template)

        def together(column: Column) -> Column:
            content = column.content.reshape(self.maps // each, each, -1)
            return Column(column.at, width, column.kind, content)

        return Batch(
            self.maps // each,
            self.template * each,
            [together(column) for column in self.values],
            [together(column) for column in self.keep],
        )

    def without(self, gone: Mask) -> Batch:
        """Leave out all of some maps. gone: shape (maps,)."""
        content = np.broadcast_to(~gone.reshape(-1, 1, 1), (self.maps, 1, len(self.template)))
        return replace(self, keep=[*self.keep, Column(0, 1, "?", content)])

    def unpadded(self) -> list[bytes]:
        """The bytes that stay of each map."""
        whole = np.empty((self.maps, len(self.template)), np.uint8)
        whole[:] = np.frombuffer(self.template, np.uint8)
        for column in self.values:
            column.within(whole)[:] = column.content
        if not self.keep:
            return [content.tobytes() for content in whole]
        stays = np.ones(whole.shape, bool)
        for column in self.keep:
            column.within(stays)[:] &= column.content
        return [content[stay].tobytes() for content, stay in zip(whole, stays, strict=True)]


def packed_map(members: Sequence[tuple[str, Batch]]) -> Batch:
    """Maps of the same keys, each with its values. At least one member."""
    parts: list[Batch | bytes] = [_map_head(len(members))]
    for key, values in members:
        parts += (msgpack.packb(key), values)
    return Batch.join(parts)


def _map_head(entries: int) -> bytes:
    return bytes((0x80 | entries,)) if entries < 16 else bytes((_MAP_16, *divmod(entries, 256)))


def counted_map_head(entries: NDArray[np.integer[Any]]) -> Batch:
    """The head of a map with `entries` (one number a map) entries."""
    return _typed(_MAP_16, ">u2", entries)


def numbers(values: NDArray[Any], missing: Mask | None = None) -> Batch:
    """One integer or float a map (shape (maps,)), nil where missing."""
    if missing is not None:
        if missing.all():
            return Batch(len(values), bytes((_NIL,)))
        if not missing.any():
            missing = None
    if values.dtype.kind == "f":
        return _typed(_FLOAT_64, ">f8", values, missing)
    if missing is not None:
        values = np.where(missing, 0, values)
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if low == high and 0 <= low <= _MOST_FIXED and missing is None:
        return Batch(len(values), bytes((low,)))
    if low >= 0 and high <= _MOST_FIXED:
        if missing is not None:
            values = np.where(missing, _NIL, values)
        return Batch(len(values), bytes(1), [Column(0, 1, "u1", values.reshape(-1, 1, 1))])
    code, kind = next(
        (code, kind) for code, kind, least, most in _INTEGERS if least <= low and high <= most
    )
    return _typed(code, kind, values, missing)


def choices(index: NDArray[Any], texts: Sequence[str]) -> Batch:
    """One of `texts` a map, by its index; nil where the index is none of theirs."""
    known = (index >= 0) & (index < len(texts))
    used = np.where(known, index, len(texts))
    contents = [*(msgpack.packb(text) for text in texts), bytes((_NIL,))]
    # Only what occurs decides the width: often it is one text, or all are of one length.
    occurring = np.flatnonzero(np.bincount(used, minlength=len(contents)))
    if len(occurring) == 1:
        return Batch(len(index), contents[occurring[0]])
    place = np.zeros(len(contents), int)
    place[occurring] = np.arange(len(occurring))
    return pad([contents[i] for i in occurring], place[used])


def pad(contents: Sequence[bytes], index: NDArray[Any]) -> Batch:
    """One of `contents` a map, by its index."""
    width = max(map(len, contents))
    table = np.frombuffer(b"".join(c.ljust(width, b"\0") for c in contents), np.uint8)
    values = [Column(0, width, "u1", table.reshape(-1, 1, width)[index])]
    keep = []
    if any(len(c) < width for c in contents):
        stays = np.arange(width) < np.array([[len(c)] for c in contents])
        keep = [Column(0, width, "?", stays.reshape(-1, 1, width)[index])]
    return Batch(len(index), bytes(width), values, keep)


def _typed(code: int, kind: str, values: NDArray[Any], missing: Mask | None = None) -> Batch:
    width = np.dtype(kind).itemsize
    columns, keep = [Column(1, width, kind, values.reshape(-1, 1, 1))], []
    if missing is not None:
        codes = np.where(missing, _NIL, code)
        columns.append(Column(0, 1, "u1", codes.reshape(-1, 1, 1)))
        stays = np.broadcast_to(~missing.reshape(-1, 1, 1), (len(values), 1, width))
        keep = [Column(1, width, "?", stays)]
    return Batch(len(values), bytes((code,)) + bytes(width), columns, keep)
