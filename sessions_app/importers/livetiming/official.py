"""The order that the live timing itself tells, against which a recording's is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...agreement import Agreement, Feed, Standings, compare_order
from ..bounds import Bounds
from ..report import Report
from ..result import ImportSourceError
from .lines import Update
from .reading import read_updates
from .timing import CarTiming


def order_told(updates: Sequence[Update], numbers: Sequence[int]) -> Feed:
    """Every place that TimingData gives a car.

    Args:
        updates: in the order of time.
        numbers: of the cars, in the order of the recording.
    """
    cars = {str(number): CarTiming(0) for number in numbers}
    for update in updates:
        lines = update.data.get("Lines") if update.topic == "TimingData" else None
        if not isinstance(lines, dict):
            continue
        for number, line in lines.items():
            if number in cars and isinstance(line, dict):
                cars[number].take(update.time, line)
    rows = [(at, i, place) for i, car in enumerate(cars.values()) for at, place in car.places]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Feed(table[:, 0], table[:, 1].astype(np.int64), table[:, 2])


def agreement_with_live_timing(
    source: Path, standings: Standings, numbers: Sequence[int], begin: float, end: float
) -> Agreement:
    """Compare a recording's order with the `Position` of a recorded live timing.

    Args:
        source: a file or folder, as `import_livetiming` takes it.
        standings: of the recording.
        numbers: of its cars, in its order.
        begin, end: what is compared, seconds since 1970.

    Raises:
        ImportSourceError: the source has no live timing, or it tells no order.
    """
    told = order_told(read_updates(source, Bounds(), Report()), numbers)
    if not len(told.times):
        raise ImportSourceError("no Position in TimingData found: expected some", file=source)
    return Agreement(order=compare_order(standings, told, begin, end))
