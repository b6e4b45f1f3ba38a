"""A folder of OpenF1 tables → one race."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...racing import FRAME_RATE, SEGMENT_SECONDS
from ..bounds import Allowance
from ..options import ImportOptions
from ..report import Done, Report
from ..result import ImportResult, ImportSourceError, Progress, no_progress
from ..tables import Table
from .car import Car, classify, first_standing_start
from .clocks import positions_of, telemetry_of
from .control import Message, rain_changes, read_messages, track_status
from .folder import SPECS, find_tables, read_car_table, read_small_tables
from .frames import SeriesBuilder, TimeBase, grid_places, red_spans
from .outline import Outline, outline_for
from .overtakes import overtakes
from .penalties import classification
from .records import (
    entities_of,
    events_of,
    geometry_of,
    laps_of,
    stints_of,
    unseen_share,
)
from .timing import no_laps, race_start, read_laps, read_stints

MAX_HOURS = 24
"""Of one race: more is a date that is wrong."""


def import_openf1(
    source: Path, options: ImportOptions, progress: Progress = no_progress
) -> ImportResult:
    """Read a folder of OpenF1 tables. Only `location` must be there.

    What cannot be believed is left out and listed in the result's report.
    Raises: ImportSourceError if there is nothing to show; of a strict import naming file, row and
    column of the first thing that cannot be believed. SourceTooLarge beyond a bound.
    """
    progress(0.0, "reading tables")
    report = Report(source, strict=options.strict)
    allowance = Allowance(options.bounds)
    files = find_tables(source, options.bounds)
    report.missing = [name for name in SPECS if name not in files]
    small = read_small_tables(files, allowance, report)
    _kind(small.get("sessions"))
    if "location" not in files:
        raise ImportSourceError(
            "no table of positions: expected location.parquet, .csv or .json per driver or for all",
            file=source,
        )
    cars = _read_cars(files, small, allowance, progress, report)
    messages = read_messages(small.get("race_control"))
    start = _start(source, cars, report)
    progress(0.5, "following the cars")
    outline = _outline(source, options, cars, start, report)
    for car in cars.values():
        car.follow(outline.line, start)
    flag = next((m for m in messages if m.flag == "CHEQUERED"), None)
    total_laps = classify(cars, start, flag.time if flag else None, flag.lap if flag else None)
    base = _time_base(source, cars, start, options)
    if total_laps is None:
        report.estimate("no finish: the recording does not show the end of the race")
    return _result(
        source, options, small, cars, messages, outline, base, total_laps, progress, report
    )


def _start(source: Path, cars: Mapping[int, Car], report: Report) -> float:
    """Of the race, seconds since 1970: as the laps say, else when the cars drove off the grid,
    else the first position of any car.

    Raises: ImportSourceError, if strict, for laps of another time, and where only a guess is left.
    """
    first = min(float(c.positions.times[0]) for c in cars.values() if len(c.positions.times))
    last = max(float(c.positions.times[-1]) for c in cars.values() if len(c.positions.times))
    start = race_start({n: car.laps for n, car in cars.items()})
    if start is not None and not first - 60.0 <= start <= last:
        report.leave_out(
            Done.COLUMN,
            f"the time of the positions, {_moment(first)} to {_moment(last)}",
            table="laps",
            column="date_start",
            found=_moment(start),
        )
        report.estimate("when laps began: from crossings of the line")
        for car in cars.values():
            car.laps = replace(car.laps, start=np.full(car.laps.count, np.nan))
        start = None
    if start is not None:
        return start
    start = first_standing_start(cars)
    if start is not None:
        report.estimate("the start: when the cars that stood on a grid drove off")
        return start
    if report.strict:
        raise ImportSourceError(
            "the start is not to be found: expected a table of laps, or cars that stand on a grid",
            file=source,
        )
    report.estimate("the start: the first position of any car")
    return first


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _kind(sessions: Table | None) -> str:
    """ "race" or "sprint". Raises: ImportSourceError for a session without standings."""
    if sessions is None or not sessions.rows:
        return "race"
    name = str(sessions["session_name"][0]).strip().lower()
    if any(other in name for other in ("qualifying", "practice", "shootout", "testing")):
        raise ImportSourceError(
            f"{name!r} found: expected Race or Sprint, the sessions that have standings",
            file=sessions.path,
            row=1,
            column="session_name",
        )
    return "sprint" if name == "sprint" else "race"


def _read_cars(
    files: Mapping[str, Any],
    small: Mapping[str, Table],
    allowance: Allowance,
    progress: Progress,
    report: Report,
) -> dict[int, Car]:
    shared: dict[Path, Table] = {}
    location = read_car_table(files, "location", shared, allowance, report)
    progress(0.25, "reading car data")
    car_data = read_car_table(files, "car_data", shared, allowance, report)
    progress(0.45, "reading laps")
    laps = read_laps(small["laps"], report) if "laps" in small else {}
    stints = read_stints(small["stints"], report) if "stints" in small else {}
    cars = {}
    for number in sorted(location):
        telemetry = telemetry_of(car_data[number], report) if number in car_data else None
        cars[number] = Car(
            number=number,
            positions=positions_of(location[number], report),
            telemetry=telemetry if telemetry is not None and len(telemetry.times) else None,
            laps=laps.get(number) or no_laps(),
            stints=stints.get(number, ()),
        )
    if not any(len(car.positions.times) for car in cars.values()):
        path = files["location"][0].path
        raise ImportSourceError("no position of any car found: expected some", file=path)
    _within_a_day(cars, location, report)
    return cars


def _within_a_day(
    cars: Mapping[int, Car], location: Mapping[int, Sequence[Table]], report: Report
) -> None:
    """Leave out positions that are farther than half a day from most of them."""
    middle = float(np.median(np.concatenate([c.positions.times for c in cars.values()])))
    for number, car in cars.items():
        samples = car.positions
        kept = samples.between(middle - MAX_HOURS * 1800, middle + MAX_HOURS * 1800)
        if len(kept.times) == len(samples.times):
            continue
        stray = samples.times[np.abs(samples.times - middle) > MAX_HOURS * 1800]
        report.leave_out(
            Done.ROW,
            f"a time within {MAX_HOURS // 2} hours of most positions",
            table="location",
            file=location[number][0].path,
            column="date",
            found=_moment(float(stray[0])),
            count=len(samples.times) - len(kept.times),
        )
        car.positions = kept


def _outline(
    source: Path, options: ImportOptions, cars: Mapping[int, Car], start: float, report: Report
) -> Outline:
    """The circuit's outline, begun at the start line: where the cars are when their laps start,
    as the positions' clock sees it."""
    year = options.year or datetime.fromtimestamp(start, UTC).year
    positions = {n: car.positions for n, car in cars.items() if len(car.positions.times) > 1}
    laps = {n: car.laps for n, car in cars.items()}
    outline = outline_for(source, options.geometry, positions, laps, year, report)
    if outline.line is None:
        return outline
    if outline.origin == "laps":
        report.estimate("the circuit's outline: from the laps that were driven")
    places = []
    for number, car in cars.items():
        if number not in positions:
            continue
        starts = car.laps.start[1:]
        starts = starts[~np.isnan(starts)]
        samples = car.positions
        inside = (starts > samples.times[0]) & (starts < samples.times[-1])
        x = np.interp(starts[inside], samples.times, samples.values["x"])
        y = np.interp(starts[inside], samples.times, samples.values["y"])
        fraction, _ = outline.line.project(x, y)
        places.append(fraction)
    at = np.concatenate(places) if places else np.zeros(0)
    if not at.size:
        # Without lap times the outline's own beginning counts: it is the start line in the files.
        return outline
    angle = np.angle(np.exp(2j * np.pi * at).mean())
    around = (at - angle / (2 * np.pi) + 0.5) % 1.0 - 0.5
    line = float(angle / (2 * np.pi) + np.median(around))
    return replace(outline, line=outline.line.starting_at(line))


def _time_base(
    source: Path, cars: Mapping[int, Car], start: float, options: ImportOptions
) -> TimeBase:
    """Frames from `lead` seconds before the start (or the first position) to `tail` after the last
    finish (or the last position); the start falls on a frame."""
    rate = options.frame_rate or FRAME_RATE
    first = min(float(c.positions.times[0]) for c in cars.values() if len(c.positions.times))
    last = max(float(c.positions.times[-1]) for c in cars.values() if len(c.positions.times))
    finishes = [car.finish for car in cars.values() if car.finish is not None]
    if finishes:
        last = min(last, max(finishes) + options.tail)
    hours = (min(options.lead, max(start - first, 0.0)) + last - start) / 3600
    if hours > MAX_HOURS:
        raise ImportSourceError(
            f"positions over {hours:,.0f} hours found: expected at most {MAX_HOURS} (is there a "
            "wrong date?)",
            file=source,
        )
    before = int(min(options.lead, max(start - first, 0.0)) * rate)
    after = int((last - start) * rate)
    times: NDArray[np.float64] = start + np.arange(-before, after + 1) / rate
    return TimeBase(times, start, rate)


def _result(
    source: Path,
    options: ImportOptions,
    small: Mapping[str, Table],
    cars: Mapping[int, Car],
    messages: list[Message],
    outline: Outline,
    base: TimeBase,
    total_laps: int | None,
    progress: Progress,
    report: Report,
) -> ImportResult:
    numbers = list(cars)
    ordered = [cars[n] for n in numbers]
    entities = entities_of(numbers, small.get("drivers"))
    codes = dict(zip(numbers, (e.code for e in entities), strict=True))
    status = track_status(messages, base.times)
    red = red_spans(status, base.times)
    segment_frames = min(1000, max(10, round(SEGMENT_SECONDS * base.rate)))
    builder = SeriesBuilder([e.code for e in entities], base, segment_frames)
    length = np.nan if outline.line is None else outline.line.length
    for column, car in enumerate(ordered):
        builder.add_car(column, car, lap_length=length, total_laps=total_laps, red=red)
        progress(0.5 + 0.4 * (column + 1) / len(ordered), f"following {codes[car.number]}")
    builder.standings(ordered, grid_places(small.get("position"), numbers, base.start))
    builder.session_fields(status, small.get("weather"))
    progress(0.97, "collecting laps and events")
    report.unseen_share = round(unseen_share(builder), 6)
    year = options.year or datetime.fromtimestamp(base.start, UTC).year
    road = builder.position[-1].tolist()
    final = classification(
        ordered, codes, road, messages, small.get("session_result"), base, report
    )
    return ImportResult(
        title=options.title or _title(source, small.get("sessions"), outline, year),
        kind=_kind(small.get("sessions")),
        source=f"openf1:{source.name}",
        samples=builder.samples(),
        entities=entities,
        geometry=geometry_of(outline, ordered, builder, base),
        events=sorted(
            events_of(ordered, codes, messages, rain_changes(small.get("weather")), base)
            + overtakes(
                builder.position,
                builder.status,
                builder.lap,
                [e.code for e in entities],
                base.rate,
                base.start_frame,
            ),
            key=lambda event: event.frame,
        ),
        laps=laps_of(ordered, codes, builder, base, total_laps),
        stints=stints_of(ordered, codes),
        start_time=datetime.fromtimestamp(float(base.times[0]), UTC),
        year=year,
        round=options.round,
        metadata={
            "circuit": outline.name,
            "outline": outline.origin,
            "outline_file": outline.path.name if outline.path else "",
            "outline_distance_m": round(outline.fit / 10.0, 1),
            "total_laps": total_laps,
            "classification": final,
            "race_start_frame": base.start_frame,
            "race_start_time": datetime.fromtimestamp(base.start, UTC).isoformat(),
            "finish_frame": min(
                (base.frame(c.finish) for c in ordered if c.finish is not None), default=None
            ),
            "lead_seconds": base.start_frame / base.rate,
            "trimmed_seconds": round(
                float(base.times[0])
                - min(float(c.positions.times[0]) for c in ordered if len(c.positions.times)),
                1,
            ),
            "unseen_share": report.unseen_share,
            "tables": sorted(small)
            + ["location"]
            + (["car_data"] if any(c.telemetry for c in ordered) else []),
        },
        report=report,
    )


def _title(source: Path, sessions: Table | None, outline: Outline, year: int) -> str:
    place = ""
    if sessions is not None and sessions.rows:
        for name in ("circuit_short_name", "location", "country_name"):
            if name in sessions and str(sessions[name][0]):
                place = str(sessions[name][0])
                break
    place = place or outline.name
    return f"{place} {year}" if place else source.name
