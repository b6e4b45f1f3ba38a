"""The standings of a stored session, as they are compared with its laps or with official tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .agreement import Agreement, Standings, compare_crossings
from .models import Lap, Session
from .racing import CarStatus
from .recording.file import Recording

_BLOCK = 5000
"""Frames read at once: of all fields only three are kept."""


class NoStandings(Exception):
    """The session has no order of the cars, or nothing to compare it with."""


def numbers_of(session: Session) -> list[int]:
    """The cars' numbers in their order, -1 for one that has none."""
    numbers = session.entities.order_by("index").values_list("number", flat=True)
    return [int(text) if text.isdecimal() else -1 for text in numbers]


def race_span(session: Session, standings: Standings) -> tuple[float, float]:
    """(start, last finish) of the race, seconds since 1970."""
    begin = int(session.metadata.get("race_start_frame") or 0)
    ends = Lap.objects.filter(session=session).exclude(end_frame=None).order_by("-end_frame")
    end = ends.values_list("end_frame", flat=True).first() or session.frame_count - 1
    return standings.first + begin / standings.rate, standings.first + end / standings.rate


def agreement_with_laps(session: Session, standings: Standings) -> Agreement:
    """Compare with the laps that are stored with the session. Raises: NoStandings without any."""
    ends: dict[str, dict[int, float]] = {code: {} for code in standings.codes}
    for code, number, frame in Lap.objects.filter(session=session).values_list(
        "entity__code", "number", "end_frame"
    ):
        if frame is not None and number >= 1:
            ends[code][number] = standings.first + frame / standings.rate
    if not any(ends.values()):
        raise NoStandings(f"session {session.slug!r} has no laps: expected --against a folder")
    crossings = []
    for code in standings.codes:
        times = np.full(max(ends[code], default=0), np.nan)
        for number, time in ends[code].items():
            times[number - 1] = time
        crossings.append(times)
    return Agreement(crossings=compare_crossings(standings, crossings))


def recorded_standings(session: Session) -> Standings:
    """Order and gaps of a session's recording.

    Raises: NoStandings if it has none; OSError, RecordingError if the file cannot be read.
    """
    if not session.version:
        raise NoStandings(f"session {session.slug!r} has no recording yet: {session.state}")
    with Recording(session.recording_path) as recording:
        schema = recording.schema
        if "position" not in schema:
            raise NoStandings(f"session {session.slug!r} has no standings: expected a race")
        wanted = [n for n in ("position", "status", "gap_to_leader") if n in schema]
        parts: dict[str, list[NDArray[np.int32]]] = {name: [] for name in wanted}
        for start in range(0, session.frame_count, _BLOCK):
            columns = recording.columns(start, min(start + _BLOCK, session.frame_count))
            for name in wanted:
                parts[name].append(columns.values[name].copy())
    values = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return Standings(
        codes=schema.entities,
        first=0.0 if session.start_time is None else session.start_time.timestamp(),
        rate=session.frame_rate,
        position=values["position"],
        running=values["status"] != CarStatus.RETIRED if "status" in values else None,
        gap=schema["gap_to_leader"].quantities(values["gap_to_leader"])
        if "gap_to_leader" in values
        else None,
    )
