"""Samples over time as an SVG of small panels, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 130
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 24, 20

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.name { font-weight: 600 }
.axis { stroke: #bbb; stroke-width: 1 }
.samples { fill: none; stroke: #1f6feb; stroke-width: 1.5 }
.fit { stroke: #d1242f; stroke-width: 1; stroke-dasharray: 5 4 }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One series. times: seconds. start, slope: of the fitted line, per second."""

    name: str
    unit: str
    times: Sequence[float]
    values: Sequence[float]
    start: float
    slope: float


def panels(drawn: Sequence[Panel]) -> str:
    """The document's text; every panel's axis begins at 0."""
    body = "".join(_panel(panel, HEIGHT * i) for i, panel in enumerate(drawn))
    height = HEIGHT * len(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n'
        f'<style>{STYLE}</style>\n<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f"{body}</svg>\n"
    )


def _panel(panel: Panel, top: float) -> str:
    last = max(panel.times[-1], 1.0)
    most = max(*panel.values, 1e-9) * 1.15

    def x(seconds: float) -> str:
        return f"{LEFT + seconds / last * (WIDTH - LEFT - RIGHT):.1f}"

    def y(value: float) -> str:
        room = HEIGHT - TOP - BOTTOM
        return f"{top + TOP + room * (1 - min(max(value / most, 0), 1)):.1f}"

    points = " ".join(f"{x(t)},{y(v)}" for t, v in zip(panel.times, panel.values, strict=True))
    title = f"{panel.name}, {panel.unit}" if panel.unit else panel.name
    return (
        f'<text class="name" x="{LEFT}" y="{top + 15}">{escape(title)}</text>\n'
        f'<line class="axis" x1="{x(0)}" x2="{x(last)}" y1="{y(0)}" y2="{y(0)}"/>\n'
        f'<text x="{LEFT - 6}" y="{y(0)}" text-anchor="end">0</text>\n'
        f'<text x="{LEFT - 6}" y="{y(max(panel.values))}" text-anchor="end">'
        f"{max(panel.values):.4g}</text>\n"
        f'<text x="{x(last)}" y="{top + HEIGHT - 5}" text-anchor="end">{last / 60:.0f} min</text>\n'
        f'<polyline class="samples" points="{points}"/>\n'
        f'<line class="fit" x1="{x(0)}" y1="{y(panel.start)}" x2="{x(last)}" '
        f'y2="{y(panel.start + panel.slope * last)}"/>\n'
    )
