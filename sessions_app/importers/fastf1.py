"""Formula 1 sessions through FastF1: by year and round, its cache alone, or recorded streams.

FastF1 gives tables of its own; they are written as OpenF1's, which `openf1` reads. So laps, order
and penalties are worked out in one place, whatever the source.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .bounds import Allowance, files_below, head_of
from .importer import Importer
from .openf1 import import_openf1
from .options import ImportOptions
from .result import ImportResult, ImportSourceError, Progress

_LOADING = 0.6
"""Of the whole time that FastF1 takes."""
_STAMP = len("00:00:00.000")
_STREAM = ".jsonstream"

Frame = Any
"""A pandas DataFrame; pandas comes with FastF1 and has no other use here."""


def fetch_fastf1(options: ImportOptions, progress: Progress) -> ImportResult:
    """The session that `options.year`, `round` (or `circuit`) and `session` name; "R" if left out.

    Without a network what is in FastF1's cache is used.
    Raises: ImportSourceError if FastF1 has no such session, or no positions of it.
    """
    event = options.round or options.circuit
    if options.year is None or not event:
        raise ImportSourceError(
            "no year or no round given: expected --year 2024 --round 8 --session R"
        )
    if options.downloads is None:
        raise ImportSourceError("no folder for downloads: expected the setting's")
    fastf1 = _library()
    cache = options.downloads.folder / "fastf1"
    cache.mkdir(parents=True, exist_ok=True)
    fastf1.Cache.configure(cache_dir=str(cache))
    kind = options.session or "R"
    name = f"{options.year}, {event}, {kind}"
    progress(0.0, f"FastF1 loads {name}")
    session, reason = None, ""
    # First as always, then from the cache alone: it asks for more than it needs.
    for offline in (False, True):
        with _offline(fastf1, offline):
            try:
                session = fastf1.get_session(options.year, event, kind)
                session.load()
                if _positions(session):
                    break
                reason = "it has no positions"
            except MemoryError:
                raise
            except Exception as error:  # whatever it and its libraries raise without a network
                reason = f"{type(error).__name__}: {error}"
            session = None
    if session is None:
        raise ImportSourceError(
            f"FastF1, {name}: {reason}: expected a session since 2018, a network or what is cached"
        )
    return _result(session, f"fastf1:{options.year}_{event}_{kind}", options, progress)


def import_fastf1(source: Path, options: ImportOptions, progress: Progress) -> ImportResult:
    """Read recorded live-timing streams with FastF1, which asks no network.

    Args:
        source: a folder with one `NAME.jsonStream` a topic as the archive serves them, or the file
            or files that FastF1's own client records.
        options: as for OpenF1's tables.
        progress: called with the fraction done.

    Raises: ImportSourceError if they hold no positions or no session's name; SourceTooLarge beyond
        a bound.
    """
    fastf1 = _library()
    progress(0.0, "FastF1 reads the streams")
    data = _live_data(source, options)
    if not data.has("SessionInfo"):
        raise ImportSourceError(
            "no SessionInfo found: expected the stream that names the session", file=source
        )
    session = _loaded(fastf1, data, source)
    if not _positions(session):
        raise ImportSourceError("no positions found: expected a stream Position.z", file=source)
    return _result(session, f"fastf1:{source.name}", options, progress)


def _loaded(fastf1: Any, data: Any, source: Path) -> Any:
    """The session of streams. Raises: ImportSourceError, whatever FastF1 raises."""
    # A cache of its own: FastF1 knows what it has read by the session's name, not by its content.
    with tempfile.TemporaryDirectory(prefix="replay-fastf1-") as cache:
        fastf1.Cache.configure(cache_dir=cache)
        with _offline(fastf1, True):
            try:
                session = _session(fastf1, data.get("SessionInfo")[0][1])
                session.load(livedata=data)
            except MemoryError:
                raise
            except Exception as error:  # it raises whatever broken streams lead to
                raise ImportSourceError(
                    f"FastF1: {type(error).__name__}: {error}: expected recorded streams",
                    file=source,
                ) from error
    return session


def _library() -> Any:
    """FastF1, which takes seconds to load and brings pandas and matplotlib."""
    try:
        import fastf1  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ImportSourceError(
            f"FastF1 needs the package {error.name}: pip install fastf1"
        ) from error
    logging.getLogger("fastf1").setLevel(logging.ERROR)
    return fastf1


@contextmanager
def _offline(fastf1: Any, offline: bool) -> Iterator[None]:
    """While FastF1 may not ask the network; its cache is to be configured before."""
    if not offline:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        return
    fastf1.Cache.offline_mode(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        fastf1.Cache.offline_mode(False)


# -- recorded streams -----------------------------------------------------------------------------


def _live_data(source: Path, options: ImportOptions) -> Any:
    """FastF1's LiveTimingData of the streams in a folder, or of its own client's recording."""
    from fastf1.livetiming.data import LiveTimingData  # noqa: PLC0415

    allowance = Allowance(options.bounds)
    files = files_below(source, options.bounds) if source.is_dir() else [source]
    streams = [p for p in files if p.name.lower().removesuffix(".gz").endswith(_STREAM)]
    if not streams:
        recorded = [p for p in files if head_of(p).lstrip()[:1] == b"["]
        if not recorded:
            raise ImportSourceError(
                "no stream found: expected NAME.jsonStream, or a recording of FastF1's client",
                file=source,
            )
        for path in recorded:
            allowance.take_bytes(path, path.stat().st_size)
        return LiveTimingData(*(str(path) for path in recorded))
    data = LiveTimingData()
    data._files_read = True  # it would read files in its own format, and there are none
    for path in streams:
        text = allowance.read(path).decode("utf-8-sig", "replace")
        entries = []
        for line in text.splitlines():
            try:
                entries.append([_since_start(line[:_STAMP]), json.loads(line[_STAMP:])])
            except ValueError:
                continue
        topic = path.name[: path.name.lower().index(_STREAM)]
        if entries:
            data.data[topic] = entries
    return data


def _since_start(text: str) -> timedelta:
    """ "00:13:36.231" as the streams have it. Raises: ValueError for anything else."""
    hours, minutes, seconds = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def _session(fastf1: Any, info: Mapping[str, Any]) -> Any:
    """FastF1's Session of what the streams say of themselves, without a calendar.

    Raises: KeyError, TypeError, ValueError for an info that names no session.
    """
    import pandas as pd  # noqa: PLC0415
    from fastf1.core import Session  # noqa: PLC0415
    from fastf1.events import Event  # noqa: PLC0415

    meeting, name = info["Meeting"], str(info["Name"])
    begin = pd.Timestamp(info["StartDate"])
    offset = pd.Timedelta(str(info.get("GmtOffset", "0")).removeprefix("+"))
    about: dict[str, Any] = {
        "RoundNumber": int(meeting.get("Number") or 0),
        "Country": meeting.get("Country", {}).get("Name", ""),
        "Location": meeting.get("Location", ""),
        "OfficialEventName": meeting.get("OfficialName", ""),
        "EventName": meeting["Name"],
        "EventDate": begin.normalize(),
        # Of a test nobody asks for the results of a championship.
        "EventFormat": "testing",
        "F1ApiSupport": True,
    }
    for number in range(1, 6):
        about[f"Session{number}"] = name if number == 1 else ""
        about[f"Session{number}Date"] = begin if number == 1 else pd.NaT
        about[f"Session{number}DateUtc"] = begin - offset if number == 1 else pd.NaT
    return Session(Event(about, year=begin.year), name, f1_api_support=True)


# -- FastF1's tables as OpenF1's ------------------------------------------------------------------


def _positions(session: Any) -> dict[str, Frame]:
    from fastf1.exceptions import DataNotLoadedError  # noqa: PLC0415

    try:
        return {n: table for n, table in session.pos_data.items() if len(table)}
    except DataNotLoadedError:
        return {}


def _result(session: Any, source: str, options: ImportOptions, progress: Progress) -> ImportResult:
    progress(_LOADING, "writing tables")
    with tempfile.TemporaryDirectory(prefix="replay-fastf1-") as place:
        folder = Path(place)
        for name, columns in _tables(session):
            path = folder / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path)
        result = import_openf1(
            folder, options, lambda part, text: progress(_LOADING + part * (1 - _LOADING), text)
        )
    title = options.title or f"{session.event['EventName']} {session.date.year}, {session.name}"
    number = int(session.event["RoundNumber"])
    return replace(
        result, title=title, source=source, round=options.round or (number if number > 0 else None)
    )


def _tables(session: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, columns) of every table that FastF1 has; those that it could not load are left out."""
    about = session.session_info if _has(session, "session_info") else {}
    circuit = about.get("Meeting", {}).get("Circuit", {})
    yield (
        "sessions",
        {
            "session_name": [session.name],
            "circuit_key": [float(circuit.get("Key", np.nan))],
            "circuit_short_name": [circuit.get("ShortName") or str(session.event["Location"])],
            "country_name": [str(session.event["Country"])],
            "year": [float(session.date.year)],
        },
    )
    for number, table in _positions(session).items():
        measured = table[table["Source"] == "pos"] if "Source" in table else table
        yield (
            f"driver_number={int(number)}/location",
            {
                "date": _utc(measured["Date"]),
                **{axis.lower(): _numbers(measured[axis]) for axis in ("X", "Y", "Z")},
            },
        )
    if _has(session, "car_data"):
        for number, table in session.car_data.items():
            measured = table[table["Source"] == "car"] if "Source" in table else table
            yield (
                f"driver_number={int(number)}/car_data",
                {
                    "date": _utc(measured["Date"]),
                    "speed": _numbers(measured["Speed"]),
                    "throttle": _numbers(measured["Throttle"]),
                    # Yes or no in FastF1, percent in OpenF1.
                    "brake": _numbers(measured["Brake"]) * 100,
                    "rpm": _numbers(measured["RPM"]),
                    "n_gear": _numbers(measured["nGear"]),
                    "drs": _numbers(measured["DRS"]),
                },
            )
    yield from _of_laps(session)
    yield from _of_results(session)
    if _has(session, "race_control_messages"):
        table = session.race_control_messages
        yield (
            "race_control",
            {
                "date": _utc(table["Time"]),
                "message": _texts(table["Message"]),
                "driver_number": _numbers(table["RacingNumber"]),
                "lap_number": _numbers(table["Lap"]) if "Lap" in table else _nothing(len(table)),
                "category": _texts(table["Category"]),
                "flag": _texts(table["Flag"]),
                "scope": _texts(table["Scope"]),
                "sector": _numbers(table["Sector"]),
            },
        )
    if _has(session, "weather_data") and _has(session, "t0_date") and session.t0_date is not None:
        table = session.weather_data
        yield (
            "weather",
            {
                "date": _utc(session.t0_date + table["Time"]),
                "air_temperature": _numbers(table["AirTemp"]),
                "track_temperature": _numbers(table["TrackTemp"]),
                "humidity": _numbers(table["Humidity"]),
                "wind_speed": _numbers(table["WindSpeed"]),
                "wind_direction": _numbers(table["WindDirection"]),
                "rainfall": _numbers(table["Rainfall"]),
            },
        )


def _of_laps(session: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Laps, stints, and the order at the end of each lap."""
    if not _has(session, "laps") or not len(session.laps):
        return
    laps = session.laps
    zero = session.t0_date
    begins = laps["LapStartDate"]
    if begins.isna().all() and zero is not None:
        begins = zero + laps["LapStartTime"]
    yield (
        "laps",
        {
            "driver_number": _numbers(laps["DriverNumber"]),
            "lap_number": _numbers(laps["LapNumber"]),
            "date_start": _utc(begins),
            "lap_duration": _seconds(laps["LapTime"]),
            **{f"duration_sector_{i}": _seconds(laps[f"Sector{i}Time"]) for i in (1, 2, 3)},
            "is_pit_out_lap": laps["PitOutTime"].notna().to_numpy(),
        },
    )
    names = ("driver_number", "stint_number", "lap_start", "lap_end", "compound")
    rows: dict[str, list[Any]] = {name: [] for name in (*names, "tyre_age_at_start")}
    for (number, stint), own in laps[laps["Stint"].notna()].groupby(["DriverNumber", "Stint"]):
        first = own.loc[own["LapNumber"].idxmin()]
        rows["driver_number"].append(float(number))
        rows["stint_number"].append(float(stint))
        rows["lap_start"].append(float(own["LapNumber"].min()))
        rows["lap_end"].append(float(own["LapNumber"].max()))
        compound = first["Compound"]
        rows["compound"].append(compound if isinstance(compound, str) else None)
        # FastF1 counts the lap that is driven, OpenF1 the laps before it.
        life = float(first["TyreLife"])
        rows["tyre_age_at_start"].append(life - 1 if life >= 1 else np.nan)
    if rows["driver_number"]:
        yield "stints", {**rows, "compound": pa.array(rows["compound"], pa.string())}
    placed = laps[laps["Position"].notna() & laps["Time"].notna()]
    if zero is not None and len(placed):
        yield (
            "position",
            {
                "driver_number": _numbers(placed["DriverNumber"]),
                "date": _utc(zero + placed["Time"]),
                "position": _numbers(placed["Position"]),
            },
        )


def _of_results(session: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who drove, and the official result where FastF1 has one."""
    if not _has(session, "results") or not len(session.results):
        return
    results = session.results
    yield (
        "drivers",
        {
            "driver_number": _numbers(results["DriverNumber"]),
            "name_acronym": _texts(results["Abbreviation"]),
            "full_name": _texts(results["FullName"]),
            "team_name": _texts(results["TeamName"]),
            "team_colour": _texts(results["TeamColor"]),
            "country_code": _texts(results["CountryCode"]),
        },
    )
    status = _texts(results["Status"]).to_pylist()
    if session.name in ("Race", "Sprint") and results["Position"].notna().any() and any(status):
        over = ("finished", "lapped", "+")
        yield (
            "session_result",
            {
                "driver_number": _numbers(results["DriverNumber"]),
                "position": _numbers(results["Position"]),
                "dnf": [not str(s or "").lower().startswith(over) for s in status],
                "dsq": [str(s or "").lower().startswith("disq") for s in status],
                "dns": [str(s or "").lower().startswith("did not start") for s in status],
            },
        )


def _has(session: Any, name: str) -> bool:
    """Whether FastF1 could load it."""
    from fastf1.exceptions import DataNotLoadedError  # noqa: PLC0415

    try:
        return getattr(session, name) is not None
    except DataNotLoadedError:
        return False


def _utc(column: Frame) -> pa.Array:
    return pa.array(column.to_numpy("datetime64[ns]"), pa.timestamp("ns", "UTC"), from_pandas=True)


def _numbers(column: Frame) -> np.ndarray[Any, np.dtype[np.float64]]:
    import pandas as pd  # noqa: PLC0415

    numbers = pd.to_numeric(column, errors="coerce")
    return np.asarray(numbers, dtype=np.float64)


def _nothing(rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.full(rows, np.nan)


def _seconds(column: Frame) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(column.dt.total_seconds(), dtype=np.float64)


def _texts(column: Frame) -> pa.Array:
    return pa.array([str(v) if isinstance(v, str) and v else None for v in column], pa.string())


def is_fastf1(_source: Path, _options: ImportOptions) -> bool:
    """Never: recorded streams are read without FastF1, unless it is asked for by name."""
    return False


IMPORTER = Importer(
    "fastf1",
    "Formula 1 sessions through FastF1: by year and round, or recorded streams",
    import_fastf1,
    is_fastf1,
    fetch_fastf1,
)
