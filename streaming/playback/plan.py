"""What a viewer needs next, from its playhead and what it was sent already. Pure.

Two plans, one per encoding. Both are restarted by whatever makes the viewer's buffer worthless (a
seek, another direction or stride) and otherwise only move on; both skip what lies behind the
playhead instead of sending it late.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .commands import Request
from .protocol import STRIDES, DataKind
from .timeline import Timeline

_MOST_STEP = 32_704
"""Largest step of rows: what the header's 16 bits hold, as a multiple of 64."""

SEGMENT_STRIDES = (*STRIDES, 128, 256, 512, 1024, 2048)
"""Of playback: beyond 64 only for a small `max_fps` at a high speed. One such segment is made from
2,048 others at most, two thirds of a second of work, once."""

SLACK_SHARE = 1 / 16
"""Share of the lead by which filling up again may be late. Half of the lead is left by then."""


class Fetch(NamedTuple):
    """A data message to be made: what to get from the frame store.

    Attributes:
        kind: segment or row.
        first_frame: of the lowest sample.
        frame_count: samples in it.
        stride: of the store's key, positive.
        step: frames between two samples, as in the header; negative backwards.
        segment: its index; 0 for rows.
        epoch: of the plan; a restart begins a new one.
        on_request: whether it answers a `request`.
        skipped: samples before it that were passed over.
    """

    kind: DataKind
    first_frame: int
    frame_count: int
    stride: int
    step: int
    segment: int
    epoch: int
    on_request: bool
    skipped: int


class Choice(NamedTuple):
    """What a plan has chosen.

    Attributes:
        fetch: to be sent now, or None.
        due: when something is to be sent; infinity if nothing is without a further event.
        slack: seconds by which the wake-up may be later, to share it with other viewers.
    """

    fetch: Fetch | None
    due: float
    slack: float = 0.0


def stride_for(
    speed: float, frame_rate: float, max_fps: float, strides: Sequence[int] = STRIDES
) -> int:
    """The stride at which a viewer is sent samples.

    Args:
        speed: of the playback; negative backwards.
        frame_rate: frames a second of the recording.
        max_fps: samples a second of wall time at most.
        strides: to choose from, smallest first.

    Returns:
        The smallest that keeps within max_fps, or the largest.
    """
    ratio = abs(speed) * frame_rate / max_fps
    for stride in strides:
        if stride >= ratio - 1e-9:
            return stride
    return strides[-1]


def segment_stride_for(speed: float, frame_rate: float, max_fps: float) -> int:
    """As `stride_for`, up to 2048. Args: as there."""
    return stride_for(speed, frame_rate, max_fps, SEGMENT_STRIDES)


def step_for(speed: float, frame_rate: float, max_fps: float) -> int:
    """Frames between two rows: the stride, or the multiple of 64 that keeps within max_fps.

    Args: as `stride_for`.
    """
    stride = stride_for(speed, frame_rate, max_fps)
    ratio = abs(speed) * frame_rate / max_fps
    return min(stride * max(1, math.ceil(ratio / stride - 1e-9)), _MOST_STEP)


class SegmentPlan:
    """Segments ahead of the playhead, up to `lead` seconds of wall time.

    Below half of the lead it fills up to the whole of it, so that several segments leave in one
    wake-up. Paused, it needs only the segment that has the playhead.
    """

    __slots__ = ("_filling", "_next", "backwards", "epoch", "lead", "segment_frames", "stride")

    def __init__(self, segment_frames: int, lead: float) -> None:
        """segment_frames: samples in a whole segment; lead: seconds."""
        self.segment_frames = segment_frames
        self.lead = lead
        self.epoch = 0
        self.restart(1, backwards=False)

    def restart(self, step: int, *, backwards: bool) -> None:
        """Begin a new epoch: what was sent before does not count any more."""
        self.stride = step
        self.backwards = backwards
        self.epoch += 1
        self._next: int | None = None
        self._filling = True

    def choose(self, timeline: Timeline, now: float) -> Choice:
        """The next segment if it is due, else when it will be."""
        span = self.stride * self.segment_frames
        here = timeline.frame(now) // span
        if self._next is None:
            index = here
        elif self.backwards:
            index = min(self._next, here)
        else:
            index = max(self._next, here)
        if not 0 <= index < self._available(timeline, span):
            return Choice(None, math.inf)
        if not timeline.playing:
            return Choice(self._fetch(timeline, index) if index == here else None, math.inf)
        position = timeline.position(now)
        edge = position - (index + 1) * span + 1 if self.backwards else index * span - position
        ahead = edge / abs(timeline.velocity)
        if ahead > (self.lead if self._filling else self.lead / 2):
            self._filling = False
            due = now + max(ahead - self.lead / 2, 0.0)
            return Choice(None, due, self.lead * SLACK_SHARE)
        self._filling = True
        return Choice(self._fetch(timeline, index), now)

    def sent(self, fetch: Fetch) -> None:
        """`fetch`, of this epoch, is on its way."""
        self._next = fetch.segment - 1 if self.backwards else fetch.segment + 1

    def _available(self, timeline: Timeline, span: int) -> int:
        """Segments that can be had; of a live session only whole ones, for they never change."""
        if timeline.live:
            return timeline.frame_count // span
        return -(-timeline.frame_count // span)

    def _fetch(self, timeline: Timeline, index: int) -> Fetch:
        skipped = 0 if self._next is None else abs(index - self._next) * self.segment_frames
        return segment_fetch(
            timeline.frame_count,
            self.segment_frames,
            self.stride,
            index,
            backwards=self.backwards,
            epoch=self.epoch,
            skipped=skipped,
        )


class RowPlan:
    """One frame at a time, when the playhead reaches it; the newest wins.

    The first row is exactly the playhead's frame, those after it lie on the grid of multiples of
    `step`, the same for every viewer of that speed, and the last one is the recording's end.
    """

    __slots__ = ("_last", "backwards", "epoch", "step")

    def __init__(self) -> None:
        self.epoch = 0
        self.restart(1, backwards=False)

    def restart(self, step: int, *, backwards: bool) -> None:
        """Begin a new epoch: what was sent before does not count any more."""
        self.step = step
        self.backwards = backwards
        self.epoch += 1
        self._last: int | None = None

    def choose(self, timeline: Timeline, now: float) -> Choice:
        """The newest row that is due, else when the next one will be."""
        if timeline.frame_count == 0:
            return Choice(None, math.inf)
        here, last, step = timeline.frame(now), self._last, self.step
        if last is None or not timeline.playing:
            return Choice(self._fetch(here, 0) if here != last else None, math.inf)
        if self.backwards:
            newest = min(-(-here // step) * step, timeline.last_frame)
            if newest < last:
                return Choice(self._fetch(newest, (last - newest - 1) // step), now)
            return Choice(None, timeline.time_of((last - 1) // step * step) if last else math.inf)
        newest = here if here == timeline.last_frame else here - here % step
        if newest > last:
            return Choice(self._fetch(newest, (newest - last - 1) // step), now)
        if last >= timeline.last_frame:
            return Choice(None, math.inf)
        return Choice(None, timeline.time_of(min(last - last % step + step, timeline.last_frame)))

    def sent(self, fetch: Fetch) -> None:
        """`fetch`, of this epoch, is on its way."""
        self._last = fetch.first_frame

    def _fetch(self, frame: int, skipped: int) -> Fetch:
        return row_fetch(
            frame, self.step, backwards=self.backwards, epoch=self.epoch, skipped=skipped
        )


def segment_fetch(
    frame_count: int,
    segment_frames: int,
    stride: int,
    index: int,
    *,
    backwards: bool = False,
    epoch: int = 0,
    on_request: bool = False,
    skipped: int = 0,
) -> Fetch:
    """What it takes to send one segment.

    Args:
        frame_count: of the recording; the last segment is shorter.
        segment_frames: samples of a whole segment.
        stride: frames between two samples.
        index: of the segment among those of its stride.
        backwards: whether playback goes down.
        epoch: of the plan that wants it.
        on_request: it answers a `request`, outside playback.
        skipped: frames before it that will not be sent.
    """
    first = index * stride * segment_frames
    samples = min(segment_frames, -(-(frame_count - first) // stride))
    step = -stride if backwards else stride
    return Fetch(DataKind.SEGMENT, first, samples, stride, step, index, epoch, on_request, skipped)


def row_fetch(
    frame: int,
    step: int,
    *,
    backwards: bool = False,
    epoch: int = 0,
    on_request: bool = False,
    skipped: int = 0,
) -> Fetch:
    """What it takes to send one row.

    Args:
        frame: its number.
        step: frames to the next row.
        backwards, epoch, on_request, skipped: as `segment_fetch`.

    Returns:
        The fetch; its store stride is the largest, within `step`, whose grid has the frame.
    """
    stride = 1
    while stride < STRIDES[-1] and step % (2 * stride) == 0 and frame % (2 * stride) == 0:
        stride *= 2
    return Fetch(
        DataKind.ROW, frame, 1, stride, -step if backwards else step, 0, epoch, on_request, skipped
    )


@dataclass(slots=True)
class RangePlan:
    """A `request` being answered: the fetches still to be sent, lowest frame first."""

    request: Request
    fetches: Iterator[Fetch]
    ahead: Fetch | None

    @classmethod
    def of(
        cls, request: Request, kind: DataKind, frame_count: int, segment_frames: int
    ) -> RangePlan:
        """request.frame must exist; what lies past the end is left out. Samples lie on multiples
        of the stride; segments are whole, so they may begin before and end after the range."""
        stride = request.stride
        first = request.frame - request.frame % stride
        stop = min(first + request.frames * stride, frame_count)
        fetches: Iterator[Fetch]
        if kind is DataKind.SEGMENT:
            span = stride * segment_frames
            fetches = (
                segment_fetch(frame_count, segment_frames, stride, index, on_request=True)
                for index in range(first // span, (stop - 1) // span + 1)
            )
        else:
            fetches = (
                row_fetch(frame, stride, on_request=True) for frame in range(first, stop, stride)
            )
        return cls(request, fetches, next(fetches))

    def advance(self) -> bool:
        """The fetch `ahead` was sent. Returns: whether that was the last."""
        self.ahead = next(self.fetches, None)
        return self.ahead is None
