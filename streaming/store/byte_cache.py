"""A least-recently-used cache bounded by the bytes that it holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

ENTRY_BYTES = 250
"""What an entry costs beside its value (key, tuple, two dict slots): measured on CPython 3.11."""


class ByteCache(Generic[Key, Value]):
    """At most `limit` bytes of values; `put` is given the size of each.

    Not thread-safe: it belongs to one event loop.
    """

    def __init__(self, limit: int) -> None:
        """limit: bytes; a value larger than it is not kept at all."""
        self.limit = limit
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def get(self, key: Key) -> Value | None:
        """The value, which is now the most recently used, or None."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return entry[0]

    def peek(self, key: Key) -> Value | None:
        """The value or None, without counting as a use."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep `value` of `size` bytes, dropping the least recently used until it fits."""
        cost = size + ENTRY_BYTES
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old[1]
        if cost > self.limit:
            return
        self._entries[key] = (value, cost)
        self.bytes += cost
        while self.bytes > self.limit:
            _, (_, gone) = self._entries.popitem(last=False)
            self.bytes -= gone
            self.evictions += 1

    def clear(self) -> None:
        self._entries.clear()
        self.bytes = 0
