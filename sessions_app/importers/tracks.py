"""What was measured of each entity → the samples of a session. For sources that have nothing but
entities, times and values; knows nothing of any sport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recording import Field, Schema, Scope
from ..recording.fields import MAX_ENTITIES, default_segment_frames
from .report import Done, Report
from .resample import MAX_GAP
from .result import EntityRecord, ImportSourceError
from .samples import Series, SourceSamples, series_of

Floats = NDArray[np.floating[Any]]

MAX_SAMPLES = 500_000_000
"""Frames times entities times fields: about 2 GB; more is a wrong unit of time."""
MAX_FRAMES = 10_000_000
"""Four days of 25 frames a second; resampling one field takes 80 bytes a frame."""
STRAY = 10.0
"""Times the span of nearly all samples, beyond which a time is a wrong one."""
_DIGITS, _TICK = 6, 1.5e-6
"""Times are kept to the microsecond, so that a sample meets the frame that was made of it."""
FEW = 20
"""Samples of which none can be called stray."""
_LARGEST = 2**30
"""Steps of a field's scale: half of what 32 bits hold, because curves reach beyond samples."""


@dataclass(frozen=True, slots=True)
class Track:
    """One entity and what was measured of it.

    Attributes:
        entity: who or what it is.
        times: seconds (since 1970 where the moment is known), increasing, shape (samples,).
        values: by the name of a field, in its unit, shape (samples,); NaN where nothing was
            measured. A field that is not here has no values.
    """

    entity: EntityRecord
    times: Floats
    values: Mapping[str, Floats]


def track_of(entity: EntityRecord, times: Floats, values: Mapping[str, Floats]) -> Track:
    """A track from samples in any order; samples without a time are left out, of several at one
    time the last counts."""
    at = np.asarray(times, dtype=np.float64)
    order = np.argsort(at, kind="stable")
    order = order[~np.isnan(at[order])]
    last = np.append(np.diff(at[order]) > _TICK, True) if order.size else np.zeros(0, np.bool_)
    order = order[last]
    return Track(
        entity, at[order], {n: np.asarray(v, np.float64)[order] for n, v in values.items()}
    )


def usual_rate(tracks: Sequence[Track]) -> float:
    """Samples a second, from the median step of all tracks; 1 where none has two samples."""
    steps = [np.diff(track.times) for track in tracks]
    every = np.concatenate(steps) if steps else np.zeros(0)
    if not every.size:
        return 1.0
    rate = 1.0 / float(np.median(every))
    return float(round(rate)) if rate >= 1.5 else rate


def without_strays(tracks: Sequence[Track], report: Report, table: str) -> list[Track]:
    """Without samples whose time lies so far from nearly all others that it must be wrong.

    Raises: ImportSourceError if there is no sample at all, or, strict, for the first stray one.
    """
    every = np.concatenate([track.times for track in tracks]) if tracks else np.zeros(0)
    if not every.size:
        raise ImportSourceError("no entity with a time found: expected at least one")
    if every.size < FEW:
        return list(tracks)
    low = float(np.quantile(every, 0.01, method="higher"))
    high = float(np.quantile(every, 0.99, method="lower"))
    reach = max(STRAY * (high - low), 60.0)
    kept = []
    for track in tracks:
        stray = (track.times < low - reach) | (track.times > high + reach)
        if stray.any():
            report.leave_out(
                Done.ROW,
                f"a time within {reach:.6g} seconds of nearly all others",
                table=table,
                found=f"{track.entity.code} at {track.times[stray][0]:.12g} s",
                count=int(stray.sum()),
            )
        good = ~stray
        values = {name: own[good] for name, own in track.values.items()}
        kept.append(Track(track.entity, track.times[good], values))
    return kept


def samples_of(
    tracks: Sequence[Track],
    fields: Sequence[Field],
    *,
    rate: float,
    max_gap: float = MAX_GAP,
    report: Report,
    table: str = "",
    session: Track | None = None,
) -> tuple[SourceSamples, float]:
    """Everything that was measured, from the first sample of any track to the last of any.

    Args:
        tracks: of the entities, in the order that they are to have.
        fields: of the recording.
        rate: frames a second at which it is shown.
        max_gap: seconds between two samples beyond which an entity was not seen.
        report: where values that do not fit a field are listed, and the unseen share is kept.
        table: what the report calls the source.
        session: what was measured of no entity: the fields of scope `session`.

    Returns:
        The samples, and the time of frame 0.

    Raises:
        ImportSourceError: there are too many entities or frames, or no sample.
    """
    if len(tracks) > MAX_ENTITIES:
        raise ImportSourceError(
            f"{len(tracks):,} entities found: expected at most {MAX_ENTITIES:,}"
        )
    begins = [float(track.times[0]) for track in tracks if len(track.times)]
    if not begins:
        raise ImportSourceError("no entity with a time found: expected at least one")
    first = min(begins)
    seconds = max(float(track.times[-1]) for track in tracks if len(track.times)) - first
    length = seconds * rate
    count = int(round(min(length, MAX_FRAMES), 6)) + 1
    samples = count * len(tracks) * len(fields)
    if not length < MAX_FRAMES or samples > MAX_SAMPLES:
        raise ImportSourceError(
            f"{length:,.0f} frames of {len(tracks):,} entities found: expected at most "
            f"{MAX_FRAMES:,} and {MAX_SAMPLES:,} samples (is the unit of time right?)"
        )
    schema = Schema(
        tuple(fields),
        tuple(track.entity.code for track in tracks),
        rate,
        default_segment_frames(rate),
    )
    series: list[Series] = []
    # A gap of just that length counts as none, whatever its last digits are.
    reach = max_gap + _TICK
    for track in tracks if session is None else (*tracks, session):
        own = {
            f.name: _fitting(f, track.values[f.name], track, report, table)
            for f in fields
            if f.name in track.values and (f.scope is Scope.SESSION) is (track is session)
        }
        times = np.round(track.times - first, _DIGITS)
        code = None if track is session else track.entity.code
        series += series_of(code, times, own, reach)
    if seconds > 0 and "x" in schema:
        seen = sum(_seconds_seen(track, reach) for track in tracks)
        report.unseen_share = max(round(1.0 - seen / (seconds * len(tracks)), 6), 0.0)
    return SourceSamples(schema, count, series), first


def _fitting(
    field: Field, values: Floats, track: Track, report: Report, table: str
) -> NDArray[np.float64]:
    """The values that fit the field; others become NaN and are listed."""
    with np.errstate(invalid="ignore"):
        huge = np.abs(values) / field.scale > _LARGEST
    if not huge.any():
        return np.asarray(values, dtype=np.float64)
    report.leave_out(
        Done.VALUE,
        f"at most {_LARGEST * field.scale:g} {field.unit}".strip(),
        table=table,
        column=field.name,
        found=f"{values[huge][0]:g} of {track.entity.code}",
        count=int(huge.sum()),
    )
    return np.where(huge, np.nan, values)


def _seconds_seen(track: Track, reach: float) -> float:
    """How long the entity had a position."""
    x = track.values.get("x")
    if x is None:
        return 0.0
    steps = np.diff(track.times[~np.isnan(x)])
    return float(steps[steps <= reach].sum())
