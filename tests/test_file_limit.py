"""Files and sockets run out: viewers fit into the limit, and the rest are refused politely."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from streaming.server.file_limit import connections_within, spare_files
from streaming.server.gate import PAUSE_SECONDS, RETRY_AFTER, Gate

from .conftest import ROOT, RunningServer
from .websocket_client import open_wire

LIMIT = 256
RACE = "/ws/sessions/small-race/"
WITH_LIMIT = (
    "-c",
    "import os, resource, sys\n"
    f"resource.setrlimit(resource.RLIMIT_NOFILE, (64, {LIMIT}))\n"
    "os.execv(sys.executable, [sys.executable, 'manage.py', 'serve', '--port', '0'])",
)


@pytest.mark.parametrize(
    ("limit", "wanted", "expected"),
    [(1_048_576, 20_000, 20_000), (20_000, 20_000, 19_800), (1024, 20_000, 824), (64, 500, 32)],
)
def test_viewers_fit_into_the_limit(limit: int, wanted: int, expected: int) -> None:
    assert connections_within(limit, wanted) == expected


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    code = (
        "import resource as r\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 200))\n"
        "import replayproject.settings as s\n"
        "print(s.FILE_LIMIT, r.getrlimit(r.RLIMIT_NOFILE), s.MAX_CONNECTIONS)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "200 (200, 200) 100"


class Port:
    """What accepts, and whether it does."""

    connected, disconnecting, numberAccepts = True, False, 100  # noqa: N815  Twisted's name

    def __init__(self) -> None:
        self.accepting = True

    def startReading(self) -> None:  # noqa: N802  Twisted's name
        self.accepting = True

    def stopReading(self) -> None:  # noqa: N802  Twisted's name
        self.accepting = False


class Accepted:
    """A connection with a number, and what became of it."""

    def __init__(self, number: int) -> None:
        self.number, self.protocol, self.written, self.closed = number, None, b"", False

    def fileno(self) -> int:
        return self.number

    def write(self, data: bytes) -> None:
        self.written += data

    def loseConnection(self) -> None:  # noqa: N802  Twisted's name
        self.closed = True

    abortConnection = loseConnection  # noqa: N815  Twisted's name


class Inside:
    """The server's factory: every protocol only notes its transport."""

    def buildProtocol(self, _address: Any) -> Any:  # noqa: N802  Twisted's name
        return self

    def makeConnection(self, _transport: Any) -> None:  # noqa: N802  Twisted's name
        return


def test_near_the_limit_connections_are_refused_then_not_accepted() -> None:
    from twisted.internet.task import Clock

    clock, port, inside = Clock(), Port(), Inside()
    gate = Gate(inside, 1000, clock)
    gate.guard(port)

    def arrive(number: int) -> Accepted:
        transport = Accepted(number)
        gate.buildProtocol(None).makeConnection(transport)
        return transport

    spare = spare_files(1000)
    assert arrive(1000 - spare - 1).protocol is inside
    refused: Any = arrive(1000 - spare)
    assert port.accepting
    refused.protocol.dataReceived(b"GET / HTTP/1.1\r\n")
    assert not refused.closed, "an answer before the request would be lost with a reset"
    refused.protocol.dataReceived(b"Host: x\r\n\r\n")
    assert refused.written.startswith(b"HTTP/1.1 503 ")
    assert f"Retry-After: {RETRY_AFTER}".encode() in refused.written
    assert refused.closed
    refused.protocol.connectionLost()

    silent: Any = arrive(1000 - spare // 2)
    assert not port.accepting
    clock.advance(PAUSE_SECONDS)
    assert port.accepting
    clock.advance(60)
    assert silent.closed, "who asks nothing is not waited for"


def ask(port: int) -> socket.socket:
    """A connection that stays open after its request."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return connection


async def test_more_clients_than_files_are_refused_and_the_rest_served(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(program=WITH_LIMIT)
    most = connections_within(LIMIT, 20_000)
    assert f"viewers      up to {most} a worker: MAX_CONNECTIONS=20000 does not fit" in "\n".join(
        server.lines
    )
    async with open_wire(server.websocket(RACE)) as viewer:
        await viewer.ask("hello")
        crowd = [ask(server.port) for _ in range(2 * LIMIT)]
        try:
            refused = 0
            for each in crowd:
                answer = await asyncio.to_thread(each.recv, 4096)
                assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")), answer
                refused += answer.startswith(b"HTTP/1.1 503 ")
            assert 0 < refused < 2 * LIMIT
            assert (await viewer.ask("play"))["status"] == "playing"
        finally:
            for each in crowd:
                each.close()
        assert (await viewer.ask("pause"))["status"] == "paused"
    assert len(server.lines) < 60, "a flood is no reason to write much"
    assert not any("Too many open files" in line for line in server.lines)
