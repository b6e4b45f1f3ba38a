"""What the detail, closed and workers pages show: reports as texts and drawings."""

from __future__ import annotations

import json
import time
from typing import Any

from ..statistics.diagnosis import Verdict
from . import charts
from .live_list import age_text, kind_of
from .texts import REFUSALS, VERDICTS, meaning_of, reason_of

CLOSED_HEADINGS = (
    ("Connection", ""),
    ("Closed at", ""),
    ("Reason", ""),
    ("Code", ""),
    ("Last verdict", ""),
    ("User", ""),
    ("Address", ""),
    ("Session", ""),
    ("Duration", "numeric"),
    ("Frames sent", "numeric"),
    ("Data sent", "numeric"),
    ("Frames dropped", "numeric"),
)
"""Of the closed connections' table: the heading and its CSS class."""


def closed_row(report: dict[str, Any]) -> dict[str, Any]:
    about = report["about"]
    dropped = sum(report["dropped"].values())
    return {
        "id": report["connection"],
        "closed_at": clock(report["closed_at"]),
        "user": about.get("user") or "–",
        "address": about.get("address") or "–",
        "session": about.get("session") or "–",
        "reason": reason_of(report["reason"], report["code"]),
        "code": report["code"],
        "meaning": meaning_of(report["code"]),
        "age": age_text(report["age_s"]),
        "frames": f"{report['frames_out']:,}",
        "bytes": charts.size(report["bytes_out"]),
        "dropped": f"{dropped:,}",
        "verdict": report["verdict"],
        "verdict_kind": kind_of(report["verdict"]),
    }


def report_context(report: dict[str, Any]) -> dict[str, Any]:
    callbacks = [
        {"name": name, "bars": charts.histogram(figures["histogram"]), **_durations(figures)}
        for name, figures in [*report["callbacks"].items(), ("store", report["store"])]
    ]
    latencies = [
        {"name": title, "bars": charts.histogram(report[name]["histogram"]),
         **_durations(report[name])}
        for name, title in (
            ("answer", "command → first send"),
            ("seek", "seek → first frame"),
            ("round_trip", "round trip to the client"),
            ("live", "live: arrival of a frame → its send"),
        )
    ]  # fmt: skip
    expected = report["expected_interval_ns"]
    longest = report["callbacks"]["writable"]["interval_max_ns"] or 0
    return {
        "report": report,
        "hello": json.dumps(report["about"], indent=1, ensure_ascii=False),
        "verdict_kind": kind_of(report["verdict"]),
        "verdict_sentence": VERDICTS[Verdict(report["verdict"])],
        "facts": _facts(report),
        "callbacks": callbacks,
        "latencies": latencies,
        "timeline": charts.timeline(report["timeline"]),
        "sparkline": charts.sparkline(report["sparkline"], report["target_fps"]),
        "expected_interval": charts.duration(expected),
        "interval_too_long": longest > 2 * expected,
    }


def _facts(report: dict[str, Any]) -> list[tuple[str, Any]]:
    """What the report says about the connection as a whole, as names and values."""
    about, window = report["about"], report["window"]
    dropped = [f"{count:,} {name.replace('_', ' ')}" for name, count in report["dropped"].items()]
    buffered = report["client_buffer_s"]
    paused_now = ", paused now" if report["transport_paused"] else ""
    paused = f"{report['pauses']:,} times, {charts.duration(report['paused_ns'])} in total"
    return [
        ("Session", about.get("session") or "–"),
        ("User", about.get("user") or "–"),
        ("Address", about.get("address") or "–"),
        ("Worker", report["worker"]),
        ("State", report["status"] + " (hidden tab)" * report["hidden"]),
        ("Playhead", f"frame {report['frame']:,}"),
        ("Speed", f"{report['speed']:g}×"),
        ("Seek generation", report["generation"]),
        ("Target rate", f"{report['target_fps']:.1f} frames/s"),
        ("Credit", "–" if window is None else f"{report['credit']} of {window} messages"),
        ("Unacknowledged for", charts.duration(report["unacknowledged_for_ns"])),
        ("Waiting in the socket", charts.size(report["pending_bytes"])),
        ("Sending paused", (paused if report["pauses"] else "never") + paused_now),
        ("Buffered by the client", "–" if buffered is None else f"{buffered:.1f} s"),
        ("Frames sent", f"{report['frames_out']:,}"),
        ("Frames dropped", ", ".join(dropped) or "none"),
        ("Sent", f"{charts.size(report['bytes_out'])} in {report['messages_out']:,} messages"),
        ("Received", f"{charts.size(report['bytes_in'])} in {report['messages_in']:,} messages"),
        ("Seeks", f"{report['seeks']:,}"),
        ("Connected for", age_text(report["age_s"])),
    ]  # fmt: skip


def _durations(figures: dict[str, Any]) -> dict[str, Any]:
    shown = {
        name.removesuffix("_ns"): charts.duration(value)
        for name, value in figures.items()
        if name.endswith("_ns")
    }
    rates = {name: f"{value:.1f}" for name, value in figures.items() if name.startswith("rate_")}
    return {"count": f"{figures['count']:,}", "outliers": figures.get("outliers"), **shown, **rates}


def worker_context(worker: dict[str, Any]) -> dict[str, Any]:
    lag = worker["loop_lag"] or {}
    board = worker["board"]
    latency = board["latency"] or {}
    stalled = worker["stalled"]
    stalls = [
        {"title": title, "duration": charts.duration(stall["duration_ms"] * 1e6),
         "at": clock(stall["at"]), "stack": stall["stack"]}
        for title, stall in (
            ("Longest stall", worker["longest_stall"]), ("Last stall", worker["last_stall"]),
        )
        if stall
    ]  # fmt: skip
    return {
        **worker,
        "lag_p50": charts.duration(lag.get("p50_ns")),
        "lag_p99": charts.duration(lag.get("p99_ns")),
        "lag_max": charts.duration(lag.get("max_ns")),
        "cpu_percent": f"{100 * worker['cpu']:.0f} %",
        "memory_text": charts.size(worker["memory"]),
        "frames_text": f"{worker['frames_rate']:,.0f}",
        "publishing": f"{100 * worker['publishing_share']:.2f} %",
        "redis_p99": charts.duration(latency.get("p99_ns")),
        "redis_last": charts.duration(latency.get("last_ns")),
        "stalled_for": f"{stalled[0]:.0f} s" if stalled else "",
        "stalled_stack": stalled[1] if stalled else "",
        "stall_list": stalls,
        "callback_list": [
            {"name": name, **_durations(figures)}
            for name, figures in worker["totals"]["callbacks"].items()
        ],
        "store_figures": _store_figures(worker["store"] or {}),
        "refusals": _refusals(worker.get("refused", {})),
    }


def searched_text(report: dict[str, Any]) -> str:
    about, code = report["about"], report["code"]
    reason = reason_of(report["reason"], code)
    values = (about.get("user"), about.get("address"), about.get("session"), reason)
    return " ".join(str(v) for v in (report["connection"], code, *values)).lower()


def _refusals(counts: dict[str, int]) -> list[tuple[str, str]]:
    """How often each limit refused somebody as (name, text), most often first."""
    most_first = sorted(counts.items(), key=lambda item: -item[1])
    return [(REFUSALS.get(limit, limit), f"{count:,}") for limit, count in most_first]


def _store_figures(store: dict[str, Any]) -> list[tuple[str, str]]:
    """The frame store's nested figures as (name, text), hit rates first."""
    shown = []
    for name, figures in store.items():
        if not isinstance(figures, dict):
            continue
        part = "payloads" if name == "made" else name
        hits, misses = figures.get("hits", 0), figures.get("misses", 0)
        if hits + misses:
            shown.append((f"{part} hit rate", f"{hits / (hits + misses):.1%}"))
        for figure, value in figures.items():
            if isinstance(value, bool):
                text = "yes" if value else "no"
            else:
                text = charts.size(value) if figure in ("bytes", "limit") else f"{value:,}"
            shown.append((f"{part} {figure}".replace("_", " "), text))
    return shown


def clock(unix_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(unix_s))
