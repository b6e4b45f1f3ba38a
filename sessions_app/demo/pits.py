"""The pit lane: where it runs beside the start, and how fast a car may be in it.

Places are signed distances from the start line along the centre line, metres. The lane is an
offset to the right of the centre line, so a car's progress goes on in it like on the track.
"""

from __future__ import annotations

import numpy as np

from .circuit import Array, Circuit

CALL = -1000.0
"""Here a car is told on the radio to come in."""
APPROACH = -740.0
"""From here a car that will stop keeps to the right."""
ENTRY = -600.0
ENTRY_END = -440.0
LIMIT_FROM = -430.0
LIMIT_TO = 70.0
EXIT = 75.0
EXIT_END = 205.0
LANE = -17.0
"""Offset of the lane, metres."""
BOX_DEPTH = 4.5
"""How far a box lies beside the lane, metres."""
BOX_RUN = 20.0
"""Metres from the lane into a box and out again."""
BESIDE = -4.6
"""Offset on the track where the lane begins and ends."""
LIMIT = 80.0 / 3.6
BRAKING = 14.0
"""Deceleration to the limit, m/s²: less than brakes can do at that speed, so no one overshoots."""
RELEASE_GAP = 50.0
"""A car leaves its box when no one comes along the lane within this distance, metres."""


def box_places(cars: int) -> Array:
    """The box of each car: one per team, two cars share it."""
    return np.asarray(-230.0 + 20.0 * (np.arange(cars) // 2), dtype=np.float64)


def signed(circuit: Circuit, distance: Array) -> Array:
    """Distance → signed distance from the nearest start line."""
    half = circuit.length / 2
    return np.mod(distance + half, circuit.length) - half


def _ease(share: Array) -> Array:
    share = np.clip(share, 0.0, 1.0)
    return share**3 * (10 - 15 * share + 6 * share**2)


def lane_offset(place: Array) -> Array:
    """Lateral offset of the lane's middle at these places, metres."""
    inside = _ease((place - ENTRY) / (ENTRY_END - ENTRY)) - _ease(
        (place - EXIT) / (EXIT_END - EXIT)
    )
    return BESIDE + (LANE - BESIDE) * inside


def box_offset(place: Array, box: Array) -> Array:
    """What a car that stops at `box` adds to the lane's offset, metres."""
    return -BOX_DEPTH * _ease(1.0 - np.abs(place - box) / BOX_RUN)


def entry_share(place: Array) -> Array:
    """1 at the entry, falling to 0 at its end: what is left of a car's own line."""
    return 1.0 - _ease((place - ENTRY) / (ENTRY_END - ENTRY))


def speed_cap(place: Array, box: Array, to_box: Array) -> Array:
    """Highest speed in the lane, m/s. to_box: whether the car has yet to stop."""
    before = np.maximum(LIMIT_FROM - place, 0.0)
    cap = np.sqrt(LIMIT**2 + 2 * BRAKING * before)
    cap = np.where(place > LIMIT_TO, 200.0, cap)
    stopping = np.sqrt(2 * 7.0 * np.maximum(box - place, 0.0))
    return np.where(to_box, np.minimum(cap, stopping), cap)
