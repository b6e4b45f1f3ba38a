"""One producer's WebSocket. See docs/protocol.md, section 10.

The receiving task admits the client, waits for `start`, and hands frames on to the live session;
the sending task sends what is said to it. Acknowledgements that wait are joined into one, so that
a producer which reads nothing costs next to nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Protocol

from django.db import Error as DatabaseError

from sessions_app.access import ANONYMOUS, Action, Visitor, decide
from sessions_app.visitors import UnknownToken

from ..live.commands import Appeared, End, Happened, Ping, Start, parse_command
from ..live.hub import Broadcast, LiveHub
from ..live.pressure import Adviser, Watched
from ..live.wire import (
    MAX_TEXT_BYTES,
    SUBPROTOCOL,
    ErrorCode,
    IngestError,
    MessageType,
    Refusal,
    RefusalCode,
)
from ..monitoring.registry import Registry
from ..playback.protocol import CloseCode
from ..server.flow import CLOSE_WITHIN
from ..store.catalogue import Catalogue, CatalogueUnavailable
from .admission import Admission
from .identity import visitor_of
from .open_connections import OpenConnections
from .origins import blocked_by
from .outgoing import Outgoing, SendTimeout
from .pump import bye

logger = logging.getLogger("streaming.connections.ingest")

Event = Mapping[str, Any]

START_WITHIN = 10.0
"""Seconds from the handshake to `start`."""

MAX_OUTBOX = 1_000
"""Messages that may wait for a producer that reads nothing; a frame that is refused makes one."""

AWAY_SECONDS = 5.0
"""After which to come back when the database or the disk is away."""


class Services(Protocol):
    """What a producer's connection needs of the worker that it is on (`Worker` has it)."""

    admission: Admission
    connections: OpenConnections
    catalogue: Catalogue
    live: LiveHub
    registry: Registry


class IngestConnection:
    """One producer.

    Attributes:
        id: random; names the connection in logs.
        address: the client's IP address.
        slug: of the session that it sends.
        visitor: whose program it is; anonymous before `start`.
        refused: frames since it came.
        pressure: as it was told last.
        action: what the rule of access is asked for, again every few seconds.
    """

    subprotocol = SUBPROTOCOL
    action: ClassVar[Action] = Action.INGEST

    def __init__(
        self,
        services: Services,
        scope: Mapping[str, Any],
        send: Callable[[dict[str, Any]], Awaitable[None]],
        slug: str,
    ) -> None:
        """Make a connection; it begins with `run`.

        Args:
            services: of the worker that it is on.
            scope: ASGI's.
            send: ASGI's; the WebSocket has been accepted.
            slug: of the session that is to be sent.
        """
        self._services = services
        self._scope = scope
        self._outgoing = Outgoing(send, services.admission.limits.ack_timeout)
        self.id = secrets.token_hex(8)
        self.slug = slug
        self.address = (scope.get("client") or ("", 0))[0]
        self.visitor: Visitor = ANONYMOUS
        self._broadcast: Broadcast | None = None
        self._outbox: list[str] = []
        self._acknowledged: int | None = None
        self._wake = asyncio.Event()
        self._closing: CloseCode | None = None
        self._bye: dict[str, Any] | None = None
        self._disconnected = False
        self._telling: asyncio.Task[None] | None = None
        self.refused = 0
        self.pressure: Mapping[str, Any] = {}

    # As `OpenConnections` and `RightsReview` see it -------------------------------------------

    @property
    def version(self) -> str | None:
        """None: a producer plays no recording."""
        return None

    def restart(self, retry_after: float) -> None:
        """The worker ends: the producer is to come back, to another one."""
        self.close(CloseCode.RESTARTING, "restarting", retry_after)

    def revoke(self, code: CloseCode, reason: str) -> None:
        """The right to send has ended."""
        self.close(code, reason)

    def replaced(self) -> None:
        """A recording was replaced; a producer plays none."""

    # As a `Broadcast` sees it -----------------------------------------------------------------

    def on_disk(self, frame: int) -> None:
        """Everything up to this frame is on disk."""
        self._acknowledged = frame
        self._wake.set()

    def lost(self, reason: str) -> None:
        """The session cannot be written any more."""
        self.close(CloseCode.FAILED, reason, AWAY_SECONDS)

    @property
    def who(self) -> tuple[str, str]:
        """Address and user name."""
        return self.address, self.visitor.name

    def taken_over(self) -> None:
        """Another producer sends the session from now on."""
        self.close(CloseCode.TAKEN_OVER, "another producer took over")

    # The connection's life --------------------------------------------------------------------

    async def run(self, receive: Callable[[], Awaitable[dict[str, Any]]], dispatch: Any) -> None:
        """From the handshake to the end.

        Args:
            receive: ASGI's.
            dispatch: called with each event; passes it on to `receive_message` or `disconnected`.
        """
        sending = asyncio.create_task(self._send_all())
        try:
            await self._admit()
            started = asyncio.timeout(START_WITHIN)
            try:
                async with started:
                    while self._open and self._broadcast is None:
                        await dispatch(await receive())
            except TimeoutError:
                if not started.expired():
                    raise
                self.close(CloseCode.NOT_THIS_PROTOCOL, 'say {"action": "start"} first')
            while self._open:
                received = asyncio.ensure_future(receive())
                await asyncio.wait([received, sending], return_when=asyncio.FIRST_COMPLETED)
                if not received.done():
                    received.cancel()
                    break
                await dispatch(received.result())
        except Exception:
            logger.exception("producer %s", self.id)
            self.close(CloseCode.FAILED, "an internal error", AWAY_SECONDS)
        finally:
            if self._telling is not None:
                self._telling.cancel()
            broadcast, self._broadcast = self._broadcast, None
            if broadcast is not None:
                await broadcast.close()
            self._services.connections.remove(self)
            if not self._disconnected:
                self.close(CloseCode.DONE, "")
                await asyncio.wait([sending], timeout=2 * CLOSE_WITHIN)
            sending.cancel()

    @property
    def _open(self) -> bool:
        return self._closing is None and not self._disconnected

    def disconnected(self, _code: int | None) -> None:
        """The socket has closed."""
        self._disconnected = True
        self._wake.set()

    def close(self, code: CloseCode, reason: str, retry_after: float | None = None) -> None:
        """End the connection, after what was said. The first call wins."""
        if self._closing is None:
            self._closing = code
            self._bye = bye(reason, retry_after) if reason else None
            self._wake.set()

    async def receive_message(self, message: str | bytes) -> None:
        """A message arrived."""
        if not self._open:
            return
        try:
            if isinstance(message, bytes):
                await self._frames(message)
            elif len(message) > MAX_TEXT_BYTES:
                self.close(CloseCode.TOO_LARGE, "a message of more than 1 MiB")
            else:
                await self._command(message)
        except IngestError as error:
            self._error(error)
            if self._broadcast is None:
                # Nothing can be sent before the session is there.
                code = _CLOSE_FOR.get(error.code, CloseCode.NOT_THIS_PROTOCOL)
                self.close(code, error.message)
        except DatabaseError:
            self.close(CloseCode.RESTARTING, "the database is away", AWAY_SECONDS)

    async def _admit(self) -> None:
        connections, limits = self._services.connections, self._services.admission.limits
        if connections.draining:
            self.close(CloseCode.RESTARTING, "restarting", 1.0)
            return
        limit, problem = connections.full_for(self.address, limits.connections)
        if limit:
            self._services.registry.refused(limit)
            self.close(CloseCode.TOO_MANY, problem, AWAY_SECONDS)
            return
        if problem := blocked_by(self._scope):
            self.close(CloseCode.FORBIDDEN, problem)
            return
        credentials = self._services.admission.credentials
        try:
            self.visitor = await visitor_of(self._scope, credentials)
        except UnknownToken as error:
            self.close(CloseCode.UNAUTHENTICATED, str(error))
        except DatabaseError:
            self.close(CloseCode.RESTARTING, "the database is away", AWAY_SECONDS)

    async def _command(self, text: str) -> None:
        command = parse_command(text)
        if isinstance(command, Ping):
            pong = {"t": command.t, "server_time": round(time.time(), 6)}
            self._say(MessageType.PONG, **pong)
            return
        broadcast = self._broadcast
        if isinstance(command, Start):
            if broadcast is not None:
                raise IngestError(ErrorCode.OUT_OF_TURN, "start was said already")
            await self._start(command)
            return
        if broadcast is None:
            raise IngestError(ErrorCode.OUT_OF_TURN, 'say {"action": "start"} first')
        match command:
            case Happened():
                await broadcast.happened(command.event)
            case Appeared():
                await broadcast.appeared(command.entity)
            case End():
                frames = await broadcast.end(command.reason)
                self._say_acknowledged()
                self._say(MessageType.ENDED, frames=frames)
                self.close(CloseCode.DONE, "the session has ended")

    async def _start(self, start: Start) -> None:
        if not await self._allowed(start):
            return
        broadcast = await self._services.live.begin(self.slug, start, self, self.visitor.user)
        self._broadcast = broadcast
        # From now on there is a session of which the rights can be reviewed.
        self._services.connections.add(self)
        self._telling = asyncio.create_task(self._tell_pressure(broadcast))
        schema = broadcast.intake.layout and broadcast.intake.layout.schema.as_dict()
        self._say(
            MessageType.READY,
            session=self.slug,
            next_frame=broadcast.intake.next_frame,
            start_time=broadcast.state.start_time,
            schema=schema,
            limits=broadcast.intake.limits.as_dict(),
        )

    async def _allowed(self, start: Start) -> bool:
        """Ask the rule of access; closes if it says no."""
        services = self._services
        if start.token:
            try:
                self.visitor = await services.admission.credentials.program(start.token)
            except UnknownToken as error:
                self.close(CloseCode.UNAUTHENTICATED, str(error))
                return False
        services.catalogue.forget(self.slug)
        try:
            info = await services.catalogue.find(self.slug)
        except CatalogueUnavailable as error:
            self.close(CloseCode.RESTARTING, str(error), AWAY_SECONDS)
            return False
        decision = decide(self.visitor, Action.INGEST, None if info is None else info.facts)
        if decision.close_code is not None:
            self.close(CloseCode(decision.close_code), decision.reason)
            return False
        return True

    async def _frames(self, data: bytes) -> None:
        broadcast = self._broadcast
        if broadcast is None:
            raise IngestError(ErrorCode.OUT_OF_TURN, 'say {"action": "start"} first')
        if len(data) > broadcast.intake.limits.frame_bytes * 2:
            reason = f"message of {len(data):,} bytes: expected at most {_most(broadcast):,}"
            self._refuse(Refusal(None, RefusalCode.TOO_LARGE, reason))
            return
        outcome = broadcast.intake.take(data, time.monotonic(), time.time())
        for refusal in outcome.refused:
            self._refuse(refusal)
        if outcome.frames:
            await broadcast.frames(outcome.frames)

    async def _tell_pressure(self, broadcast: Broadcast) -> None:
        """Say once a second how this worker's viewers keep up."""
        about = broadcast.state.about
        assert about is not None
        adviser = Adviser(about.frame_rate)
        before: dict[Any, tuple[int, int]] = {}
        while True:
            await asyncio.sleep(1.0)
            now: dict[Any, tuple[int, int]] = {}
            watching = 0
            for connection in self._services.connections:
                viewer = getattr(connection, "viewer", None)
                if connection.slug != self.slug or viewer is None:
                    continue
                watching += 1
                if viewer.at_edge:
                    now[connection] = (viewer.credit.sent, viewer.dropped_frames)
            viewers = [
                Watched(sent - before[key][0], dropped - before[key][1])
                for key, (sent, dropped) in now.items()
                if key in before
            ]
            before = now
            wanted = [q for slug, q in self._services.live.hints.values() if slug == self.slug]
            message = adviser.second(viewers, watching=watching, disk_lag=broadcast.disk_lag)
            message["suggest"]["quality"] = min([message["suggest"]["quality"], *wanted])
            self.pressure = {key: value for key, value in message.items() if key != "type"}
            self._enqueue(message)

    # Out --------------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal) -> None:
        self.refused += 1
        self._enqueue(refusal.as_dict())

    def _error(self, error: IngestError) -> None:
        self._say(MessageType.ERROR, code=error.code.value, message=error.message)

    def _say(self, kind: MessageType, **fields: Any) -> None:
        self._enqueue({"type": kind.value, **fields})

    def _enqueue(self, message: Mapping[str, Any]) -> None:
        if len(self._outbox) >= MAX_OUTBOX:
            self.close(CloseCode.SLOW, "the producer reads nothing")
            return
        self._outbox.append(json.dumps(message, ensure_ascii=False, separators=(",", ":")))
        self._wake.set()

    def _say_acknowledged(self) -> None:
        frame, self._acknowledged = self._acknowledged, None
        if frame is not None:
            self._say(MessageType.ACK, frame=frame)

    async def _send_all(self) -> None:
        try:
            while self._open or self._outbox:
                if self._acknowledged is not None:
                    self._say_acknowledged()
                if not self._outbox:
                    await self._wake.wait()
                self._wake.clear()
                texts, self._outbox = self._outbox, []
                for text in texts:
                    await self._outgoing({"type": "websocket.send", "text": text})
        except SendTimeout:
            self.close(CloseCode.SLOW, "the producer reads nothing")
        except OSError:
            self._disconnected = True
            return
        if not self._disconnected:
            last = [] if self._bye is None else [json.dumps({**self._bye})]
            await self._outgoing.close(self._closing or CloseCode.DONE, last)


_CLOSE_FOR = {
    ErrorCode.HELD: CloseCode.TAKEN_OVER,
    ErrorCode.UNAVAILABLE: CloseCode.RESTARTING,
}


def _most(broadcast: Broadcast) -> int:
    return broadcast.intake.limits.frame_bytes * 2
