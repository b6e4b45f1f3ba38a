"""A Python client of the replay protocol: frames as numpy arrays, for notebooks and tests.

    import asyncio
    from streaming.client import connect

    async def main():
        async with connect("ws://localhost:8000/ws/sessions/demo/", fields=["x", "y"]) as replay:
            print(replay.session["title"], replay.schema.entities)
            await replay.seek(time=60)
            await replay.play(speed=4)
            async for frames in replay:
                x = frames["x"]                       # (samples, entities), decimetres
                print(frames.numbers[0], x[0])
                if frames.numbers[-1] > 25 * 120:
                    break

    asyncio.run(main())

Taking the next frames acknowledges those before, so a slow reader is sent less, never older. A lost
connection is taken up again at the same playhead and in the same room; `async for` goes on as if
nothing had happened. Where the server knows where the viewer is, that place counts, else where it
would be by now by the client's own clock. A room is never moved by who comes back to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from sessions_app.recording import Schema

from ..playback.protocol import (
    DEFAULT_WINDOW,
    SUBPROTOCOL,
    CloseCode,
    backoff,
    may_return,
)
from .decoding import Frames, decode_data

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
ABNORMAL = 1006
"""What a connection that broke off without a close code counts as."""


class ReplayError(Exception):
    """Base of what this client raises."""


class CommandRefused(ReplayError):
    """The server answered `error`: nothing has changed, the connection goes on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class ReplayClosed(ReplayError):
    """The connection is over and will not be taken up again. code: a close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code}{': ' + reason if reason else ''}")
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class State:
    """The last `state` that the server sent."""

    status: str = "paused"
    frame: float = 0
    time: float = 0.0
    speed: float = 1.0
    generation: int = 0
    dropped: int = 0
    room: str | None = None


def connect(url: str, **options: Any) -> ReplayClient:
    """Make a client; entering it with `async with` connects.

    Args:
        url: `ws://host/ws/sessions/<slug>/`.
        options: see the attributes of `ReplayClient`.

    Raises:
        OSError, InvalidHandshake: on entering, if the server cannot be reached or refuses.
        ReplayClosed: on entering, if the session does not exist or may not be watched.
    """
    return ReplayClient(url, **options)


@dataclass(slots=True)
class ReplayClient:
    """One connection to one session: an async context manager and an async iterator of `Frames`.

    Iterating raises `ReplayClosed` when the connection is over; see the module for an example.

    Attributes:
        url: `ws://host/ws/sessions/<slug>/`.
        encoding: "segments" or "rows".
        window: data messages that may be unacknowledged.
        lead: seconds of frames wanted ahead of the playhead; None for the server's default.
        max_fps: frames a second of wall time at most; None for the recording's.
        fields: names wanted; None for all.
        entities: codes wanted; None for all.
        events: whether to get `event` messages (through `on_message`).
        max_retries: attempts to return after a lost connection.
        headers: of the handshake, such as a session cookie or a bearer token.
        on_message: called with every control message.
        sleep: waits between attempts to return, seconds.
        clock: monotonic seconds.
        state: the last `state` of the server.
        session: the session as in `welcome`; empty before it.
        welcome: the last `welcome`; empty before it.
        reconnects: connections that were taken up again.
        bytes_received: of messages, all connections together.
        stale_dropped: data messages dropped because a seek made them old.
    """

    url: str
    encoding: str = "segments"
    window: int = DEFAULT_WINDOW
    lead: float | None = None
    max_fps: float | None = None
    fields: Sequence[str] | None = None
    entities: Sequence[str] | None = None
    events: bool = False
    max_retries: int = 10
    headers: Mapping[str, str] | None = None
    on_message: Callable[[Mapping[str, Any]], None] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    state: State = field(default_factory=State)
    session: Mapping[str, Any] = field(default_factory=dict)
    welcome: Mapping[str, Any] = field(default_factory=dict)
    reconnects: int = 0
    bytes_received: int = 0
    stale_dropped: int = 0
    _schema: Schema | None = None
    _socket: ClientConnection | None = None
    _reader: asyncio.Task[None] | None = None
    _data: deque[Frames] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: dict[int, asyncio.Future[Mapping[str, Any]]] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _generation: int = 0
    _token: str | None = None
    _retry_after: float | None = None
    _returning: bool = False
    _state_at: float | None = None
    _playing: bool = False
    _room_name: str | None = None
    _unacknowledged: int = 0
    _acknowledged: int = 0
    _closed: BaseException | None = None

    @property
    def schema(self) -> Schema:
        """Of what this connection is sent: the wanted fields and entities, in wire order."""
        if self._schema is None:
            raise ReplayError("no schema yet: the session is still loading, see `ready()`")
        return self._schema

    @property
    def position(self) -> float:
        """Where the playhead is, in seconds from the start: where the last `state` said, and what
        has been played since by our clock."""
        if self._state_at is None:
            return 0.0
        passed = self.clock() - self._state_at if self._playing else 0.0
        return self.state.time + passed * self.state.speed

    async def __aenter__(self) -> Self:
        await self._open()
        self._reader = asyncio.create_task(self._read_until_closed())
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ready(self) -> None:
        """Wait until the session has frames: at once, unless it is being imported."""
        while self._schema is None:
            await self._wait_for_change()

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self._closed = self._closed or ReplayClosed(CloseCode.DONE, "closed here")
        if self._reader is not None:
            self._reader.cancel()
            # Not awaited itself: its cancellation could not be told from one of whoever closes.
            await asyncio.wait([self._reader])
            self._reader = None
        if self._socket is not None:
            await self._socket.close()

    # -- commands -------------------------------------------------------------------------------

    async def play(self, speed: float | None = None) -> State:
        """Play, at `speed` times real time (0.05…64, negative backwards) if given."""
        return await self._command("play", **({} if speed is None else {"speed": speed}))

    async def pause(self) -> State:
        """Pause at the present frame. Returns and raises: as `seek`."""
        return await self._command("pause")

    async def set_speed(self, speed: float) -> State:
        """Change the speed: 0.05…64, negative backwards. Returns and raises: as `seek`."""
        return await self._command("speed", speed=speed)

    async def seek(self, *, frame: int | None = None, time: float | None = None) -> State:
        """Seek; frames of the old position that are under way are dropped.

        Args:
            frame: number of the frame; give either this or `time`.
            time: seconds from the start.

        Returns:
            The state that confirms it.

        Raises:
            CommandRefused: there is no such frame.
            ReplayClosed: the connection is over.
            ReplayError: the connection was lost before the answer; it is taken up again.
        """
        self._generation += 1
        self._drop_stale()
        where: dict[str, Any] = {"frame": frame} if frame is not None else {"time": time}
        return await self._command("seek", generation=self._generation, **where)

    async def request(self, frame: int, frames: int, stride: int = 1) -> None:
        """Request a range outside playback; it arrives among the other frames.

        Args:
            frame: number of the first frame.
            frames: samples wanted.
            stride: frames between two samples: 1, 2, 4 … 64.
        """
        await self._send({"action": "request", "frame": frame, "frames": frames, "stride": stride})

    async def join(self, room: str, name: str | None = None) -> None:
        """Join a room: all its members share one timeline.

        Args:
            room: 1 to 64 letters, digits, "-" or "_".
            name: shown to the other members, 1 to 40 characters; None for "viewer" and a number.
        """
        self._room_name = name
        called = {} if name is None else {"name": name}
        await self._send({"action": "join", "room": room, **called})

    async def leave(self) -> None:
        """Leave the room; the timeline is this viewer's own again."""
        await self._send({"action": "leave"})

    async def ping(self) -> float:
        """Seconds to the server and back."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        await self._ask({"action": "ping", "t": start})
        return loop.time() - start

    async def _command(self, action: str, **fields: Any) -> State:
        await self._ask({"action": action, **fields})
        return self.state

    async def _ask(self, message: dict[str, Any]) -> Mapping[str, Any]:
        """Send with an id, wait for what carries it. Raises: CommandRefused; ReplayClosed."""
        number = next(self._ids)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            await self._send({**message, "id": number})
            return await answer
        finally:
            self._answers.pop(number, None)

    async def _send(self, message: Mapping[str, Any]) -> None:
        if self._closed is not None:
            raise self._closed
        if self._socket is None:
            raise ReplayError("not connected: enter the client with `async with` first")
        # If the connection is lost, `_forget_connection` fails the pending answers.
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(json.dumps(message))

    # -- frames ---------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Frames]:
        return self

    async def __anext__(self) -> Frames:
        """The next frames of the current generation. Raises: ReplayClosed."""
        await self._acknowledge()
        while True:
            self._drop_stale()
            if self._data:
                frames = self._data.popleft()
                self._unacknowledged = frames.seq
                return frames
            # One by one, a flood of seeks would become a flood of acknowledgements.
            if self._unacknowledged >= self._acknowledged + max(1, self.window // 2):
                await self._acknowledge()
            await self._wait_for_change()

    async def _acknowledge(self) -> None:
        if self._unacknowledged:
            seq, self._unacknowledged = self._unacknowledged, 0
            self._acknowledged = seq
            await self._send({"action": "ack", "seq": seq})

    def _drop_stale(self) -> None:
        """Drop frames older than the last seek. Acknowledging the last of them returns their
        credit."""
        while self._data and self._data[0].generation < self._generation:
            self._unacknowledged = self._data.popleft().seq
            self.stale_dropped += 1

    async def _wait_for_change(self) -> None:
        if self._closed is not None:
            raise self._closed
        self._wake.clear()
        await self._wake.wait()

    # -- connection -----------------------------------------------------------------------------

    async def _open(self) -> None:
        """Connect and send `hello`. Raises: OSError, InvalidHandshake."""
        self._socket = await open_websocket(
            self.url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=dict(self.headers or {}),
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
        )
        hello: dict[str, Any] = {
            "action": "hello",
            "encoding": self.encoding,
            "window": self.window,
            "lead": self.lead,
            "max_fps": self.max_fps,
            "fields": None if self.fields is None else list(self.fields),
            "entities": None if self.entities is None else list(self.entities),
            "events": self.events,
            "resume": self._token,
        }
        # A refusal may be quicker than our hello; with what code it closed is read like any end.
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(json.dumps({k: v for k, v in hello.items() if v is not None}))

    async def _read_until_closed(self) -> None:
        """Read until closed for good, taking up what can be taken up."""
        try:
            while True:
                code, reason = await self._read()
                if not may_return(code):
                    raise ReplayClosed(code, reason)
                self._forget_connection(code)
                await self._reopen(code, reason)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._closed = error
            self._forget_connection(0)
        finally:
            self._wake.set()

    async def _read(self) -> tuple[int, str]:
        """Read one connection to its end. Returns: how it ended."""
        assert self._socket is not None
        try:
            async for message in self._socket:
                self.bytes_received += len(message)
                if isinstance(message, str):
                    control = json.loads(message)
                    self._on_control(control)
                    if self._returning and control["type"] == "welcome":
                        await self._take_up(control)
                else:
                    self._on_data(message)
        except ConnectionClosed:
            pass  # how it ended is read below, for clean and unclean ends alike
        return self._socket.close_code or ABNORMAL, self._socket.close_reason or ""

    async def _reopen(self, code: int, reason: str) -> None:
        """Come back, with backoff and jitter. Raises: ReplayClosed after `max_retries`."""
        for attempt in range(self.max_retries):
            # Before `retry_after` the server may not be ready.
            pause = max(self._retry_after or 0.0, backoff(attempt, random.random()))
            self._retry_after = None
            await self.sleep(pause)
            try:
                await self._open()
            except (OSError, InvalidHandshake):
                continue
            self.reconnects += 1
            self._returning = True
            return
        raise ReplayClosed(code, f"{reason}; gave up after {self.max_retries} attempts to return")

    async def _take_up(self, welcome: Mapping[str, Any]) -> None:
        """We are back: be where we were, and move nobody. See docs/protocol.md, section 8."""
        frame_count = self.session["frame_count"]
        if self._schema is None or not frame_count or self._state_at is None:
            # No frames yet: another welcome follows. Or nothing was ever told: we are at the start.
            return
        self._returning = False
        state = self.state
        if welcome["resumed"] and state.room is None and welcome.get("room") is not None:
            await self.leave()
        alone = state.room is None
        if not welcome["resumed"] or (alone and state.generation > welcome["generation"]):
            await self._go(round(self.position * self.session["frame_rate"]), frame_count)
        if state.room is not None:
            await self.join(state.room, self._room_name)

    async def _go(self, frame: int, frame_count: int) -> None:
        """Go on at `frame` as the last `state` said: this viewer is in no room."""
        if self.state.status == "live":
            await self._send({"action": "live"})
            return
        self._generation += 1
        frame = min(max(frame, 0), frame_count - 1)
        await self._send({"action": "seek", "frame": frame, "generation": self._generation})
        await self._send({"action": "speed", "speed": self.state.speed})
        await self._send({"action": "play" if self._playing else "pause"})

    def _forget_connection(self, code: int) -> None:
        """Fail the pending answers and drop the frames of a connection that was lost.

        Those frames cannot be acknowledged any more.
        """
        self._unacknowledged = self._acknowledged = 0
        self._data.clear()
        error = self._closed or ReplayError(f"the connection was lost ({code}) before the answer")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)

    def _on_control(self, message: Mapping[str, Any]) -> None:
        kind = message.get("type")
        self._token = message.get("resume", self._token)
        if kind == "welcome":
            self._on_welcome(message)
        elif kind == "state":
            names = State.__slots__
            self.state = State(**{n: message[n] for n in names if n in message})
            self._generation = max(self._generation, self.state.generation)
            self._state_at = self.clock()
            if self.state.status != "buffering":
                # At its end it still plays: from elsewhere it goes on.
                self._playing = self.state.status != "paused"
        elif kind == "bye":
            self._retry_after = message.get("retry_after")
        answer = self._answers.get(message.get("id", 0))
        if answer is not None and not answer.done():
            if kind == "error":
                answer.set_exception(CommandRefused(message["code"], message["message"]))
            else:
                answer.set_result(message)
        if self.on_message is not None:
            self.on_message(message)
        self._wake.set()

    def _on_welcome(self, message: Mapping[str, Any]) -> None:
        self.welcome = message
        self.session = message["session"]
        self._generation = max(self._generation, message.get("generation", 0))
        if message.get("schema"):
            about = {
                "frame_rate": self.session["frame_rate"],
                "segment_frames": message["segment_frames"],
            }
            self._schema = Schema.from_dict({**about, **message["schema"]})

    def _on_data(self, message: bytes) -> None:
        self._data.append(decode_data(message, self.schema))
        self._wake.set()
