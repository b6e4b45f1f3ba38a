"""Formula 1's live timing as a live source: lines of a recording, or of a connection to its feed.

    python examples/f1_live_timing.py cache.txt.gz --speed 1 | replay publish qualifying --rate 5
    some-signalr-client | python examples/f1_live_timing.py - | replay publish race --rate 5

Any layout that the importer `livetiming` reads is read here, by the importer's own parser. A frame
is what the feed has said so far, so many times a second of the feed's clock; messages of race
control become events. With `--speed 0`, the default for standard input, lines are passed on as
they come.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from sessions_app.importers.livetiming.lines import BrokenLine, LineParser, Update
from sessions_app.importers.livetiming.merging import merged
from sessions_app.importers.livetiming.timing import seconds, whole


class Feed:
    """What the feed has said so far, and the frames and events of it.

    Attributes:
        rate: frames a second.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._topics: dict[str, Any] = {}
        self._positions: dict[str, dict[str, float]] = {}
        self._due = math.nan

    def take(self, update: Update) -> Iterator[dict[str, Any]]:
        """Lines for `publish`, as far as this update brings the clock."""
        if not math.isfinite(update.time):
            self._topics[update.topic] = merged(self._topics.get(update.topic), update.data)
            return
        if math.isnan(self._due):
            self._due = update.time
        while update.time >= self._due:
            frame = self._frame()
            if frame:
                yield {"time": round(self._due, 3), "entities": frame}
            self._due += 1 / self.rate
        if update.topic == "Position":
            for sample in update.data.get("Position", ()):
                for number, place in sample.get("Entries", {}).items():
                    self._positions[number] = {"x": place.get("X", 0), "y": place.get("Y", 0)}
            return
        self._topics[update.topic] = merged(self._topics.get(update.topic), update.data)
        if update.topic == "RaceControlMessages":
            yield from _events(update.data)

    def _frame(self) -> dict[str, dict[str, float]]:
        lines = (self._topics.get("TimingData") or {}).get("Lines", {})
        drivers = self._topics.get("DriverList") or {}
        cars = {}
        for number in {**lines, **self._positions}:
            line, values = lines.get(number, {}), dict(self._positions.get(number, {}))
            position = whole(line.get("Position"))
            if position is not None:
                values["position"] = position
            last = line.get("LastLapTime")
            lap_time = seconds(last.get("Value")) if isinstance(last, dict) else None
            if lap_time is not None:
                values["last_lap_time"] = lap_time
            driver = drivers.get(number)
            code = driver.get("Tla") if isinstance(driver, dict) else None
            cars[code or f"CAR{number}"] = values
        return {code: values for code, values in cars.items() if values}


def _events(data: Any) -> Iterator[dict[str, Any]]:
    found = data.get("Messages", {})
    for message in found.values() if isinstance(found, dict) else found:
        text = message.get("Message", "")
        if text:
            yield {"event": {"kind": "race_control", "message": text[:500]}}


def lines_of(lines: Iterable[str], rate: float) -> Iterator[dict[str, Any]]:
    """Lines for `publish`; lines of the feed that cannot be read are told and left out."""
    parser, feed = LineParser(), Feed(rate)
    for line in lines:
        try:
            updates = parser.feed(line)
        except BrokenLine as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        for update in updates:
            yield from feed.take(update)


def main() -> None:
    parser = argparse.ArgumentParser(description="F1's live timing → lines for `publish`.")
    parser.add_argument("file", help="of lines, plain or .gz; - for standard input")
    parser.add_argument("--rate", type=float, default=5.0, help="frames a second (5)")
    parser.add_argument("--speed", type=float, help="times real time; 0: as fast as lines come")
    options = parser.parse_args()
    speed = options.speed
    if options.file == "-":
        source: Iterable[str] = sys.stdin
        speed = speed or 0.0
    else:
        opened = gzip.open if options.file.endswith(".gz") else open
        source = opened(options.file, "rt", encoding="utf-8")
        speed = 1.0 if speed is None else speed
    began, first = time.monotonic(), math.nan
    for line in lines_of(source, options.rate):
        if speed and "time" in line:
            first = line["time"] if math.isnan(first) else first
            due = began + (line["time"] - first) / speed
            time.sleep(max(0.0, due - time.monotonic()))
            # For whoever watches it happens now.
            line["time"] = round(time.time(), 3)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
