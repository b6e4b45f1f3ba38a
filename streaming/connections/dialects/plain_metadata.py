"""The metadata in a plain client's `loading_complete`: drivers, colours, track, flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sessions_app.f1_front_end import USUAL_TYPES, named_by, qualifying_metadata, team_id
from sessions_app.models import Event, Geometry, Session

TRACK_STATUS_CODES = {
    "clear": "1",
    "yellow": "2",
    "safety_car": "4",
    "red": "5",
    "virtual_safety_car": "6",
}
"""As F1 live timing numbers them, which is what front ends colour by."""

GREY = (128, 128, 128)


def read_plain_metadata(slug: str, version: str) -> dict[str, Any]:
    """The `metadata` of a session; blocking. version: of the recording; what is read may be kept
    by it.

    Raises: Session.DoesNotExist.
    """
    session = Session.objects.select_related("geometry").get(slug=slug)
    entities = list(session.entities.all())
    about = session.metadata
    rate = session.frame_rate
    geometry = getattr(session, "geometry", None)
    start = about.get("race_start_frame")
    named = named_by(slug)
    return {
        "year": session.year or (named and named.year),
        "round": session.round or (named and named.round),
        "session_type": about.get("session_type")
        or (named.type if named else USUAL_TYPES.get(session.kind, session.kind)),
        "total_frames": session.frame_count,
        "total_laps": about.get("total_laps"),
        "driver_colors": {e.code: list(_rgb(e.colour)) for e in entities},
        "driver_numbers": {e.code: e.number for e in entities},
        "driver_teams": {e.code: team_id(e.team) for e in entities},
        "track_geometry": None if geometry is None else track_geometry(geometry),
        "track_statuses": track_statuses(session.events.all(), session.frame_count, rate),
        "race_start_time": None if start is None else round(start / rate, 3),
        "error": None,
        **qualifying_metadata(about, [(e.code, e.name, _rgb(e.colour)) for e in entities]),
    }


def _rgb(colour: str) -> tuple[int, ...]:
    if len(colour) != 7:
        return GREY
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def track_geometry(geometry: Geometry) -> dict[str, Any]:
    """Lines as separate x and y, and for each point of the centre line its sector, 1…3."""
    shapes = geometry.shapes
    centre = _line(shapes.get("centre_line"))
    result: dict[str, Any] = {}
    for name, line in (
        ("centerline", centre),
        ("inner", _line(shapes.get("inner_edge"))),
        ("outer", _line(shapes.get("outer_edge"))),
    ):
        result[f"{name}_x"] = [x for x, _ in line]
        result[f"{name}_y"] = [y for _, y in line]
    result.update(
        x_min=geometry.x_min, x_max=geometry.x_max, y_min=geometry.y_min, y_max=geometry.y_max
    )
    starts = sorted(shapes.get("sectors") or ())
    result["sector"] = _sectors(centre, starts) if starts else None
    return result


def _line(points: Iterable[Sequence[float]] | None) -> list[tuple[float, float]]:
    return [(float(p[0]), float(p[1])) for p in points or ()]


def _sectors(line: list[tuple[float, float]], starts: Sequence[float]) -> list[int]:
    lengths = [0.0]
    for (x0, y0), (x1, y1) in zip(line, [*line[1:], *line[:1]], strict=True):
        lengths.append(lengths[-1] + ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    total = lengths[-1] or 1.0
    return [1 + sum(at / total >= start for start in starts) for at in lengths[:-1]]


def track_statuses(
    events: Iterable[Event], frame_count: int, frame_rate: float
) -> list[dict[str, Any]]:
    """When the whole track was anything but clear: status code, start and end in seconds.

    end_time is None for what lasted to the end.
    """
    found: list[dict[str, Any]] = []
    now = TRACK_STATUS_CODES["clear"]
    for event in events:
        status = _status(event)
        if status is None or status == now:
            continue
        time = round(event.frame / frame_rate, 3)
        if now != TRACK_STATUS_CODES["clear"]:
            found[-1]["end_time"] = time
        if status != TRACK_STATUS_CODES["clear"]:
            found.append({"status": status, "start_time": time, "end_time": None})
        now = status
    return found


def _status(event: Event) -> str | None:
    """The track's status from this event on, or None if it changes nothing for the whole track."""
    text = f"{event.value} {event.message}".upper()
    if event.kind == "safety_car":
        if "DEPLOYED" in text:
            virtual = "VIRTUAL" in text or "VSC" in text
            return TRACK_STATUS_CODES["virtual_safety_car" if virtual else "safety_car"]
        return None
    if event.kind != "flag" or event.sector is not None:
        return None
    value = event.value.upper()
    if value == "RED":
        return TRACK_STATUS_CODES["red"]
    if "YELLOW" in value:
        return TRACK_STATUS_CODES["yellow"]
    return TRACK_STATUS_CODES["clear"] if value in ("GREEN", "CLEAR") else None
