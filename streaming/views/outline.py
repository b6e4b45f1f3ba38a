"""The shape of a session's ground as an SVG path, for its card in the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = Sequence[float]

CANVAS = 100.0
"""Side of the square that every outline is fitted into, in the units of the SVG's viewBox."""
MARGIN = 6.0
MAX_POINTS = 240
"""More points than this cannot be distinguished on a card."""


@dataclass(frozen=True, slots=True)
class Outline:
    """path: the `d` of an SVG path in a CANVAS × CANVAS view box; start: of the line, or None."""

    path: str
    start: tuple[float, float] | None


def outline(
    lines: Sequence[Sequence[Point]], *, rotation: float = 0.0, closed: bool = False
) -> Outline | None:
    """Lines of (x, y), y upwards, turned counter-clockwise by `rotation` degrees and fitted.

    closed: each line returns to its first point. Returns None where there is nothing to draw.
    """
    turned = [[_turn(p, rotation) for p in _thin(line)] for line in lines if len(line) > 1]
    points = [p for line in turned for p in line]
    if not points:
        return None
    left, right = min(p[0] for p in points), max(p[0] for p in points)
    bottom, top = min(p[1] for p in points), max(p[1] for p in points)
    size = max(right - left, top - bottom) or 1.0
    scale = (CANVAS - 2 * MARGIN) / size
    shift_x = (CANVAS - (right - left) * scale) / 2
    shift_y = (CANVAS - (top - bottom) * scale) / 2

    def fitted(p: tuple[float, float]) -> tuple[float, float]:
        return shift_x + (p[0] - left) * scale, shift_y + (top - p[1]) * scale

    parts = []
    for line in turned:
        steps = [f"{x:.1f} {y:.1f}" for x, y in map(fitted, line)]
        parts.append("M" + "L".join(steps) + ("Z" if closed else ""))
    return Outline("".join(parts), fitted(turned[0][0]) if closed else None)


def _turn(point: Point, degrees: float) -> tuple[float, float]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return point[0] * cos - point[1] * sin, point[0] * sin + point[1] * cos


def _thin(line: Sequence[Point]) -> Sequence[Point]:
    step = max(1, len(line) // MAX_POINTS)
    return line[::step]
