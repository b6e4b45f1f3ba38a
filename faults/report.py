"""What a fault promises, what was seen of it, and the table of all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import machine

CONTROL = "nothing happens"
"""The row that every run begins with."""

STILL_TOLERANCE = 0.1
"""Seconds below which nobody sees a picture stand, added to what the machine itself adds."""

SHORT_TOLERANCE = 1.0
"""Of the short form, which runs where other work comes and goes."""


@dataclass(frozen=True, slots=True)
class Promise:
    """The most that a fault may cost. Seconds, and counts.

    still_segments, still_rows: longest stillness of any viewer; None where viewers are told why
    instead. healthy: until all is as before, counted from the end of the fault.
    """

    still_segments: float | None = 0.0
    still_rows: float | None = 1.0
    wrong: int = 0
    lost: int = 0
    healthy: float = 2.0


@dataclass(slots=True)
class Seen:
    """What one fault did.

    told: what operators or viewers were told, in the words of the log, a page or a message.
    broken: further promises that were not kept, each as a sentence.
    """

    still_segments: float = 0.0
    still_rows: float = 0.0
    wrong: int = 0
    lost: int = 0
    healthy: float = 0.0
    told: str = ""
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One line of the table.

    skipped: why it could not be run here, or "". tolerance: stillness beyond what is promised that
    still counts as kept, in seconds.
    """

    fault: str
    promise: Promise
    seen: Seen
    skipped: str = ""
    tolerance: float = STILL_TOLERANCE

    def failures(self) -> list[str]:
        """What was promised and not kept."""
        if self.skipped:
            return []
        promise, seen = self.promise, self.seen
        found = list(seen.broken)
        for name, most, was in (
            ("stillness of segments viewers", promise.still_segments, seen.still_segments),
            ("stillness of rows viewers", promise.still_rows, seen.still_rows),
        ):
            if most is not None and was > most + self.tolerance:
                found.append(f"{name} {was:.2f} s, promised {most:g} s")
        if seen.wrong > promise.wrong:
            found.append(f"{seen.wrong} wrong frames")
        if seen.lost > promise.lost:
            found.append(f"{seen.lost} viewers not at their place")
        if seen.healthy > promise.healthy:
            found.append(f"healthy after {seen.healthy:.1f} s, promised {promise.healthy:g} s")
        return found

    def line(self) -> str:
        """For a terminal."""
        if self.skipped:
            return f"not run  {self.fault}: {self.skipped}"
        seen = self.seen
        found = self.failures()
        return (
            f"{'BROKEN ' if found else 'kept   '}  {self.fault}: "
            f"still {seen.still_segments:.2f} s (segments), {seen.still_rows:.2f} s (rows); "
            f"{seen.wrong} wrong frames, {seen.lost} places lost; "
            f"healthy after {_seconds(seen.healthy)}"
            + (f"; {seen.told}" if seen.told else "")
            + "".join(f"\n         broken: {text}" for text in found)
        )

    def cells(self) -> list[str]:
        if self.skipped:
            return [self.fault, "", "", "", "", "", f"not run: {self.skipped}", ""]
        seen = self.seen
        kept = "; ".join(self.failures()) or "kept"
        return [
            self.fault,
            _seconds(seen.still_segments),
            _seconds(seen.still_rows),
            str(seen.wrong),
            str(seen.lost),
            _seconds(seen.healthy),
            _PLACES.sub("…", seen.told),
            kept,
        ]


_PLACES = re.compile(r"(unix://)?/tmp/[^\s:]+")
"""Of what was told: names of folders that were made for the run."""
HEADINGS = (
    "fault", "segments still", "rows still", "wrong frames", "places lost", "healthy after",
    "what was told", "promise",
)  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = [list(HEADINGS), ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(c.replace('|', '/') for c in line)} |" for line in lines)


def about(rows: Sequence[Row]) -> str:
    """What the figures were measured on, and what counts as kept."""
    where = machine()
    tolerance = max(row.tolerance for row in rows)
    return (
        f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, "
        f"Python {where['python']}, {where['time'][:10]}; viewers and service share them. "
        f"“{CONTROL}” is what the machine itself adds to stillness: a fault may cost "
        f"{tolerance:.2f} s more than it promises, which is {STILL_TOLERANCE:g} s more than that."
    )


def write_table(rows: Sequence[Row], path: Path, order: Sequence[str] = ()) -> None:
    """Put the table where the document marks its place. Faults that did not run keep their rows.

    order: of all faults; any others come last.
    """
    lines = _rows_in(path.read_text())
    head, under, *new = table(rows).split("\n")
    lines |= {line.split("|")[1].strip(): line for line in new}
    known = [name for name in order if name in lines]
    names = known + [name for name in lines if name not in known]
    text = "\n".join([head, under, *(lines[name] for name in names)])
    put(path, "faults", f"{about(rows)}\n\n{text}")


def _rows_in(document: str) -> dict[str, str]:
    """Line by fault, of a table that was written before."""
    _, _, text = document.partition("<!-- faults: begin -->")
    lines = [line for line in text.split("<!-- faults: end -->")[0].splitlines() if "|" in line]
    return {line.split("|")[1].strip(): line for line in lines[2:]}


def put(path: Path, place: str, text: str) -> None:
    """Replace what a document has between `<!-- place: begin -->` and `<!-- place: end -->`.

    Raises: ValueError if it has not both.
    """
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    before, rest = path.read_text().split(begin)
    _, after = rest.split(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _seconds(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.2f} s"
