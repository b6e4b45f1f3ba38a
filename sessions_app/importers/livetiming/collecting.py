"""Updates of the live timing → the tables that OpenF1 makes of them, car by car.

So a recording is the same whether it comes from the feed or from OpenF1, and what is known of those
tables' oddities is known once.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...racing import SessionKind, session_kind
from ..openf1.folder import check_cars, sane
from ..openf1.source import SourceTables
from ..report import Done, Report
from ..tables import Table
from .lines import BrokenLine, Update, read_time
from .merging import entries, merged
from .timing import CarTiming, TimedLap, whole

_CHANNELS = {"rpm": "0", "speed": "2", "n_gear": "3", "throttle": "4", "brake": "5", "drs": "45"}
"""Column of OpenF1 → channel of CarData."""
_FLAG_OF_STATUS = {
    "2": ("YELLOW", "YELLOW IN TRACK"),
    "4": ("", "SAFETY CAR DEPLOYED"),
    "5": ("RED", "RED FLAG"),
    "6": ("", "VIRTUAL SAFETY CAR DEPLOYED"),
    "7": ("", "VIRTUAL SAFETY CAR ENDING"),
    "1": ("CLEAR", "TRACK CLEAR"),
}
"""TrackStatus → (flag, message), for sources without race control's messages."""
_MOST_PARTS = 3
_FITS = 5.0
"""Seconds by which a lap's time may differ from when it was seen to begin and end."""


def _members(value: Any) -> Mapping[str, Any]:
    """An object's members; none of what is no object."""
    return value if isinstance(value, dict) else {}


class Collector:
    """Takes updates in the order of time; `tables` is what they came to.

    Args:
        source: for messages.
        report: where what cannot be read is listed.
        kind: of the session.
    """

    def __init__(self, source: Path, report: Report, kind: SessionKind) -> None:
        self.source, self.report, self.kind = source, report, kind
        self.state: dict[str, Any] = {}
        self.cars: dict[int, CarTiming] = {}
        self._samples: dict[str, dict[int, dict[str, array[float]]]] = {
            "location": {},
            "car_data": {},
        }
        self._weather: list[dict[str, float]] = []
        self._parts: list[tuple[float, int]] = []
        self._clock: list[tuple[float, float, bool]] = []
        self._status: list[tuple[float, str]] = []
        self._track: list[tuple[float, str]] = []
        self._stints: dict[int, dict[int, dict[str, Any]]] = {}
        self._laps_of_race: int | None = None
        self._takers = {
            "Position": self._position,
            "CarData": self._car_data,
            "TimingData": self._timing,
            "TimingAppData": self._tyres,
            "WeatherData": self._take_weather,
            "SessionData": self._session_data,
            "SessionStatus": self._session_status,
            "TrackStatus": self._track_status,
            "ExtrapolatedClock": self._take_clock,
            "LapCount": self._lap_count,
        }

    def take(self, update: Update) -> None:
        """One update. What is not as the feed sends it is listed and left out."""
        if update.topic not in ("Position", "CarData"):
            self.state[update.topic] = merged(self.state.get(update.topic), update.data)
        taker = self._takers.get(update.topic)
        if taker is None:
            return
        try:
            taker(update.time, update.data)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self.report.leave_out(
                Done.ROW,
                f"a {update.topic} as the feed sends it",
                table=update.topic,
                file=self.source,
                found=f"{type(error).__name__}: {error}",
            )

    # -- what moves

    def _position(self, _time: float, data: Mapping[str, Any]) -> None:
        for _, sample in entries(data["Position"]):
            at = read_time(sample["Timestamp"])
            for number, place in sample["Entries"].items():
                values = (at, place.get("X"), place.get("Y"), place.get("Z"))
                self._sample("location", number, ("date", "x", "y", "z"), values)

    def _car_data(self, _time: float, data: Mapping[str, Any]) -> None:
        for _, sample in entries(data["Entries"]):
            at = read_time(sample["Utc"])
            for number, car in sample["Cars"].items():
                channels = car["Channels"]
                values = (at, *(channels.get(channel) for channel in _CHANNELS.values()))
                self._sample("car_data", number, ("date", *_CHANNELS), values)

    def _sample(
        self, table: str, number: str, names: tuple[str, ...], values: tuple[Any, ...]
    ) -> None:
        car = whole(number)
        if car is None:
            raise BrokenLine(f"{number!r:.60} found: expected the number of a car")
        columns = self._samples[table].get(car)
        if columns is None:
            columns = self._samples[table][car] = {name: array("d") for name in names}
        # All of them before the first is kept: what cannot be a number costs the whole sample.
        numbers = [math.nan if value is None else float(value) for value in values]
        for name, one in zip(names, numbers, strict=True):
            columns[name].append(one)

    # -- the timing

    def _car(self, number: str) -> CarTiming | None:
        car = whole(number)
        if car is None:
            return None
        if car not in self.cars:
            self.cars[car] = CarTiming(1 if self.kind.is_race else 0)
        return self.cars[car]

    def _timing(self, time: float, data: Mapping[str, Any]) -> None:
        part = whole(data.get("SessionPart"))
        if part is not None and part > 0:
            self._part(time, part)
        for number, line in _members(data.get("Lines")).items():
            car = self._car(number)
            if car is not None and isinstance(line, dict):
                car.take(time, line)

    def _tyres(self, time: float, data: Mapping[str, Any]) -> None:
        for number, line in _members(data.get("Lines")).items():
            car = self._car(number)
            if car is None or not isinstance(line, dict):
                continue
            stints = self._stints.setdefault(int(number), {})
            for index, said in entries(line.get("Stints")):
                if not isinstance(said, dict):
                    continue
                if index not in stints:
                    stints[index] = {"lap_start": car.next_stint}
                stints[index].update(said)

    def _part(self, time: float, part: int) -> None:
        if part <= _MOST_PARTS and (not self._parts or part > self._parts[-1][1]):
            self._parts.append((time, part))

    # -- the session

    def _session_data(self, time: float, data: Mapping[str, Any]) -> None:
        for _, said in entries(data.get("Series")):
            part = whole(said.get("QualifyingPart"))
            if part:
                self._part(read_time(said["Utc"]) if "Utc" in said else time, part)
        for _, said in entries(data.get("StatusSeries")):
            if "SessionStatus" in said:
                self._status.append((read_time(said["Utc"]), str(said["SessionStatus"])))

    def _session_status(self, time: float, data: Mapping[str, Any]) -> None:
        if "Status" in data:
            self._status.append((time, str(data["Status"])))

    def _track_status(self, time: float, data: Mapping[str, Any]) -> None:
        if "Status" in data:
            self._track.append((time, str(data["Status"])))

    def _take_clock(self, time: float, data: Mapping[str, Any]) -> None:
        state = self.state["ExtrapolatedClock"]
        hours, minutes, rest = str(state["Remaining"]).split(":")
        remaining = int(hours) * 3600 + int(minutes) * 60 + float(rest)
        at = read_time(data["Utc"]) if "Utc" in data else time
        self._clock.append((at, remaining, bool(state.get("Extrapolating"))))

    def _lap_count(self, _time: float, data: Mapping[str, Any]) -> None:
        total = whole(data.get("TotalLaps"))
        self._laps_of_race = total if total is not None else self._laps_of_race

    def _take_weather(self, time: float, data: Mapping[str, Any]) -> None:
        names = {
            "air_temperature": "AirTemp",
            "track_temperature": "TrackTemp",
            "humidity": "Humidity",
            "wind_speed": "WindSpeed",
            "wind_direction": "WindDirection",
            "rainfall": "Rainfall",
        }
        row = {name: float(data[key]) for name, key in names.items() if data.get(key) is not None}
        self._weather.append({"date": time, **row})

    # -- tables

    def tables(self) -> SourceTables:
        """What all updates came to."""
        small = {
            "sessions": self._sessions(),
            "drivers": self._drivers(),
            "laps": self._laps(),
            "stints": self._stint_table(),
            "position": self._places(),
            "race_control": self._race_control(),
            "weather": self._table(
                "weather",
                self._weather,
                {
                    "date": None,
                    "air_temperature": None,
                    "track_temperature": None,
                    "humidity": None,
                    "wind_speed": None,
                    "wind_direction": None,
                    "rainfall": None,
                },
            ),
        }
        check_cars(len(self.cars.keys() | self._samples["location"].keys()), self.source)
        return SourceTables(
            path=self.source,
            small={n: sane(table, self.report) for n, table in small.items() if table.rows},
            location=self._sample_tables("location"),
            car_data=self._sample_tables("car_data"),
            parts=self._parts,
            entries_of_parts=self._entries(),
            clock=self._clock,
            pits={n: [(a, b) for a, b in car.pits] for n, car in self.cars.items()},
            bests={n: [(a, b, c) for a, b, c in car.bests] for n, car in self.cars.items()},
            total_laps=self._laps_of_race,
            started=next((at for at, status in self._status if status == "Started"), None),
        )

    def _table(self, name: str, rows: list[Any], columns: Mapping[str, Any]) -> Table:
        """columns: name → what stands for no value: None for numbers, "" for texts."""
        arrays: dict[str, NDArray[Any]] = {}
        for column, nothing in columns.items():
            values = [row.get(column, nothing) for row in rows]
            if nothing is None:
                arrays[column] = np.array(
                    [math.nan if v is None else float(v) for v in values], dtype=np.float64
                )
            else:
                arrays[column] = np.array(values, dtype=np.bool_ if nothing is False else object)
        return Table(self.source, arrays, len(rows), name)

    def _sample_tables(self, name: str) -> dict[int, list[Table]]:
        return {
            number: [
                sane(
                    Table(
                        self.source,
                        {column: np.array(values) for column, values in columns.items()},
                        len(columns["date"]),
                        name,
                    ),
                    self.report,
                )
            ]
            for number, columns in sorted(self._samples[name].items())
        }

    def _sessions(self) -> Table:
        info = _members(self.state.get("SessionInfo"))
        meeting = _members(info.get("Meeting"))
        circuit, country = _members(meeting.get("Circuit")), _members(meeting.get("Country"))
        year = str(info.get("StartDate", ""))[:4]
        row = {
            "session_name": str(info.get("Name", "")),
            "session_type": str(info.get("Type", "")),
            "circuit_key": whole(circuit.get("Key")),
            "circuit_short_name": str(circuit.get("ShortName", "")),
            "country_name": str(country.get("Name", "")),
            "location": str(meeting.get("Location", "")),
            "year": whole(year),
            "round": whole(meeting.get("Number")),
        }
        texts = ("session_name", "session_type", "circuit_short_name", "country_name", "location")
        columns = {name: "" if name in texts else None for name in row}
        return self._table("sessions", [row] if row["session_name"] else [], columns)

    def _drivers(self) -> Table:
        rows = []
        for number, about in _members(self.state.get("DriverList")).items():
            car = whole(number)
            if car is None or not isinstance(about, dict):
                continue
            rows.append(
                {
                    "driver_number": car,
                    "name_acronym": str(about.get("Tla", "")),
                    "full_name": str(about.get("FullName", "")),
                    "team_name": str(about.get("TeamName", "")),
                    "team_colour": str(about.get("TeamColour", "")),
                    "country_code": str(about.get("CountryCode", "")),
                }
            )
        columns = dict.fromkeys(
            ("name_acronym", "full_name", "team_name", "team_colour", "country_code"), ""
        )
        return self._table("drivers", rows, {"driver_number": None, **columns})

    def _laps(self) -> Table:
        rows = []
        for number, car in sorted(self.cars.items()):
            for lap, said in sorted(car.laps.items()):
                rows.append(
                    {
                        "driver_number": number,
                        "lap_number": lap,
                        "date_start": said.began,
                        "lap_duration": _believed(said),
                        "duration_sector_1": said.sectors[0],
                        "duration_sector_2": said.sectors[1],
                        "duration_sector_3": said.sectors[2],
                        "is_pit_out_lap": said.pit_out,
                        "date_end": said.ended,
                    }
                )
        columns: dict[str, Any] = dict.fromkeys(
            (
                "driver_number",
                "lap_number",
                "date_start",
                "lap_duration",
                "duration_sector_1",
                "duration_sector_2",
                "duration_sector_3",
                "date_end",
            )
        )
        return self._table("laps", rows, {**columns, "is_pit_out_lap": False})

    def _stint_table(self) -> Table:
        rows = []
        for number, stints in sorted(self._stints.items()):
            car = self.cars[number]
            # The lap after the last one that ended is the way back to the pits.
            done = [n for n, lap in car.laps.items() if not math.isnan(lap.ended)]
            last = max(done, default=1)
            for index, said in sorted(stints.items()):
                after = stints.get(index + 1)
                end = last if after is None else after["lap_start"] - 1
                if end < said["lap_start"]:
                    continue  # Put on and taken off again before the car left.
                rows.append(
                    {
                        "driver_number": number,
                        "stint_number": index + 1,
                        "lap_start": said["lap_start"],
                        "lap_end": end,
                        "compound": str(said.get("Compound", "")),
                        "tyre_age_at_start": whole(said.get("StartLaps")),
                    }
                )
        columns = dict.fromkeys(
            ("driver_number", "stint_number", "lap_start", "lap_end", "tyre_age_at_start")
        )
        return self._table("stints", rows, {**columns, "compound": ""})

    def _places(self) -> Table:
        rows = [
            {"date": at, "driver_number": number, "position": place}
            for number, car in sorted(self.cars.items())
            for at, place in car.places
        ]
        return self._table("position", rows, dict.fromkeys(("date", "driver_number", "position")))

    def _race_control(self) -> Table:
        rows = []
        said_before = _members(self.state.get("RaceControlMessages")).get("Messages")
        for _, said in entries(said_before):
            if not isinstance(said, dict) or "Message" not in said:
                continue
            try:
                at = read_time(said.get("Utc"))
            except BrokenLine:
                at = math.nan
            rows.append(
                {
                    "date": at,
                    "message": str(said["Message"]),
                    "driver_number": whole(said.get("RacingNumber")),
                    "lap_number": whole(said.get("Lap")),
                    "category": str(said.get("Category", "")),
                    "flag": str(said.get("Flag", "")),
                    "scope": str(said.get("Scope", "")),
                    "sector": whole(said.get("Sector")),
                }
            )
        if not rows:
            rows = self._from_statuses()
        numbers = dict.fromkeys(("date", "driver_number", "lap_number", "sector"))
        texts = dict.fromkeys(("message", "category", "flag", "scope"), "")
        return self._table("race_control", rows, {**numbers, **texts})

    def _from_statuses(self) -> list[dict[str, Any]]:
        """Flags by the status of the track and of the session, where race control is not there."""
        rows: list[dict[str, Any]] = []
        for at, status in self._track:
            if status in _FLAG_OF_STATUS:
                flag, message = _FLAG_OF_STATUS[status]
                rows.append({"date": at, "message": message, "flag": flag, "category": "Flag"})
        ends = {"Started": ("GREEN", "GREEN LIGHT"), "Finished": ("CHEQUERED", "CHEQUERED FLAG")}
        for at, status in self._status:
            if status in ends:
                flag, message = ends[status]
                rows.append({"date": at, "message": message, "flag": flag, "category": "Flag"})
        if rows:
            self.report.estimate("flags: from the status of the track and of the session")
        return sorted(rows, key=lambda row: float(row["date"]))

    def _entries(self) -> dict[int, int]:
        """How many cars each part of a qualifying has."""
        said = _members(self.state.get("TimingData")).get("NoEntries")
        counts = {place + 1: whole(value) for place, value in entries(said)}
        return {part: count for part, count in counts.items() if count}


def _believed(lap: TimedLap) -> float:
    """Its time; NaN for one out of the pits that does not fit when it began and ended: there the
    feed mixes up laps that red flags broke off."""
    off = lap.ended - lap.began - lap.duration
    return math.nan if lap.pit_out and abs(off) > _FITS else lap.duration


def kind_of_session(updates: Iterable[Update]) -> SessionKind:
    """By SessionInfo; where that does not tell, a session that has parts is a qualifying, and any
    other a race."""
    info: Any = None
    parts = False
    for update in updates:
        if update.topic == "SessionInfo":
            info = merged(info, update.data)
        elif update.topic == "SessionData":
            said = [one for _, one in entries(update.data.get("Series")) if isinstance(one, dict)]
            parts |= any("QualifyingPart" in one for one in said)
    name = str(info.get("Name") or info.get("Type") or "") if isinstance(info, dict) else ""
    return SessionKind.QUALIFYING if parts and not name else session_kind(name)
