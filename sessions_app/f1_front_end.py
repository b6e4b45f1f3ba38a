"""What the browser front end of the F1 replay app expects, in one place.

That app names sessions by year, round and type, teams by FastF1's ids, and calls a retired car
"Retired". Its front end plays from here unchanged: REST for it is in `api/f1_front_end.py`, its
WebSocket is the plain dialect (docs/protocol.md, section 9); both ask this module. No framework.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SESSION_TYPES: Mapping[str, str] = {
    "R": "race",
    "S": "sprint",
    "Q": "qualifying",
    "SQ": "sprint_qualifying",
    "SS": "sprint_qualifying",
    "FP1": "practice",
    "FP2": "practice",
    "FP3": "practice",
}
"""Its session types, which are FastF1's, and the kind of session that each is."""
USUAL_TYPES: Mapping[str, str] = {
    "race": "R",
    "sprint": "S",
    "qualifying": "Q",
    "sprint_qualifying": "SQ",
}
"""The type of a kind of session, where nothing else tells."""

TEAM_IDS: Mapping[str, str] = {
    "alfa romeo": "alfa",
    "alfa romeo racing": "alfa",
    "alphatauri": "alphatauri",
    "scuderia alphatauri": "alphatauri",
    "alpine": "alpine",
    "aston martin": "aston_martin",
    "audi": "audi",
    "cadillac": "cadillac",
    "ferrari": "ferrari",
    "force india": "force_india",
    "haas f1 team": "haas",
    "haas": "haas",
    "kick sauber": "sauber",
    "sauber": "sauber",
    "mclaren": "mclaren",
    "mercedes": "mercedes",
    "racing bulls": "rb",
    "rb": "rb",
    "rb f1 team": "rb",
    "racing point": "racing_point",
    "red bull racing": "red_bull",
    "red bull": "red_bull",
    "renault": "renault",
    "toro rosso": "toro_rosso",
    "williams": "williams",
}
"""FastF1's `TeamId` by what feeds call the team, in lower case."""

CACHE = "cache"
"""`DELETE sessions/cache` clears that app's cache of computed sessions."""

_SLUG = re.compile(r"(\d{4})_(\d{1,2})_([A-Z]{1,2}\d?)")
_RETIRED = (b"\xa6status\xa7retired", b"\xa6status\xa7Retired")
"""A key and its value in a row of the plain dialect, as msgpack has them."""


@dataclass(frozen=True, slots=True)
class Named:
    """A session by its place in the calendar. type: one of SESSION_TYPES."""

    year: int
    round: int
    type: str


def session_id(named: Mapping[str, Any]) -> str:
    """The slug of the session that a request names: {"year", "round_num", "session_type"}."""
    return f"{named['year']}_{named['round_num']}_{named['session_type']}"


def named_by(slug: str) -> Named | None:
    """Year, round and type of a slug such as `2024_8_R`; None for other slugs."""
    found = _SLUG.fullmatch(slug)
    if found is None or found[3] not in SESSION_TYPES:
        return None
    return Named(int(found[1]), int(found[2]), found[3])


def refused_import(method: str, path: str, body: bytes) -> dict[str, str]:
    """What an answer has that refuses a body which no schema fits: the `session_id`, if the body
    named a session by year, round and type."""
    if (method, path) != ("POST", "/api/sessions"):
        return {}
    try:
        named = json.loads(body)
        parts = {"session_type": "R", **named}
        parts = {name: parts[name] for name in ("year", "round_num", "session_type")}
    except (ValueError, KeyError, TypeError):
        return {}
    plain = all(isinstance(part, int | str) and len(str(part)) <= 10 for part in parts.values())
    return {"session_id": session_id(parts)} if plain else {}


def team_id(name: str) -> str:
    """FastF1's id of a team; its name in lower case with `_` for one that is not known."""
    plain = " ".join(name.lower().split())
    return TEAM_IDS.get(plain) or re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def plain_row(row: bytes) -> bytes:
    """A row as that front end reads it: retired cars are "Retired". The rest is not touched, nor
    copied where no car has retired: rows are shared by all who watch."""
    return row.replace(*_RETIRED) if _RETIRED[0] in row else row


def qualifying_metadata(
    metadata: Mapping[str, Any], entities: Sequence[tuple[str, str, Sequence[int]]]
) -> dict[str, Any]:
    """`quali_results` and `quali_segments` of a qualifying; nothing for any other session.

    Args:
        metadata: of the session, whose `results` have each car's best lap of each part.
        entities: code, name and colour (red, green, blue) of each.

    Returns:
        `quali_results`: in the final order, the time of each part in seconds, or None;
        `quali_segments`: code → part → that lap's number, time, sectors and frames.
    """
    parts = [part.get("name") for part in metadata.get("session_parts", ())]
    if not any(parts):
        return {}
    named = {code: (name, colour) for code, name, colour in entities}
    results = []
    segments: dict[str, dict[str, Any]] = {}
    for row in metadata.get("results", ()):
        code, laps = row["entity"], row["laps"]
        name, colour = named.get(code, ("", (128, 128, 128)))
        times = {part: laps[part]["time"] if part in laps else None for part in parts}
        results.append(
            {
                "code": code,
                "full_name": name,
                "color": list(colour),
                "position": row["position"],
                **times,
            }
        )
        segments[code] = {
            part: {
                "lap_number": lap["lap"],
                "lap_time": lap["time"],
                **{f"sector_{i}": time for i, time in enumerate(lap["sectors"], 1)},
                "start_frame": lap["start_frame"],
                "end_frame": lap["end_frame"],
            }
            for part, lap in laps.items()
        }
    return {"quali_results": results, "quali_segments": segments}
