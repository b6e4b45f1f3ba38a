"""A circuit's centre line: projection onto it, its edges, and lines made from laps. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

HALF_WIDTH = 60.0
"""Decimetres from the centre line to either edge: the rules ask for 12 m of width, and no source
tells the real one."""

_CELL = 100.0
"""Decimetres: edge of the raster cells that know their nearest vertex."""
_REACH = 6
"""Segments on each side of that vertex in which the projection is looked for: with vertices every
few metres this covers a cell's diagonal."""
_CHUNK = 200_000


class CentreLine:
    """A closed line in driving direction, beginning at the start line.

    points: vertices, shape (vertices, 2), in the unit of the positions, without repeating the
    first. length: of the closed line, same unit.
    """

    def __init__(self, points: Floats) -> None:
        self.points = np.asarray(points, dtype=np.float64)
        self._step = np.roll(self.points, -1, axis=0) - self.points
        self._step_length = np.hypot(self._step[:, 0], self._step[:, 1])
        self._at = np.concatenate(([0.0], np.cumsum(self._step_length)))
        self.length = float(self._at[-1])
        self._low = self.points.min(axis=0) - 5 * _CELL
        size = (self.points.max(axis=0) + 5 * _CELL - self._low) / _CELL
        self._cells = np.ceil(size).astype(np.int64)
        self._nearest = self._raster()

    def _raster(self) -> NDArray[np.int32]:
        """For each cell the vertex nearest to its middle."""
        columns, rows = (int(n) for n in self._cells)
        middle_x = self._low[0] + (np.arange(columns) + 0.5) * _CELL
        middle_y = self._low[1] + (np.arange(rows) + 0.5) * _CELL
        nearest = np.empty((columns, rows), dtype=np.int32)
        x, y = self.points.astype(np.float32).T
        for column, cell_x in enumerate(middle_x.astype(np.float32)):
            far = (x - cell_x)[None, :] ** 2 + (
                y[None, :] - middle_y.astype(np.float32)[:, None]
            ) ** 2
            nearest[column] = np.argmin(far, axis=1)
        return nearest

    def project(self, x: Floats, y: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(fraction of the lap 0…1, distance from the line), both shape of x; NaN stays NaN."""
        fraction = np.full(len(x), np.nan)
        distance = np.full(len(x), np.nan)
        known = np.flatnonzero(~(np.isnan(x) | np.isnan(y)))
        for start in range(0, len(known), _CHUNK):
            part = known[start : start + _CHUNK]
            fraction[part], distance[part] = self._project(
                np.column_stack((x[part], y[part])).astype(np.float64)
            )
        return fraction, distance

    def _project(self, spots: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        cell = ((spots - self._low) / _CELL).astype(np.int64)
        cell = np.clip(cell, 0, self._cells - 1)
        vertex = self._nearest[cell[:, 0], cell[:, 1]]
        best = np.full(len(spots), np.inf)
        along = np.zeros(len(spots))
        for offset in range(-_REACH, _REACH + 1):
            segment = (vertex + offset) % len(self.points)
            step = self._step[segment]
            towards = spots - self.points[segment]
            with np.errstate(invalid="ignore", divide="ignore"):
                part = (towards * step).sum(axis=1) / self._step_length[segment] ** 2
            part = np.clip(np.nan_to_num(part), 0.0, 1.0)
            rest = towards - part[:, None] * step
            far = (rest * rest).sum(axis=1)
            closer = far < best
            best = np.where(closer, far, best)
            along = np.where(closer, self._at[segment] + part * self._step_length[segment], along)
        return (along / self.length) % 1.0, np.sqrt(best)

    def at(self, fraction: Floats) -> NDArray[np.float64]:
        """The points at fractions of the lap, shape (n, 2)."""
        along = (np.asarray(fraction, dtype=np.float64) % 1.0) * self.length
        closed = np.vstack((self.points, self.points[:1]))
        return np.column_stack([np.interp(along, self._at, closed[:, k]) for k in (0, 1)])

    def starting_at(self, fraction: float) -> CentreLine:
        """The same line, begun at that fraction of the lap."""
        start = (fraction % 1.0) * self.length
        first = self.at(np.array([fraction]))
        # A vertex within 1 dm of the new start would make a segment without direction.
        keep = np.abs((self._at[:-1] - start + self.length / 2) % self.length - self.length / 2) > 1
        order = np.argsort((self._at[:-1] - start) % self.length, kind="stable")
        rest = self.points[order[keep[order]]]
        return CentreLine(np.vstack((first, rest)))

    def reversed(self) -> CentreLine:
        """The same line the other way round."""
        return CentreLine(np.vstack((self.points[:1], self.points[:0:-1])))

    def edges(self, half_width: float = HALF_WIDTH) -> tuple[NDArray[Any], NDArray[Any]]:
        """(inner, outer): the line moved to both sides, shape (vertices, 2) each. Inner is the
        side that the circuit encloses."""
        tangent = np.roll(self.points, -1, axis=0) - np.roll(self.points, 1, axis=0)
        tangent /= np.maximum(np.hypot(tangent[:, :1], tangent[:, 1:]), 1e-9)
        left = np.column_stack((-tangent[:, 1], tangent[:, 0])) * half_width
        x, y = self.points.T
        anticlockwise = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) > 0
        sides = (self.points + left, self.points - left)
        return sides if anticlockwise else (sides[1], sides[0])

    def evenly(self, spacing: float) -> CentreLine:
        """The same line with vertices about `spacing` apart."""
        count = max(16, round(self.length / spacing))
        return CentreLine(self.at(np.arange(count) / count))


def direction(line: CentreLine, tracks: Sequence[tuple[Floats, Floats]]) -> int:
    """1 if the cars drive the line forwards, -1 if backwards; tracks: (x, y) of cars in time."""
    total = 0.0
    for x, y in tracks:
        fraction, _ = line.project(x, y)
        step = np.diff(fraction[~np.isnan(fraction)])
        total += float((step - np.rint(step)).sum())
    return -1 if total < 0 else 1


def from_laps(laps: Sequence[tuple[Floats, Floats]], spacing: float = 50.0) -> CentreLine:
    """A centre line from whole laps, each (x, y) from line to line in time.

    The first lap gives the shape; the others, projected on it, correct each stretch by the median
    of their sidewards offsets, which takes out the jitter of single positions.
    """
    x, y = laps[0]
    line = CentreLine(_distinct(np.column_stack((x, y)))).evenly(spacing)
    if len(laps) < 3:
        return line
    spots = np.vstack([np.column_stack(lap) for lap in laps])
    for _ in range(2):
        line = _corrected(line, spots).evenly(spacing)
    return line


def _distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = np.hypot(*np.diff(points, axis=0).T) > 1.0
    return points[np.concatenate(([True], moved))]


def _corrected(line: CentreLine, spots: NDArray[np.float64]) -> CentreLine:
    count = len(line.points)
    fraction, distance = line.project(spots[:, 0], spots[:, 1])
    near = distance < 2 * HALF_WIDTH
    bins = np.rint(fraction[near] * count).astype(np.int64) % count
    tangent = np.roll(line.points, -1, axis=0) - np.roll(line.points, 1, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, :1], tangent[:, 1:]), 1e-9)
    normal = np.column_stack((-tangent[:, 1], tangent[:, 0]))
    away = spots[near] - line.at(fraction[near])
    sideways = (away * normal[bins]).sum(axis=1)
    order = np.argsort(bins, kind="stable")
    groups = np.split(sideways[order], np.searchsorted(bins[order], np.arange(1, count)))
    offset = np.array([np.median(g) if len(g) else 0.0 for g in groups])
    smooth = np.mean([np.roll(offset, k) for k in range(-2, 3)], axis=0)
    return CentreLine(line.points + normal * smooth[:, None])
