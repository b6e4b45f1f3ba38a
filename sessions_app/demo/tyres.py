"""Grip: what compound, wear, fuel and a wet track leave of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..racing import Tyre
from .circuit import Array

_FRESH = np.array([1.010, 1.0, 0.993, 0.87, 0.80])
_WEAR = np.array([0.0048, 0.0030, 0.0020, 0.0030, 0.0030])
_WET_LOSS = np.array([0.62, 0.62, 0.64, 0.12, 0.04])
"""Per unit of wetness: slicks become worse than intermediates at about 0.27."""
_FUEL = 0.016
"""Grip that a full tank costs against an empty one (heavier cars brake and turn later)."""
_WEAR_LAPS = 13.0
"""The wear above is per lap of a race of this many laps; longer races have hardier tyres."""


def grip(tyre: NDArray[np.int64], age: Array, wetness: float, burnt: Array, laps: int) -> Array:
    """Share of dry grip. tyre: `Tyre`; age: laps; wetness: 0…1; burnt: share of the fuel gone."""
    wear = _WEAR[tyre] * age * min(1.0, _WEAR_LAPS / laps)
    return np.asarray(_FRESH[tyre] - wear - _WET_LOSS[tyre] * wetness - _FUEL * (1.0 - burnt))


def for_rain(full_wet: bool) -> Tyre:
    """What a car puts on when the track is wet."""
    return Tyre.WET if full_wet else Tyre.INTERMEDIATE
