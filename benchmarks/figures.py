"""What a benchmark found: figures with their spread, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. n: of what it is an average or percentile; seconds: how long it was
    measured; spread: the middle half, or whatever says how far to trust it; goal: from the design,
    "" where there is none; met: None where there is no goal."""

    benchmark: str
    what: str
    value: float
    unit: str
    n: int
    seconds: float
    spread: str = ""
    goal: str = ""
    met: bool | None = None


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def middle_half(values: Sequence[float], digits: int = 3) -> str:
    """First and third quartile."""
    if len(values) < 4:
        return " ".join(f"{v:.{digits}g}" for v in values)
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.{digits}g} to {high:.{digits}g}"


def as_table(figures: Iterable[Figure]) -> str:
    """Markdown."""
    lines = [
        "| benchmark | what | figure | n | seconds | spread | goal | met |",
        "|---|---|---:|---:|---:|---|---|---|",
    ]
    for f in figures:
        met = "" if f.met is None else "yes" if f.met else "**no**"
        lines.append(
            f"| {f.benchmark} | {f.what} | {f.value:,.4g} {f.unit} | {f.n:,} | {f.seconds:.0f} "
            f"| {f.spread} | {f.goal} | {met} |"
        )
    return "\n".join(lines) + "\n"


def as_text(figures: Iterable[Figure]) -> str:
    """For a terminal: columns in line, what is not met marked."""
    rows = [
        (
            f.benchmark,
            f.what,
            f"{f.value:,.4g}",
            f.unit,
            f.goal,
            {None: "", True: "met", False: "NOT MET"}[f.met],
        )
        for f in figures
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(6)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i == 2 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": model,
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{x:.2f}" for x in os.getloadavg()),
    }


def as_json(figures: Iterable[Figure]) -> str:
    return json.dumps({"machine": machine(), "figures": [asdict(f) for f in figures]}, indent=1)
