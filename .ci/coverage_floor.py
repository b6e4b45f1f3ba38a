"""Fails if a core room has less than 95 % of its branches covered by the run before.

Reads the data of `pytest --cov` (`.coverage`) and prints a line for each room. A room without any
measured branch fails too: then nothing was measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coverage import Coverage

FLOOR = 95.0
ROOMS = (
    "sessions_app/recording/", "sessions_app/standings.py", "streaming/playback/",
    "streaming/statistics/", "streaming/store/",
)  # fmt: skip
"""Beginnings of paths."""


def covered(files: Mapping[str, Any], rooms: Iterable[str] = ROOMS) -> dict[str, float]:
    """Per cent of its branches that each room has covered.

    Args:
        files: of coverage's JSON report, by path.
        rooms: beginnings of paths.
    """
    found = {}
    for room in rooms:
        own = [about["summary"] for path, about in files.items() if path.startswith(room)]
        branches = sum(summary["num_branches"] for summary in own)
        taken = sum(summary["covered_branches"] for summary in own)
        found[room] = 100.0 * taken / branches if branches else 0.0
    return found


def main() -> int:
    """Returns: 1 if a room is below the floor."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        coverage = Coverage()
        coverage.load()
        coverage.json_report(outfile=str(report))
        files = json.loads(report.read_text())["files"]
    rooms = covered(files)
    for room, share in rooms.items():
        print(f"{share:5.1f} % of the branches of {room}")
    below = [room for room, share in rooms.items() if share < FLOOR]
    if below:
        print(f"expected at least {FLOOR:g} % of {', '.join(below)}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
