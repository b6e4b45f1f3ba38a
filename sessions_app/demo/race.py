"""The race itself: twenty cars stepped through time on one circuit.

Theory of operation. A car has a distance along the centre line, a speed, and an offset across it.
In each step it drives as fast as the tightest of these allow: the corner ahead at its own grip
(tyres, fuel, rain), the engine, the car in its way, and whatever flag or pit limiter holds. Across
the track it follows the racing line, or the half of the track that a duel leaves it, as far as
the cars beside it give room.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..racing import CarStatus, TrackStatus, Tyre
from . import pits, tyres
from .circuit import EDGE, SECTORS, Array, Circuit
from .control import RaceControl
from .drs import Drs
from .duels import Duels
from .physics import DRS_DRAG, STEP, TOW_DRAG, braking, driving, speed_limits
from .plan import GRID_WAIT, RacePlan
from .teams import CARS
from .trace import BoxStop, Recorder, Trace
from .traffic import Neighbours, alongside, neighbours, room, speed_limit

COOL_DOWN = 12.0
"""Seconds that are recorded after the last car has finished."""
FINISH_WAIT = 150.0
"""Seconds after the winner at which recording ends, whoever is still on the way."""
GRID_FRONT, GRID_SPACING, GRID_SIDE = 9.0, 8.0, 3.3
PARKED = 11.0
"""Offset at which a car that fails stops, metres to the left: beyond the edge."""
OVERTAKE_POWER = 1.07
"""Battery that an attacking driver spends, as a share of the engine's acceleration."""
EASE_OFF = 8.0
"""Deceleration when a driver lifts for a flag, m/s²."""

NO_STOP, CALLED, TO_BOX, IN_BOX, FROM_BOX = range(5)
"""The stages of a pit stop."""


class Race:
    """One race under way. Arrays have shape (cars,); call `run` once."""

    def __init__(self, circuit: Circuit, plan: RacePlan, rng: np.random.Generator) -> None:
        cars = len(CARS)
        self.circuit, self.plan, self.rng = circuit, plan, rng
        self.limits = speed_limits(circuit)
        self.control = RaceControl(plan)
        self.duels = Duels(circuit, cars)
        slot = np.empty(cars)
        slot[plan.grid] = np.arange(cars)
        self.time = 0.0
        self.distance = -(GRID_FRONT + GRID_SPACING * slot)
        self.speed = np.zeros(cars)
        self.deviation = np.where(slot % 2 == 0, GRID_SIDE, -GRID_SIDE)
        self.line = circuit.at(circuit.line, self.distance)  # offset of the racing line, m
        self.deviation -= self.line
        self.drift = np.zeros(cars)  # speed across the track relative to the line, m/s
        self.offset = self.line + self.deviation
        self.side = np.sign(self.offset)  # of the grid, held until the field has sorted itself
        self.tyre = plan.start_tyre.copy()
        self.fitted_at = self.distance / circuit.length  # progress at which the tyres came on
        self.grip = plan.grip
        self.form = np.zeros(cars)  # grip above or below usual in this lap
        self.stage = np.full(cars, NO_STOP)
        self.new_tyre = np.full(cars, -1)
        self.box = pits.box_places(cars)
        self.box_until = np.zeros(cars)
        self.entry_rest = np.zeros(cars)
        self.failing = np.zeros(cars, dtype=bool)
        self.retired_time = np.full(cars, np.inf)
        self.finish_time = np.full(cars, np.inf)
        self.drs = Drs(circuit, cars)
        self.box_stops: list[BoxStop] = []
        self._no_cap = np.full(cars, np.inf)
        self._cars = self._neighbours()
        self._recorder = Recorder()

    def run(self) -> Trace:
        """Step until the last car has finished and cooled down."""
        end = np.inf
        while self.time < end:
            self._record()
            self._step()
            if np.isinf(end) and np.isfinite(self.control.finish_time):
                done = np.isfinite(self.finish_time) | np.isfinite(self.retired_time)
                late = self.time > self.control.finish_time + FINISH_WAIT
                if done.all() or late:
                    end = self.time + COOL_DOWN
        self._record()
        return self._recorder.trace(
            self.plan,
            GRID_WAIT,
            self.retired_time,
            self.finish_time,
            self.box_stops,
            self.control.notices,
        )

    # What the cars see

    @property
    def progress(self) -> Array:
        """Laps since the line was first crossed."""
        return self.distance / self.circuit.length

    @property
    def running(self) -> NDArray[np.bool_]:
        return np.asarray(np.isinf(self.retired_time) & ~self.failing)

    @property
    def in_pits(self) -> NDArray[np.bool_]:
        return np.asarray(self.stage >= TO_BOX)

    def _neighbours(self) -> Neighbours:
        on_track = ~self.in_pits & np.isinf(self.retired_time)
        # Whoever leaves a box is already in the way of those who come along the lane.
        leaving = self.stage == FROM_BOX
        deviation = self.deviation
        if leaving.any():
            place = pits.signed(self.circuit, self.distance)
            deviation = np.where(leaving, pits.lane_offset(place) - self.line, deviation)
        return neighbours(self.distance, self.offset, deviation, self.circuit.length, on_track)

    def _leader(self) -> int:
        """The car that leads on the road: whom the safety car picks up."""
        eligible = self.running & ~self.in_pits
        return int(np.where(eligible, self.distance, -np.inf).argmax())

    def _bunched(self) -> bool:
        eligible = self.running & ~self.in_pits
        eligible[self._leader()] = False
        return bool((self._cars.gap[eligible] < 60.0).all())

    # One step

    def _step(self) -> None:
        self.time += STEP
        before = self.distance
        self._cars = self._neighbours()
        self._drive()
        racing = self.running & np.isinf(self.finish_time)
        leader_laps = float(
            np.where(racing | np.isfinite(self.finish_time), self.progress, 0).max()
        )
        self.control.step(self.time, STEP, leader_laps, self._bunched())
        self._crossings(before)
        self._retirements()
        self._pit_stages()
        self._duel()

    def _drive(self) -> None:
        place = pits.signed(self.circuit, self.distance)
        self.grip = grip = self._grip()
        speed = self.speed
        ahead = self.distance + speed * STEP
        limit = self.limits.at(ahead, grip)
        following = speed_limit(
            self._cars,
            speed,
            headway=0.30 if self.control.safety_car else 0.20,
            spacing=9.0 if self.control.safety_car else 1.6,
        )
        yielding = alongside(self._cars) & ~self.in_pits
        limit = np.where(yielding & (self.duels.straight(ahead) < 30.0), 0.955 * limit, limit)
        hard = np.minimum(limit, following)
        if self.in_pits.any():
            beyond = pits.signed(self.circuit, ahead)
            lane = pits.speed_cap(beyond, self.box, self.stage == TO_BOX)
            hard = np.where(self.in_pits, np.minimum(hard, lane), hard)
        soft = np.maximum(self._flag_cap(limit), speed - EASE_OFF * STEP)
        faster = speed + self._acceleration(limit) * STEP
        new = np.minimum(np.minimum(faster, hard), soft)
        new = np.maximum(new, speed - 1.05 * braking(speed) * STEP)
        new = np.maximum(new, 0.0)
        standing = (self.stage == IN_BOX) | np.isfinite(self.retired_time)
        standing |= self.time < GRID_WAIT + self.plan.reaction
        new = np.where(standing, 0.0, new)
        self._steer(place, new)
        mean = (speed + new) / 2
        # Inside of a bend a metre of centre line is less than a metre of road.
        bend = 1.0 - self.circuit.at(self.circuit.curvature, self.distance) * self.offset
        self.distance = self.distance + mean * STEP / np.maximum(bend, 0.5)
        self.speed = new
        self.offset = self._offset()

    def _grip(self) -> Array:
        plan = self.plan
        age = self.progress - self.fitted_at
        burnt = np.clip(self.progress / plan.laps, 0.0, 1.0)
        grip = plan.grip * tyres.grip(self.tyre, age, self.control.wetness, burnt, plan.laps)
        off_line = np.abs(self.deviation)
        dirty_air = np.where(self._cars.gap < 0.9 * self.speed, 0.006, 0.0)
        grip = grip + self.form - 0.008 * np.minimum(off_line, 5.0) - dirty_air
        # Cold tyres and caution in the first corners.
        return grip * np.where(self.progress < 0.25, 0.93, 1.0)

    def _acceleration(self, limit: Array) -> Array:
        gap = self._cars.gap
        attack = self.duels.attacking
        drag = self.plan.drag.copy()
        drag *= np.where((gap > 6.0) & (gap < 0.8 * self.speed), TOW_DRAG, 1.0)
        drag *= np.where(self.drs.open, DRS_DRAG, 1.0)
        drag *= np.where(attack, 0.93, 1.0)
        acceleration = driving(self.speed, np.maximum(drag, 0.8))
        acceleration *= np.where(attack & (acceleration > 0), OVERTAKE_POWER, 1.0)
        launching = (self.progress < 0.04) & (self.speed < 40.0)
        return np.where(launching, acceleration * self.plan.launch, acceleration)

    def _flag_cap(self, limit: Array) -> Array:
        """Speed that flags and failures allow, m/s; drivers lift for it rather than brake."""
        control = self.control
        cap = self._no_cap
        if control.safety_car:
            cap = np.minimum(0.88 * limit, 72.0)
            leader = self._leader()
            cap[leader] = min(0.70 * limit[leader], 50.0)
        elif control.status in (TrackStatus.YELLOW, TrackStatus.DOUBLE_YELLOW):
            sector = 1 + np.searchsorted(SECTORS, np.mod(self.progress, 1.0), side="right")
            cap = np.where(sector == control.yellow_sector, 0.88 * limit, cap)
            cap = np.where(cap > 60.0, np.maximum(cap, 60.0), cap)
        if np.isfinite(control.finish_time):
            cooling = np.isfinite(self.finish_time)
            cap = np.where(cooling, np.minimum(0.7 * limit, 45.0), cap)
        if self.failing.any():
            # A failing car rolls on until it is off the road.
            rolling = np.where(self.offset > EDGE + 3.0, 0.0, 14.0)
            cap = np.where(self.failing, np.minimum(cap, rolling), cap)
        return cap

    def _steer(self, place: Array, speed: Array) -> None:
        """Move across the track towards where each car wants to be."""
        line = self.line
        target = np.zeros(len(line))
        duelling = self.duels.rival >= 0
        target = np.where(duelling, self.duels.middle(line) - line, target)
        sorting = (self.distance < 130.0) & (self.progress < 0.5)
        target = np.where(sorting, 2.9 * self.side - line, target)
        approaching = (self.stage == CALLED) & (place > pits.APPROACH) & (place < pits.ENTRY + 20)
        target = np.where(approaching, pits.BESIDE - line, target)
        target = np.where(self.failing, PARKED - line, target)
        fastest = np.where(self.failing, 0.14, 0.05) * speed
        wanted = np.clip(1.6 * (target - self.deviation), -fastest, fastest)
        self.drift = self.drift + np.clip(wanted - self.drift, -9.0 * STEP, 9.0 * STEP)
        self.drift = np.clip(self.drift, -fastest, fastest)
        offset = line + self.deviation + self.drift * STEP
        low, high = room(self._cars, self.offset, self.speed)
        beyond = np.where(self.failing | np.isfinite(self.retired_time), PARKED + 1.0, EDGE)
        bound = np.clip(offset, np.maximum(low, -EDGE), np.minimum(high, beyond))
        bound = np.where(low > high, self.offset, bound)
        # Giving room is quicker than changing one's mind, but no jump either.
        most = (fastest + 0.09 * speed) * STEP
        bound = np.clip(bound, self.offset - most, self.offset + most)
        moved = bound - line - self.deviation
        self.drift = np.where(np.abs(moved - self.drift * STEP) > 1e-9, moved / STEP, self.drift)
        self.deviation = np.where(self.in_pits, self.deviation, self.deviation + moved)

    def _offset(self) -> Array:
        self.line = self.circuit.at(self.circuit.line, self.distance)
        if self.in_pits.any():
            place = pits.signed(self.circuit, self.distance)
            lane = pits.lane_offset(place) + pits.box_offset(place, self.box)
            lane += self.entry_rest * pits.entry_share(place)
            self.deviation = np.where(self.in_pits, lane - self.line, self.deviation)
        return self.line + self.deviation

    # What happens to the cars

    def _crossings(self, before: Array) -> None:
        """A new lap or the flag at the line; the decision to stop ahead of the pit entry."""
        length = self.circuit.length
        over = np.isfinite(self.control.finish_time)
        crossed = np.floor(self.distance / length) > np.floor(before / length)
        for car in np.flatnonzero(crossed & self.running):
            self.form[car] = self.rng.normal(0.0, 0.004)
            if over and np.isinf(self.finish_time[car]):
                over_line = self.distance[car] % length
                self.finish_time[car] = self.time - over_line / max(self.speed[car], 1.0)
        if not over:
            called = np.floor((self.distance - pits.CALL) / length)
            called = called > np.floor((before - pits.CALL) / length)
            for car in np.flatnonzero(called & self.running):
                self._call(int(car))

    def _call(self, car: int) -> None:
        """Decide whether the car comes in at the end of this lap."""
        lap = int(self.progress[car]) + 1
        plan, control = self.plan, self.control
        left = plan.laps - lap
        mate = car ^ 1
        if left < 1 or self.stage[car] != NO_STOP or self.stage[mate] in (CALLED, TO_BOX, IN_BOX):
            return
        slick = self.tyre[car] <= Tyre.HARD
        made = sum(1 for s in self.box_stops if s.car == car)
        due = made < len(plan.stops[car]) and lap >= plan.stops[car][made]
        # Under the safety car a stop costs half, so a stop that was due soon is made now.
        soon = made < len(plan.stops[car]) and lap >= plan.stops[car][made] - 0.25 * plan.laps
        if slick and control.wetness + 0.10 * control.raining >= plan.wet_threshold[car]:
            self._come_in(car, tyres.for_rain(bool(plan.full_wet[car])))
        elif slick and not control.raining and (due or (soon and control.safety_car)):
            self._come_in(car, plan.compounds[car][made])

    def _come_in(self, car: int, tyre: Tyre) -> None:
        self.stage[car] = CALLED
        self.new_tyre[car] = int(tyre)

    def _retirements(self) -> None:
        for retirement in self.plan.retirements:
            car = retirement.car
            if np.isfinite(self.retired_time[car]):
                continue
            code = CARS[car][1].code
            name = f"CAR {CARS[car][1].number} ({code})"
            if not self.failing[car]:
                if self.progress[car] >= retirement.at and self.stage[car] <= CALLED:
                    self.failing[car] = True
                    self.stage[car] = NO_STOP
                    self.control.incident(self.time, retirement.at, retirement.safety_car)
            elif self.speed[car] < 0.2:
                self.speed[car] = 0.0
                self.retired_time[car] = self.time
                message = f"{name} STOPPED AND RETIRED - {retirement.reason}"
                self.control.say(self.time, "retirement", message, car=car)

    def _pit_stages(self) -> None:
        if not (self.stage != NO_STOP).any():
            return
        place = pits.signed(self.circuit, self.distance)
        for car in np.flatnonzero(self.stage != NO_STOP):
            stage, at = self.stage[car], place[car]
            if stage == CALLED and pits.ENTRY <= at < pits.ENTRY_END:
                self.stage[car] = TO_BOX
                self.entry_rest[car] = self.offset[car] - pits.BESIDE
            elif stage == TO_BOX and self.box[car] - at < 0.5:
                self.stage[car] = IN_BOX
                slow = self.rng.exponential(0.45) + (2.5 if self.rng.random() < 0.06 else 0.0)
                self.box_until[car] = self.time + 2.0 + slow
                self.box_stops.append(
                    BoxStop(int(car), self.time, self.box_until[car], Tyre(self.new_tyre[car]))
                )
            elif stage == IN_BOX and self.time >= self.box_until[car]:
                self.tyre[car] = self.new_tyre[car]
                self.fitted_at[car] = self.progress[car]
                if self._released(int(car)):
                    self.stage[car] = FROM_BOX
            elif stage == FROM_BOX and at > pits.EXIT_END:
                self.stage[car] = NO_STOP
                self.drift[car] = 0.0

    def _released(self, car: int) -> bool:
        behind = -self._cars.ahead[car]
        coming = self.in_pits & (self.stage != IN_BOX)
        return not (coming & (behind > -6.0) & (behind < pits.RELEASE_GAP)).any()

    def _duel(self) -> None:
        control = self.control
        free = self.running & (self.stage <= CALLED) & np.isinf(self.finish_time)
        place = pits.signed(self.circuit, self.distance)
        free &= ~((self.stage == CALLED) & (place > pits.APPROACH - 200) & (place < 0))
        if not control.racing and control.status is not TrackStatus.YELLOW:
            free[:] = False
        elif control.status is TrackStatus.YELLOW:
            sector = 1 + np.searchsorted(SECTORS, np.mod(self.progress, 1.0), side="right")
            free &= sector != control.yellow_sector
        free &= self.progress > 0.12
        granted = self.running & (self.stage <= CALLED) & np.isinf(self.finish_time)
        self.drs.step(self.progress, self.speed, self._cars.gap, granted, control.drs_enabled)
        ahead = self._cars.next
        better = np.where(ahead >= 0, self.grip - self.grip[ahead], 0.0)
        keen = np.clip(0.25 + 45.0 * better, 0.0, 3.0) + 0.9 * self.drs.open
        lapping = np.where(ahead >= 0, self.progress - self.progress[ahead], 0.0) > 0.5
        keen = np.where(lapping, 6.0, keen)
        self.duels.step(
            self.time, STEP, self.distance, self.speed, self._cars, free, keen, self.rng
        )

    # What is kept

    def _record(self) -> None:
        self._recorder.add(
            self.time,
            self.control,
            self.distance,
            self.speed.copy(),
            self.offset,
            self._status(),
            self.tyre.copy(),
            self.drs.state,
        )

    def _status(self) -> NDArray[np.int8]:
        status = np.full(len(CARS), int(CarStatus.TRACK), dtype=np.int8)
        if self.time < GRID_WAIT:
            status[:] = CarStatus.GRID
        status[self.in_pits] = CarStatus.PIT
        status[np.isfinite(self.finish_time)] = CarStatus.FINISHED
        status[np.isfinite(self.retired_time)] = CarStatus.RETIRED
        return status
