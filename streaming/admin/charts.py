"""Figures as the coordinates of small SVG drawings; the templates only place them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPARK_WIDTH, SPARK_HEIGHT = 60, 16
CHART_WIDTH, CHART_HEIGHT = 600, 80
TIMELINE_S = 300


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in units of its drawing, with what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the time line. `points`: for `<polyline>`; `most_text`: the value at the top."""

    name: str
    points: str
    most_text: str
    latest_text: str


def duration(nanoseconds: float | None) -> str:
    """A duration in the unit that people would choose; "–" for None."""
    if nanoseconds is None:
        return "–"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def size(count: float | None, unit: str = "B") -> str:
    """Bytes (or others) with a decimal prefix; "–" for None."""
    if count is None:
        return "–"
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {prefix}{unit}"
    return f"{count:.0f} {unit}"


def sparkline(values: Sequence[float], most: float) -> str:
    """Points of a polyline 60 × 16; `most` is the value at the top, unless one is higher."""
    top = max([most, *values, 1])
    height = SPARK_HEIGHT - 1
    return " ".join(
        f"{x},{SPARK_HEIGHT - 0.5 - height * value / top:.1f}" for x, value in enumerate(values)
    )


def histogram(counted: Sequence[Sequence[int]]) -> list[Bar]:
    """Bars over a logarithmic axis, eight to an octave: `counted` is [(upper ns, calls), …]."""
    if not counted:
        return []
    most = max(calls for _, calls in counted)
    total = sum(calls for _, calls in counted)
    width = CHART_WIDTH / max(len(counted), 24)
    bars = []
    for at, (upper_ns, calls) in enumerate(counted):
        height = max(1.0, CHART_HEIGHT * calls / most)
        bars.append(
            Bar(
                x=round(at * width, 1),
                y=round(CHART_HEIGHT - height, 1),
                width=round(width * 0.85, 1),
                height=round(height, 1),
                title=f"up to {duration(upper_ns)}: {calls} calls ({calls / total:.1%})",
            )
        )
    return bars


def timeline(points: Sequence[Mapping[str, Any]]) -> list[Series]:
    """The last five minutes, now at the right: interval, send wait, pending, drops, store."""
    wanted = (
        ("interval_ms", "longest interval", _milliseconds),
        ("send_ms", "longest send", _milliseconds),
        ("pending_bytes", "pending", size),
        ("drops", "frames dropped", _count),
        ("store_ms", "longest wait for the store", _milliseconds),
        ("frames", "frames sent", _count),
    )
    return [_series(points, field, name, text) for field, name, text in wanted]


def _milliseconds(value: float) -> str:
    return duration(value * 1e6)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _series(
    points: Sequence[Mapping[str, Any]], field: str, name: str, text: Callable[[float], str]
) -> Series:
    most = max((point[field] for point in points), default=0)
    drawn = []
    for point in points:
        x = CHART_WIDTH * (1 - min(point["ended_s_ago"], TIMELINE_S) / TIMELINE_S)
        y = CHART_HEIGHT - 1 - (CHART_HEIGHT - 2) * point[field] / (most or 1)
        drawn.append(f"{x:.1f},{y:.1f}")
    latest = points[-1][field] if points else 0
    return Series(name, " ".join(drawn), text(most), text(latest))
