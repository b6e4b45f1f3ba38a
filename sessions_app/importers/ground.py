"""The ground under moving things: degrees projected to a plane, and the extent of positions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

EARTH = 6_371_008.8
"""Mean radius, metres."""
MARGIN = 0.05
"""Of the longer side, left free around the positions."""


def middle_of(latitude: Floats, longitude: Floats) -> tuple[float, float]:
    """(latitude, longitude) of the median of both, degrees; NaN without any.

    Across the antimeridian the median is taken on the side where the first position lies.
    """
    known = longitude[~np.isnan(longitude)]
    if not known.size or np.isnan(latitude).all():
        return np.nan, np.nan
    around = (known - known[0] + 180.0) % 360.0 - 180.0
    east = (float(np.median(around)) + float(known[0]) + 180.0) % 360.0 - 180.0
    return float(np.nanmedian(latitude)), east


def projected(
    latitude: Floats, longitude: Floats, origin: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Degrees → (x, y), metres east and north of the origin, equirectangular.

    True to scale on the origin's latitude; 200 km north or south of it, widths are off by 3 % at
    47°. NaN stays NaN.
    """
    away = (np.asarray(longitude) - origin[1] + 180.0) % 360.0 - 180.0
    x = np.radians(away) * EARTH * np.cos(np.radians(origin[0]))
    y = np.radians(np.asarray(latitude) - origin[0]) * EARTH
    return x, y


def bounds_around(
    positions: Iterable[tuple[Floats, Floats]],
) -> tuple[float, float, float, float] | None:
    """(x_min, y_min, x_max, y_max) of all positions and a margin; None without any position."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for x, y in positions:
        known = ~(np.isnan(x) | np.isnan(y))
        if known.any():
            places = np.array([x[known], y[known]])
            low, high = np.minimum(low, places.min(axis=1)), np.maximum(high, places.max(axis=1))
    if not np.isfinite(low).all():
        return None
    margin = MARGIN * float(np.maximum(high - low, 1e-3).max())
    return (
        float(low[0]) - margin,
        float(low[1]) - margin,
        float(high[0]) + margin,
        float(high[1]) + margin,
    )
