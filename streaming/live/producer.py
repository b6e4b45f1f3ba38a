"""A producer of a live session in Python: `publish` may be called from any thread, and never waits.

    import time
    from streaming import live

    fields = [{"name": name, "unit": "dm", "kind": "cubic"} for name in ("x", "y")]
    with live.open("regatta", fields=fields, entities=[{"code": "A"}], frame_rate=10) as producer:
        for i in range(600):
            producer.publish({"entities": {"A": {"x": 10 * i, "y": 0}}})
            time.sleep(0.1)

Frames are kept until the server says that they are on disk. When the connection is lost it is taken
up again, and what the server has not got is sent again, so nothing is lost while the queue holds.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time as clocks
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from sessions_app.recording import Schema

from ..playback.protocol import backoff, may_return
from .layout import BadPayload, Layout
from .wire import SUBPROTOCOL, Limits

DEFAULT_URL = "http://127.0.0.1:8000"
READY_WITHIN = 15.0
"""Seconds from `open` to the server's `ready`."""

QUEUE_SECONDS = 60.0
"""Of telemetry that waits for its acknowledgement: as long as the server may be away."""

PICTURES_QUEUED = 2
"""A picture that waits longer than for one before it is old."""

EARLY_FRAMES = 1.5
"""Frames by which a frame may be early or late and still is the next one: clocks and sleeps are
not exact."""

REFUSALS_KEPT = 20


class ProducerError(Exception):
    """The server does not take this session from this producer: why, in words."""


class Published(NamedTuple):
    """What became of a frame.

    Attributes:
        frame: its number; None if it got none.
        outcome: "accepted": it is on its way. "replaced": it is too, and took the place of an older
            one that had waited for too long, which is a gap now. "refused": it will not be sent.
        reason: in words where it is not "accepted".
    """

    frame: int | None
    outcome: Literal["accepted", "replaced", "refused"]
    reason: str = ""


@dataclass(slots=True)
class _Waiting:
    number: int
    data: bytes
    sent: bool = False


def open(slug: str, **options: Any) -> Producer:
    """Begin a live session, or come back to it; returns when the server is ready for frames.

    Args:
        slug: of the session.
        options: see the arguments of `Producer`.

    Raises:
        ProducerError: the server does not take it, or cannot be reached within 15 s.
    """
    producer = Producer(slug, **options)
    producer.start()
    return producer


class Producer:
    """One live session that this program sends. Its methods may be called from any thread.

    Attributes:
        slug: of the session.
        pressure: the last `pressure` message of the server; empty before the first.
        acknowledged: the newest frame that is known to be on disk; -1 before the first.
        refusals: the last refusals of the server, newest last.
        reconnects: connections that were taken up again.
        limits: of the server.
    """

    def __init__(
        self,
        slug: str,
        *,
        url: str = "",
        token: str | Callable[[], str] = "",
        kind: str = "telemetry",
        title: str = "",
        session_kind: str = "",
        frame_rate: float = 25.0,
        fields: Sequence[Mapping[str, Any]] = (),
        entities: Sequence[Mapping[str, Any]] = (),
        geometry: Mapping[str, Any] | None = None,
        content_type: str = "",
        record: bool | None = None,
        access: str | None = None,
        take_over: bool = False,
        metadata: Mapping[str, Any] | None = None,
        end: bool = True,
        clock: Callable[[], float] = clocks.time,
    ) -> None:
        """
        Args:
            slug: of the session.
            url: http://host:port; http://127.0.0.1:8000 by default.
            token: with the scope `ingest`, or what returns one.
            kind: "telemetry" or "media".
            title: for viewers.
            session_kind: "race", "regatta" and so on.
            frame_rate: frames a second of the timeline.
            fields: of the schema: name, unit, scale, kind, scope, labels.
            entities: code, name, number, team, colour, kind.
            geometry: the ground, as REST shows it.
            content_type: of pictures: image/jpeg, image/png or image/webp.
            record: whether the session becomes a recording when it ends; None for true. Pictures
                never do.
            access: who may watch: public, unlisted, login or private.
            take_over: end another producer's connection.
            metadata: kept with the session.
            end: whether closing ends the session, so that it becomes a recording.
            clock: Unix seconds.
        """
        self.slug = slug
        self.pressure: Mapping[str, Any] = {}
        self.acknowledged = -1
        self.refusals: deque[Mapping[str, Any]] = deque(maxlen=REFUSALS_KEPT)
        self.reconnects = 0
        self.limits = Limits()
        self._url = (url or DEFAULT_URL).rstrip("/")
        self._token = token
        self._end = end
        self._clock = clock
        self._rate = frame_rate
        self._media = kind == "media"
        self._start = {
            "action": "start",
            "kind": kind,
            "title": title,
            "session_kind": session_kind,
            "frame_rate": frame_rate,
            "fields": list(fields),
            "entities": list(entities),
            "geometry": geometry,
            "content_type": content_type,
            "record": record,
            "access": access,
            "take_over": take_over,
            "metadata": dict(metadata or {}),
        }
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[_Waiting] = deque()
        self._texts: deque[str] = deque()
        self._layout: Layout | None = None
        self._codes = [entity["code"] for entity in entities]
        self._origin: float | None = None
        self._last = -1
        self._last_time = 0.0
        self._failure: str | None = None
        self._closing: str | None = None
        self._ended = False
        self._began = False
        self._bye = ""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"live {slug}", daemon=True)

    # From any thread --------------------------------------------------------------------------

    def start(self) -> None:
        """Connect. Raises: ProducerError if the server is not ready within 15 s."""
        self._thread.start()
        ready = self._ready.wait(READY_WITHIN)
        if self._failure is not None or not ready:
            reason = self._failure or f"{self._url} does not answer"
            self._stop("")
            raise ProducerError(f"{self.slug}: {reason}")

    def publish(
        self, values: Mapping[str, Any] | bytes, time: float | None = None, frame: int | None = None
    ) -> Published:
        """Send a frame. Never waits.

        Args:
            values: telemetry, `{"entities": {code: {field: value}}, "session": {field: value}}` in
                the schema's units; or a picture.
            time: Unix seconds; now by default.
            frame: its number; by default the one of its time. What is left out is a gap.

        Returns:
            What became of it.
        """
        time = self._clock() if time is None else time
        with self._lock:
            if self._failure is not None or self._closing is not None:
                return Published(frame, "refused", self._failure or "this producer is closed")
            if time < self._last_time:
                reason = f"time {time:.3f} runs backwards: {self._last_time:.3f} was the last"
                return Published(frame, "refused", reason)
            try:
                number = self._number(time) if frame is None else frame
                if number <= self._last:
                    reason = f"frame {number}: expected {self._last + 1} or later"
                    if frame is None:
                        reason = f"too fast: this session has {self._rate:g} frames/s"
                    return Published(number, "refused", reason)
                data = self._packed(number, time, values)
            except BadPayload as error:
                return Published(frame, "refused", str(error))
            self._last, self._last_time = number, time
            if self._origin is None:
                self._origin = time - number / self._rate
            outcome = Published(number, "accepted")
            if len(self._queue) >= self._most_waiting:
                old = self._oldest_unsent()
                reason = f"frame {old} had waited for too long and is left out"
                outcome = Published(number, "replaced", reason)
            self._queue.append(_Waiting(number, data))
        self._notify()
        return outcome

    def event(self, kind: str, message: str = "", **fields: Any) -> None:
        """Tell what happened. fields: frame (the last one), entity, value, lap, sector."""
        fields.setdefault("frame", max(self._last, 0))
        self._text({"action": "event", "kind": kind, "message": message, **fields})

    def entity(self, code: str, **fields: Any) -> None:
        """Add an entity that was not there before. fields: name, number, team, colour, kind."""
        with self._lock:
            if self._layout is not None and code not in self._codes:
                schema = self._layout.schema
                self._layout = Layout(Schema(schema.fields, (*schema.entities, code), self._rate))
            self._codes.append(code)
        self._text({"action": "entity", "code": code, **fields})

    def wait_until_on_disk(self, frame: int, within: float = 30.0) -> bool:
        """Wait for the acknowledgement of a frame.

        Args:
            frame: its number.
            within: seconds to wait at most.

        Returns:
            Whether it is on disk.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self.acknowledged >= frame or self._failure is not None, within
            )
            return self.acknowledged >= frame

    def close(self, reason: str = "", *, within: float = 30.0) -> None:
        """Send what waits, and end the session unless it was opened with `end=False`.

        Args:
            reason: told to viewers.
            within: seconds to wait until everything is on disk.
        """
        self._stop(reason)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(within)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Frames that are not known to be on disk."""
        return len(self._queue)

    @property
    def failure(self) -> str | None:
        """Why the server takes no more; None while it does."""
        return self._failure

    # Inside -----------------------------------------------------------------------------------

    @property
    def _most_waiting(self) -> int:
        return PICTURES_QUEUED if self._media else max(2, int(QUEUE_SECONDS * self._rate))

    def _number(self, time: float) -> int:
        following = self._last + 1
        if self._origin is None:
            return following
        exact = (time - self._origin) * self._rate
        if abs(exact - following) <= EARLY_FRAMES:
            return following
        return round(exact)

    def _packed(self, number: int, time: float, values: Any) -> bytes:
        """Raises: BadPayload if the server would refuse it."""
        if self._layout is not None:
            self._layout.row(values)
        packed: bytes = msgpack.packb([number, time, values])
        return packed

    def _oldest_unsent(self) -> int:
        """Take the oldest frame that was not sent out of the queue; if all were, the oldest."""
        for index, waiting in enumerate(self._queue):
            if not waiting.sent:
                del self._queue[index]
                return waiting.number
        return self._queue.popleft().number

    def _text(self, message: Mapping[str, Any]) -> None:
        self._texts.append(json.dumps(message))
        self._notify()

    def _stop(self, reason: str) -> None:
        with self._lock:
            if self._closing is None:
                self._closing = reason
        self._notify()

    def _notify(self) -> None:
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with suppress(RuntimeError):
                # Closed meanwhile.
                loop.call_soon_threadsafe(wake.set)

    # In the producer's own thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._send_all())
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._ready.set()

    def _fail(self, reason: str) -> None:
        with self._lock:
            self._failure = self._failure or reason
            self._changed.notify_all()
        self._ready.set()

    async def _send_all(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        attempt = 0
        while self._failure is None and not self._ended:
            try:
                async with connect(
                    self._address,
                    subprotocols=[Subprotocol(SUBPROTOCOL)],
                    additional_headers=self._headers(),
                    max_size=None,
                ) as socket:
                    await self._talk(socket)
                    attempt = 0
            except ConnectionClosed as closed:
                code = 1006 if closed.rcvd is None else closed.rcvd.code
                if not may_return(code):
                    self._fail(f"closed with {code}")
            except (OSError, InvalidHandshake, TimeoutError):
                if self._closing is not None and not self._queue:
                    return
            if self._failure is None and not self._ended:
                if self._closing is not None and not self._ready.is_set():
                    return
                self.reconnects += 1
                await asyncio.sleep(backoff(attempt, random.random()))
                attempt = min(attempt + 1, 4)

    @property
    def _address(self) -> str:
        return f"{self._url.replace('http', 'ws', 1)}/ws/ingest/{self.slug}/"

    def _headers(self) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def _talk(self, socket: ClientConnection) -> None:
        """One connection, until it is lost or everything is said. Raises: ConnectionClosed."""
        assert self._wake is not None
        # What a server said before it closed is still read.
        with suppress(ConnectionClosed):
            await socket.send(json.dumps(self._start))
        reading = asyncio.create_task(self._read(socket))
        try:
            while not reading.done() and not self._began:
                await self._woken(reading)
            while not reading.done():
                await self._send_waiting(socket)
                if self._closing is not None and not self._queue and not self._texts:
                    if not self._end:
                        self._ended = True
                        return
                    await socket.send(json.dumps({"action": "end", "reason": self._closing}))
                    await reading
                    return
                await self._woken(reading)
            await reading
        finally:
            self._began = False
            reading.cancel()

    async def _woken(self, reading: asyncio.Task[None]) -> None:
        assert self._wake is not None
        waiting = asyncio.ensure_future(self._wake.wait())
        await asyncio.wait([waiting, reading], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self._wake.clear()

    async def _send_waiting(self, socket: ClientConnection) -> None:
        while True:
            while self._texts:
                await socket.send(self._texts.popleft())
            with self._lock:
                batch: list[bytes] = []
                size = 0
                for waiting in self._queue:
                    if waiting.sent:
                        continue
                    if len(batch) >= self.limits.batch or size > self.limits.frame_bytes:
                        break
                    waiting.sent = True
                    batch.append(waiting.data)
                    size += len(waiting.data)
            if not batch:
                return
            if len(batch) == 1:
                await socket.send(batch[0])
            else:
                await socket.send(_array_head(len(batch)) + b"".join(batch))

    async def _read(self, socket: ClientConnection) -> None:
        assert self._wake is not None
        async for text in socket:
            message = json.loads(text)
            match message.get("type"):
                case "ready":
                    self._on_ready(message)
                case "ack":
                    self._on_disk(message["frame"])
                case "pressure":
                    self.pressure = message
                case "refused":
                    self.refusals.append(message)
                    self._refused(message.get("frame"))
                case "error":
                    self.refusals.append(message)
                    if not self._ready.is_set():
                        self._fail(message["message"])
                case "ended":
                    self._ended = True
                case "bye":
                    self._bye = message["reason"]
                    if not self._ready.is_set() and "retry_after" not in message:
                        self._fail(message["reason"])
            self._wake.set()
        if socket.close_code is not None and not may_return(socket.close_code) and not self._ended:
            self._fail(self._bye or f"closed with {socket.close_code}")

    def _on_ready(self, message: Mapping[str, Any]) -> None:
        following = message["next_frame"]
        with self._lock:
            known = message["limits"]
            self.limits = Limits(known["frame_bytes"], known["frames_per_second"], known["batch"])
            if message["schema"] is not None:
                self._layout = Layout(Schema.from_dict(message["schema"]))
                self._rate = self._layout.schema.frame_rate
            if message.get("start_time") is not None:
                self._origin = message["start_time"]
            self._last = max(self._last, following - 1)
            for waiting in self._queue:
                waiting.sent = False
        self._on_disk(following - 1)
        self._began = True
        # Who comes back says no more than that.
        self._start = {"action": "start", "take_over": self._start["take_over"]}
        self._ready.set()

    def _on_disk(self, frame: int) -> None:
        with self._lock:
            self.acknowledged = max(self.acknowledged, frame)
            self._changed.notify_all()
            while self._queue and self._queue[0].number <= frame:
                self._queue.popleft()

    def _refused(self, frame: int | None) -> None:
        with self._lock:
            for index, waiting in enumerate(self._queue):
                if waiting.number == frame:
                    del self._queue[index]
                    return


def _array_head(count: int) -> bytes:
    packer = msgpack.Packer()
    head: bytes = packer.pack_array_header(count)
    return head
