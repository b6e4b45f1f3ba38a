"""`/metrics` for Prometheus: every worker's totals, whichever worker answers.

The only label that grows is the worker's number, which is reused; nothing is labelled by
connection, session or user. Counters begin at 0 with a worker's process, as Prometheus expects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

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
_LAGS = (("p50_ns", "0.5"), ("p99_ns", "0.99"), ("max_ns", "1"))


class WorkersCollector(Collector):
    """One snapshot of all workers as metric families."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Counters, gauges and the histogram of callback durations, by worker number."""
        workers = self._snapshot.workers
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
        for worker in workers:
            name = worker["name"]
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
        yield from (opened, closed, dropped, verdicts)

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
    """All workers' metrics; 503 if they cannot be read."""
    try:
        snapshot = worker_of(request).reader.snapshot(watching=False)
    except BoardError as error:
        return HttpResponse(f"{error}\n", status=503, content_type="text/plain; charset=utf-8")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkersCollector(snapshot))
    response = HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response


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
