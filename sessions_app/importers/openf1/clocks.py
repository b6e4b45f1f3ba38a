"""The two clocks of a car, positions and car data, cleaned row by row. Pure numpy.

What is wrong in the feeds, and what becomes of it:
- a null date stands for a whole second (written without a fraction, lost in a conversion): it is
  recovered where exactly one whole second fits between its neighbours, else the row is dropped;
- rows out of order or with the same stamp: sorted, the last one counts;
- (0, 0, 0) means "no position", not the origin;
- throttle or brake of 104, gears above 8, unknown DRS codes mean "no value": the row is dropped for
  that field alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tables import Table

Floats = NDArray[np.float64]

DRS_CODES = (0, 1, 2, 3, 8, 9, 10, 12, 13, 14)
"""Codes that the feed uses: below 8 shut, 8 and 9 allowed, 10 and above open. Kept as they are."""
MAX_GEAR = 8

_VALID: Mapping[str, Callable[[Floats], NDArray[Any]]] = {
    "speed": lambda v: (v >= 0) & (v <= 450),
    "throttle": lambda v: (v >= 0) & (v <= 100),
    "brake": lambda v: (v >= 0) & (v <= 100),
    "rpm": lambda v: (v >= 0) & (v <= 20_000),
    "n_gear": lambda v: (v >= 0) & (v <= MAX_GEAR),
    "drs": lambda v: np.isin(v, DRS_CODES),
}


@dataclass(frozen=True, slots=True)
class Samples:
    """Values of one car at its own times. times: seconds since 1970, strictly increasing."""

    times: Floats
    values: Mapping[str, Floats]

    def between(self, first: float, last: float) -> Samples:
        """The samples from first to last (seconds), views."""
        part = slice(
            int(np.searchsorted(self.times, first)),
            int(np.searchsorted(self.times, last, side="right")),
        )
        return Samples(self.times[part], {k: v[part] for k, v in self.values.items()})

    def of(self, name: str) -> Samples:
        """One field alone, without the rows that have no value for it."""
        known = ~np.isnan(self.values[name])
        return Samples(self.times[known], {name: self.values[name][known]})


def positions_of(tables: Sequence[Table]) -> Samples:
    """x, y of one car; what was not a position is left out."""
    times, values = _joined(tables, ("x", "y", "z"))
    x, y, z = values["x"], values["y"], values["z"]
    nowhere = (x == 0) & (y == 0) & ((z == 0) | np.isnan(z))
    known = ~(nowhere | np.isnan(x) | np.isnan(y) | np.isnan(times))
    return _ordered(times[known], {"x": x[known], "y": y[known]})


def telemetry_of(tables: Sequence[Table]) -> Samples:
    """speed, throttle, brake, rpm, n_gear, drs of one car; NaN where there is no value."""
    times, values = _joined(tables, tuple(_VALID))
    for name, valid in _VALID.items():
        with np.errstate(invalid="ignore"):
            values[name] = np.where(valid(values[name]), values[name], np.nan)
    known = ~np.isnan(times)
    return _ordered(times[known], {k: v[known] for k, v in values.items()})


def recovered_times(times: Floats) -> Floats:
    """Null stamps (NaN) replaced by the whole second between their neighbours, where exactly one
    lies there; the others stay NaN."""
    result = np.array(times, dtype=np.float64)
    lost = np.flatnonzero(np.isnan(result))
    lost = lost[(lost > 0) & (lost < len(result) - 1)]
    before, after = result[lost - 1], result[lost + 1]
    whole = np.floor(before) + 1.0
    with np.errstate(invalid="ignore"):
        fits = (whole < after) & (whole + 1.0 >= after)
    result[lost[fits]] = whole[fits]
    return result


def _joined(tables: Sequence[Table], names: Sequence[str]) -> tuple[Floats, dict[str, Floats]]:
    """Times and the named columns of all tables, in order; a column that is not there is NaN."""
    times = np.concatenate([recovered_times(t["date"]) for t in tables])
    values = {
        name: np.concatenate([t[name] if name in t else np.full(t.rows, np.nan) for t in tables])
        for name in names
    }
    return times, values


def _ordered(times: Floats, values: dict[str, Floats]) -> Samples:
    order = np.argsort(times, kind="stable")
    times = times[order]
    last = np.append(np.diff(times) > 0, True) if len(times) else np.zeros(0, dtype=np.bool_)
    return Samples(times[last], {k: v[order][last] for k, v in values.items()})
