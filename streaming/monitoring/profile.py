"""Questions that a profile of the callbacks answers, from figures taken over a while. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Thirds of the measured time are compared; less than a fifth more is noise.
GROWTH = 1.2
# p99 of the callback intervals against their mean.
STABLE = 2.0
RELATED = 0.6


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of all workers together. `interval_mean_ms`: between two sends to a viewer that
    plays; `interval_max_ms`: the longest since its statistics were reset."""

    at_s: float
    connections: int
    sends: int
    frames: int
    interval_mean_ms: float
    interval_max_ms: float
    cpu: float
    memory: int
    loop_lag_ms: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, what the figures say, and the figures."""

    question: str
    answer: str
    figures: dict[str, float]


def answer(moments: Sequence[Moment]) -> list[Answer]:
    """The five questions. Raises: ValueError with fewer than three moments."""
    if len(moments) < 3:
        raise ValueError(f"{len(moments)} seconds were measured: expected at least 3")
    return [
        _how_often(moments),
        _extremes(moments),
        _stable(moments),
        _growing(moments),
        _following(moments),
    ]


def _how_often(moments: Sequence[Moment]) -> Answer:
    seconds = moments[-1].at_s - moments[0].at_s + 1
    sends = sum(m.sends for m in moments)
    viewers = max(1.0, sum(m.connections for m in moments) / len(moments))
    rate = sends / seconds
    return Answer(
        "How often is the writable callback invoked?",
        f"{rate:,.1f} times a second, {rate / viewers:.2f} for each of {viewers:,.0f} viewers",
        {"hz": rate, "hz_per_viewer": rate / viewers},
    )


def _extremes(moments: Sequence[Moment]) -> Answer:
    means = [m.interval_mean_ms for m in moments if m.interval_mean_ms]
    longest = max(m.interval_max_ms for m in moments)
    shortest = min(means, default=0.0)
    return Answer(
        "What are the smallest and the largest interval?",
        f"a second's mean is {shortest:.1f} ms at least; the longest interval is {longest:.1f} ms",
        {"smallest_mean_ms": shortest, "largest_ms": longest},
    )


def _stable(moments: Sequence[Moment]) -> Answer:
    means = [m.interval_mean_ms for m in moments if m.interval_mean_ms]
    mean = sum(means) / len(means) if means else 0.0
    longest = max((m.interval_max_ms for m in moments), default=0.0)
    ratio = longest / mean if mean else 0.0
    return Answer(
        "Are the intervals stable?",
        f"{'yes' if ratio <= STABLE else 'no'}: the longest is {ratio:.1f} times the mean",
        {"mean_ms": mean, "longest_to_mean": ratio},
    )


def _growing(moments: Sequence[Moment]) -> Answer:
    third = len(moments) // 3
    first = _mean([m.interval_mean_ms for m in moments[:third]])
    last = _mean([m.interval_mean_ms for m in moments[-third:]])
    ratio = last / first if first else 0.0
    return Answer(
        "Do they grow?",
        f"{'yes' if ratio > GROWTH else 'no'}: {first:.1f} ms in the first third, {last:.1f} ms "
        "in the last",
        {"first_ms": first, "last_ms": last},
    )


def _following(moments: Sequence[Moment]) -> Answer:
    intervals = [m.interval_mean_ms for m in moments]
    with_cpu = correlation(intervals, [m.cpu for m in moments])
    with_memory = correlation(intervals, [float(m.memory) for m in moments])
    followed = [
        name for name, value in (("CPU", with_cpu), ("memory", with_memory)) if value >= RELATED
    ]
    return Answer(
        "Do they follow CPU or memory?",
        f"{'they follow ' + ' and '.join(followed) if followed else 'neither'}: correlation "
        f"{with_cpu:+.2f} with CPU, {with_memory:+.2f} with memory",
        {"with_cpu": with_cpu, "with_memory": with_memory},
    )


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Pearson's coefficient, −1…1; 0 if one of them does not vary."""
    mean_x, mean_y = _mean(xs), _mean(ys)
    products = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    spread = sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys)
    return float(products / spread**0.5) if spread > 1e-12 else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def moment(snapshot: Any, before: dict[str, dict[str, Any]], at_s: float) -> Moment:
    """Now, from a reader's snapshot; `before`: totals of each worker a second ago."""
    sends = frames = 0
    for worker in snapshot.workers:
        old = before.get(worker["worker"])
        if old is not None:
            new = worker["totals"]
            calls = new["callbacks"]["writable"]["count"] - old["callbacks"]["writable"]["count"]
            sends += max(0, calls)
            frames += max(0, new["frames_out"] - old["frames_out"])
    playing = [row for row in snapshot.rows if row["status"] in ("playing", "live")]
    longest = [row["interval_max_ms"] for row in playing if row["interval_max_ms"] is not None]
    return Moment(
        at_s=at_s,
        connections=len(snapshot.rows),
        sends=sends,
        frames=frames,
        interval_mean_ms=1000 * len(playing) / sends if sends else 0.0,
        interval_max_ms=max(longest, default=0.0),
        cpu=sum(worker["cpu"] for worker in snapshot.workers),
        memory=sum(worker["memory"] for worker in snapshot.workers),
        loop_lag_ms=max((w["loop_recent_ms"][1] for w in snapshot.workers), default=0.0),
    )
