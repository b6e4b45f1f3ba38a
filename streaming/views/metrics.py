"""`/metrics` for Prometheus: every worker's totals, whichever worker answers.

The only label that grows is the worker's number, which is reused; nothing is labelled by
connection, session or user. Counters begin at 0 with a worker's process, as Prometheus expects.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sessions_app.access import Action, decide
from sessions_app.networks import is_this_machine
from sessions_app.visitors import UnknownToken, visitor_of_user

from ..monitoring.board import BoardError
from ..monitoring.reader import Snapshot
from ..statistics.diagnosis import Verdict
from ..statistics.histogram import bucket_upper_ns
from ..worker import worker_of

_COUNTERS = (
    ("bytes_in", "replay_received_bytes", "Bytes from clients.", 1.0),
    ("bytes_out", "replay_sent_bytes", "Bytes to clients.", 1.0),
    ("messages_in", "replay_received_messages", "Messages from clients.", 1.0),
    ("messages_out", "replay_sent_messages", "Messages to clients.", 1.0),
    ("frames_out", "replay_sent_frames", "Frames to clients.", 1.0),
    ("seeks", "replay_seeks", "Seeks.", 1.0),
    ("pauses", "replay_transport_pauses", "Times that a socket took no more.", 1.0),
    ("paused_ns", "replay_transport_paused_seconds", "Time that sockets took no more.", 1e-9),
)
_GAUGES = (
    ("connections", "replay_connections", "Open connections.", 1.0),
    ("cpu", "replay_worker_cpu_cores", "CPU of the worker in the last second, in cores.", 1.0),
    ("memory", "replay_worker_resident_bytes", "Memory of the worker in RAM.", 1.0),
    ("publishing_share", "replay_statistics_cores", "CPU that the statistics take.", 1.0),
)
_PROXY_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
_REFUSAL = (
    "Metrics are for 'Authorization: Bearer <METRICS_TOKEN>', operators, and, where METRICS_TOKEN "
    "is not set, clients on the server's own machine.\n"
)
_LAGS = (("p50_ns", "0.5"), ("p99_ns", "0.99"), ("max_ns", "1"))


class WorkersCollector(Collector):
    """One snapshot of all workers as metric families. complete: whether it is of all of them."""

    def __init__(self, snapshot: Snapshot, *, complete: bool = True) -> None:
        self._snapshot = snapshot
        self._complete = complete

    def collect(self) -> Iterator[Metric]:
        """Counters, gauges and the histogram of callback durations, by worker number."""
        workers = self._snapshot.workers
        yield GaugeMetricFamily(
            "replay_statistics_complete",
            "1 if all workers are here, 0 if only the one that answered, because Redis is away.",
            value=float(self._complete),
        )
        for field, name, text, factor in _COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["worker"])
            for worker in workers:
                counter.add_metric([worker["name"]], worker["totals"][field] * factor)
            yield counter
        for field, name, text, factor in _GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["worker"])
            for worker in workers:
                gauge.add_metric([worker["name"]], worker[field] * factor)
            yield gauge
        yield from self._connections(workers)
        yield from self._loops(workers)
        yield self._durations(workers)
        yield from self._store(workers)
        yield from self._producers(workers)

    def _connections(self, workers: list[dict[str, Any]]) -> Iterator[Metric]:
        opened = CounterMetricFamily(
            "replay_connections_opened", "Connections ever opened.", labels=["worker"]
        )
        closed = CounterMetricFamily(
            "replay_connections_closed", "Connections ended.", labels=["worker", "code"]
        )
        dropped = CounterMetricFamily(
            "replay_dropped_frames", "Frames never sent.", labels=["worker", "reason"]
        )
        refused = CounterMetricFamily(
            "replay_refused", "Refused because a limit was reached.", labels=["worker", "limit"]
        )
        for worker in workers:
            name = worker["name"]
            for limit, count in worker.get("refused", {}).items():
                refused.add_metric([name, limit], count)
            opened.add_metric([name], worker["opened"])
            for code, count in worker["closed"].items():
                closed.add_metric([name, str(code)], count)
            for reason, frames in worker["totals"]["dropped"].items():
                dropped.add_metric([name, reason], frames)
        verdicts = GaugeMetricFamily(
            "replay_connections_by_verdict", "Open connections.", labels=["verdict"]
        )
        counts = Counter(row["verdict"] for row in self._snapshot.rows)
        for verdict in Verdict:
            verdicts.add_metric([verdict.value], counts[verdict.value])
        yield from (opened, closed, refused, dropped, verdicts)

    def _loops(self, workers: list[dict[str, Any]]) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "replay_loop_lag_seconds", "Event-loop lag.", labels=["worker", "quantile"]
        )
        stalls = CounterMetricFamily(
            "replay_loop_stalls", "Times the loop was blocked for over 250 ms.", labels=["worker"]
        )
        redis = GaugeMetricFamily(
            "replay_redis_latency_seconds",
            "Publishing's round trip.",
            labels=["worker", "quantile"],
        )
        for worker in workers:
            name = worker["name"]
            stalls.add_metric([name], worker["stalls"])
            for field, quantile in _LAGS:
                for family, figures in (
                    (lag, worker["loop_lag"]),
                    (redis, worker["board"]["latency"]),
                ):
                    if figures and figures[field] is not None:
                        family.add_metric([name, quantile], figures[field] / 1e9)
        yield from (lag, stalls, redis)

    def _durations(self, workers: list[dict[str, Any]]) -> Metric:
        family = HistogramMetricFamily(
            "replay_callback_seconds", "Durations of callbacks.", labels=["worker", "callback"]
        )
        for worker in workers:
            for callback, figures in worker["totals"]["callbacks"].items():
                family.add_metric(
                    [worker["name"], callback],
                    _cumulative(figures["octaves"]),
                    figures["total_ns"] / 1e9,
                )
        return family

    def _producers(self, workers: list[dict[str, Any]]) -> Iterator[Metric]:
        sending = GaugeMetricFamily(
            "replay_producers", "Producers of live sessions.", labels=["worker", "verdict"]
        )
        rate = GaugeMetricFamily(
            "replay_live_frames_per_second", "Frames from producers.", labels=["worker"]
        )
        lag = GaugeMetricFamily(
            "replay_live_disk_lag_seconds", "Longest wait of frames for disk.", labels=["worker"]
        )
        for worker in workers:
            producers = worker.get("producers", [])
            for verdict, count in Counter(p["verdict"] for p in producers).items():
                sending.add_metric([worker["name"], verdict], count)
            rate.add_metric([worker["name"]], sum(p["rate"] for p in producers))
            lag.add_metric([worker["name"]], max((p["disk_lag"] for p in producers), default=0.0))
        yield from (sending, rate, lag)

    def _store(self, workers: list[dict[str, Any]]) -> Iterator[Metric]:
        lookups = CounterMetricFamily(
            "replay_store_lookups", "Look-ups in memory.", labels=["worker", "result"]
        )
        held = GaugeMetricFamily("replay_store_bytes", "Bytes in memory.", labels=["worker"])
        for worker in workers:
            memory = (worker["store"] or {}).get("memory")
            if memory:
                lookups.add_metric([worker["name"], "hit"], memory["hits"])
                lookups.add_metric([worker["name"], "miss"], memory["misses"])
                held.add_metric([worker["name"]], memory["bytes"])
        yield from (lookups, held)


def metrics(request: HttpRequest) -> HttpResponse:
    """All workers' metrics, or this one's and what is missing; 401 for who may not read them."""
    if not _may_read(request):
        response = HttpResponse(_REFUSAL, status=401, content_type="text/plain; charset=utf-8")
        response["WWW-Authenticate"] = "Bearer"
        return response
    worker = worker_of(request)
    reader, missing = worker.reader, ""
    try:
        snapshot = reader.snapshot(watching=False)
    except BoardError as error:
        own = worker.registry
        snapshot = reader.snapshot_of(own.worker_id, own.own_fields)
        missing = f"# Only of the worker that answered: {' '.join(str(error).split())}\n"
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkersCollector(snapshot, complete=not missing))
    text = missing.encode() + generate_latest(registry)
    response = HttpResponse(text, content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response


def _may_read(request: HttpRequest) -> bool:
    """METRICS_TOKEN, whoever may see connections; without a METRICS_TOKEN also this machine."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given, wanted = token.strip().encode(), settings.METRICS_TOKEN.encode()
        return (bool(wanted) and hmac.compare_digest(given, wanted)) or _observes(
            request, token.strip()
        )
    if not settings.METRICS_TOKEN and _from_this_machine(request):
        return True
    return decide(visitor_of_user(request.user), Action.OBSERVE).allowed


def _observes(request: HttpRequest, token: str) -> bool:
    try:
        return decide(worker_of(request).credentials.program_now(token), Action.OBSERVE).allowed
    except UnknownToken:
        return False


def _from_this_machine(request: HttpRequest) -> bool:
    """Whether the client itself is here, as far as can be seen: a proxy is here as well."""
    if any(name in request.headers for name in _PROXY_HEADERS):
        return False
    return is_this_machine(request.META.get("REMOTE_ADDR") or "")


def _cumulative(octaves: list[int]) -> list[tuple[str, float]]:
    """Buckets as Prometheus wants them: (upper bound in seconds, calls up to it)."""
    buckets: list[tuple[str, float]] = []
    calls = 0
    for octave, count in enumerate(octaves):
        calls += count
        # From 1 µs to 17 s: 25 bounds, of which each is a power of two of the next.
        if 1 <= octave <= 25:
            upper_s = bucket_upper_ns(octave * 8 + 7) / 1e9
            buckets.append((f"{upper_s:.9g}", float(calls)))
    buckets.append(("+Inf", float(calls)))
    return buckets
