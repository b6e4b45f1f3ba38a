"""A folder of OpenF1 tables → one session; the tables of any source → one session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...agreement import Standings
from ...racing import (
    FRAME_RATE,
    CarStatus,
    SessionKind,
    session_kind,
    session_type,
)
from ..bounds import Allowance
from ..options import ImportOptions
from ..report import Done, Report
from ..result import ImportResult, ImportSourceError, Progress, no_progress
from ..tables import Table
from .car import NO_SAMPLES, Car, classify, first_standing_start
from .clocks import positions_of, telemetry_of
from .control import Message, rain_changes, read_messages, track_status
from .deleted import deleted_laps
from .folder import SPECS, find_tables, read_car_table, read_small_tables
from .frames import SeriesBuilder, TimeBase, grid_places, red_spans
from .official import official_agreement
from .outline import Outline, outline_for
from .overtakes import overtakes
from .parts import SessionPart, session_parts
from .penalties import classification
from .records import (
    entities_of,
    events_of,
    geometry_of,
    laps_of,
    stints_of,
    unseen_share,
)
from .source import SourceTables
from .timed import (
    TimedCar,
    TimedSeries,
    first_places,
    pit_stays,
    timed_car,
    timed_events,
    timed_laps,
    timed_metadata,
    visits_of,
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
    if "location" not in files:
        raise ImportSourceError(
            "no table of positions: expected location.parquet, .csv or .json per driver or for all",
            file=source,
        )
    shared: dict[Path, Table] = {}
    location = read_car_table(files, "location", shared, allowance, report)
    progress(0.25, "reading car data")
    car_data = read_car_table(files, "car_data", shared, allowance, report)
    progress(0.45, "reading laps")
    tables = SourceTables(source, small, location, car_data)
    return session_of(tables, f"openf1:{source.name}", options, report, progress)


def session_of(
    tables: SourceTables,
    name: str,
    options: ImportOptions,
    report: Report,
    progress: Progress = no_progress,
    kind: SessionKind | None = None,
) -> ImportResult:
    """Make a session from a source's tables: a race, or a practice or qualifying.

    name: of the source, as it is stored. kind: of the session; None for what the tables say.
    Raises: ImportSourceError if there is nothing to show.
    """
    source, small = tables.path, tables.small
    kind = kind or session_kind(_session_name(small.get("sessions")))
    cars = _read_cars(tables, report)
    messages = read_messages(small.get("race_control"))
    if not kind.is_race:
        return _timed_session(kind, tables, name, options, cars, messages, report, progress)
    start = _start(tables, cars, report)
    progress(0.5, "following the cars")
    outline = _outline(tables, options, cars, start, report)
    for car in cars.values():
        car.follow(outline.line, start)
    flag = next((m for m in messages if m.flag == "CHEQUERED"), None)
    total_laps = classify(cars, start, flag.time if flag else None, flag.lap if flag else None)
    base = _time_base(source, cars, start, options)
    if total_laps is None:
        report.estimate("no finish: the recording does not show the end of the race")
    return _result(
        tables, name, kind, options, cars, messages, outline, base, total_laps, progress, report
    )


def _span(cars: Mapping[int, Car]) -> tuple[float, float]:
    """From when to when anything of any car is known: positions, else laps. Seconds since 1970.

    Raises: ImportSourceError if nothing is.
    """
    times = [c.positions.times for c in cars.values() if len(c.positions.times)]
    if not times:
        times = [np.concatenate((c.laps.start, c.laps.end)) for c in cars.values()]
        times = [t[~np.isnan(t)] for t in times if not np.isnan(t).all()]
    if not times:
        raise ImportSourceError("no position and no lap of any car found: expected some")
    return min(float(t.min()) for t in times), max(float(t.max()) for t in times)


def _start(tables: SourceTables, cars: Mapping[int, Car], report: Report) -> float:
    """Of the race, seconds since 1970: as the laps say, else when the cars drove off the grid,
    else the first position of any car.

    Raises: ImportSourceError, if strict, for laps of another time, and where only a guess is left.
    """
    first, last = _span(cars)
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
    if start is None and tables.started is not None:
        start = tables.started
    if start is not None:
        return start
    start = first_standing_start(cars)
    if start is not None:
        report.estimate("the start: when the cars that stood on a grid drove off")
        return start
    if report.strict:
        raise ImportSourceError(
            "the start is not to be found: expected a table of laps, or cars that stand on a grid",
            file=tables.path,
        )
    report.estimate("the start: the first position of any car")
    return first


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _session_name(sessions: Table | None) -> str:
    """As the source calls the session; "" if it does not."""
    if sessions is None or not sessions.rows:
        return ""
    return str(sessions["session_name"][0]).strip()


def _read_cars(tables: SourceTables, report: Report) -> dict[int, Car]:
    """All cars of which there are positions; where there are none at all, those that have laps."""
    small = tables.small
    laps = read_laps(small["laps"], report) if "laps" in small else {}
    stints = read_stints(small["stints"], report) if "stints" in small else {}
    cars = {}
    for number in sorted(tables.location or laps):
        telemetry = None
        if number in tables.car_data:
            telemetry = telemetry_of(tables.car_data[number], report)
        positions = NO_SAMPLES
        if number in tables.location:
            positions = positions_of(tables.location[number], report)
        cars[number] = Car(
            number=number,
            positions=positions,
            telemetry=telemetry if telemetry is not None and len(telemetry.times) else None,
            laps=laps.get(number) or no_laps(),
            stints=stints.get(number, ()),
        )
    if not any(len(car.positions.times) for car in cars.values()):
        if tables.location or not any(car.laps.count for car in cars.values()):
            path = next((t[0].path for t in tables.location.values()), tables.path)
            raise ImportSourceError("no position of any car found: expected some", file=path)
        report.estimate("where the cars were: nothing in the source tells it")
        return cars
    _within_a_day(cars, tables.location, report)
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
    tables: SourceTables,
    options: ImportOptions,
    cars: Mapping[int, Car],
    start: float,
    report: Report,
) -> Outline:
    """The circuit's outline, begun at the start line: where the cars are when their laps start,
    as the positions' clock sees it."""
    year = options.year or datetime.fromtimestamp(start, UTC).year
    positions = {n: car.positions for n, car in cars.items() if len(car.positions.times) > 1}
    laps = {n: car.laps for n, car in cars.items()}
    outline = outline_for(tables.path, options.geometry, positions, laps, year, report)
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
    first, last = _span(cars)
    finishes = [car.finish for car in cars.values() if car.finish is not None]
    if finishes:
        last = min(last, max(finishes) + options.tail)
    return _frames(source, first, start, last, options)


def _frames(
    source: Path, first: float, start: float, last: float, options: ImportOptions
) -> TimeBase:
    """Frames from `lead` seconds before the start to the last moment."""
    rate = options.frame_rate or FRAME_RATE
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
    tables: SourceTables,
    name: str,
    kind: SessionKind,
    options: ImportOptions,
    cars: Mapping[int, Car],
    messages: list[Message],
    outline: Outline,
    base: TimeBase,
    total_laps: int | None,
    progress: Progress,
    report: Report,
) -> ImportResult:
    source, small = tables.path, tables.small
    numbers = list(cars)
    ordered = [cars[n] for n in numbers]
    entities = entities_of(numbers, small.get("drivers"))
    codes = dict(zip(numbers, (e.code for e in entities), strict=True))
    status = track_status(messages, base.times)
    red = red_spans(status, base.times)
    builder = SeriesBuilder([e.code for e in entities], base)
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
    _compare(builder, ordered, numbers, small, report)
    final = classification(
        ordered, codes, road, messages, small.get("session_result"), base, report
    )
    return ImportResult(
        title=options.title or _title(source, small.get("sessions"), outline, year),
        kind=kind.value,
        source=name,
        samples=builder.samples(),
        entities=entities,
        geometry=geometry_of(outline, ordered, builder, base),
        events=sorted(
            events_of(ordered, codes, messages, rain_changes(small.get("weather")), base)
            + overtakes(
                builder.road,
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
        round=options.round if options.round is not None else _round(small.get("sessions")),
        metadata={
            "total_laps": total_laps if total_laps is not None else tables.total_laps,
            "classification": final,
            "race_start_frame": base.start_frame,
            "race_start_time": datetime.fromtimestamp(base.start, UTC).isoformat(),
            "finish_frame": min(
                (base.frame(c.finish) for c in ordered if c.finish is not None), default=None
            ),
            **_origin(tables, outline, cars, base, report),
        },
        report=report,
    )


def _compare(
    builder: SeriesBuilder,
    cars: Sequence[Car],
    numbers: Sequence[int],
    tables: Mapping[str, Table],
    report: Report,
) -> None:
    """Put into the report how far the standings agree with the official tables, if there are."""
    base = builder.base
    ends = [car.finish for car in cars if car.finish is not None]
    columns = range(len(cars))
    told = "intervals" in tables
    standings = Standings(
        codes=builder.schema.entities,
        first=float(base.times[0]),
        rate=base.rate,
        position=builder.position,
        running=builder.status != CarStatus.RETIRED,
        gap=np.stack([builder.frames_of(c, "gap_to_leader") for c in columns], 1) if told else None,
    )
    laps = {car.number: car.laps for car in cars if car.laps.count}
    found = official_agreement(
        standings, numbers, laps, tables, base.start, max(ends, default=float(base.times[-1]))
    )
    report.agreement = found.as_dict()


def _origin(
    tables: SourceTables,
    outline: Outline,
    cars: Mapping[int, Car],
    base: TimeBase,
    report: Report,
) -> dict[str, Any]:
    """Of the metadata: what a session of any kind was made from."""
    name = _session_name(tables.small.get("sessions"))
    result: dict[str, Any] = {
        "circuit": outline.name,
        "outline": outline.origin,
        "outline_file": outline.path.name if outline.path else "",
        "outline_distance_m": round(outline.fit / 10.0, 1),
        "lead_seconds": base.start_frame / base.rate,
        "trimmed_seconds": round(max(float(base.times[0]) - _span(cars)[0], 0.0), 1),
        "unseen_share": report.unseen_share,
        "tables": sorted(tables.small)
        + (["location"] if tables.location else [])
        + (["car_data"] if any(c.telemetry for c in cars.values()) else []),
    }
    if name and session_type(name):
        result["session_type"] = session_type(name)
    return result


def _timed_session(
    kind: SessionKind,
    tables: SourceTables,
    name: str,
    options: ImportOptions,
    cars: Mapping[int, Car],
    messages: list[Message],
    report: Report,
    progress: Progress,
) -> ImportResult:
    """A practice or a qualifying."""
    small = tables.small
    first, last = _span(cars)
    parts = session_parts(kind, messages, tables, len(cars), first)
    progress(0.5, "following the cars")
    outline = _outline(tables, options, cars, parts[0].green, report)
    ordered = list(cars.values())
    for car in ordered:
        car.follow(outline.line, parts[0].green)
    deleted = deleted_laps(messages, cars, tables.bests or {})
    timed = []
    for car in ordered:
        told = None if tables.pits is None else tables.pits.get(car.number, ())
        stays = pit_stays(car, told, first, last)
        car.visits = visits_of(stays, car)
        bests = None if tables.bests is None else tables.bests.get(car.number, ())
        timed.append(timed_car(car, stays, deleted, bests))
    if tables.pits is None:
        report.estimate("when the cars were in the pits: where they stood and drove slowly")
    if not tables.clock:
        report.estimate("the session's clock: counted back from the chequered flag")
    first, last = min(first, _told(tables)[0]), max(last, _told(tables)[1])
    end = _end_of_driving(timed, parts, last, options)
    base = _frames(tables.path, first, max(parts[0].green, first), end, options)
    entities = entities_of(list(cars), small.get("drivers"))
    codes = dict(zip(cars, (e.code for e in entities), strict=True))
    status = track_status(messages, base.times)
    red = red_spans(status, base.times)
    builder = TimedSeries([e.code for e in entities], base)
    length = np.nan if outline.line is None else outline.line.length
    for column, one in enumerate(timed):
        builder.add_timed_car(column, one, lap_length=length, red=red)
        progress(0.5 + 0.4 * (column + 1) / len(timed), f"following {codes[one.car.number]}")
    first_order = first_places(small.get("position"), list(cars))
    if first_order is None:
        report.estimate("the order before anyone has driven: by numbers")
    order = builder.order(timed, parts, first_order)
    builder.session_fields(status, small.get("weather"))
    builder.clock(parts, messages, tables.clock)
    progress(0.97, "collecting laps and events")
    report.unseen_share = round(unseen_share(builder), 6)
    year = options.year or datetime.fromtimestamp(base.start, UTC).year
    title = _title(tables.path, small.get("sessions"), outline, year)
    session_name = _session_name(small.get("sessions"))
    return ImportResult(
        title=options.title or f"{title} {session_name}".strip(),
        kind=kind.value,
        source=name,
        samples=builder.samples(),
        entities=entities,
        geometry=geometry_of(outline, ordered, builder, base),
        events=timed_events(timed, codes, messages, deleted, parts, order, base),
        laps=timed_laps(timed, codes, builder, base),
        stints=stints_of(ordered, codes),
        start_time=datetime.fromtimestamp(float(base.times[0]), UTC),
        year=year,
        round=options.round if options.round is not None else _round(small.get("sessions")),
        metadata={
            **timed_metadata(timed, codes, parts, order, deleted, base),
            "session_start_frame": base.start_frame,
            **_origin(tables, outline, cars, base, report),
        },
        report=report,
    )


def _told(tables: SourceTables) -> tuple[float, float]:
    """From when to when the source tells anything: cars that wait in the pits may have no
    positions."""
    told = [_dates(tables, name) for name in ("position", "weather", "race_control")]
    # Race control's messages are kept from before a recording began.
    first = np.min(np.concatenate(told[:2]), initial=np.inf)
    return float(first), float(np.max(np.concatenate(told), initial=-np.inf))


def _dates(tables: SourceTables, name: str) -> NDArray[np.float64]:
    times = tables.small[name]["date"] if name in tables.small else np.zeros(0)
    known: NDArray[np.float64] = times[~np.isnan(times)]
    return known


def _end_of_driving(
    timed: Sequence[TimedCar],
    parts: Sequence[SessionPart],
    last: float,
    options: ImportOptions,
) -> float:
    """`tail` seconds after the last lap that was begun before the last flag."""
    flag = parts[-1].flag
    if flag is None:
        return last
    ends = [flag]
    for one in timed:
        laps = one.car.laps
        before = ~np.isnan(laps.end) & (laps.start < flag)
        ends += laps.end[before & ~one.ends_in_pits].tolist()
    return min(last, max(ends) + options.tail)


def _round(sessions: Table | None) -> int | None:
    """Of the season, where the source tells it."""
    if sessions is None or "round" not in sessions or not sessions.rows:
        return None
    number = float(sessions["round"][0])
    return None if np.isnan(number) else int(number)


def _title(source: Path, sessions: Table | None, outline: Outline, year: int) -> str:
    place = ""
    if sessions is not None and sessions.rows:
        for name in ("circuit_short_name", "location", "country_name"):
            if name in sessions and str(sessions[name][0]):
                place = str(sessions[name][0])
                break
    place = place or outline.name
    return f"{place} {year}" if place else source.name
