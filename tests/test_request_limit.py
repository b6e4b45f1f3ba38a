"""Who asks for too much is told when to come back; others, and this machine, are served."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replayproject.request_limit import (
    BURST_SECONDS,
    DOWNLOAD_SECONDS,
    Rates,
    RequestLimit,
    cost_of,
)
from streaming.connections.open_connections import BURST_SECONDS as MESSAGE_BURST
from streaming.connections.open_connections import OpenConnections
from streaming.playback.protocol import CloseCode
from streaming.worker import WORKER, Worker

from .conftest import RunningServer
from .samples import RACE_SLUG
from .websocket_client import open_wire

RATE = 2.0
BURST = int(RATE * BURST_SECONDS)


class Asked:
    """A limited application that always says 204, and a clock that stands still."""

    def __init__(self, worker: Worker | None = None, rates: Rates | None = None) -> None:
        self.now = 100.0
        self.worker = worker
        self.body = b""
        self.limited = RequestLimit(
            self.answer,
            rates or Rates(RATE, RATE),
            login_cookie="sessionid",
            clock=lambda: self.now,
        )

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        if self.body:
            await send({"type": "http.response.body", "body": self.body})

    async def __call__(self, address: str, path: str = "/", **scope: Any) -> dict[str, Any]:
        """The start of the answer, with the body in it if there is one."""
        sent: list[dict[str, Any]] = []

        async def send(event: dict[str, Any]) -> None:
            sent.append(event)

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        about = {"type": "http", "method": "GET", "headers": [], WORKER: self.worker, **scope}
        await self.limited({**about, "path": path, "client": (address, 1)}, receive, send)
        return {**sent[0], **(sent[1] if sent[1:] else {}), "type": sent[0]["type"]}


async def test_too_many_requests_of_an_address_are_429(worker: Worker) -> None:
    asked = Asked(worker)
    statuses = [(await asked("192.0.2.1"))["status"] for _ in range(BURST + 1)]
    assert statuses == [204] * BURST + [429]
    refused = await asked("192.0.2.1", "/api/sessions")
    assert dict(refused["headers"])[b"retry-after"] == b"1"
    assert json.loads(refused["body"])["code"] == "too_many_requests"
    assert worker.registry.report()["refused"] == {"requests_per_address": 2}
    assert (await asked("192.0.2.2"))["status"] == 204
    asked.now += 1 / RATE
    assert (await asked("192.0.2.1"))["status"] == 204


async def test_the_time_to_come_back_is_that_of_the_cost() -> None:
    asked = Asked()
    frames = "/api/sessions/race/frames"
    for _ in range(BURST // 10):
        assert (await asked("192.0.2.1", frames))["status"] == 204
    refused = await asked("192.0.2.1", frames)
    assert dict(refused["headers"])[b"retry-after"] == b"5"
    asked.now += 5.0
    assert (await asked("192.0.2.1", frames))["status"] == 204


@pytest.mark.parametrize(
    ("header", "other"),
    [
        ((b"authorization", b"Bearer one"), (b"authorization", b"Bearer two")),
        ((b"cookie", b"a=b; sessionid=one"), (b"cookie", b"a=b; sessionid=two")),
    ],
)
async def test_a_token_and_a_login_are_limited_wherever_they_come_from(
    header: tuple[bytes, bytes], other: tuple[bytes, bytes]
) -> None:
    asked = Asked()
    for i in range(BURST):
        assert (await asked(f"192.0.2.{i}", headers=[header]))["status"] == 204
    assert (await asked("198.51.100.1", headers=[header]))["status"] == 429
    assert (await asked("198.51.100.1", headers=[other]))["status"] == 204


async def test_a_network_of_ipv6_is_one_address() -> None:
    asked = Asked()
    for i in range(BURST):
        await asked(f"2001:db8::{i:x}")
    assert (await asked("2001:db8::ffff:1"))["status"] == 429
    assert (await asked("2001:db8:0:1::1"))["status"] == 204


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
async def test_this_machine_is_not_limited(address: str) -> None:
    asked = Asked()
    assert {(await asked(address))["status"] for _ in range(BURST * 2)} == {204}


async def test_handshakes_are_limited_before_they_are_accepted(worker: Worker) -> None:
    asked = Asked(worker)
    scope = {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    for _ in range(BURST):
        await asked("192.0.2.1", "/ws/sessions/race/", **scope)
    refused = await asked("192.0.2.1", "/ws/sessions/race/", **scope)
    assert (refused["type"], refused["status"]) == ("websocket.http.response.start", 429)
    assert worker.registry.report()["refused"] == {"handshakes_per_address": 1}


def test_costs() -> None:
    assert cost_of("GET", "/livez") == 0
    assert cost_of("GET", "/static/streaming/ui/player.js") < 0.1
    assert cost_of("GET", "/api/sessions/race/laps/C01/3/telemetry") == 10
    assert cost_of("GET", "/api/sessions/race") == cost_of("GET", "/") == 1
    assert cost_of("POST", "/admin/login/") == 10


async def test_who_has_downloaded_too_much_is_told_when_to_come_back(worker: Worker) -> None:
    asked = Asked(worker, Rates(0, 0, download_bytes=600))
    asked.body = bytes(1200)
    assert (await asked("192.0.2.1"))["status"] == 204, "what was begun is sent to its end"
    refused = await asked("192.0.2.1")
    assert refused["status"] == 429
    wait = int(dict(refused["headers"])[b"retry-after"])
    assert wait == DOWNLOAD_SECONDS + 1, "600 bytes too many, at 600 a minute"
    assert worker.registry.report()["refused"] == {"bytes_per_address": 1}
    assert (await asked("192.0.2.1", "/readyz"))["status"] == 204
    assert (await asked("192.0.2.2"))["status"] == 204
    assert (await asked("127.0.0.1"))["status"] == 204
    asked.now += wait
    assert (await asked("192.0.2.1"))["status"] == 204


class Somebody:
    def __init__(self, address: str = "192.0.2.1") -> None:
        self.address = address

    def restart(self, retry_after: float) -> None:
        raise AssertionError("nobody drains")


def test_connections_of_a_session_and_a_user_are_counted() -> None:
    connections = OpenConnections(per_session=3, per_user=1)
    people = [Somebody() for _ in range(4)]
    for somebody in people:
        connections.add(somebody)
    assert connections.crowded_for(people[0], "race", "anna") == ("", "")
    limit, reason = connections.crowded_for(people[1], "race", "anna")
    assert (limit, reason) == ("connections_per_user", "user anna has its 1 connections")
    connections.remove(people[0])
    for somebody in people[1:]:
        assert connections.crowded_for(somebody, "race", "")[0] == ""
    late = Somebody()
    connections.add(late)
    assert connections.crowded_for(late, "race", "")[0] == "connections_per_session"
    assert connections.crowded_for(late, "play", "")[0] == ""


def test_connections_of_a_token_are_counted_whoever_owns_it() -> None:
    connections = OpenConnections(per_token=1)
    one, two = Somebody("192.0.2.1"), Somebody("192.0.2.2")
    connections.add(one)
    connections.add(two)
    assert connections.crowded_for(one, "race", "anna", "7") == ("", "")
    assert connections.crowded_for(two, "race", "anna", "7")[0] == "connections_per_token"
    assert connections.crowded_for(two, "race", "anna", "8") == ("", "")


def test_connections_of_an_ipv6_network_are_counted_together() -> None:
    connections = OpenConnections(per_address=2)
    for address in ("2001:db8::1", "2001:db8::2"):
        connections.add(Somebody(address))
    limit, reason = connections.full_for("2001:db8::ffff:3", 9)
    assert limit == "connections_per_address"
    assert reason == "address 2001:db8::/64 has its 2 connections"
    assert connections.full_for("2001:db8:0:1::1", 9) == ("", "")
    assert connections.full_for("2001:db8:0:1::1", 2)[0] == "connections"


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("address", ("192.0.2.1", "", "")),
        ("user", ("192.0.2.2", "anna", "")),
        ("token", ("192.0.2.2", "", "7")),
    ],
)
def test_messages_are_counted_over_all_connections_of_one(
    kind: str, about: tuple[str, str, str]
) -> None:
    address, user, token = about
    connections = OpenConnections(messages_per_second=5)
    one, two = Somebody("192.0.2.1"), Somebody(address)
    for somebody in (one, two):
        connections.add(somebody, 0.0)
        connections.crowded_for(somebody, "race", user, token, 0.0)
    burst = int(5 * MESSAGE_BURST)
    assert {connections.message_from(one, 0.0) for _ in range(burst)} == {("", "")}
    assert connections.message_from(two, 0.0)[0] == f"messages_per_{kind}"
    assert connections.message_from(two, 0.2)[0] == ""
    stranger = Somebody("198.51.100.1")
    connections.add(stranger, 0.0)
    connections.crowded_for(stranger, "race", "", "", 0.0)
    assert connections.message_from(stranger, 0.0) == ("", "")


@pytest.mark.server
async def test_a_server_keeps_them_and_counts_what_it_refused(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(
        TRUSTED_PROXIES="127.0.0.1",
        MAX_CONNECTIONS_PER_SESSION="1",
        REQUESTS_PER_SECOND="1",
        METRICS_TOKEN="metrics",
    )
    async with httpx.AsyncClient(base_url=server.url) as client:
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        statuses = [
            (await client.get("/api/sessions", headers=forwarded)).status_code for _ in range(12)
        ]
        assert statuses[:10] == [200] * 10
        assert statuses[-1] == 429
        other = {"X-Forwarded-For": "192.0.2.2"}
        assert (await client.get("/api/sessions", headers=other)).status_code == 200
        race = server.websocket(f"/ws/sessions/{RACE_SLUG}/")
        async with open_wire(race) as one:
            await one.ask("hello")
            async with open_wire(race) as two:
                assert (await two.until_type("bye"))["retry_after"] > 0
                assert await two.close_code() == CloseCode.TOO_MANY
        token = {"Authorization": "Bearer metrics"}

        async def counted() -> str:
            return (await client.get("/metrics", headers=token)).text

        text = await counted()
        while 'limit="connections_per_session"' not in text:
            text = await counted()
        assert 'replay_refused_total{limit="requests_per_address"' in text
