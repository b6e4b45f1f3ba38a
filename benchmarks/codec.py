"""Bytes of a frame and the time to code one, against the formats that were turned down."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import msgpack
import zstandard

from sessions_app.demo.simulate import FEED_FRAMES, FEED_HELD
from sessions_app.importers.samples import as_measured
from sessions_app.recording import Columns, Schema, decode_segment, encode_segments
from sessions_app.recording.file import Recording
from sessions_app.recording.sampled import pack_measured
from sessions_app.recording.segment import deflate, inflate
from streaming.store.rows import encode_rows

from .figures import Figure, middle_half
from .processes import race_data
from .real_races import RACES, imported

BYTES_GOAL = 20.0
FORMAT_1_FRAMES = 50
"""Frames in a segment of a race while every frame was stored."""
ROUNDS = 5


def run(quick: bool) -> Iterator[Figure]:
    path = next((race_data(20) / "recordings").glob("*.mcap"))
    frames = 2500 if quick else 10_000
    with Recording(path) as recording:
        start = (recording.frame_count - frames) // 2
        start -= start % recording.schema.segment_frames
        columns = recording.columns(start, start + frames)
        first = start // recording.schema.segment_frames
        count = -(-frames // recording.schema.segment_frames)
        segments = [recording.segment(i) for i in range(first, first + count)]
        measured = as_measured(columns, FEED_FRAMES, FEED_HELD)
        whole = sum(len(recording.segment(i)) for i in range(recording.segment_count))
        mean = whole / recording.frame_count
    schema = columns.schema
    size = schema.segment_frames

    def figure(what: str, value: float, unit: str, **more: Any) -> Figure:
        return Figure("codec", what, value, unit, frames, 0, **more)

    yield Figure(
        "codec",
        f"segment bytes a frame, {len(schema.entities)} cars, {len(schema.fields)} fields",
        mean,
        "B",
        recording.frame_count,
        0,
        spread="simulated race",
        goal=f"≤ {BYTES_GOAL:g}",
        met=mean <= BYTES_GOAL,
    )
    yield from _real(quick)
    old = list(encode_segments(columns, FORMAT_1_FRAMES, start))
    yield figure("the same, every frame stored", sum(map(len, old)) / frames, "B a frame")
    for name, some in (("every frame stored", old), ("samples", segments)):
        decoded, spread = _rate(functools.partial(_decode, some, schema), frames)
        yield figure(f"decode segments (Python), {name}", decoded, "frames/s", spread=spread)
    encoded, spread = _rate(lambda: list(encode_segments(columns, size, start)), frames)
    yield figure("encode segments, every frame", encoded, "frames/s", spread=spread)
    packed, spread = _rate(lambda: [deflate(p) for p in pack_measured(measured, size)], frames)
    yield figure("encode segments, samples", packed, "frames/s", spread=spread)
    payloads = [inflate(s) for s in segments]
    for level in (3, 19):
        zstd = zstandard.ZstdCompressor(level=level)
        total = sum(len(zstd.compress(p)) for p in payloads)
        yield figure(f"same segments with zstd -{level}", total / frames, "B a frame")
    yield from _rows(columns, start, min(frames, 2500))


def _decode(segments: list[bytes], schema: Schema) -> None:
    for segment in segments:
        decode_segment(segment, schema)


def _real(quick: bool) -> Iterator[Figure]:
    for race in list(RACES)[: 1 if quick else 2]:
        found = imported(race)
        if found is not None:
            mean = found.segment_bytes / found.frames
            yield Figure(
                "codec",
                f"segment bytes a frame, {race}, {found.entities} cars, {found.fields} fields",
                mean,
                "B",
                found.frames,
                0,
                spread="real race, all of it",
                goal=f"≤ {BYTES_GOAL:g}",
                met=mean <= BYTES_GOAL,
            )
            yield Figure(
                "codec",
                f"the same of {race}, every frame stored",
                found.frame_bytes,
                "B",
                found.frames_measured,
                0,
                spread=f"segments of {FORMAT_1_FRAMES} frames",
            )


def _rows(columns: Columns, start: int, frames: int) -> Iterator[Figure]:
    part = columns.slice(0, frames)

    def encode() -> list[bytes]:
        return encode_rows(part, start, recorded=columns.schema, lap_length=5000.0)

    def figure(what: str, value: float, unit: str, **more: Any) -> Figure:
        return Figure("codec", what, value, unit, frames, 0, **more)

    rows = encode()
    rate, spread = _rate(encode, frames)
    yield figure("encode rows (plain map, msgpack)", rate, "frames/s", spread=spread)
    yield figure("row bytes, msgpack", sum(map(len, rows)) / frames, "B a frame")
    maps = [msgpack.unpackb(row) for row in rows]
    yield figure("row bytes, CBOR", sum(len(cbor2.dumps(m)) for m in maps) / frames, "B a frame")
    changes = [maps[0], *(_changed(a, b) for a, b in itertools.pairwise(maps))]
    total = sum(len(msgpack.packb(change)) for change in changes)
    yield figure("only what changed, msgpack", total / frames, "B a frame")


def _changed(before: Any, after: Any) -> Any:
    """The parts of a map that are new or different."""
    result = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if change := _changed(old, value):
                result[key] = change
        elif value != old:
            result[key] = value
    return result


def _rate(work: Callable[[], object], frames: int) -> tuple[float, str]:
    """(median frames a second, middle half) of some rounds."""
    rates = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        rates.append(frames / (time.perf_counter() - begun))
    return sorted(rates)[len(rates) // 2], middle_half(rates)
