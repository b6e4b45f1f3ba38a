"""A connection in one row: what the list shows, sorts and filters by.

A row is a plain list in the order of `COLUMNS`, because ten thousand of them are packed, sent and
read each few seconds.
"""

from __future__ import annotations

from typing import Any

from ..statistics.connection import OUTLIER_NS, SECOND, CallbackTimer, ConnectionStatistics
from ..statistics.diagnosis import Diagnosis, Evidence, Verdict, diagnose
from ..statistics.histogram import NEVER
from ..statistics.history import Recent
from .event_loop import LoopMonitor

COLUMNS: tuple[str, ...] = (
    "connection",
    "session",
    "user",
    "address",
    "encoding",
    "status",
    "frame",
    "speed",
    "generation",
    "target_fps",
    "delivered_fps",
    "interval_min_ms",
    "interval_mean_ms",
    "interval_max_ms",
    "callback_p99_us",
    "dropped_percent",
    "dropped",
    "pending_bytes",
    "credit",
    "window",
    "round_trip_ms",
    "buffer_s",
    "opened_at",
    "bytes_out",
    "bytes_out_rate",
    "frames_out",
    "messages_in",
    "messages_in_rate",
    "seeks",
    "hidden",
    "verdict",
    "figures",
    "advice",
    "sparkline",
)
"""Names and order of a row's values. Units are in the names; `opened_at` is Unix time."""

INDEX = {name: at for at, name in enumerate(COLUMNS)}
_RATE_S = 10


def loop_lag_ms(monitor: LoopMonitor | None) -> tuple[float, float]:
    """p99 and longest lag of the last ten seconds, ms; zeros where nobody measures."""
    return monitor.recent_ms() if monitor is not None else (0.0, 0.0)


def collect_evidence(
    statistics: ConnectionStatistics, now_ns: int, recent: Recent, lag_ms: tuple[float, float]
) -> Evidence:
    """The evidence for one connection's diagnosis.

    Args:
        statistics: of the connection.
        now_ns: monotonic.
        recent: its last seconds, from its history.
        lag_ms: p99 and longest lag of its event loop (`loop_lag_ms`).
    """
    name, p99_ns = _slowest(statistics)
    timer: CallbackTimer = getattr(statistics, name)
    return Evidence(
        playing=statistics.playing,
        hidden=statistics.hidden,
        expected_interval_ms=statistics.expected_interval_ns / 1e6,
        recent_interval_ms=recent.interval_ms,
        recent_store_ms=recent.store_ms,
        recent_drops=recent.drops,
        paused_share=recent.paused_share,
        pending_bytes=statistics.pending_bytes,
        credit=statistics.credit,
        window=statistics.window,
        unacknowledged_s=statistics.unacknowledged_for_ns(now_ns) / SECOND,
        loop_lag_p99_ms=lag_ms[0],
        loop_lag_max_ms=lag_ms[1],
        callback=name,
        callback_p99_ms=p99_ns / 1e6,
        callback_outliers=timer.outliers() if p99_ns > OUTLIER_NS else 0,
        callback_calls=timer.count,
        commands_per_s=recent.commands_rate,
        trend_ms=statistics.history.trend_ms() if statistics.playing else (0.0, 0.0, 0.0),
    )


def diagnose_connection(
    statistics: ConnectionStatistics, now_ns: int, lag_ms: tuple[float, float]
) -> Diagnosis:
    """The connection's diagnosis now; a changed verdict is noted among its events.

    Args: as `collect_evidence`.
    """
    evidence = collect_evidence(statistics, now_ns, statistics.history.recent(now_ns), lag_ms)
    return _record_verdict(statistics, evidence, now_ns)


def _record_verdict(statistics: ConnectionStatistics, evidence: Evidence, now_ns: int) -> Diagnosis:
    found = diagnose(evidence)
    if found.verdict != statistics.verdict:
        statistics.note("verdict", f"{statistics.verdict} → {found.verdict.value}", now_ns)
        statistics.verdict = found.verdict.value
        statistics.verdict_since_ns = now_ns
    return found


def summarise(
    statistics: ConnectionStatistics, now_ns: int, wall_s: float, lag_ms: tuple[float, float]
) -> list[Any]:
    """The row of one connection. `wall_s`: Unix time at `now_ns`."""
    recent = statistics.history.recent(now_ns)
    evidence = collect_evidence(statistics, now_ns, recent, lag_ms)
    found = _record_verdict(statistics, evidence, now_ns)
    about = statistics.about.get
    writable = statistics.writable
    sends = writable.rate(_RATE_S, now_ns)
    bytes_each = statistics.bytes_out / max(1, statistics.messages_out)
    drops, frames_out = statistics.late_drops, statistics.frames_out
    mean_ns = writable.interval_mean_ns
    paced = writable.interval_min_ns != NEVER
    trips = statistics.round_trips
    healthy = found.verdict is Verdict.HEALTHY
    return [
        statistics.connection_id,
        about("session", ""),
        about("user", ""),
        about("address", ""),
        about("encoding", ""),
        statistics.status,
        statistics.frame,
        statistics.speed,
        statistics.generation,
        round(statistics.target_fps, 2) if statistics.playing else 0.0,
        round(recent.frames_rate, 2),
        writable.interval_min_ns / 1e6 if paced else None,
        mean_ns / 1e6 if mean_ns is not None else None,
        writable.interval_max_ns / 1e6 if paced else None,
        evidence.callback_p99_ms * 1000,
        round(100 * drops / (drops + frames_out), 2) if drops else 0.0,
        drops,
        statistics.pending_bytes,
        statistics.credit,
        statistics.window,
        trips.last_ns / 1e6 if trips.count else None,
        statistics.client_buffer_s,
        wall_s - (now_ns - statistics.opened_ns) / SECOND,
        statistics.bytes_out,
        round(bytes_each * sends, 1),
        frames_out,
        statistics.messages_in,
        statistics.receive.rate(_RATE_S, now_ns),
        statistics.seeks,
        statistics.hidden,
        found.verdict.value,
        "" if healthy else found.figures,
        "" if healthy else found.advice,
        statistics.history.sparkline(now_ns),
    ]


def placeholder_row(statistics: ConnectionStatistics, now_ns: int, wall_s: float) -> list[Any]:
    """A row with nothing measured yet, which costs a tenth of `summarise`."""
    about = statistics.about.get
    row: list[Any] = [None] * len(COLUMNS)
    row[:10] = (
        statistics.connection_id,
        about("session", ""),
        about("user", ""),
        about("address", ""),
        about("encoding", ""),
        statistics.status,
        statistics.frame,
        statistics.speed,
        statistics.generation,
        0.0,
    )
    for name, value in _UNMEASURED.items():
        row[INDEX[name]] = value
    row[INDEX["opened_at"]] = wall_s - (now_ns - statistics.opened_ns) / SECOND
    return row


_UNMEASURED = {
    "delivered_fps": 0.0,
    "callback_p99_us": 0.0,
    "dropped_percent": 0.0,
    "dropped": 0,
    "pending_bytes": 0,
    "bytes_out": 0,
    "bytes_out_rate": 0.0,
    "frames_out": 0,
    "messages_in": 0,
    "messages_in_rate": 0.0,
    "seeks": 0,
    "hidden": False,
    "verdict": Verdict.HEALTHY.value,
    "figures": "",
    "advice": "",
    "sparkline": b"",
}


def _slowest(statistics: ConnectionStatistics) -> tuple[str, int]:
    """The callback with the highest p99, and that, ns.

    `writable` is left out once the transport was paused: its duration then is the client's time.
    """
    name, slowest_ns = "receive", statistics.receive.percentile_ns(990) or 0
    tick_ns = statistics.tick.percentile_ns(990) or 0
    if tick_ns > slowest_ns:
        name, slowest_ns = "tick", tick_ns
    if not statistics.pauses:
        writable_ns = statistics.writable.percentile_ns(990) or 0
        if writable_ns > slowest_ns:
            name, slowest_ns = "writable", writable_ns
    return name, slowest_ns
