"""Race control: flags, the safety car, DRS, rain, and the messages that go with them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..racing import TrackStatus
from .circuit import SECTORS
from .plan import RacePlan

YELLOW_FOR = 32.0
"""Seconds that a yellow flag stays out for a car at the side of the track."""
SAFETY_CAR_AFTER = 7.0
"""Seconds from the incident until the safety car is sent."""
SAFETY_CAR_LEAST = 50.0
SAFETY_CAR_MOST = 85.0
ANNOUNCED_FROM = 0.25
"""Part of the lap after which "in this lap" is announced: the teams need not hear it earlier."""
DRS_FROM_LAP = 2
"""DRS is enabled when the leader has done this many laps, and again after a restart."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An event at a time of the simulation, seconds. car: column or -1."""

    time: float
    kind: str
    message: str
    car: int = -1
    value: str = ""
    lap: int | None = None
    sector: int | None = None


@dataclass(slots=True)
class RaceControl:
    """State of the track as a whole. Feed it with `step`; read `status` and the flags."""

    plan: RacePlan
    laps_led: float = 0.0
    status: TrackStatus = TrackStatus.CLEAR
    drs_enabled: bool = False
    raining: bool = False
    wetness: float = 0.0
    yellow_sector: int = 0
    finish_time: float = float("inf")
    notices: list[Notice] = field(default_factory=list)
    _yellow_until: float = 0.0
    _safety_car_from: float = float("inf")
    _deployed_at: float = 0.0
    _in_this_lap: bool = False
    _drs_again: float = DRS_FROM_LAP

    @property
    def safety_car(self) -> bool:
        return self.status is TrackStatus.SAFETY_CAR

    @property
    def racing(self) -> bool:
        return self.status is TrackStatus.CLEAR

    def say(
        self, time: float, kind: str, message: str, car: int = -1, value: str = "", sector: int = 0
    ) -> None:
        """Note an event in the leader's lap."""
        lap = min(int(max(self.laps_led, 0.0)) + 1, self.plan.laps)
        self.notices.append(Notice(time, kind, message, car, value, lap, sector or None))

    def incident(self, time: float, place: float, safety_car: bool) -> None:
        """A car has trouble at this fraction of the lap."""
        sector = 1 + int(np.searchsorted(SECTORS, place % 1.0, side="right"))
        self.yellow_sector = sector
        flag = "DOUBLE YELLOW" if safety_car else "YELLOW"
        if self.status in (TrackStatus.CLEAR, TrackStatus.YELLOW):
            self.status = TrackStatus.DOUBLE_YELLOW if safety_car else TrackStatus.YELLOW
            self.say(time, "flag", f"{flag} IN TRACK SECTOR {sector}", value=flag, sector=sector)
        self._yellow_until = time + YELLOW_FOR
        if safety_car:
            self._safety_car_from = time + SAFETY_CAR_AFTER

    def step(self, time: float, dt: float, laps_led: float, bunched: bool) -> None:
        """laps_led: the leader's progress; bunched: whether the field is nose to tail."""
        line_crossed = int(max(laps_led, 0)) > int(max(self.laps_led, 0))
        self.laps_led = laps_led
        if time >= self.finish_time:
            return
        if laps_led >= self.plan.laps:
            self.finish_time = time
            self.status = TrackStatus.CHEQUERED
            self.drs_enabled = False
            self.say(time, "flag", "CHEQUERED FLAG", value="CHEQUERED")
            return
        self._flags(time, line_crossed, bunched)
        self._weather(time, dt)
        self._drs(time)

    def _flags(self, time: float, line_crossed: bool, bunched: bool) -> None:
        if time >= self._safety_car_from:
            self._safety_car_from = float("inf")
            self._deployed_at = time
            self.status = TrackStatus.SAFETY_CAR
            self.say(time, "safety_car", "SAFETY CAR DEPLOYED", value="DEPLOYED")
        elif self.safety_car:
            out = time - self._deployed_at
            if not self._in_this_lap:
                share = min(1.0, self.plan.laps / 8)  # a sprint cannot spend itself behind it
                ready = bunched and out > share * SAFETY_CAR_LEAST
                ready |= out > share * SAFETY_CAR_MOST
                if ready and self.laps_led % 1.0 > ANNOUNCED_FROM:
                    self._in_this_lap = True
                    self.say(time, "safety_car", "SAFETY CAR IN THIS LAP", value="IN THIS LAP")
            elif line_crossed:
                self._in_this_lap = False
                self.status = TrackStatus.CLEAR
                self._drs_again = np.ceil(self.laps_led) + 1
                self.say(time, "flag", "TRACK CLEAR", value="GREEN")
        elif not self.racing and time >= self._yellow_until:
            self.status = TrackStatus.CLEAR
            self.say(
                time,
                "flag",
                f"CLEAR IN TRACK SECTOR {self.yellow_sector}",
                value="CLEAR",
                sector=self.yellow_sector,
            )

    def _weather(self, time: float, dt: float) -> None:
        if not self.raining and self.laps_led >= self.plan.rain_at:
            self.raining = True
            self.say(time, "weather", "RAIN REPORTED", value="RAIN")
            self.say(time, "race_control", "LOW GRIP CONDITIONS: TRACK SURFACE IS SLIPPERY")
        if self.raining:
            self.wetness = min(0.7, self.wetness + 0.7 * dt / self.plan.soaking)

    def _drs(self, time: float) -> None:
        wanted = (
            self.racing
            and self.wetness < 0.1
            and not self.raining
            and self.laps_led >= self._drs_again
        )
        # A yellow flag closes the zone in its sector only; the system stays enabled.
        if self.drs_enabled and self.status is TrackStatus.YELLOW and not self.raining:
            wanted = True
        if wanted != self.drs_enabled:
            self.drs_enabled = wanted
            word = "ENABLED" if wanted else "DISABLED"
            self.say(time, "race_control", f"DRS {word}", value=word)
