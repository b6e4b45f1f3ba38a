"""Our Daphne: connections with flow control, no sweep over all of them, an orderly end.

`run_server` is what `manage.py worker` calls. It serves on one listening socket, inherited or its
own, until SIGTERM or SIGINT; then it stops accepting, runs the drain hook (which says good-bye to
the viewers), and returns.
"""

from __future__ import annotations

# Before anything else of Twisted: this installs the reactor.
from . import reactor as _installed  # noqa: F401  # isort: skip
from daphne.server import Server  # isort: skip

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from daphne.http_protocol import HTTPFactory
from daphne.ws_protocol import WebSocketFactory
from twisted.internet import defer
from twisted.internet import reactor as _reactor
from twisted.logger import ILogObserver, globalLogBeginner

from .collector import tame_collector
from .file_limit import raise_file_limit
from .flow import CLOSE_WITHIN, Inbox
from .gate import Gate
from .http import ReplayChannel, ReplayRequest
from .limits import HANDSHAKE_SECONDS, Limits
from .listening import listen
from .transport import ReplayWebSocket
from .turns import Turns

logger = logging.getLogger(__name__)

reactor: Any = _reactor  # its declared interface knows neither callLater's numbers nor asyncio

Application = Callable[..., Awaitable[None]]

PING_SECONDS = 20
PONG_SECONDS = 60
"""Silence after which a client is pinged, and in which it must answer. Longer than the 60 s after
which a client that takes data without acknowledging it is closed with a code that says so."""

SWEEP_SECONDS = 2.0
SWEEP_SLICE = 500
"""Connections checked for time-outs without a break: 10,000 at once would stop the loop for 20
ms."""

MAX_MESSAGE_BYTES = 1024 * 1024
"""Of a message that autobahn still puts together; what is larger than the protocol allows is the
application's to refuse, with its own close code. Frames of live producers are larger than 64 kB."""

SWITCH_SECONDS = 0.0005
"""How long a thread that makes segments may keep the interpreter from the event loop. Python's own
5 ms is waited for at every turn of the loop: a dozen turns, and a seek has taken 60 ms."""

DRAIN_SECONDS = 9.0
"""How long the drain hook may take: the process is to end within ten."""

ANSWER_SECONDS = 0.5
"""How long the end waits after that for requests under way, also for those that whoever has just
connected is about to send."""

LOOK_SECONDS = 0.01


class ReplayServer(Server):  # type: ignore[misc]  # Daphne has no types
    """Daphne's server with our connections. Each application reports its end: nothing polls."""

    def __init__(
        self, application: Application, listener: socket.socket, limits: Limits, **options: Any
    ) -> None:
        """
        Args:
            application: ASGI 3.
            listener: bound and listening; closed by the caller.
            limits: what one client may cost.
            options: further ones of Daphne's `Server`.
        """
        super().__init__(
            application,
            endpoints=["adopted"],
            signal_handlers=False,
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            websocket_timeout=-1,
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            websocket_max_message_size=MAX_MESSAGE_BYTES,
            websocket_max_frame_size=MAX_MESSAGE_BYTES,
            server_name="",
            **options,
        )
        self._listener = listener
        self._limits = limits
        self._port: Any = None
        self.connections: dict[Any, dict[str, Any]] = {}
        self._not_asked: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def make_http_factory(self, clock: Any) -> HTTPFactory:
        """What makes a protocol of every connection. clock: for its deadlines (a reactor)."""
        factory = HTTPFactory(self)
        factory.reactor = clock
        build = factory.buildProtocol

        def build_with_our_request(address: Any) -> Any:
            protocol = build(address)
            self._not_asked[protocol] = time.monotonic()
            protocol.requestFactory = ReplayRequest
            return protocol

        factory.buildProtocol = build_with_our_request
        factory.asked = self._asked
        factory.protocol = ReplayChannel
        factory.limits = self._limits
        factory.turns = Turns(lambda work: clock.callLater(0, work))
        factory.timeOut = HANDSHAKE_SECONDS
        return factory

    def _asked(self, protocol: Any) -> None:
        """A connection's request has begun."""
        self._not_asked.pop(protocol, None)

    def make_ws_factory(self) -> WebSocketFactory:
        """What makes a protocol of every connection that was upgraded to a WebSocket."""
        factory = WebSocketFactory(self, server=self.server_name)
        factory.protocol = ReplayWebSocket
        factory.limits = self._limits
        factory.turns = self.http_factory.turns
        factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            # Until then what still comes is read: a socket closed over unread bytes is reset, and
            # the client would never see our last messages and the code.
            closeHandshakeTimeout=CLOSE_WITHIN,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
            # A client that breaks the protocol gets a close code (1002, 1007, 1009).
            failByDrop=False,
            # Segments are deflated already; doing it again costs CPU and saves nothing.
            perMessageCompressionAccept=lambda _offers: None,
        )
        return factory

    def start(self) -> None:
        """Build the factories and accept connections."""
        self.http_factory = self.make_http_factory(reactor)
        self.ws_factory = self.make_ws_factory()
        reactor.callLater(SWEEP_SECONDS, self.timeout_checker)
        reactor.addSystemEventTrigger("before", "shutdown", self.kill_all_applications)
        # Twisted works on a duplicate: closing that leaves the workers that share the socket alone.
        self._listener.setblocking(False)
        gate = Gate(self.http_factory, raise_file_limit(), reactor)
        self._port = reactor.adoptStreamPort(self._listener.fileno(), self._listener.family, gate)
        gate.guard(self._port)

    def stop_listening(self) -> None:
        """Accept no more connections; those that are there go on.

        Both descriptors are closed, ours and Twisted's duplicate: if the parent was killed, a new
        one can bind the port while the viewers are still being seen off."""
        if self._port is not None:
            self._port.stopListening()
            self._port = None
            self._listener.close()

    async def finish_requests(self, within: float) -> None:
        """Wait for answers under way, and for the first request of clients that have just
        connected."""
        for _ in range(round(within / LOOK_SECONDS)):
            if not self._has_open_request(within):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _has_open_request(self, recently: float) -> bool:
        now = time.monotonic()
        return any(now - since < recently for since in self._not_asked.values()) or any(
            isinstance(protocol, ReplayRequest) and "application_instance" in details
            for protocol, details in self.connections.items()
        )

    # -- applications ---------------------------------------------------------------------------

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """As Daphne, but with a bounded inbox and a `send` that waits."""
        if protocol not in self.connections:
            return None
        loop = asyncio.get_event_loop()
        scope.setdefault("asgi", {"version": "3.0", "spec_version": "2.3"})
        inbox: Any
        if scope["type"] == "websocket":
            inbox = Inbox(protocol.set_reading)
            scope["extensions"] = {
                "replay.transport": protocol.outbound,
                "websocket.http.response": {},
            }
        else:
            inbox = protocol.body or asyncio.Queue()
        task = loop.create_task(
            self.application(scope=scope, receive=inbox.get, send=protocol.asgi_send)
        )
        self.connections[protocol]["application_instance"] = task
        task.add_done_callback(partial(self._application_done, protocol))
        return inbox

    def _application_done(self, protocol: Any, task: asyncio.Task[None]) -> None:
        details = self.connections.get(protocol)
        if details is None:
            return
        details.pop("application_instance", None)
        if (overdue := details.pop("overdue", None)) is not None:
            overdue.cancel()
        connected = "disconnected" not in details
        if not connected:
            self._forget(protocol)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            logger.error("Exception inside application: %s", error, exc_info=error)
            if connected:
                protocol.handle_exception(error)
        elif (
            connected
            and isinstance(protocol, ReplayWebSocket)
            and protocol.state == protocol.STATE_OPEN
        ):
            # An application that returned without closing will never answer again.
            protocol.serverClose()

    def _forget(self, protocol: Any) -> None:
        del self.connections[protocol]
        if isinstance(protocol, ReplayWebSocket):
            # What ends it may be under way still.
            reactor.callLater(0, protocol.release)

    def protocol_disconnected(self, protocol: Any) -> None:
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        details["disconnected"] = time.time()
        task = details.get("application_instance")
        if task is None:
            self._forget(protocol)
        else:
            details["overdue"] = asyncio.get_event_loop().call_later(
                self.application_close_timeout, self._cancel_overdue, protocol, task
            )

    def _cancel_overdue(self, protocol: Any, task: asyncio.Task[None]) -> None:
        if not task.done():
            logger.warning(
                "Application for %r did not end within %s s of its connection's end: cancelled",
                protocol,
                self.application_close_timeout,
            )
            task.cancel()

    def application_checker(self) -> None:
        """Does nothing: Daphne would poll for ended applications here."""

    def timeout_checker(self) -> None:
        """Look for silent connections, some at a time."""
        self._sweep(list(self.connections), 0)

    def _sweep(self, protocols: list[Any], start: int) -> None:
        for protocol in protocols[start : start + SWEEP_SLICE]:
            if protocol in self.connections:
                protocol.check_timeouts()
        start += SWEEP_SLICE
        if start < len(protocols):
            reactor.callLater(0.02, self._sweep, protocols, start)
        else:
            reactor.callLater(SWEEP_SECONDS, self.timeout_checker)

    def kill_all_applications(self) -> defer.Deferred[Any]:
        """Cancel what still runs before the reactor ends, and wait for it."""
        tasks = [
            task
            for details in self.connections.values()
            if (task := details.get("application_instance")) is not None and not task.done()
        ]
        for task in tasks:
            task.cancel()
        return defer.Deferred.fromFuture(
            asyncio.ensure_future(_gather(tasks), loop=asyncio.get_event_loop())
        )


async def _gather(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def run_server(
    application: Application,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    socket_fd: int | None = None,
    on_listening: Callable[[int], None] | None = None,
    drain: Callable[[], Awaitable[None]] | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve an application until SIGTERM or SIGINT. Blocks; main thread only; once a process.

    Args:
        application: ASGI 3.
        host: address to listen on.
        port: to listen on; 0 for any free one.
        socket_fd: descriptor of a listening socket that was inherited (workers share it); host and
            port do not count then.
        on_listening: called once, with the bound port.
        drain: awaited after the socket has stopped accepting and before what is left is cancelled,
            `DRAIN_SECONDS` at most.
        limits: what one client may cost; None for the defaults.

    Raises:
        OSError: the address cannot be bound.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    listener = listen(host, port) if socket_fd is None else socket.socket(fileno=socket_fd)
    loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
    asyncio.set_event_loop(loop)
    globalLogBeginner.beginLoggingTo(
        [cast(ILogObserver, _ignore_event)], redirectStandardIO=False, discardBuffer=True
    )
    server = ReplayServer(application, listener, limits or Limits())
    ending: list[asyncio.Task[None]] = []

    def end() -> None:
        if not ending:
            ending.append(loop.create_task(_end(server, drain)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if on_listening is not None:
        reactor.callWhenRunning(on_listening, listener.getsockname()[1])
    try:
        server.start()
        tame_collector(reactor.callLater)
        reactor.run(installSignalHandlers=False)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        listener.close()


def _ignore_event(_event: Any) -> None:
    """Twisted's own log is about its ports and factories; what concerns us is logged by us."""


async def _end(server: ReplayServer, drain: Callable[[], Awaitable[None]] | None) -> None:
    """Accept no new connections, drain the viewers, then stop, also if draining failed."""
    server.stop_listening()
    try:
        if drain is not None:
            await asyncio.wait_for(drain(), DRAIN_SECONDS)
    except TimeoutError:
        logger.warning("Viewers were not all gone after %s s: ending anyway", DRAIN_SECONDS)
    except Exception:
        logger.exception("Draining the viewers failed: ending anyway")
    finally:
        await server.finish_requests(ANSWER_SECONDS)
        server.stop()
