"""A report of one connection: as plain values, and as lines for the log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .connection import ConnectionStatistics
from .histogram import Distribution
from .timer import SECOND, Callback


def connection_report(statistics: ConnectionStatistics, now_ns: int) -> dict[str, Any]:
    """Everything, as plain values; ns, Hz, bytes, frames. Times ago are seconds."""
    return {
        "connection": statistics.connection_id,
        "about": statistics.about,
        "age_s": (now_ns - statistics.started_ns) / SECOND,
        "status": statistics.status,
        "frame": statistics.frame,
        "speed": statistics.speed,
        "generation": statistics.generation,
        "target_fps": statistics.target_fps,
        "room": statistics.room,
        "hidden": statistics.hidden,
        "client_buffer_s": statistics.client_buffer_s,
        "credit": statistics.credit,
        "window": statistics.window,
        "pending_bytes": statistics.pending_bytes,
        "bytes_in": statistics.bytes_in,
        "bytes_out": statistics.bytes_out,
        "messages_in": statistics.messages_in,
        "messages_out": statistics.messages_out,
        "frames_out": statistics.frames_out,
        "seeks": statistics.seeks,
        "dropped": dict(statistics.dropped),
        "transport_paused": statistics.transport_paused,
        "pauses": statistics.pauses,
        "paused_ns": statistics.paused_for_ns(now_ns),
        "unacknowledged_for_ns": statistics.unacknowledged_for_ns(now_ns),
        "expected_interval_ns": statistics.expected_interval_ns,
        "verdict": statistics.verdict,
        "verdict_for_s": (now_ns - statistics.verdict_since_ns) / SECOND,
        "callbacks": {c.value: getattr(statistics, c).report(now_ns) for c in Callback},
        "store": statistics.store.report(now_ns),
        "answer": statistics.answer.report(),
        "seek": statistics.seek.report(),
        "round_trip": statistics.round_trips.report(),
        "live": (statistics.live or Distribution()).report(),
        "sparkline": list(statistics.history.sparkline(now_ns)),
        "timeline": [asdict(point) for point in statistics.history.timeline(now_ns)],
        "events": [
            {"ago_s": (now_ns - at) / SECOND, "kind": kind, "text": text, "times": times}
            for at, kind, text, times in statistics.events
        ],
    }


def log_lines(statistics: ConnectionStatistics) -> list[str]:
    """One block for each callback; the writable interval is marked where it is too long."""
    about = statistics.about
    known = ", ".join(str(about[name]) for name in ("session", "address") if about.get(name))
    lines = [f"callback statistics of connection {statistics.connection_id} ({known or 'unnamed'})"]
    for callback in Callback:
        expected = statistics.expected_interval_ns if callback is Callback.WRITABLE else None
        lines += getattr(statistics, callback).log_lines(callback.value, expected)
    return lines
