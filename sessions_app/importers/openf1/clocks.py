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

from ..report import Done, Report
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


_EXPECTED: Mapping[str, str] = {
    "speed": "0 to 450 km/h",
    "throttle": "0 to 100",
    "brake": "0 to 100",
    "rpm": "0 to 20,000",
    "n_gear": f"a gear from 0 to {MAX_GEAR}",
    "drs": "a code that the feed uses",
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


def positions_of(tables: Sequence[Table], report: Report | None = None) -> Samples:
    """x, y of one car; what was not a position is left out."""
    report = report if report is not None else Report()
    times, values = _joined(tables, ("x", "y", "z"), report)
    x, y, z = values["x"], values["y"], values["z"]
    nowhere = (x == 0) & (y == 0) & ((z == 0) | np.isnan(z))
    _count(tables, nowhere, "x", "a position, not (0, 0, 0)", Done.ROW, report)
    empty = np.isnan(x) | np.isnan(y)
    _count(tables, empty, "x", "a position", Done.ROW, report)
    known = ~(nowhere | empty | np.isnan(times))
    return _ordered(tables, times, {"x": x, "y": y}, known, report)


def telemetry_of(tables: Sequence[Table], report: Report | None = None) -> Samples:
    """speed, throttle, brake, rpm, n_gear, drs of one car; NaN where there is no value."""
    report = report if report is not None else Report()
    times, values = _joined(tables, tuple(_VALID), report)
    for name, valid in _VALID.items():
        with np.errstate(invalid="ignore"):
            wrong = ~valid(values[name]) & ~np.isnan(values[name])
        _count(tables, wrong, name, _EXPECTED[name], Done.VALUE, report)
        values[name] = np.where(wrong, np.nan, values[name])
    return _ordered(tables, times, values, ~np.isnan(times), report)


def _count(
    tables: Sequence[Table],
    wrong: NDArray[np.bool_],
    column: str,
    expected: str,
    done: Done,
    report: Report,
) -> None:
    """List rows of the joined tables as what these feeds are known to contain."""
    first = 0
    for table in tables:
        own = wrong[first : first + table.rows]
        first += table.rows
        if own.any() and column in table:
            table.believed(report, own, column, expected, done, known=True)


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


def _joined(
    tables: Sequence[Table], names: Sequence[str], report: Report
) -> tuple[Floats, dict[str, Floats]]:
    """Times and the named columns of all tables, in order; a column that is not there is NaN."""
    recovered = []
    for table in tables:
        times = recovered_times(table["date"])
        lost = np.isnan(table["date"])
        saved = lost & ~np.isnan(times)
        table.believed(report, saved, "date", "a time", Done.RECOVERED, known=True)
        table.believed(report, lost & ~saved, "date", "a time", Done.ROW, known=True)
        recovered.append(times)
    values = {
        name: np.concatenate([t[name] if name in t else np.full(t.rows, np.nan) for t in tables])
        for name in names
    }
    return np.concatenate(recovered), values


def _ordered(
    tables: Sequence[Table],
    times: Floats,
    values: dict[str, Floats],
    known: NDArray[np.bool_],
    report: Report,
) -> Samples:
    """The known rows in the order of time, one per time: the last one counts."""
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(times[rows], kind="stable")]
    last = np.append(np.diff(times[rows]) > 0, True) if len(rows) else np.zeros(0, dtype=np.bool_)
    again = np.zeros(len(times), dtype=np.bool_)
    again[rows[~last]] = True
    _count(tables, again, "date", "each time once", Done.ROW, report)
    rows = rows[last]
    return Samples(times[rows], {k: v[rows] for k, v in values.items()})
