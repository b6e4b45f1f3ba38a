"""What the detail, closed and workers pages show: reports as texts and drawings."""

from __future__ import annotations

import json
import time
from typing import Any

from . import charts
from .live_list import kind_of


def closed_row(report: dict[str, Any]) -> dict[str, Any]:
    about = report["about"]
    dropped = sum(report["dropped"].values())
    return {
        "id": report["connection"],
        "closed_at": clock(report["closed_at"]),
        "user": about.get("user") or "–",
        "address": about.get("address") or "–",
        "session": about.get("session") or "–",
        "reason": report["reason"],
        "code": report["code"],
        "age": f"{report['age_s']:,.0f} s",
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
            ("answer", "receive → first send"),
            ("seek", "seek → first frame"),
            ("round_trip", "client round trip"),
        )
    ]  # fmt: skip
    expected = report["expected_interval_ns"]
    longest = report["callbacks"]["writable"]["interval_max_ns"] or 0
    return {
        "report": report,
        "hello": json.dumps(report["about"], indent=1, ensure_ascii=False),
        "verdict_kind": kind_of(report["verdict"]),
        "callbacks": callbacks,
        "latencies": latencies,
        "timeline": charts.timeline(report["timeline"]),
        "sparkline": charts.sparkline(report["sparkline"], report["target_fps"]),
        "expected_interval": charts.duration(expected),
        "interval_too_long": longest > 2 * expected,
        "bytes_out": charts.size(report["bytes_out"]),
        "bytes_in": charts.size(report["bytes_in"]),
        "pending": charts.size(report["pending_bytes"]),
        "paused": charts.duration(report["paused_ns"]),
        "unacknowledged": charts.duration(report["unacknowledged_for_ns"]),
    }


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
    }


def searched_text(report: dict[str, Any]) -> str:
    about = report["about"]
    values = (about.get("user"), about.get("address"), about.get("session"), report["reason"])
    return " ".join(str(v) for v in (report["connection"], report["code"], *values)).lower()


def _store_figures(store: dict[str, Any]) -> list[tuple[str, str]]:
    """The frame store's nested figures as (name, text), hit rates first."""
    shown = []
    for part, figures in store.items():
        if not isinstance(figures, dict):
            continue
        hits, misses = figures.get("hits", 0), figures.get("misses", 0)
        if hits + misses:
            shown.append((f"{part} hit rate", f"{hits / (hits + misses):.1%}"))
        for name, value in figures.items():
            if isinstance(value, bool):
                text = "yes" if value else "no"
            else:
                text = charts.size(value) if name in ("bytes", "limit") else f"{value:,}"
            shown.append((f"{part} {name}".replace("_", " "), text))
    return shown


def clock(unix_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(unix_s))
