"""How far standings agree with what the timing says. Pure numpy: a comparison, nothing is changed.

Three truths, each of which a source may have or not: when each car crossed the line (`laps`), the
official order (`position`, a feed of changes) and the official gaps (`intervals`, rows at moments).

Times are seconds since 1970. Frames run along axis 0, cars along axis 1; NaN means "not known".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

AROUND_CHANGE = 2.0
"""Seconds before and after a change of the official order that are not compared: feeds say it up to
that late, and not all equally."""
JUST_PAST = 0.2
"""Seconds past the line at which the order is looked at: standings are held for that long."""
COMPARED_RATE = 5.0
"""Moments a second at which the order is compared with a feed."""
MAX_DIFFERENCES = 50
"""Listed of each comparison; a report is for reading."""


@dataclass(frozen=True, slots=True)
class Standings:
    """What a recording says.

    Attributes:
        codes: of the cars.
        first: time of frame 0.
        rate: frames a second.
        position: 1 for the leader, below 1 where unknown, shape (frames, cars).
        running: False where a car has retired, same shape; None: all cars always run.
        gap: seconds behind the leader, same shape; None if the recording has none.
    """

    codes: Sequence[str]
    first: float
    rate: float
    position: Integers
    running: NDArray[np.bool_] | None = None
    gap: Floats | None = None

    @property
    def frame_count(self) -> int:
        return len(self.position)

    def frames(self, times: Floats) -> NDArray[np.int64]:
        """The frame shown at each time; -1 where the recording does not reach."""
        index = np.floor(np.round((times - self.first) * self.rate, 3))
        inside = (index >= 0) & (index < self.frame_count)
        return np.where(inside, index, -1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows of an official table that hold for cars at moments.

    Attributes:
        times: of the rows, in any order, shape (rows,).
        cars: index of each row's car, same shape.
        values: places (1…) or gaps (s), same shape.
    """

    times: Floats
    cars: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True, slots=True)
class Difference:
    """A crossing of the line after which the order is another one. lap: that it ended; place:
    among the cars that still run, in the recording; official: by the times of crossing."""

    entity: str
    lap: int
    place: int
    official: int


@dataclass(frozen=True, slots=True)
class CrossingAgreement:
    """compared, agreeing: crossings, per car, shape (cars,). differences: the first of them."""

    codes: Sequence[str]
    compared: NDArray[np.int64]
    agreeing: NDArray[np.int64]
    differences: Sequence[Difference] = ()

    @property
    def share(self) -> float:
        return _share(int(self.agreeing.sum()), int(self.compared.sum()))


@dataclass(frozen=True, slots=True)
class OrderAgreement:
    """Shares of the time that has an official order, outside `AROUND_CHANGE`.

    Attributes:
        seconds: of the leader that were compared.
        car_seconds: of all cars that were compared.
        leader: share of those seconds in which the same car leads.
        cars: share of those car-seconds with the same place.
        of_car: the same for each car, NaN if never compared, shape (cars,).
        leader_everywhere, cars_everywhere: as above, also around changes.
    """

    codes: Sequence[str]
    seconds: float
    car_seconds: float
    leader: float
    cars: float
    of_car: Floats
    leader_everywhere: float
    cars_everywhere: float


@dataclass(frozen=True, slots=True)
class GapAgreement:
    """How far gaps are from the official ones, seconds. rows: compared; not_known: rows to which
    the recording has no gap; of_car: median of each car, NaN without rows, shape (cars,)."""

    codes: Sequence[str]
    rows: int
    not_known: int
    median: float
    p99: float
    of_car: Floats


@dataclass(frozen=True, slots=True)
class Agreement:
    """What could be compared; None where the source has no such table."""

    crossings: CrossingAgreement | None = None
    order: OrderAgreement | None = None
    gaps: GapAgreement | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, as it stands in the import report."""
        crossings, order, gaps = self.crossings, self.order, self.gaps
        return {
            "crossings": None
            if crossings is None
            else {
                "compared": int(crossings.compared.sum()),
                "agreeing": int(crossings.agreeing.sum()),
                "share": _number(crossings.share),
                "differences": [
                    {
                        "entity": d.entity,
                        "lap": d.lap,
                        "place": d.place,
                        "official": d.official,
                    }
                    for d in crossings.differences[:MAX_DIFFERENCES]
                ],
            },
            "order": None
            if order is None
            else {
                "seconds": round(order.seconds, 1),
                "car_seconds": round(order.car_seconds, 1),
                "leader": _number(order.leader),
                "cars": _number(order.cars),
            },
            "gaps": None
            if gaps is None
            else {"rows": gaps.rows, "median": _number(gaps.median), "p99": _number(gaps.p99)},
        }


def compare_crossings(standings: Standings, crossings: Sequence[Floats]) -> CrossingAgreement:
    """Compare the order just past the line with the order in which the cars crossed it.

    A car that ends a lap is behind all that ended it before, and ahead of all others. Cars that
    have retired by then are left out: where they are listed is a matter of taste.

    Args:
        standings: of the recording.
        crossings: for each car when it ended lap 1, 2…; NaN where unknown.
    """
    cars = len(standings.codes)
    compared, agreeing = np.zeros(cars, dtype=np.int64), np.zeros(cars, dtype=np.int64)
    differences: list[tuple[float, Difference]] = []
    laps = max((len(c) for c in crossings), default=0)
    ended = np.full((laps, cars), np.nan)
    for car, times in enumerate(crossings):
        ended[: len(times), car] = times
    # Since when each car has at least that many laps, though the table lacks one of them.
    since = np.minimum.accumulate(np.where(np.isnan(ended), np.inf, ended)[::-1], axis=0)[::-1]
    for lap in range(laps):
        for car in np.flatnonzero(~np.isnan(ended[lap])).tolist():
            moment = ended[lap, car]
            frame = int(standings.frames(np.array([moment + JUST_PAST]))[0])
            if frame < 0 or standings.position[frame, car] < 1:
                continue
            rivals = standings.position[frame] >= 1
            if standings.running is not None:
                if not standings.running[frame, car]:
                    continue
                rivals = rivals & standings.running[frame]
            rivals[car] = False
            # A table that does not say when a rival crossed cannot say who was first.
            unsure = rivals & np.isnan(ended[lap]) & (since[lap] < np.inf)
            if unsure.any():
                continue
            official = 1 + int((since[lap, rivals] < moment).sum())
            own = standings.position[frame, car]
            place = 1 + int((standings.position[frame, rivals] < own).sum())
            compared[car] += 1
            agreeing[car] += place == official
            if place != official:
                found = Difference(standings.codes[car], lap + 1, place, official)
                differences.append((float(moment), found))
    differences.sort(key=lambda pair: pair[0])
    return CrossingAgreement(standings.codes, compared, agreeing, [d for _, d in differences])


def compare_order(
    standings: Standings, official: Feed, begin: float, end: float
) -> OrderAgreement | None:
    """Compare the order, five times a second from `begin` to `end` with a feed of the official one.

    Args:
        standings: of the recording.
        official: places as they change; each holds until the next of that car.
        begin, end: what is compared, such as the race from its start to the winner's finish.

    Returns:
        None if the recording does not reach that span.
    """
    first = max(int(np.ceil((begin - standings.first) * standings.rate)), 0)
    last = min(int(np.floor((end - standings.first) * standings.rate)), standings.frame_count - 1)
    if last < first:
        return None
    step = max(1, round(standings.rate / COMPARED_RATE))
    part = slice(first, last + 1, step)
    rate = standings.rate / step
    times = standings.first + np.arange(first, last + 1, step) / standings.rate
    cars = len(standings.codes)
    places = np.full((len(times), cars), np.nan)
    calm = np.ones((len(times), cars), dtype=np.bool_)
    for car in range(cars):
        rows = np.flatnonzero(official.cars == car)
        rows = rows[np.argsort(official.times[rows], kind="stable")]
        places[:, car] = _held(official.times[rows], official.values[rows], times)
        changes = official.times[rows][1:][np.diff(official.values[rows]) != 0]
        calm[:, car] = ~_near(times, changes)
    recorded = standings.position[part]
    known = ~np.isnan(places) & (recorded >= 1)
    if standings.running is not None:
        known &= standings.running[part]
    same = known & (places == recorded)
    leads = known & (places == 1)
    led = leads.any(axis=1)
    leader = np.argmax(leads, axis=1)
    lost = np.flatnonzero(led[1:] & led[:-1] & (np.diff(leader) != 0)) + 1
    settled = led & ~_near(times, times[lost])
    same_leader = np.take_along_axis(recorded, leader[:, None], axis=1)[:, 0] == 1
    compared = known & calm
    agreed = same & calm
    of_car = [_share(int(agreed[:, c].sum()), int(compared[:, c].sum())) for c in range(cars)]
    return OrderAgreement(
        standings.codes,
        seconds=float(settled.sum() / rate),
        car_seconds=float(compared.sum() / rate),
        leader=_share(int(same_leader[settled].sum()), int(settled.sum())),
        cars=_share(int(same[compared].sum()), int(compared.sum())),
        of_car=np.array(of_car),
        leader_everywhere=_share(int(same_leader[led].sum()), int(led.sum())),
        cars_everywhere=_share(int(same.sum()), int(known.sum())),
    )


def compare_gaps(standings: Standings, official: Feed) -> GapAgreement | None:
    """Compare gaps to the leader with official ones, row by row; None if no row can be compared.

    Args:
        standings: of the recording.
        official: gaps in seconds; NaN for what is no time, such as "+1 LAP".
    """
    if standings.gap is None:
        return None
    frames = standings.frames(official.times)
    # The leader's own 0 says nothing about a gap.
    rows = np.flatnonzero((frames >= 0) & (official.values > 0))
    ours = standings.gap[frames[rows], official.cars[rows]]
    off = np.abs(ours - official.values[rows])
    known = ~np.isnan(off)
    if not known.any():
        return None
    of_car = np.full(len(standings.codes), np.nan)
    for car in range(len(standings.codes)):
        own = off[known & (official.cars[rows] == car)]
        if own.size:
            of_car[car] = np.median(own)
    return GapAgreement(
        standings.codes,
        rows=int(known.sum()),
        not_known=int((~known).sum()),
        median=float(np.median(off[known])),
        p99=float(np.percentile(off[known], 99)),
        of_car=of_car,
    )


def lines(agreement: dict[str, Any]) -> list[str]:
    """An `Agreement.as_dict()` for people, a line for each thing that was compared."""
    result = []
    if (crossings := agreement.get("crossings")) is not None:
        result.append(
            f"order at the line: {crossings['agreeing']:,} of {crossings['compared']:,} crossings "
            f"agree with the lap table ({_percent(crossings['share'])})"
        )
    if (order := agreement.get("order")) is not None:
        result.append(
            f"order against the official feed: leader {_percent(order['leader'])} of "
            f"{order['seconds']:,.0f} s, all cars {_percent(order['cars'])} of "
            f"{order['car_seconds']:,.0f} car-seconds (outside {AROUND_CHANGE:g} s around changes)"
        )
    if (gaps := agreement.get("gaps")) is not None:
        result.append(
            f"gaps against the official ones: {gaps['median']:.3f} s median, {gaps['p99']:.2f} s "
            f"in 99 of 100, of {gaps['rows']:,} rows"
        )
    return result


def _held(times: Floats, values: Floats, at: Floats) -> Floats:
    """The last value before each moment; NaN before the first."""
    if not times.size:
        return np.full(len(at), np.nan)
    index = np.searchsorted(times, at, side="right") - 1
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)


def _near(times: Floats, changes: Floats) -> NDArray[np.bool_]:
    """Where a moment is within `AROUND_CHANGE` of a change. times: increasing."""
    near = np.zeros(len(times), dtype=np.bool_)
    for change in changes:
        a, b = np.searchsorted(times, (change - AROUND_CHANGE, change + AROUND_CHANGE))
        near[a:b] = True
    return near


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
