"""`manage.py profile_connections`: what the callbacks of all viewers do for a while, in words."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from streaming.admin.charts import duration, size
from streaming.monitoring.board import BoardError, RedisReader
from streaming.monitoring.profile import Moment, answer, moment
from streaming.monitoring.reader import NoSuchConnection, Reader, Snapshot
from streaming.redis.clients import RedisClients

from .connections import NO_REDIS


class Command(BaseCommand):
    help = (
        "Measures the callbacks of the connected viewers: a baseline, the latency of one frame, "
        "then a sustained load, and answers how often, how regularly and following what they run. "
        "Connect the viewers first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--duration", type=int, default=30, help="seconds to measure (≥ 3)")
        parser.add_argument("--warmup", type=int, default=10, help="seconds before, then a reset")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, duration: int, warmup: int, **options: Any) -> None:
        if not settings.REDIS_URL:
            raise CommandError(NO_REDIS)
        if duration < 3 or warmup < 0:
            raise CommandError(
                f"--duration {duration} --warmup {warmup}: expected at least 3 and 0"
            )
        reader = Reader(RedisReader(RedisClients(settings.REDIS_URL)))
        try:
            found = _profile(reader, duration, warmup)
        except BoardError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=1))
        else:
            self._print(found)

    def _print(self, found: dict[str, Any]) -> None:
        write = self.stdout.write
        base = found["baseline"]
        write("Baseline")
        write(f"  connections {base['connections']}, CPU {base['cpu']:.1%} of a core, "
              f"memory {size(base['memory'])}, loop lag {base['loop_lag_ms']:.1f} ms")  # fmt: skip
        write("Latency of a single frame")
        for name, figures in found["latency"].items():
            p50, p99, longest = (duration(figures[k]) for k in ("p50_ns", "p99_ns", "max_ns"))
            write(f"  {name}: p50 {p50}, p99 {p99}, max {longest} ({figures['count']} times)")
        write(f"Sustained load, {found['seconds']} s")
        write(f"  frames/s {found['frames_rate']:,.0f}, CPU {found['cpu']:.1%} of a core")
        for each in found["answers"]:
            write(f"  {each['question']}\n    {each['answer']}")


def _profile(reader: Reader, seconds: int, warmup: int) -> dict[str, Any]:
    baseline = moment(reader.snapshot(now=True), {}, 0.0)
    time.sleep(warmup)
    for row in reader.snapshot(now=True).rows:
        _ask(reader, row["connection"], "reset")
    moments: list[Moment] = []
    snapshot = reader.snapshot(now=True)
    for second in range(seconds):
        time.sleep(1)
        before = {worker["worker"]: worker["totals"] for worker in snapshot.workers}
        snapshot = reader.snapshot(now=True)
        moments.append(moment(snapshot, before, float(second)))
    return {
        "seconds": seconds,
        "baseline": asdict(baseline),
        "latency": _latencies(reader, snapshot),
        "frames_rate": sum(m.frames for m in moments) / seconds,
        "cpu": sum(m.cpu for m in moments) / len(moments),
        "answers": [asdict(each) for each in answer(moments)],
        "moments": [asdict(each) for each in moments],
    }


def _latencies(reader: Reader, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """The slowest connection's figures for each latency: of up to 50 connections."""
    worst: dict[str, dict[str, Any]] = {}
    for row in snapshot.rows[:50]:
        report = _ask(reader, row["connection"], "report")
        if not report:
            continue
        measured = {
            "writable": report["callbacks"]["writable"],
            "receive to first send": report["answer"],
            "seek to first frame": report["seek"],
            "client round trip": report["round_trip"],
        }
        for name, figures in measured.items():
            if figures["count"] and (
                name not in worst or figures["p99_ns"] > worst[name]["p99_ns"]
            ):
                worst[name] = {k: figures[k] for k in ("count", "p50_ns", "p99_ns", "max_ns")}
    return worst


def _ask(reader: Reader, connection: str, command: str) -> Any:
    """The answer, or None if the viewer has gone meanwhile."""
    try:
        return reader.command(connection, command)
    except NoSuchConnection:
        return None
