"""What was measured of each entity → the frames of a session. For sources that have nothing but
entities, times and values; knows nothing of any sport.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recording import MISSING, Columns, Field, FieldKind, Schema
from ..recording.fields import MAX_ENTITIES, default_segment_frames
from .report import Done, Report
from .resample import MAX_GAP, Resampling
from .result import EntityRecord, ImportSourceError
from .text import cleaned

Floats = NDArray[np.floating[Any]]

MAX_SAMPLES = 500_000_000
"""Frames times entities times fields: about 2 GB; more is a wrong unit of time."""
MAX_FRAMES = 10_000_000
"""Four days of 25 frames a second; resampling one field takes 80 bytes a frame."""
STRAY = 10.0
"""Times the span of nearly all samples, beyond which a time is a wrong one."""
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
    last = np.append(np.diff(at[order]) > 0, True) if order.size else np.zeros(0, np.bool_)
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


def frames_of(
    tracks: Sequence[Track],
    fields: Sequence[Field],
    *,
    rate: float,
    max_gap: float = MAX_GAP,
    report: Report,
    table: str = "",
    progress: Callable[[float, str], None] = lambda _fraction, _message: None,
) -> tuple[Columns, float]:
    """The frames of all tracks, from the first sample of any to the last of any.

    Args:
        tracks: of the entities, in the order that they are to have.
        fields: of the recording.
        rate: frames a second.
        max_gap: seconds between two samples beyond which an entity was not seen.
        report: where values that do not fit a field are listed.
        table: what the report calls the source.
        progress: called with the fraction done and what is being done.

    Returns:
        The columns, and the time of frame 0.

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
    length = (max(float(track.times[-1]) for track in tracks if len(track.times)) - first) * rate
    count = int(round(min(length, MAX_FRAMES), 6)) + 1
    samples = count * len(tracks) * len(fields)
    if not length < MAX_FRAMES or samples > MAX_SAMPLES:
        raise ImportSourceError(
            f"{length:,.0f} frames of {len(tracks):,} entities found: expected at most "
            f"{MAX_FRAMES:,} and {MAX_SAMPLES:,} samples (is the unit of time right?)"
        )
    frames = first + np.arange(count) / rate
    schema = Schema(
        tuple(fields),
        tuple(track.entity.code for track in tracks),
        rate,
        default_segment_frames(rate),
    )
    columns = {f.name: np.full((count, len(tracks)), MISSING, dtype=np.int32) for f in fields}
    for number, track in enumerate(tracks):
        _fill(columns, number, track, fields, frames, max_gap, report, table)
        progress((number + 1) / len(tracks), f"resampling {track.entity.code}")
    result = Columns(schema, columns)
    if "x" in columns:
        report.unseen_share = round(float((columns["x"] == MISSING).mean()), 6)
    return result, first


def _fill(
    columns: Mapping[str, NDArray[np.int32]],
    number: int,
    track: Track,
    fields: Sequence[Field],
    frames: Floats,
    max_gap: float,
    report: Report,
    table: str,
) -> None:
    """Write one track into its column, over the frames that it spans: aircraft come and go."""
    if not len(track.times):
        return
    begin = int(np.searchsorted(frames, track.times[0], side="left"))
    end = int(np.searchsorted(frames, track.times[-1], side="right"))
    # A track may end a rounding error before the frame that is meant to be its last.
    end = min(end + 1, len(frames))
    for field in fields:
        if field.name not in track.values:
            continue
        own = track.values[field.name]
        with np.errstate(invalid="ignore"):
            huge = np.abs(own) / field.scale > _LARGEST
        if huge.any():
            report.leave_out(
                Done.VALUE,
                f"at most {_LARGEST * field.scale:g} {field.unit}".strip(),
                table=table,
                column=field.name,
                found=f"{own[huge][0]:g} of {cleaned(track.entity.code, 40)}",
                count=int(huge.sum()),
            )
        known = ~(np.isnan(own) | huge)
        resampling = Resampling(track.times[known], frames[begin:end], max_gap)
        made = _resampled(field, resampling, own[known])
        columns[field.name][begin:end, number] = field.quantise(made)


def _resampled(field: Field, resampling: Resampling, values: Floats) -> NDArray[np.float64]:
    if field.kind is FieldKind.HELD:
        return resampling.held(values)
    if field.kind is FieldKind.LINEAR:
        return resampling.linear(values)
    if field.kind is FieldKind.CUBIC:
        return resampling.cubic(values)
    return resampling.linear(np.unwrap(values, period=360.0)) % 360.0
