"""A GPS receiver as a live source: NMEA sentences, or gpsd's JSON, become lines for `publish`.

    python examples/nmea.py < /dev/ttyUSB0 | replay publish boat --rate 1
    gpspipe -w | python examples/nmea.py --name BOAT7 | replay publish boat --rate 1

Positions are metres east and north of the first fix. Sources: NMEA 0183 (RMC: recommended minimum
data), gpsd_json(5) (TPV reports).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

METRES_PER_DEGREE = 111_320.0
"""Of latitude."""
KMH_PER_KNOT = 1.852


class Fix(NamedTuple):
    """Where the receiver is. time: Unix seconds; latitude, longitude: degrees; speed: km/h;
    course: degrees clockwise from north."""

    time: float
    latitude: float
    longitude: float
    speed: float
    course: float


def fix_of(line: str) -> Fix | None:
    """The fix in a line; None if it has none.

    Raises: ValueError if an NMEA sentence does not fit its checksum, or a number is none.
    """
    line = line.strip()
    if line.startswith("{"):
        return _of_gpsd(json.loads(line))
    if not line.startswith("$"):
        return None
    sentence, _, checksum = line[1:].partition("*")
    found = 0
    for character in sentence:
        found ^= ord(character)
    if checksum and int(checksum, 16) != found:
        raise ValueError(f"checksum {checksum}: expected {found:02X}")
    parts = sentence.split(",")
    if not parts[0].endswith("RMC") or len(parts) < 10 or parts[2] != "A":
        return None
    moment = datetime.strptime(f"{parts[9]} {parts[1][:6]}", "%d%m%y %H%M%S").replace(tzinfo=UTC)
    return Fix(
        moment.timestamp() + float(f"0{parts[1][6:]}"),
        _degrees(parts[3], parts[4] == "S"),
        _degrees(parts[5], parts[6] == "W"),
        float(parts[7] or 0) * KMH_PER_KNOT,
        float(parts[8] or 0),
    )


def _degrees(text: str, negative: bool) -> float:
    """ddmm.mmm → degrees."""
    at = text.index(".") - 2
    degrees = float(text[:at]) + float(text[at:]) / 60
    return -degrees if negative else degrees


def _of_gpsd(report: dict[str, Any]) -> Fix | None:
    if report.get("class") != "TPV" or "lat" not in report or "time" not in report:
        return None
    moment = datetime.fromisoformat(report["time"].replace("Z", "+00:00"))
    speed = 3.6 * report.get("speed", 0.0)
    track = report.get("track", 0.0)
    return Fix(moment.timestamp(), report["lat"], report["lon"], speed, track)


def lines_of(lines: Iterable[str], name: str) -> Iterator[str]:
    """Lines for `publish`; what is damaged is told on standard error and left out."""
    first: Fix | None = None
    for line in lines:
        try:
            fix = fix_of(line)
        except ValueError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        if fix is None:
            continue
        first = first or fix
        east = (fix.longitude - first.longitude) * math.cos(math.radians(first.latitude))
        values = {
            "x": round(east * METRES_PER_DEGREE, 2),
            "y": round((fix.latitude - first.latitude) * METRES_PER_DEGREE, 2),
            "speed": round(fix.speed, 2),
            "course": round(fix.course, 1),
        }
        yield json.dumps({"time": fix.time, "entities": {name: values}})


def main() -> None:
    parser = argparse.ArgumentParser(description="NMEA or gpsd's JSON → lines for `publish`.")
    parser.add_argument("--name", default="GPS", help="code of the entity (GPS)")
    options = parser.parse_args()
    for line in lines_of(sys.stdin, options.name):
        print(line, flush=True)


if __name__ == "__main__":
    main()
