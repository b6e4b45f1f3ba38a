"""How a registry keeps its connections: those that are open in blocks, those that have closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..statistics.connection import ConnectionStatistics
from ..statistics.report import connection_report
from ..statistics.totals import Totals

# Rows that are made without a pause: 64 take 1.6 ms, less than a frame's twentieth.
BLOCK = 64


@dataclass(slots=True)
class Block:
    """Up to 64 connections whose rows are sent together.

    changed: one was opened or closed since. retired: totals of those that are gone; totals: of all.
    """

    number: int
    open: dict[str, ConnectionStatistics] = field(default_factory=dict)
    retired: Totals = field(default_factory=Totals)
    totals: Totals = field(default_factory=Totals)
    packed: bytes = b""
    changed: bool = True


@dataclass(slots=True)
class Closed:
    """A connection that is no more."""

    statistics: ConnectionStatistics
    reason: str
    code: int
    closed_ns: int
    closed_at: float

    def report(self) -> dict[str, Any]:
        """The final report, with why and when it ended."""
        report = connection_report(self.statistics, self.closed_ns)
        report.update(reason=self.reason, code=self.code, closed_at=self.closed_at)
        return report
