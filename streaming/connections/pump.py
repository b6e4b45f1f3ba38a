"""The pump: one task per viewer. It gets what the viewer's state machine has due, and sends it.

Theory of operation
===================

The viewer (`playback/viewer.py`) decides what is due and when, and has no clock, no bytes and no
socket. The pump has these, and decides nothing. It repeats:

1. send the control messages in the outbox, and the `state` messages that the viewer owes;
2. ask the viewer what is to be fetched (`step`), get it, tell the viewer that it is about to be
   sent (`emit`, which may say that it is not wanted any more), and send it;
3. enqueue the recorded events that the playhead has passed;
4. sleep until the viewer's next wake-up, or until a handler calls `wake`.

Handlers change the viewer or the outbox and call `wake`; so no message of a client waits for a
send, however slow its socket is. Time comes from one timer for all pumps of a worker (`timers.py`).

A message costs no thread and mostly no await: what is in memory is taken there and then. Only what
is not becomes a task, which wakes the pump when it is done; meanwhile the pump goes on with control
messages. Messages that are due together leave in one write where the server allows it.

Nothing is queued for a slow client. Whether data is due is asked when it can be sent: the viewer's
credit says how much is unacknowledged, the transport says whether the socket takes data. What was
not sent in time is not due any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from sessions_app.f1_front_end import plain_row
from sessions_app.recording import RecordingError, public_reason

from ..playback.event_track import EventTrack
from ..playback.plan import Fetch
from ..playback.protocol import CloseCode, DataKind, ErrorCode, MessageType, data_message
from ..playback.viewer import Viewer
from ..statistics.connection import ConnectionStatistics
from ..store.catalogue import SessionInfo
from ..store.frame_store import UNREADABLE, FrameStore, SegmentKey
from ..store.open_recordings import StaleVersion
from .timers import TimerWheel

logger = logging.getLogger("streaming.connections.pump")

Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_TOGETHER = 8
"""Data messages in one write: 16 kB of segments, less than any socket's buffer."""

AHEAD_SECONDS = 0.5
"""How long before a playing viewer needs a row its block is prefetched: making one takes a few
milliseconds, and tens where many viewers need theirs at once."""

MAX_OUTBOX = 1000
"""Control messages that wait for a paused transport, before the connection counts as stalled."""

RETRY_SECONDS = 1.0
"""After frames could not be read."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Transport(Protocol):
    """The socket, which our server offers in `scope["extensions"]["replay.transport"]`."""

    paused: bool
    pending_bytes: int

    def set_listener(self, listener: Callable[[str], None]) -> None:
        """listener: called with "paused" or "writable"."""


class Pump:
    """Sends one viewer its messages.

    Attributes:
        viewer: None until frames may be sent.
        info: of the session whose frames are sent; set before `viewer`.
        events: recorded events, sent as the playhead passes them; None for none.
        subset: which fields and entities are sent (`store/subset.py`).
        slot: the timer wheel's own.
    """

    __slots__ = (
        "__weakref__",
        "_bye",
        "_clock",
        "_closing",
        "_loading",
        "_outbox",
        "_plain",
        "_retry_at",
        "_send_many",
        "_statistics",
        "_store",
        "_transport",
        "_waiter",
        "_wheel",
        "_woken",
        "events",
        "info",
        "send",
        "slot",
        "subset",
        "viewer",
    )

    def __init__(
        self,
        send: Send,
        store: FrameStore,
        statistics: ConnectionStatistics,
        wheel: TimerWheel,
        *,
        transport: Transport | None = None,
        plain: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a pump; `run` is its task.

        Args:
            send: ASGI's; may wait for the socket.
            store: where payloads come from.
            statistics: the connection's, where sending is counted.
            wheel: wakes this pump when something is due.
            transport: what the server knows of the socket, if it does.
            plain: rows go out bare and without `state` messages (the plain dialect).
            clock: monotonic seconds, as the wheel's.
        """
        self.send = send
        self._store = store
        self._statistics = statistics
        self._wheel = wheel
        self._transport = transport
        self._send_many: Callable[[Sequence[bytes]], None] | None = getattr(
            transport, "send_many", None
        )
        self._plain = plain
        self._clock = clock
        self._outbox: list[str] = []
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._loading: tuple[Fetch, int, asyncio.Task[bytes]] | None = None
        self._retry_at = 0.0
        self._closing: CloseCode | None = None
        self._bye: dict[str, Any] | None = None
        self.slot = 0
        self.viewer: Viewer | None = None
        self.info: SessionInfo | None = None
        self.events: EventTrack | None = None
        self.subset = ""
        if transport is not None:
            transport.set_listener(self._transport_changed)

    # From handlers --------------------------------------------------------------------------

    def enqueue(self, message: Mapping[str, Any]) -> None:
        """Send a control message, after those before it and before any further data."""
        if len(self._outbox) >= MAX_OUTBOX:
            self.close(CloseCode.SLOW)
            return
        self._outbox.append(_encode(message))
        self.wake()

    def close(self, code: CloseCode, bye: Mapping[str, Any] | None = None) -> None:
        """End the connection, after what was enqueued. The first call wins.

        Args:
            code: of the close frame.
            bye: the last message, made by `bye`; the plain dialect has none.
        """
        if self._closing is None:
            self._closing = code
            self._bye = dict(bye) if bye else None
            self.wake()

    def close_stale(self) -> None:
        """Close because the session was imported again; the client comes back to the new version.
        Close because the session was imported again; the client comes back to the new version."""
        self.close(CloseCode.RESTARTING, bye("the session was imported again", 1.0))

    @property
    def closing(self) -> CloseCode | None:
        """The code that the connection is being closed with."""
        return self._closing

    def drain_outbox(self) -> list[str]:
        """Take what the client has not been sent yet when the connection ends, `bye` last."""
        if self._bye is not None and not self._plain:
            self._outbox.append(_encode(self._bye))
            self._bye = None
        texts, self._outbox = self._outbox, []
        return texts

    def wake(self) -> None:
        """Run the next turn now, because the viewer or the outbox has changed."""
        self._woken = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _transport_changed(self, event: str) -> None:
        """The socket takes no more data ("paused"), or takes data again ("writable")."""
        now_ns = time.monotonic_ns()
        viewer = self.viewer
        if event == "paused":
            self._statistics.paused(now_ns)
            if viewer is not None:
                viewer.credit.transport_paused()
        else:
            self._statistics.resumed(now_ns)
            if viewer is not None:
                viewer.credit.transport_writable()
            self.wake()

    # The task -------------------------------------------------------------------------------

    # Invariants of `run`:
    #
    # 1. Nothing else sends while it runs. Control messages leave in the order in which they were
    #    enqueued, and those that are there when a turn begins leave before its data.
    # 2. The `state` of a generation leaves before the first data of it: while the viewer owes one,
    #    `emit` gives nothing away, and the next turn begins without sleeping.
    # 3. No wake-up is lost. `_woken` is cleared before the turn reads any state, so a change
    #    during the turn makes `_sleep` return at once.
    # 4. At most one read is under way. It belongs to the viewer's epoch in which it was begun; when
    #    the plan has changed since (a seek, another speed), its result is never sent.
    # 5. No payload is kept between turns but the result of that read.
    # 6. Without `send_many` a turn sends one data message: sending may wait, and what was due
    #    before it may not be due after it.
    # 7. A recording that cannot be read does not end the task: the client is told, and it is tried
    #    again after `RETRY_SECONDS`. A recording that was replaced closes the connection.
    # 8. No data leaves after `bye`, which is sent when `run` has ended. By then, whatever ended it,
    #    the wheel does not hold the pump any more and no read is waited for.

    async def run(self) -> None:
        """Send until `close` was called. What is to be sent then is in `drain_outbox`.

        Raises:
            SendTimeout: if the socket took nothing for too long.
            OSError: if the client has disconnected.
        """
        try:
            while self._closing is None:
                self._woken = False
                await self._send_control()
                if self.viewer is None:
                    await self._sleep(math.inf)
                    continue
                started_ns = time.monotonic_ns()
                wake = await self._turn(self.viewer)
                if self.events is not None:
                    wake = min(wake, self._enqueue_events(self.events, self.viewer))
                now_ns = time.monotonic_ns()
                self._statistics.tick.record(now_ns - started_ns, now_ns)
                if not self.viewer.owes_state:
                    viewer = self.viewer
                    await self._sleep(wake, viewer.slack if wake == viewer.wake else 0.0)
        finally:
            self._wheel.cancel(self)
            self._cancel_read()

    async def _send_control(self) -> None:
        """Send the control messages that wait."""
        messages, self._outbox = self._outbox, []
        viewer = self.viewer
        if viewer is not None and viewer.owes_state:
            states = viewer.take_states(self._clock())
            if not self._plain:
                messages += map(_encode, states)
        for text in messages:
            started_ns = time.monotonic_ns()
            await self.send({"type": "websocket.send", "text": text})
            self._statistics.sent(len(text), 0, started_ns, time.monotonic_ns())

    async def _turn(self, viewer: Viewer) -> float:
        """Send the data that is due. Returns: time of the next turn; 0 for at once."""
        now = self._clock()
        if now < self._retry_at:
            return self._retry_at
        messages: list[bytes] = []
        frames = 0
        wake = 0.0
        while len(messages) < MAX_TOGETHER:
            fetch = viewer.step(now)
            if viewer.closing is not None:
                self.close(viewer.closing, bye("data waited too long for an acknowledgement"))
                break
            ready = None if fetch is None else self._payload(viewer, fetch)
            if ready is None:
                wake = max(viewer.wake, self._retry_at)
                break
            header = viewer.emit(ready[0], now)
            if header is None:
                # Overtaken, or the state of a new generation must go first.
                break
            content = ready[1]
            messages.append(plain_row(content) if self._plain else data_message(*header, content))
            frames += header.frame_count
            if self._send_many is None:
                # Each send may wait, and what comes after it may be overtaken meanwhile.
                break
        if messages:
            await self._write(messages, frames)
            if viewer.at_edge:
                self._count_live()
        return wake

    def _count_live(self) -> None:
        """Count how long the newest frame of a live session took from its arrival to its send."""
        arrived = None if self.info is None else self._store.arrived(self.info.version)
        if arrived is not None:
            self._statistics.live_sent(int((time.time() - arrived) * 1e9))

    def _enqueue_events(self, events: EventTrack, viewer: Viewer) -> float:
        """Enqueue the events that the playhead has passed. Returns: when it passes the next."""
        for event in events.passed(viewer.timeline, viewer.generation, self._clock()):
            self.enqueue(event)
        return events.next_due(viewer.timeline)

    async def _write(self, messages: list[bytes], frames: int) -> None:
        started_ns = time.monotonic_ns()
        if self._send_many is not None:
            self._send_many(messages)
        else:
            await self.send({"type": "websocket.send", "bytes": messages[0]})
        now_ns = time.monotonic_ns()
        statistics = self._statistics
        statistics.sent(sum(map(len, messages)), frames, started_ns, now_ns, len(messages))
        statistics.first_frame(now_ns)

    async def _sleep(self, until: float, slack: float = 0.0) -> None:
        """Wait for `wake`, at most until that time, or `slack` seconds more."""
        if self._woken or until <= self._clock():
            return
        if until < math.inf:
            self._wheel.schedule(self, until, slack)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # Payloads -------------------------------------------------------------------------------

    def _payload(self, viewer: Viewer, fetch: Fetch) -> tuple[Fetch, bytes] | None:
        """What is to be sent and its payload, or None while that is being read.

        A read that has begun is waited for even if a later frame is due by now: a store that takes
        longer than a frame lasts would otherwise never deliver one. Only a change of plan ends it.
        """
        try:
            if self._loading is not None:
                wanted, epoch, task = self._loading
                if epoch == viewer.epoch:
                    if not task.done():
                        return None
                    self._loading = None
                    return wanted, task.result()
                self._cancel_read()
            content = self._cached(viewer, fetch)
        except (OSError, RecordingError, StaleVersion, LookupError) as error:
            self._failed(error)
            return None
        if content is not None:
            return fetch, content
        task = asyncio.get_running_loop().create_task(self._load(fetch))
        task.add_done_callback(self._loaded)
        self._loading = (fetch, viewer.epoch, task)
        return None

    def _cached(self, viewer: Viewer, fetch: Fetch) -> bytes | None:
        info, store = self.info, self._store
        assert info is not None
        if fetch.kind is DataKind.MEDIA:
            return store.newest_picture(info.version)
        if fetch.kind is DataKind.SEGMENT:
            return store.segment_if_cached(
                SegmentKey(info.version, fetch.stride, fetch.segment, self.subset)
            )
        rows = store.rows_if_cached(info, fetch.first_frame, 1, fetch.stride, self.subset)
        if rows and viewer.timeline.running and not fetch.on_request:
            steps = math.ceil(AHEAD_SECONDS * viewer.target_fps)
            soon = fetch.first_frame + steps * fetch.step
            # On the grid: what comes first after a seek may lie beside it.
            soon -= soon % fetch.stride
            store.prefetch_rows(info, soon, fetch.stride, self.subset)
        return rows[0] if rows else None

    async def _load(self, fetch: Fetch) -> bytes:
        info, store = self.info, self._store
        assert info is not None
        started_ns = time.monotonic_ns()
        try:
            if fetch.kind is DataKind.SEGMENT:
                key = SegmentKey(info.version, fetch.stride, fetch.segment, self.subset)
                return await store.segment(info, key)
            rows = await store.rows(info, fetch.first_frame, 1, fetch.stride, self.subset)
            return rows[0]
        finally:
            now_ns = time.monotonic_ns()
            self._statistics.store.record(now_ns - started_ns, now_ns)

    def _loaded(self, task: asyncio.Task[bytes]) -> None:
        if not task.cancelled():
            # Read here so that an abandoned failure is not reported as never retrieved.
            task.exception()
            self.wake()

    def _cancel_read(self) -> None:
        """Stop waiting for a read; the store goes on with it if others wait for the same."""
        if self._loading is not None:
            self._loading[2].cancel()
            self._loading = None

    def _failed(self, error: Exception) -> None:
        """Send an `error` because frames could not be read, and try again later."""
        if isinstance(error, StaleVersion):
            self.close_stale()
            return
        if not isinstance(error, UNREADABLE):
            # The store has logged these, once for all viewers of the file.
            logger.warning("frames could not be read: %s", error)
        self._retry_at = self._clock() + RETRY_SECONDS
        problem = f"frames could not be read: {public_reason(error)}; trying again"
        self.enqueue(
            {
                "type": MessageType.ERROR.value,
                "code": ErrorCode.UNAVAILABLE.value,
                "message": problem,
            }
        )


def bye(reason: str, retry_after: float | None = None, **more: Any) -> dict[str, Any]:
    """The `bye` message. retry_after: seconds after which to come back, if at all."""
    message: dict[str, Any] = {"type": MessageType.BYE.value, "reason": reason, **more}
    if retry_after is not None:
        message["retry_after"] = round(retry_after, 3)
    return message
