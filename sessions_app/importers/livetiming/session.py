"""A recorded live timing → one session."""

from __future__ import annotations

from pathlib import Path

from ..openf1 import session_of
from ..options import ImportOptions
from ..report import Report
from ..result import ImportResult, Progress, no_progress
from .collecting import Collector, kind_of_session
from .reading import read_updates


def import_livetiming(
    source: Path, options: ImportOptions, progress: Progress = no_progress
) -> ImportResult:
    """Read a file or a folder of the live timing, in any layout that `lines` names.

    Without the topic Position the cars are not on the map; the order, laps and tyres are there.
    Raises: ImportSourceError if there is nothing to show, or, of a strict import, for the first
    line that cannot be read. SourceTooLarge beyond a bound.
    """
    progress(0.0, "reading the live timing")
    report = Report(source if source.is_dir() else source.parent, strict=options.strict)
    updates = read_updates(source, options.bounds, report)
    kind = kind_of_session(updates)
    collector = Collector(source, report, kind)
    for index, update in enumerate(updates):
        collector.take(update)
        if index % 5000 == 0:
            progress(0.45 * index / len(updates), "following the timing")
    return session_of(
        collector.tables(), f"livetiming:{source.name}", options, report, progress, kind
    )
