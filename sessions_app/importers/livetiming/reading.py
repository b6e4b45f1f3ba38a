"""Files of a recorded live timing → all updates in the order of time."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..bounds import Allowance, Bounds, files_below
from ..options import ImportOptions
from ..report import Done, Report
from ..result import ImportSourceError
from .lines import BrokenLine, LineParser, Update, read_time
from .merging import entries

TOPICS = (
    "ArchiveStatus",
    "AudioStreams",
    "CarData",
    "ChampionshipPrediction",
    "ContentStreams",
    "DriverList",
    "DriverRaceInfo",
    "ExtrapolatedClock",
    "Heartbeat",
    "LapCount",
    "LapSeries",
    "PitLaneTimeCollection",
    "Position",
    "RaceControlMessages",
    "SessionData",
    "SessionInfo",
    "SessionStatus",
    "TeamRadio",
    "TimingAppData",
    "TimingData",
    "TimingDataF1",
    "TimingStats",
    "TlaRcm",
    "TopThree",
    "TrackStatus",
    "TyreStintSeries",
    "WeatherData",
)
"""Files of the archive are named after them: `TimingData.jsonStream`, `timing_data.raw`."""
_BY_NAME = {topic.lower(): topic for topic in TOPICS}
_SUFFIXES = (".jsonstream", ".raw", ".txt", ".json", ".jsonl", ".log", "")
_HALF_A_DAY = 43_200.0
_LOOKED_AT = 20
"""Lines of a file, and files of a folder, before it is said to be something else."""
_MOST_BROKEN = 0.5
"""Share of broken lines beyond which a file is none of the live timing."""


def read_updates(source: Path, bounds: Bounds, report: Report) -> list[Update]:
    """All updates of a file or a folder, sorted by time; those of a snapshot without a time come
    first, with the time of the first one that has one.

    Lines that cannot be read are left out and listed in the report.
    Raises: ImportSourceError if there is nothing to read, or, strict, for the first broken line.
    """
    allowance = Allowance(bounds)
    timed: list[Update] = []
    archived: list[Update] = []
    for path in _files(source, bounds):
        topic = topic_of(path)
        found = _read(path, topic, allowance, report)
        relative = [u for u in found if topic and u.time < 1e8]
        archived += relative
        timed += [u for u in found if not (topic and u.time < 1e8)] if relative else found
    if not timed and not archived:
        raise ImportSourceError("no line of the live timing found: expected some", file=source)
    if archived:
        origin = origin_of(archived, report)
        timed += [replace(u, time=u.time + origin) for u in archived]
    known = [u.time for u in timed if not math.isnan(u.time)]
    first = min(known, default=0.0)
    timed = [replace(u, time=first) if math.isnan(u.time) else u for u in timed]
    snapshots = {id(u) for u in timed if u.time == first}
    timed.sort(key=lambda u: (u.time, id(u) not in snapshots))
    timed = _within_a_day(timed, source, report)
    _count(timed, report)
    return timed


def _within_a_day(updates: list[Update], source: Path, report: Report) -> list[Update]:
    """Those that are not farther than half a day from most."""
    middle = updates[len(updates) // 2].time
    kept = [u for u in updates if abs(u.time - middle) <= _HALF_A_DAY]
    if len(kept) < len(updates):
        report.leave_out(
            Done.ROW,
            "a time within 12 hours of most lines",
            file=source,
            column="time",
            found=f"{len(updates) - len(kept)} lines of other days",
            count=len(updates) - len(kept),
        )
    return kept


def is_livetiming(source: Path, options: ImportOptions) -> bool:
    """Whether it is a folder with a file that is named after a topic, or a file whose first lines
    can be read."""
    if not source.is_dir():
        return _has_lines(source)
    files = _files(source, options.bounds)
    return any(map(topic_of, files)) or any(map(_has_lines, files[:_LOOKED_AT]))


def _has_lines(source: Path) -> bool:
    opened = gzip.open if source.suffix.lower() == ".gz" else open
    with opened(source, "rt", encoding="utf-8-sig", errors="replace") as file:
        lines = [line for line in islice(file, _LOOKED_AT) if line.strip()]
    parser = LineParser(topic_of(source))
    for line in lines:
        try:
            if parser.feed(line):
                return True
        except BrokenLine:
            continue
    return False


def _files(source: Path, bounds: Bounds) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ImportSourceError(
            "no such file or folder: expected a recorded live timing", file=source
        )
    files = [path for path in files_below(source, bounds) if _stem(path)[1] in _SUFFIXES]
    # What was recorded later goes on from what the subscription answered.
    return sorted(files, key=lambda path: (not _stem(path)[0].startswith("subscribe"), path))


def _stem(path: Path) -> tuple[str, str]:
    """("timingdata", ".jsonstream") of "TimingData.jsonStream.gz"."""
    name = path.name.lower().removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if dot else (name, "")


def topic_of(path: Path) -> str:
    """The topic that a file is named after, "" if it is named after none."""
    stem = _stem(path)[0].removesuffix(".z")
    return _BY_NAME.get(stem.replace("_", ""), "")


def _read(path: Path, topic: str, allowance: Allowance, report: Report) -> list[Update]:
    """Every update of a file; nothing if it is none of the live timing."""
    try:
        text = allowance.read(path).decode("utf-8-sig", "replace")
    except OSError as error:
        raise ImportSourceError(
            f"{error.strerror}: expected a recorded live timing", file=path
        ) from error
    whole = _whole(text, topic)
    if whole is not None:
        return whole
    parser = LineParser(topic)
    updates: list[Update] = []
    broken: list[tuple[int, str, str]] = []
    lines = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        lines += 1
        allowance.take_rows(path, 1)
        try:
            updates += parser.feed(line)
        except BrokenLine as error:
            broken.append((number, line, str(error)))
    if not lines:
        return []
    if len(broken) > _MOST_BROKEN * lines and not topic and len(broken) > 50:
        problem = ImportSourceError(f"{broken[0][2]}", file=path, row=broken[0][0])
        report.refuse_or_leave(problem, topic or path.name, Done.FILE)
        return []
    for number, line, _ in broken:
        report.leave_out(
            Done.ROW,
            "a whole line of the live timing",
            table=topic or path.name,
            file=path,
            row=number,
            found=line,
        )
    return updates


def _whole(text: str, topic: str) -> list[Update] | None:
    """The updates of a file that is one JSON object over many lines; None if it is none."""
    if not text.lstrip().startswith("{") or "\n" not in text.strip():
        return None
    first = text.lstrip().split("\n", 1)[0].strip()
    if first.endswith("}") and len(first) > 2:
        return None
    try:
        return LineParser().feed(text)
    except BrokenLine:
        pass
    if topic:
        try:
            return [replace(u, time=math.nan) for u in LineParser(topic).feed("0:00:00" + text)]
        except BrokenLine:
            pass
    return None


def origin_of(updates: Sequence[Update], report: Report) -> float:
    """When an archive's streams began, seconds since 1970: its lines count from there."""
    exact: list[float] = []
    late: list[float] = []
    for update in updates:
        for utc in _stamps(update):
            (exact if update.topic in ("ExtrapolatedClock", "SessionData") else late).append(
                utc - update.time
            )
    if exact:
        return float(np.median(exact))
    if late:
        # They are as old as the way to the archive took, so the latest is the nearest.
        report.estimate("when the streams began: from the youngest of the positions and messages")
        return max(late)
    report.estimate("the date: nothing in the source tells it")
    return 0.0


def _stamps(update: Update) -> Iterator[float]:
    """Times in UTC that were taken when the line was sent."""
    data = update.data
    found: list[Any] = []
    if update.topic == "ExtrapolatedClock":
        found = [data.get("Utc")]
    elif update.topic == "SessionData":
        for name in ("Series", "StatusSeries"):
            changes = data.get(name)
            if isinstance(changes, dict):
                found += [said.get("Utc") for _, said in entries(changes) if isinstance(said, dict)]
    elif update.topic == "Position" and update.data.get("Position"):
        found = [said.get("Timestamp") for _, said in entries(data["Position"])][-1:]
    elif update.topic == "CarData" and update.data.get("Entries"):
        found = [said.get("Utc") for _, said in entries(data["Entries"])][-1:]
    elif update.topic == "RaceControlMessages":
        changes = data.get("Messages")
        found = [said.get("Utc") for _, said in entries(changes) if isinstance(said, dict)]
    for text in found:
        try:
            yield read_time(text)
        except BrokenLine:
            continue


def _count(updates: Sequence[Update], report: Report) -> None:
    by_topic: dict[str, list[float]] = {}
    for update in updates:
        by_topic.setdefault(update.topic, []).append(update.time)
    for topic, times in by_topic.items():
        report.read(topic, np.array(times), len(times))
