"""The frames of a live session while they come: as a recording of the same frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.recording import MISSING, Columns, decode_segment, encode_segment
from streaming.live.growing import GrowingRecording

from .live_samples import schema


def rows_of(numbers: list[int]) -> np.ndarray:
    return np.arange(len(numbers) * 5, dtype=np.int32).reshape(-1, 5)


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 7))
def test_it_is_the_recording_of_what_came(present: set[int], step: int) -> None:
    numbers = sorted(present)
    rows = rows_of(numbers)
    growing = GrowingRecording(schema())
    for at in range(0, len(numbers), step):
        growing.append(numbers[at : at + step], rows[at : at + step])
    count = numbers[-1] + 1
    assert growing.frame_count == count
    whole = np.full((count, 5), MISSING, np.int32)
    whole[numbers] = rows
    expected = Columns(schema(), growing.layout.values(whole))
    for first in range(0, count, 10):
        part = expected.slice(first, min(first + 10, count))
        contiguous = {name: np.ascontiguousarray(v) for name, v in part.values.items()}
        assert growing.segment(first // 10) == encode_segment(Columns(schema(), contiguous), first)
    assert np.array_equal(growing.columns(0, count).values["x"], expected.values["x"])


def test_a_segment_grows_until_it_is_whole() -> None:
    growing = GrowingRecording(schema())
    growing.append([0, 1, 2], rows_of([0, 1, 2]))
    assert decode_segment(growing.segment(0), schema())[0].frames == 3
    growing.append(list(range(3, 11)), rows_of(list(range(3, 11))))
    assert decode_segment(growing.segment(0), schema())[0].frames == 10
    # What was there before is not taken again.
    growing.append([5], rows_of([5]))
    assert growing.frame_count == 11
