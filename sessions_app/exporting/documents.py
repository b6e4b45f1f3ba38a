"""One document for a whole session: JSON, and GeoJSON (RFC 7946)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..importers.resample import spans
from .source import ExportSource, Progress, degrees, metres, plain, require_places

NOWHERE = (0.0, 0.0)
"""Where a ground is put whose place on Earth is not known: on the equator, true to scale."""


def write_json(source: ExportSource, path: Path, progress: Progress) -> None:
    """Everything: schema, entities, ground, events, laps, stints and rows of values.

    `frames` has an item for each moment: [frame, seconds, values of the session's fields, for each
    entity the values of its fields, or null where the entity was not seen].
    """
    head = {
        **_about(source),
        "rate": source.rate,
        "entity_fields": [f.as_dict() for f in source.entity_fields],
        "session_fields": [f.as_dict() for f in source.session_fields],
        "entities": [dataclasses.asdict(e) for e in source.entities],
        "geometry": None if source.geometry is None else dataclasses.asdict(source.geometry),
        "events": [dataclasses.asdict(e) for e in source.events],
        "laps": [dataclasses.asdict(lap) for lap in source.laps],
        "stints": [dataclasses.asdict(s) for s in source.stints],
    }
    with path.open("w", encoding="utf-8") as stream:
        stream.write(_dumped(head)[:-1] + ',"frames":[')
        _write_rows(source, stream, progress)
        stream.write("]}\n")


def _write_rows(source: ExportSource, stream: IO[str], progress: Progress) -> None:
    between = "\n"
    entities = len(source.entities)
    for frames, columns in source.blocks(progress):
        times = source.seconds(frames).round(6).tolist()
        of_session = [plain(f, columns.values[f.name][:, 0]) for f in source.session_fields]
        of_entities = [
            list(
                zip(
                    *(plain(f, columns.values[f.name][:, e]) for f in source.entity_fields),
                    strict=True,
                )
            )
            for e in range(entities)
        ]
        rows = []
        for i, frame in enumerate(frames.tolist()):
            own = [
                None if all(v is None for v in of_entities[e][i]) else of_entities[e][i]
                for e in range(entities)
            ]
            rows.append(_dumped([frame, times[i], [f[i] for f in of_session], own]))
        stream.write(between + ",\n".join(rows))
        between = ",\n"


def write_geojson(source: ExportSource, path: Path, progress: Progress) -> None:
    """A line for each entity, with the time of every point in `coordTimes` (seconds since the
    start), and the lines of the ground.

    Raises: ExportRefused for a recording without x and y.
    """
    require_places(source, "geojson")
    origin = source.geometry.origin if source.geometry is not None else None
    scale = metres(source)
    tracks: list[list[tuple[list[float], list[Any]]]] = [[] for _ in source.entities]
    joins = [False] * len(source.entities)
    for frames, columns in source.blocks(progress):
        times = source.seconds(frames)
        x, y = (columns.quantities(name) * scale for name in ("x", "y"))
        for index, own in enumerate(tracks):
            seen = ~(np.isnan(x[:, index]) | np.isnan(y[:, index]))
            for first, stop in spans(seen):
                part = slice(first, stop)
                points = _points(x[part, index], y[part, index], origin)
                if first == 0 and joins[index]:
                    own[-1][0].extend(times[part].round(3).tolist())
                    own[-1][1].extend(points)
                else:
                    own.append((times[part].round(3).tolist(), points))
            joins[index] = bool(seen[-1])
    features = [*_ground(source, scale, origin)]
    for entity, runs in zip(source.entities, tracks, strict=True):
        features.append(_track(entity.code, dataclasses.asdict(entity), runs))
    document = {
        "type": "FeatureCollection",
        "replay": {
            **_about(source),
            "origin": list(origin or NOWHERE),
            "origin_known": origin is not None,
        },
        "features": features,
    }
    path.write_text(_dumped(document) + "\n", encoding="utf-8")


def _track(
    code: str, about: dict[str, Any], runs: Sequence[tuple[list[float], list[Any]]]
) -> dict[str, Any]:
    """One entity. A line has two points at least; where it was seen for a moment only, that
    moment counts twice."""
    lines = [p if len(p) > 1 else p * 2 for _, p in runs]
    times = [t if len(t) > 1 else t * 2 for t, _ in runs]
    return {
        "type": "Feature",
        "id": code,
        "geometry": {"type": "MultiLineString", "coordinates": lines} if lines else None,
        "properties": {**about, "coordTimes": times},
    }


def _ground(
    source: ExportSource, scale: float, origin: tuple[float, float] | None
) -> list[dict[str, Any]]:
    ground = source.geometry
    if ground is None:
        return []
    shapes = [
        ("centre_line", [ground.centre_line], True),
        ("inner_edge", [ground.inner_edge], True),
        ("outer_edge", [ground.outer_edge], True),
        ("pit_lane", [ground.pit_lane], False),
        ("lines", list(ground.lines), False),
    ]
    features = []
    for name, lines, closed in shapes:
        for line in lines:
            if len(line) < 2:
                continue
            points = np.array([*line, line[0]] if closed and ground.kind == "circuit" else line)
            coordinates = _points(points[:, 0] * scale, points[:, 1] * scale, origin)
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "LineString", "coordinates": coordinates},
                    "properties": {"ground": name},
                }
            )
    return features


def _points(
    x: NDArray[np.float64], y: NDArray[np.float64], origin: tuple[float, float] | None
) -> list[Any]:
    """Places in metres → [longitude, latitude], to a centimetre."""
    latitude, longitude = degrees(x, y, origin or NOWHERE)
    points: list[Any] = np.column_stack((longitude, latitude)).round(7).tolist()
    return points


def _about(source: ExportSource) -> dict[str, Any]:
    return {
        "session": source.slug,
        "version": source.version,
        "title": source.title,
        "kind": source.kind,
        "start": source.start,
        "frame_rate": source.schema.frame_rate,
        "frame_count": source.frame_count,
    }


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
