"""The circuit as the page draws it: outlines, corners, zones, in decimetres."""

from __future__ import annotations

import numpy as np

from ..importers.result import Corner, GeometryRecord
from . import pits
from .circuit import DRS_ZONES, HALF_WIDTH, SECTORS, TURNS, Array, Circuit

SPACING = 4.0
"""Metres between two points of an outline."""
ROTATION = 0.0
_DECIMETRES = 10.0

Points = list[tuple[float, float]]


def _points(circuit: Circuit, distance: Array, offset: Array) -> Points:
    x, y = circuit.point(distance, offset)
    return [
        (round(float(a), 1), round(float(b), 1))
        for a, b in zip(x * _DECIMETRES, y * _DECIMETRES, strict=True)
    ]


def geometry_record(circuit: Circuit) -> GeometryRecord:
    """The demo's geometry. inner_edge is the right one: the circuit runs clockwise."""
    around = np.linspace(0.0, circuit.length, round(circuit.length / SPACING), endpoint=False)
    level = np.zeros(len(around))
    outer = _points(circuit, around, level + HALF_WIDTH)
    place = np.arange(pits.ENTRY, pits.EXIT_END + SPACING, SPACING)
    pit_lane = _points(circuit, place, pits.lane_offset(place))
    xs, ys = np.array(outer + pit_lane).T
    return GeometryRecord(
        kind="circuit",
        unit="dm",
        bounds=(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())),
        rotation=ROTATION,
        length=round(circuit.length, 1),
        centre_line=_points(circuit, around, level),
        inner_edge=_points(circuit, around, level - HALF_WIDTH),
        outer_edge=outer,
        pit_lane=pit_lane,
        sectors=SECTORS,
        drs_zones=DRS_ZONES,
        corners=_corners(circuit),
    )


def _corners(circuit: Circuit) -> list[Corner]:
    corners = []
    for number, (turn, apex) in enumerate(zip(TURNS, circuit.apexes, strict=True), start=1):
        at = np.array([apex])
        x, y = circuit.point(at, np.zeros(1))
        heading = np.arctan2(
            circuit.at(np.sin(circuit.heading), at), circuit.at(np.cos(circuit.heading), at)
        )
        # Outside of the bend: on the left of a right-hander.
        away = np.degrees(heading[0]) + (90.0 if turn.angle > 0 else -90.0)
        corners.append(
            Corner(
                label=str(number),
                x=round(float(x[0]) * _DECIMETRES, 1),
                y=round(float(y[0]) * _DECIMETRES, 1),
                angle=round(float(np.mod(away, 360.0)), 1),
                fraction=round(float(apex / circuit.length), 5),
            )
        )
    return corners
