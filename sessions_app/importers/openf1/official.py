"""What the official tables say of the standings, beside what was made of the positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...agreement import Agreement, Feed, Standings, compare_crossings, compare_gaps, compare_order
from ..bounds import Allowance, Bounds
from ..report import Report
from ..result import ImportSourceError
from ..tables import Table
from .folder import find_tables, read_small_tables
from .timing import CarLaps, crossings, no_laps, read_laps


def official_agreement(
    standings: Standings,
    numbers: Sequence[int],
    laps: Mapping[int, CarLaps],
    tables: Mapping[str, Table],
    begin: float,
    end: float,
) -> Agreement:
    """Compare a recording's standings with whichever of the tables there are.

    Args:
        standings: of the recording.
        numbers: of its cars, in their order.
        laps: from `read_laps`; empty if there is no such table.
        tables: from `read_small_tables`; `position` and `intervals` are looked at.
        begin, end: of the race, seconds since 1970: what of the official order is compared.
    """
    places = _feed(tables.get("position"), "position", numbers)
    gaps = _feed(tables.get("intervals"), "gap_to_leader", numbers)
    timed = [crossings(laps.get(number) or no_laps()) for number in numbers]
    return Agreement(
        crossings=compare_crossings(standings, timed) if laps else None,
        order=None if places is None else compare_order(standings, places, begin, end),
        gaps=None if gaps is None else compare_gaps(standings, gaps),
    )


def agreement_with_folder(
    folder: Path, standings: Standings, numbers: Sequence[int], begin: float, end: float
) -> Agreement:
    """As `official_agreement`, with the tables `laps`, `position` and `intervals` of a folder.

    Raises: ImportSourceError if the folder cannot be used, or has none of them.
    """
    wanted = ("laps", "position", "intervals")
    found = find_tables(folder, Bounds())
    files = {name: found[name] for name in wanted if name in found}
    if not files:
        raise ImportSourceError(
            "nothing to compare with: expected a table laps, position or intervals", file=folder
        )
    report = Report(folder)
    tables = read_small_tables(files, Allowance(Bounds()), report)
    laps = read_laps(tables["laps"], report) if "laps" in tables else {}
    return official_agreement(standings, numbers, laps, tables, begin, end)


def _feed(table: Table | None, column: str, numbers: Sequence[int]) -> Feed | None:
    """The rows of these cars that have a time; None without any."""
    if table is None or column not in table:
        return None
    index = {float(number): car for car, number in enumerate(numbers)}
    cars = np.array([index.get(n, -1) for n in table["driver_number"].tolist()], dtype=np.int64)
    values = table[column]
    if values.dtype.kind != "f":
        values = _seconds(values)
    rows = (cars >= 0) & ~np.isnan(table["date"]) & ~np.isnan(values)
    return Feed(table["date"][rows], cars[rows], values[rows]) if rows.any() else None


def _seconds(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Gaps as the feed writes them: numbers, and NaN for "+1 LAP", "1 L" and nothing."""
    result = np.full(len(texts), np.nan)
    for row, text in enumerate(texts.tolist()):
        try:
            result[row] = float(text)
        except ValueError:
            continue
    result[np.isinf(result)] = np.nan
    return result
