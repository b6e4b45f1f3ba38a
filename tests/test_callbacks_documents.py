"""The documents of the statistics say what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streaming.monitoring.board import MemoryBoard
from streaming.monitoring.reader import Snapshot
from streaming.monitoring.registry import Registry
from streaming.statistics.diagnosis import RULES
from streaming.views.metrics import WorkersCollector

DOCS = Path(__file__).parent.parent / "docs"


def test_every_verdict_is_described_in_its_order() -> None:
    table = re.findall(r"^\| ([a-z ]+) \| .* \| .* \|$", (DOCS / "statistics.md").read_text(), re.M)
    verdicts = [rule.verdict.value for rule in RULES]
    assert [name for name in table if name in verdicts] == verdicts


def test_the_dashboard_asks_only_for_metrics_that_exist() -> None:
    worker = {**Registry("w", MemoryBoard()).report(), "name": "1"}
    exported = set()
    for family in WorkersCollector(Snapshot([worker], [])).collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        exported |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"replay_\w+", target["expr"])
    }
    assert asked
    assert asked <= exported
