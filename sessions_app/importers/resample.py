"""Irregular samples of one entity → a regular time base. Pure numpy.

Every function takes the samples' times (seconds, increasing, shape (samples,)) and the times of
the frames (seconds, increasing, shape (frames,)), and gives one value a frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

MAX_GAP = 2.0
"""Seconds without a sample after which an entity counts as not seen: four times the worst usual
step of the feeds, and as far as a value can be guessed without misleading."""


class Resampling:
    """Where each frame lies between the samples; made once, used for every field of that clock.

    max_gap: between samples further apart than this, a frame has no value (NaN); neither has a
    frame before the first sample or after the last. broken: between which samples there is no value
    either, shape (samples - 1,).
    """

    def __init__(
        self,
        times: Floats,
        frames: Floats,
        max_gap: float = MAX_GAP,
        broken: Flags | None = None,
    ) -> None:
        self.times = np.asarray(times, dtype=np.float64)
        self.frames = np.asarray(frames, dtype=np.float64)
        count = len(self.times)
        after = np.searchsorted(self.times, self.frames, side="right")
        self._left = np.clip(after - 1, 0, max(count - 2, 0))
        if count < 2:
            self.seen: Flags = np.zeros(len(self.frames), dtype=np.bool_)
            if count:
                self.seen = self.frames == self.times[0]
            return
        step = np.diff(self.times)[self._left]
        self._step = step
        self._part = (self.frames - self.times[self._left]) / step
        inside = (self._part >= 0) & (self._part <= 1)
        on_sample = (self._part == 0) | (self._part == 1)
        near = step <= max_gap
        if broken is not None:
            near &= ~broken[self._left]
        self.seen = inside & (near | on_sample)

    def linear(self, values: Floats) -> NDArray[np.float64]:
        """Straight lines between samples; NaN where not seen."""
        if len(self.times) < 2:
            return self._alone(values)
        return np.where(self.seen, np.interp(self.frames, self.times, values), np.nan)

    def held(self, values: Floats) -> NDArray[np.float64]:
        """The latest sample's value; NaN where not seen."""
        if len(self.times) < 2:
            return self._alone(values)
        index = self._left + (self._part >= 1)
        return np.where(self.seen, np.asarray(values, dtype=np.float64)[index], np.nan)

    def cubic(self, values: Floats) -> NDArray[np.float64]:
        """Cubic Hermite curves through the samples, tangents from the neighbours on both sides
        (Catmull-Rom for uneven steps), straight where a neighbour is beyond a gap; NaN where not
        seen."""
        if len(self.times) < 3:
            return self.linear(values)
        samples = np.asarray(values, dtype=np.float64)
        step = np.diff(self.times)
        slope = np.diff(samples) / step
        tangent = np.empty_like(samples)
        tangent[1:-1] = (slope[:-1] * step[1:] + slope[1:] * step[:-1]) / (step[1:] + step[:-1])
        tangent[0], tangent[-1] = slope[0], slope[-1]
        left, part, width = self._left, self._part, self._step
        first, last = samples[left], samples[left + 1]
        rest = 1.0 - part
        curve = (
            first * (1 + 2 * part) * rest**2
            + last * (3 - 2 * part) * part**2
            + width * part * rest * (tangent[left] * rest - tangent[left + 1] * part)
        )
        return np.where(self.seen, curve, np.nan)

    def _alone(self, values: Floats) -> NDArray[np.float64]:
        value = float(values[0]) if len(values) else np.nan
        return np.where(self.seen, value, np.nan)


def forward(times: Floats, values: Floats, frames: Floats) -> NDArray[np.float64]:
    """The latest value at or before each frame however old it is (weather, best lap), NaN before
    the first."""
    if not len(times):
        return np.full(len(frames), np.nan)
    index = np.searchsorted(times, frames, side="right") - 1
    return np.where(index >= 0, np.asarray(values, dtype=np.float64)[np.maximum(index, 0)], np.nan)


def spans(flags: Flags) -> list[tuple[int, int]]:
    """Runs of true: (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def still(times: Floats, x: Floats, y: Floats, longest: float = MAX_GAP) -> list[tuple[int, int]]:
    """Runs of samples at one and the same point for longer than `longest` seconds:
    (first sample, last sample)."""
    if len(times) < 2:
        return []
    same = (np.diff(x) == 0) & (np.diff(y) == 0)
    return [(a, b) for a, b in spans(same) if times[b] - times[a] > longest]
