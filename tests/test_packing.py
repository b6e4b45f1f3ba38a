"""Packing many maps at once gives what packing them one by one gives."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.store.packing import Batch, choices, counted_map_head, numbers, packed_map

INTEGERS = st.integers(-(2**40), 2**40) | st.integers(-130, 130)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MISSING = st.booleans()


def unpacked(batch: Batch) -> list[Any]:
    return [msgpack.unpackb(content) for content in batch.unpadded()]


@given(st.lists(st.tuples(INTEGERS, MISSING), min_size=1, max_size=20))
def test_integers_and_nils(values: list[tuple[int, bool]]) -> None:
    numbers_, missing = np.array([v for v, _ in values]), np.array([m for _, m in values])
    assert unpacked(numbers(numbers_, missing)) == [None if m else v for v, m in values]


@given(st.lists(st.tuples(FLOATS, MISSING), min_size=1, max_size=20))
def test_floats_and_nils(values: list[tuple[float, bool]]) -> None:
    numbers_, missing = np.array([v for v, _ in values]), np.array([m for _, m in values])
    assert unpacked(numbers(numbers_, missing)) == [None if m else v for v, m in values]


@pytest.mark.parametrize(
    ("largest", "size"), [(0, 1), (127, 1), (128, 3), (-1, 2), (32_767, 3), (32_768, 5), (2**31, 9)]
)
def test_integers_take_the_width_of_the_largest(largest: int, size: int) -> None:
    batch = numbers(np.array([0, largest]))
    assert [len(content) for content in batch.unpadded()] == [size, size]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5), st.data())
def test_choices_are_their_texts_and_nil_beyond(texts: list[str], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(-2, 7), min_size=1, max_size=10))
    expected = [texts[i] if 0 <= i < len(texts) else None for i in index]
    assert unpacked(choices(np.array(index), texts)) == expected


@given(st.integers(1, 40), st.integers(1, 6), st.data())
def test_maps_of_any_number_of_members(members: int, maps: int, data: st.DataObject) -> None:
    columns = {
        f"member {i}": data.draw(
            st.lists(st.tuples(INTEGERS, MISSING), min_size=maps, max_size=maps)
        )
        for i in range(members)
    }
    batch = packed_map(
        [
            (name, numbers(np.array([v for v, _ in c]), np.array([m for _, m in c])))
            for name, c in columns.items()
        ]
    )
    assert unpacked(batch) == [
        {name: None if c[i][1] else c[i][0] for name, c in columns.items()} for i in range(maps)
    ]


def test_a_map_s_head_counts_what_is_there() -> None:
    head = counted_map_head(np.array([0, 1, 300]))
    assert head.unpadded() == [b"\xde\x00\x00", b"\xde\x00\x01", b"\xde\x01\x2c"]
