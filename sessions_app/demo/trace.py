"""What is kept of a race while it runs, and what the rest of the demo is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..racing import Tyre
from .circuit import Array
from .control import Notice, RaceControl
from .plan import RacePlan


@dataclass(frozen=True, slots=True)
class BoxStop:
    """A car standing in its box, seconds, and what it left with."""

    car: int
    begin: float
    end: float
    tyre: Tyre


@dataclass(frozen=True, slots=True)
class Trace:
    """The race as it was stepped. Arrays of shape (steps, cars) or (steps,); seconds, metres,
    m/s; offset to the left. Time 0 is frame 0. retired_time: inf for cars that did not retire;
    finish_time: per car, inf if it did not finish."""

    time: Array
    distance: Array
    speed: Array
    offset: Array
    status: NDArray[np.int8]
    tyre: NDArray[np.int8]
    drs: NDArray[np.int8]
    track_status: NDArray[np.int8]
    raining: NDArray[np.int8]
    wetness: Array
    lights_out: float
    retired_time: Array
    finish_time: Array
    box_stops: list[BoxStop]
    notices: list[Notice]
    plan: RacePlan


class Recorder:
    """Collects steps, then stacks them."""

    def __init__(self) -> None:
        self._cars: list[tuple[NDArray[Any], ...]] = []
        self._session: list[tuple[float, int, int, float]] = []

    def add(self, time: float, control: RaceControl, *cars: NDArray[Any]) -> None:
        """cars: distance, speed, offset, status, tyre, drs; not changed in place afterwards."""
        self._cars.append(cars)
        self._session.append((time, int(control.status), int(control.raining), control.wetness))

    def trace(
        self,
        plan: RacePlan,
        lights_out: float,
        retired_time: Array,
        finish_time: Array,
        box_stops: list[BoxStop],
        notices: list[Notice],
    ) -> Trace:
        """All steps so far."""
        columns = (np.stack(column) for column in zip(*self._cars, strict=True))
        distance, speed, offset, status, tyre, drs = columns
        time, track_status, raining, wetness = np.array(self._session).T
        return Trace(
            time=time,
            distance=distance,
            speed=speed,
            offset=offset,
            status=status,
            tyre=tyre.astype(np.int8),
            drs=drs,
            track_status=track_status.astype(np.int8),
            raining=raining.astype(np.int8),
            wetness=wetness,
            lights_out=lights_out,
            retired_time=retired_time,
            finish_time=finish_time,
            box_stops=box_stops,
            notices=notices,
            plan=plan,
        )
