"""Frames as rows: one msgpack map a frame, encoded once and sent to every viewer that wants it.

Recordings of motor races give the map that docs/protocol.md lists for the plain dialect, with its
names and units; every other recording gives

    {frame_index, t, <session fields>, entities: {code: {field: value or nil}}}

in the units of its schema. An entity whose position is missing is left out of its frame.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sessions_app.recording import MISSING, Columns, Field, Schema, Scope

from .packing import Batch, choices, counted_map_head, numbers, packed_map

Member = tuple[str, Batch]
"""A key of a map and its values."""

_RACING = frozenset(("x", "y", "speed", "lap", "position", "progress", "tyre"))


def is_racing(schema: Schema) -> bool:
    """Whether a recording's full schema is that of a motor race, whose rows are the plain map."""
    return all(field in schema for field in _RACING)


def encode_rows(
    columns: Columns,
    first_frame: int,
    stride: int = 1,
    *,
    recorded: Schema,
    lap_length: float | None = None,
) -> list[bytes]:
    """Columns (already thinned to the stride, and to the subset) → one msgpack map per sample.

    first_frame: number of the first sample's frame; stride: frames between two samples, positive.
    recorded: the recording's full schema, which decides the rows' shape, so that a subset of a
    race is still rows of a race. lap_length: metres, for `dist`.
    """
    frames = first_frame + stride * np.arange(columns.frame_count)
    # To the microsecond: 1/30 s does not need 17 digits.
    times = np.round(frames / columns.schema.frame_rate, 6)
    members = [("frame_index", numbers(frames)), ("t", numbers(times))]
    if is_racing(recorded):
        by_name = len(columns.schema.fields) < len(recorded.fields)
        members += _race(columns, lap_length or 0.0, by_name)
    else:
        members += _any_session(columns)
    return packed_map(members).unpadded()


def _any_session(columns: Columns) -> list[Member]:
    schema = columns.schema
    members = [(f.name, _values(columns, f)) for f in schema.fields if f.scope is Scope.SESSION]
    per_entity = [f for f in schema.fields if f.scope is Scope.ENTITY]
    entities = [(f.name, _values(columns, f)) for f in per_entity]
    members.append(("entities", _by_entity(columns, entities, per_entity)))
    return members


def _by_entity(columns: Columns, members: Sequence[Member], fields: Sequence[Field]) -> Batch:
    """A map a frame, code → map of `members`, without the entities that are not there.

    members: their values count frame by frame, entity by entity. fields: what tells whether an
    entity is there: its position, or any value where there is none.
    """
    codes = columns.schema.entities
    frames = columns.frame_count
    if not codes or not members:
        return counted_map_head(np.zeros(frames, int))
    judged = [f for f in fields if f.name == "x"] or list(fields)
    present = np.zeros((frames, len(codes)), bool)
    for f in judged:
        present |= columns.values[f.name] != MISSING
    each = Batch.join([_codes(codes, frames), packed_map(members)])
    if not present.all():
        each = each.without(~present.reshape(-1))
    return Batch.join([counted_map_head(present.sum(axis=1)), each.grouped(len(codes))])


@functools.lru_cache(maxsize=16)
def _codes(codes: tuple[str, ...], frames: int) -> Batch:
    """The entities' codes, frame after frame: the same in every block of a recording."""
    return choices(np.tile(np.arange(len(codes)), frames), codes)


def _quantities(field: Field, samples: NDArray[np.int32]) -> NDArray[Any]:
    """Samples → quantities as the nearest short decimals, ignoring which are missing.

    A scale of 0.001 divides by 1000, which gives 12.345 where multiplying gives 12.345000000000001.
    """
    inverse = 1.0 / field.scale
    if field.scale == round(field.scale):
        return samples.astype(np.int64) * round(field.scale)
    if abs(inverse - round(inverse)) < 1e-6:
        result: NDArray[Any] = samples / round(inverse)
        return result
    return samples * field.scale


def _values(columns: Columns, field: Field, default: float | None = None) -> Batch:
    """One field, flat over frames and entities; `default` where missing, nil if that is None."""
    samples = columns.values[field.name].reshape(-1)
    missing = samples == MISSING
    quantities = _quantities(field, samples)
    if not missing.any():
        return numbers(quantities)
    if default is None:
        return numbers(quantities, missing)
    quantities[missing] = default
    return numbers(quantities)


@dataclass(frozen=True, slots=True)
class _DriverValue:
    """One value of a driver in the plain map.

    field: what it is made from; default: where missing (front ends format numbers unasked, so only
    lap and sector times are nil); make: from quantities and the lap's length.
    """

    name: str
    field: str
    default: float | None = 0
    make: Callable[[NDArray[Any], float], NDArray[Any]] | None = None


_DRIVER_VALUES: tuple[_DriverValue, ...] = (
    _DriverValue("x", "x"),
    _DriverValue("y", "y"),
    _DriverValue("speed", "speed"),
    _DriverValue("gear", "gear"),
    _DriverValue("lap", "lap"),
    _DriverValue("position", "position"),
    _DriverValue("tyre", "tyre"),
    _DriverValue("throttle", "throttle"),
    _DriverValue("brake", "brake"),
    _DriverValue("drs", "drs"),
    _DriverValue("dist", "progress", 0.0, lambda laps, length: np.round(laps * length, 1)),
    _DriverValue("rel_dist", "progress", 0.0, lambda laps, _: np.round(laps - np.floor(laps), 4)),
    _DriverValue("race_progress", "progress", 0.0),
    _DriverValue("gap_to_previous", "interval", 0.0),
    _DriverValue("gap_to_leader", "gap_to_leader", 0.0),
    _DriverValue("lap_time", "last_lap_time", None),
    _DriverValue("sector1", "sector1", None),
    _DriverValue("sector2", "sector2", None),
    _DriverValue("sector3", "sector3", None),
)
_BEYOND_PLAIN = ("rpm", "tyre_age", "pit_stops", "best_lap_time")
"""Fields that the plain map does not have: only for viewers that ask for fields by name."""

_WEATHER = {
    "track_temp": "track_temperature",
    "air_temp": "air_temperature",
    "humidity": "humidity",
    "wind_speed": "wind_speed",
    "wind_direction": "wind_direction",
}


def _race(columns: Columns, lap_length: float, by_name: bool) -> list[Member]:
    """What the columns' fields allow of the plain map.

    by_name: the viewer named the fields that it wants, which may be more than the plain map has.
    """
    schema = columns.schema
    members: list[Member] = []
    if "leader_lap" in schema:
        members.append(("lap", _values(columns, schema["leader_lap"], 0)))
    per_entity = [f for f in schema.fields if f.scope is Scope.ENTITY]
    drivers = _driver(columns, lap_length, by_name)
    members.append(("drivers", _by_entity(columns, drivers, per_entity)))
    weather = [
        (key, _values(columns, schema[field], 0))
        for key, field in _WEATHER.items()
        if field in schema
    ]
    if "rain" in schema:
        raining = (columns.values["rain"].reshape(-1) > 0).astype(int)
        weather.append(("rain_state", choices(raining, ("DRY", "RAINING"))))
    if weather:
        members.append(("weather", packed_map(weather)))
    return members


def _driver(columns: Columns, lap_length: float, by_name: bool) -> list[Member]:
    schema = columns.schema
    members: list[Member] = []
    for value in _DRIVER_VALUES:
        if value.field not in schema:
            continue
        field = schema[value.field]
        if value.make is None:
            members.append((value.name, _values(columns, field, value.default)))
            continue
        samples = columns.values[value.field].reshape(-1)
        made = value.make(_quantities(field, samples), lap_length)
        made[samples == MISSING] = value.default
        members.append((value.name, numbers(made)))
    if "status" in schema:
        labels = schema["status"].labels
        members.append(("status", choices(columns.values["status"].reshape(-1), labels)))
    if by_name:
        members += [(f, _values(columns, schema[f])) for f in _BEYOND_PLAIN if f in schema]
    return members
