"""Deadlines of the server do not know the time of day, which somebody may set."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from streaming.server.daphne import reactor  # isort: skip  Before anything else of Twisted.

from streaming.server.transport import ReplayWebSocket


def test_a_timer_is_set_by_the_monotonic_clock() -> None:
    timer = reactor.callLater(3600, lambda: None)
    timer.cancel()
    assert timer.getTime() == pytest.approx(time.monotonic() + 3600, abs=60)


class Silent(ReplayWebSocket):
    """An open connection that nothing comes from. pings: sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.outbound: Any = SimpleNamespace(paused=False)
        self.server = SimpleNamespace(ping_interval=20, websocket_connect_timeout=10)
        self.pings = 0
        self.state = self.STATE_OPEN
        self._opened = self._heard = time.monotonic()

    def _sendAutoPing(self) -> None:  # noqa: N802  autobahn's name
        self.pings += 1

    __hash__ = ReplayWebSocket.__hash__


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_asks_nobody_and_spares_nobody(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, monotonic = time.time(), time.monotonic()
    connection = Silent()
    monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
    connection.check_timeouts()
    assert connection.pings == 0
    monkeypatch.setattr(time, "monotonic", lambda: monotonic + 30)
    connection.check_timeouts()
    connection.check_timeouts()
    assert connection.pings == 1


def test_a_client_whose_socket_is_full_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic = time.monotonic()
    connection = Silent()
    connection.outbound.paused = True
    monkeypatch.setattr(time, "monotonic", lambda: monotonic + 30)
    connection.check_timeouts()
    assert connection.pings == 0
