"""Writes the golden segments beside it: `python -m tests.golden.make`.

Run it only when the format's number changes: the files are what other people's decoders are
tested against. `NAME.json` holds schema, header and samples; `NAME.packed` the bytes before
deflating (which encoders must reproduce); `NAME.segment` one deflated form (which decoders must
read; another zlib may deflate differently).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sessions_app.recording import MISSING, Columns, Field, FieldKind, Schema, Scope
from sessions_app.recording.curves import TICKS, Clock
from sessions_app.recording.sampled import Frames, fill_frames, pack_measured
from sessions_app.recording.segment import deflate, pack_segments

HERE = Path(__file__).parent
LARGE = 2**31 - 1


def schema(entities: int, frame_rate: float = 25.0) -> Schema:
    return Schema(
        fields=(
            Field("x", "dm", 1.0, FieldKind.CUBIC),
            Field("speed", "km/h", 0.5, FieldKind.LINEAR),
            Field("heading", "°", 1.0, FieldKind.ANGLE),
            Field("gear"),
            Field("tyre", labels=("soft", "medium", "hard")),
            Field("air_temperature", "°C", 0.1, FieldKind.HELD, Scope.SESSION),
        ),
        entities=tuple(f"E{i}" for i in range(entities)),
        frame_rate=frame_rate,
    )


def cases() -> dict[str, tuple[Columns, int, int]]:
    """name → (columns, first frame, stride)."""
    rng = np.random.default_rng(20)
    result: dict[str, tuple[Columns, int, int]] = {}

    def columns(frames: int, entities: int, spread: int) -> dict[str, np.ndarray]:
        walk = rng.integers(-spread, spread + 1, (frames, entities))
        return {
            "x": np.cumsum(walk, axis=0).astype(np.int32),
            "speed": rng.integers(0, 700, (frames, entities)).astype(np.int32),
            "heading": rng.integers(0, 360, (frames, entities)).astype(np.int32),
            "gear": np.repeat(rng.integers(0, 9, (1, entities)), frames, axis=0).astype(np.int32),
            "tyre": np.full((frames, entities), MISSING, np.int32),
            "air_temperature": np.full((frames, 1), 234, np.int32),
        }

    result["plain"] = (Columns(schema(3), columns(25, 3, 20)), 250, 1)
    result["one_frame"] = (Columns(schema(2), columns(1, 2, 20)), 0, 1)
    result["two_frames"] = (Columns(schema(2), columns(2, 2, 20)), 7, 1)
    result["stride"] = (Columns(schema(2), columns(10, 2, 500)), 800, 8)
    gaps = columns(12, 3, 40)
    gaps["x"][0:3, 0] = MISSING  # missing at the start
    gaps["x"][5:9, 1] = MISSING  # in the middle
    gaps["x"][:, 2] = MISSING  # one entity throughout
    gaps["gear"][4, 1] = MISSING
    result["missing"] = (Columns(schema(3), gaps), 100, 1)
    extreme = columns(6, 2, 5)
    extreme["x"] = np.array([[LARGE, -LARGE], [-LARGE, LARGE]] * 3, np.int32)
    extreme["heading"] = np.array([[0, LARGE], [-LARGE, 0]] * 3, np.int32)
    result["extreme"] = (Columns(schema(2), extreme), 2**31, 1)
    return result


def sampled_cases() -> dict[str, tuple[Frames, int, int]]:
    """name → (what was measured, frames in a segment, number of the golden segment)."""
    rng = np.random.default_rng(11)
    frames = 60

    def clock(
        columns: list[tuple[str, int]], step: int, spread: int, max_gap: int = 50 * TICKS
    ) -> Clock:
        steps = rng.integers(step // 2, 2 * step, 200)
        ticks = np.cumsum(steps) - 3 * step
        ticks = ticks[ticks < (frames + 12) * TICKS]
        shape = (len(ticks), len(columns))
        values = np.cumsum(rng.integers(-spread, spread + 1, shape), axis=0).astype(np.int32)
        return Clock(ticks.astype(np.int64), max_gap, columns, values, np.ones(shape, bool))

    def content(clocks: list[Clock], entities: int) -> Frames:
        shape = (frames, entities)
        values = {
            name: np.full(shape, MISSING, np.int32) for name in ("x", "speed", "heading", "tyre")
        }
        gear = rng.integers(0, 9, (frames // 20, entities))
        values["gear"] = np.repeat(gear, 20, axis=0).astype(np.int32)
        values["tyre"][33:, 0] = 2
        air = np.repeat(rng.integers(200, 260, 6), 10)
        values["air_temperature"] = air[:frames].reshape(-1, 1).astype(np.int32)
        own = schema(entities)
        fill_frames(values, clocks, own, 0, frames)
        return Frames(Columns(own, values), clocks)

    def every(name: str, entities: int) -> list[tuple[str, int]]:
        return [(name, entity) for entity in range(entities)]

    result = {}
    places = clock(every("x", 3), 6 * TICKS, 90)
    driving = clock(every("speed", 3) + every("heading", 3), 5 * TICKS + 3, 40)
    driving.values[:, 3:] %= 360
    result["sampled"] = (content([places, driving], 3), 20, 1)
    holes = clock(every("x", 2) + every("speed", 2), 4 * TICKS, 60, 9 * TICKS)
    holes.there[rng.random(holes.there.shape) < 0.2] = False
    holes.values[rng.random(holes.there.shape) < 0.1] = MISSING
    holes.there[:, 1] = False
    result["sampled_holes"] = (content([holes], 2), 30, 0)
    own = [clock([("x", e), ("speed", e)], (4 + e) * TICKS + e, 30) for e in range(3)]
    result["sampled_clocks"] = (content(own[1:], 3), 60, 0)
    far = clock(every("x", 2), 5 * TICKS, 5)
    far.values[:] = rng.choice([-LARGE, LARGE, 0, 7], far.values.shape)
    result["sampled_extreme"] = (content([far], 2), 25, 2)
    return result


def describe(columns: Columns, first_frame: int, stride: int) -> dict[str, object]:
    return {
        "schema": columns.schema.as_dict(),
        "first_frame": first_frame,
        "stride": stride,
        "frames": columns.frame_count,
        "missing": MISSING,
        "samples": {name: array.tolist() for name, array in columns.values.items()},
    }


def main() -> None:
    for name, (columns, first, stride) in cases().items():
        packed = next(pack_segments(columns, columns.frame_count, first, stride))
        (HERE / f"{name}.json").write_text(json.dumps(describe(columns, first, stride)) + "\n")
        (HERE / f"{name}.packed").write_bytes(packed)
        (HERE / f"{name}.segment").write_bytes(deflate(packed))
    for name, (content, size, number) in sampled_cases().items():
        packed = list(pack_measured(content, size))[number]
        part = content.columns(size * number, min(size * (number + 1), content.frame_count))
        (HERE / f"{name}.json").write_text(json.dumps(describe(part, size * number, 1)) + "\n")
        (HERE / f"{name}.packed").write_bytes(packed)
        (HERE / f"{name}.segment").write_bytes(deflate(packed))


if __name__ == "__main__":
    main()
