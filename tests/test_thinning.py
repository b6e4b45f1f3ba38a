"""Rows come in blocks of their own size, whatever the length of a segment."""

from __future__ import annotations

import dataclasses

import msgpack
import pytest

from sessions_app.recording import Columns, encode_segment
from streaming.store.thinning import build_rows, build_segment, rows_span

from .samples import small_play


class Source:
    """300 frames in segments of 120."""

    def __init__(self) -> None:
        frames = small_play().columns
        self.schema = dataclasses.replace(frames.schema, segment_frames=120)
        self.frame_count = frames.frame_count
        self._all = Columns(self.schema, frames.values)

    def columns(self, start: int, stop: int) -> Columns:
        return self._all.slice(start, stop)

    def segment(self, index: int) -> bytes:
        first = 120 * index
        return encode_segment(self.columns(first, min(first + 120, self.frame_count)), first)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
@pytest.mark.parametrize("cached", [False, True])
def test_blocks_of_rows_have_every_frame_once(stride: int, cached: bool) -> None:
    source = Source()

    def finished(finer: int, index: int) -> bytes | None:
        return build_segment(source, finer, index, "") if cached else None

    span = rows_span(source.schema, stride)
    assert span == 50 * stride
    numbers = []
    for index in range(-(-source.frame_count // span)):
        for row in build_rows(source, stride, index, "", None, finished):
            numbers.append(msgpack.unpackb(row)["frame_index"])
    assert numbers == list(range(0, source.frame_count, stride))
    with pytest.raises(IndexError):
        build_rows(source, stride, -(-source.frame_count // span), "", None, finished)
