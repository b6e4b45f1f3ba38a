"""Admission by free file descriptors: accept, then refuse with 503, then pause accepting.

A process gets the lowest free number for every file and socket it opens. So the number of a
connection that was just accepted says how near the limit is, whatever took the others, and nothing
has to be counted:

1. Below `limit - spare` a connection goes to the server.
2. From there on its request is answered with 503 and `Retry-After`, without the application.
3. From `limit - spare / 2` on nothing is accepted for `PAUSE_SECONDS`; who comes waits in the
   kernel's queue. So the application always has descriptors for files and databases, and accepting
   never fails over and over.
"""

from __future__ import annotations

import logging
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

from .file_limit import spare_files

logger = logging.getLogger("streaming.server.gate")

RETRY_AFTER = 5
"""Seconds; as in the `bye` to a viewer beyond the limit."""

PAUSE_SECONDS = 0.1
REQUEST_SECONDS = 5.0
"""For the request of somebody who is refused; it stands in the first packet."""

REQUEST_BYTES = 16 * 1024
ACCEPTS_PER_TURN = 8
"""Connections that Twisted accepts in one turn of the loop. It adds twenty when there were so many,
and would go on adding: past the limit before the first of a turn could say that it is near. Set
again at each arrival, it comes to 28, less than half of what is spare under a limit of 256."""

_TEXT = f"This server has no room for more connections. Come back in {RETRY_AFTER} seconds.\n"
REFUSAL = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Retry-After: {RETRY_AFTER}\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    f"Content-Length: {len(_TEXT)}\r\n"
    "Cache-Control: no-store\r\n"
    "Connection: close\r\n"
    f"\r\n{_TEXT}"
).encode()


class Gate(Factory):
    """Stands before the server's factory.

    inside: the server's. limit: of this process's descriptors. reactor: for its clock.
    """

    noisy = False

    def __init__(self, inside: Any, limit: int, reactor: Any) -> None:
        self._inside = inside
        self._reactor = reactor
        self._refuse_from = limit - spare_files(limit)
        self._pause_from = limit - spare_files(limit) // 2
        self._limit = limit
        self._port: Any = None

    def guard(self, port: Any) -> None:
        """port: what accepts for this factory."""
        self._port = port
        port.numberAccepts = ACCEPTS_PER_TURN

    def doStart(self) -> None:  # noqa: N802  Twisted's name
        self._inside.doStart()

    def doStop(self) -> None:  # noqa: N802  Twisted's name
        self._inside.doStop()

    def buildProtocol(self, address: IAddress | None) -> Any:  # noqa: N802  Twisted's name
        return _Arrival(self, address)

    def admit(self, transport: Any, address: IAddress | None) -> None:
        """Decide about a connection that was accepted."""
        number = transport.fileno()
        self._port.numberAccepts = ACCEPTS_PER_TURN
        protocol: Any
        if number < self._refuse_from:
            protocol = self._inside.buildProtocol(address)
        else:
            logger.warning(
                "connections are refused with 503: the limit of %d files and sockets is near",
                self._limit,
            )
            protocol = _Refusal(self._reactor)
            if number >= self._pause_from:
                self._pause()
        transport.protocol = protocol
        protocol.makeConnection(transport)

    def _pause(self) -> None:
        port = self._port
        port.stopReading()
        self._reactor.callLater(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._port.connected and not self._port.disconnecting:
            self._port.startReading()


class _Arrival:
    """A connection whose number is not known yet."""

    def __init__(self, gate: Gate, address: IAddress | None) -> None:
        self._gate = gate
        self._address = address

    def makeConnection(self, transport: Any) -> None:  # noqa: N802  Twisted's name
        self._gate.admit(transport, self._address)


class _Refusal(Protocol):
    """Reads a request, so that the answer is not lost with a reset, and says no."""

    transport: Any  # a TCP connection's, of which Twisted's type knows half

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._read = b""
        self._timeout: Any = None

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        self._timeout = self._reactor.callLater(REQUEST_SECONDS, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        self._read = (self._read + data)[-REQUEST_BYTES:]
        if b"\r\n\r\n" in self._read or len(self._read) >= REQUEST_BYTES:
            self.transport.write(REFUSAL)
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802  Twisted's name
        if self._timeout.active():
            self._timeout.cancel()
