"""The live sessions of one worker: those that it writes, and those that its viewers watch.

A session is written by exactly one worker at a time: whoever holds its lock. When the producer
goes, the worker stops writing; the session stays live, and its producer may come back to any
worker. Viewers see what is on disk, so nobody sees a frame that could still be lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from channels.db import database_sync_to_async
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError

from sessions_app.importers.result import EntityRecord, EventRecord
from sessions_app.live import (
    NotLive,
    add_live_entity,
    add_live_event,
    begin_live,
    grow_live,
    silent_since,
)
from sessions_app.locks import SessionBusy, SessionLock
from sessions_app.models import Session
from sessions_app.recording import InvalidColumns, RecordingError

from ..store.catalogue import Catalogue, SessionInfo
from ..store.frame_store import FrameStore
from ..store.open_recordings import StaleVersion
from ..store.source import FrameSource
from .commands import Start
from .exchange import RENEW_SECONDS, WANTED_SECONDS, Exchange, Lease, Piece
from .layout import Layout
from .log import LogReader, LogWriter, remove_log
from .producing import Frame, Intake
from .records import About, Added, Came, Ended, Happened, Record, about_from, decode
from .state import LiveState, version_with
from .verdicts import producer_verdict
from .wire import ErrorCode, IngestError, Limits
from .writer import Durable, GroupWriter

logger = logging.getLogger("streaming.live.hub")

SWEEP_SECONDS = 30.0
"""Between two looks whether somebody still watches what is kept in memory."""

IDLE_SECONDS = 3600.0

GROW_SECONDS = 1.0
"""Between two updates of the session's row."""

PICTURE_LOG_BYTES = 64_000_000
"""Of a part of a log of pictures; there are two, so that the last minute or more is on disk."""

KEEP_SECONDS = 30.0
"""How long frames stay in memory after the session was stored: viewers move over meanwhile."""


class Producer(Protocol):
    """A producer's connection, as far as the session that it writes is concerned."""

    def on_disk(self, frame: int) -> None:
        """Everything up to this frame is on disk; -1 before the first."""

    def lost(self, reason: str) -> None:
        """The session cannot be written any more."""

    def taken_over(self) -> None:
        """Another producer sends the session from now on."""

    @property
    def who(self) -> tuple[str, str]:
        """Address and user name."""

    @property
    def refused(self) -> int:
        """Frames refused since it came."""

    @property
    def pressure(self) -> Mapping[str, Any]:
        """As it was told last."""


class Broadcast:
    """A live session that this worker writes.

    Attributes:
        slug: of the session.
        state: what is on disk.
        intake: checks the producer's frames.
        since: Unix seconds when the producer came.
    """

    def __init__(
        self,
        hub: LiveHub,
        slug: str,
        state: LiveState,
        lock: SessionLock,
        lease: Lease | None,
        producer: Producer,
    ) -> None:
        self._hub = hub
        self._lease = lease
        self._lock = lock
        self._producer = producer
        self.slug = slug
        self.state = state
        self.since = time.time()
        self._frames = self._frames_before = self._refused_before = 0
        self._rate = self._refusing = 0
        self._frame_at = time.monotonic()
        about = state.about
        assert about is not None
        self.intake = Intake(
            frame_rate=about.frame_rate,
            layout=None if state.growing is None else state.growing.layout,
            content_type=about.content_type,
            next_frame=state.next_frame,
            last_time=state.last_time,
            limits=hub.limits,
            now=time.monotonic(),
        )
        self._entities = list(state.entities)
        self._version = state.version
        self._writer: GroupWriter | None = None
        self._writing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def disk_lag(self) -> float:
        """Seconds that the last records waited for the disk."""
        return 0.0 if self._writer is None else self._writer.lag

    def start(self, log: LogWriter) -> None:
        """Begin to write. log: a part of this writer's own."""
        loop = asyncio.get_running_loop()
        may_go_on = None if self._lease is None else self._lease.confirm
        self._writer = GroupWriter(log, self._hub.executor, self._written, may_go_on=may_go_on)
        self._tasks = [loop.create_task(self._update_row())]
        if self._lease is not None:
            self._tasks.append(loop.create_task(self._keep(self._lease)))
        self._writing = loop.create_task(self._write(self._writer))

    async def frames(self, frames: Sequence[Frame]) -> None:
        """Write frames that `intake` has accepted; waits while the disk is far behind."""
        assert self._writer is not None
        self._frames += len(frames)
        self._frame_at = time.monotonic()
        entities = None if self.intake.layout is None else len(self._entities)
        self._writer.add(Came(entities, frames, time.time()))
        await self._writer.room()

    async def happened(self, event: EventRecord) -> None:
        """Write an event."""
        assert self._writer is not None
        await database_sync_to_async(add_live_event)(self.slug, event)
        self._writer.add(Happened(event))

    async def appeared(self, entity: EntityRecord) -> None:
        """Write an entity that was not there before. Raises: IngestError if it was."""
        assert self._writer is not None
        layout = self.intake.layout
        if layout is None:
            raise IngestError(ErrorCode.BAD_VALUE, "entity: a session of pictures has none")
        if entity.code in layout.schema.entities:
            raise IngestError(ErrorCode.BAD_VALUE, f"entity {entity.code!r}: it is there already")
        self._version = version_with(self._version, entity.code)
        index = len(self._entities)
        self._entities.append(entity)
        about = self.state.about
        assert about is not None
        self.intake.layout = Layout(replace(about, entities=tuple(self._entities)).schema)
        await database_sync_to_async(add_live_entity)(self.slug, entity, index, self._version)
        self._writer.add(Added(entity, self._version))

    async def end(self, reason: str) -> int:
        """The session is over: everything is on disk when this returns, and is stored after it.

        Returns:
            The number of frames.

        Raises:
            IngestError: it cannot be written; the session stays live.
        """
        assert self._writer is not None
        self._writer.add(Ended(reason))
        await self.close()
        if self.state.ended is None:
            raise IngestError(ErrorCode.UNAVAILABLE, "the end cannot be written: come back later")
        self._hub.store(self.slug)
        return self.state.next_frame

    async def close(self) -> None:
        """Stop writing once everything is on disk. The session stays live. Safe to call twice."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        for task in self._tasks:
            task.cancel()
        self._hub.released(self)
        if self._lease is not None:
            await self._lease.release()
        await database_sync_to_async(self._lock.__exit__)(None, None, None)
        await self._write_row()

    # Inside -----------------------------------------------------------------------------------

    async def _write(self, writer: GroupWriter) -> None:
        try:
            await writer.run()
        except PermissionError as error:
            logger.warning("live session %s: %s", self.slug, error)
            self._producer.lost(str(error))
        except OSError as error:
            logger.error("live session %s: the disk takes nothing: %s", self.slug, error)
            self._producer.lost(f"the disk takes nothing: {error.strerror}")
        except Exception:
            logger.exception("live session %s", self.slug)
            self._producer.lost("an internal error")

    def _written(self, group: Sequence[Durable]) -> None:
        before = self.state.version
        for durable in group:
            self.state.apply(durable.record)
        pieces = [Piece(d.part, d.start, d.end, d.data) for d in group]
        self._hub.written(self, before, [durable.record for durable in group], pieces)
        self._producer.on_disk(self.state.next_frame - 1)

    async def _keep(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await lease.renew()
            if lease.lost:
                self._producer.lost("another worker writes this session")
            elif lease.wanted:
                self._producer.taken_over()

    def take_over(self) -> None:
        """Another producer of this worker wants to send it."""
        self._producer.taken_over()

    async def _update_row(self) -> None:
        while True:
            await asyncio.sleep(GROW_SECONDS)
            refused = self._producer.refused
            self._rate = self._frames - self._frames_before
            self._refusing = refused - self._refused_before
            self._frames_before, self._refused_before = self._frames, refused
            await self._write_row()

    def figures(self) -> dict[str, Any]:
        """For operators: how it goes, and a verdict in words."""
        about, writer = self.state.about, self._writer
        assert about is not None
        verdict = producer_verdict(
            frame_rate=about.frame_rate,
            silent=time.monotonic() - self._frame_at,
            disk_lag=self.disk_lag,
            frames=self._rate,
            refused=self._refusing,
        )
        address, user = self._producer.who
        return {
            "id": self.slug,
            "address": address,
            "user": user,
            "since": self.since,
            "frames": self._frames,
            "refused": self._producer.refused,
            "rate": float(self._rate),
            "next_frame": self.state.next_frame,
            "disk_lag": round(self.disk_lag, 4),
            "waiting_bytes": 0 if writer is None else writer.waiting_bytes,
            "pressure": dict(self._producer.pressure),
            "verdict": verdict.name,
            "figures": verdict.figures,
            "advice": verdict.advice,
        }

    async def _write_row(self) -> None:
        state = self.state
        try:
            await database_sync_to_async(grow_live)(
                self.slug, state.version, state.next_frame, state.start_time
            )
        except Exception as error:
            # The database may be away for a moment; the log has everything.
            logger.warning("live session %s: %s", self.slug, type(error).__name__)


class LiveHub:
    """See the module. Belongs to one event loop.

    Attributes:
        limits: of each producer.
        executor: threads that wait for the disk.
        grew: called with a slug when viewers can see more of it.
        hints: by client of pictures, its session and the quality that it would like.
        happened: called with a slug and the `event` message of what happened in it.
        watched: tells whether anybody here watches a slug.
    """

    def __init__(
        self,
        frames: FrameStore,
        catalogue: Catalogue,
        recordings: Path,
        *,
        limits: Limits | None = None,
        store: Callable[[str], Awaitable[str]] | None = None,
        exchange: Exchange | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """
        Args:
            frames: where viewers read.
            catalogue: of sessions.
            recordings: the recordings folder.
            limits: of each producer.
            store: makes a recording of a session that has ended, and returns why it could not, or
                ""; in a process of its own by default.
            exchange: with the other workers; None where there is one only.
            idle_seconds: after which a session whose producer does not come back is stored.
        """
        self._idle_seconds = idle_seconds
        self._exchange = exchange
        self.happened: Callable[[str, dict[str, Any]], None] = lambda _slug, _message: None
        self.watched: Callable[[str], bool] = lambda _slug: True
        self._store = store or store_in_process
        self._frames = frames
        self._catalogue = catalogue
        self._recordings = recordings
        self.limits = limits or Limits()
        self.executor = ThreadPoolExecutor(2, thread_name_prefix="live")
        self.grew: Callable[[str], None] = lambda _slug: None
        self.hints: dict[object, tuple[str, int]] = {}
        self._states: dict[str, LiveState] = {}
        self._readers: dict[str, LogReader] = {}
        self._reading: dict[str, asyncio.Lock] = {}
        self._writing: dict[str, Broadcast] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def broadcasts(self) -> Sequence[Broadcast]:
        """The sessions that this worker writes."""
        return list(self._writing.values())

    def start(self) -> None:
        """Begin to follow what other workers write, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks.add(loop.create_task(self._sweep()))
        if self._exchange is not None:
            self._tasks.add(loop.create_task(self._exchange.follow(self._arrived, self._poll)))

    def figures(self) -> list[dict[str, Any]]:
        """Of every session that this worker writes."""
        return [broadcast.figures() for broadcast in self.broadcasts]

    async def stop(self, slug: str) -> bool:
        """End the connection of a session's producer, here or on another worker.

        Returns:
            Whether this worker has it; if not, the others were asked.
        """
        broadcast = self._writing.get(slug)
        if broadcast is not None:
            broadcast.take_over()
        elif self._exchange is not None:
            await self._exchange.want(slug)
        return broadcast is not None

    # Viewers ----------------------------------------------------------------------------------

    async def follow(self, info: SessionInfo) -> FrameSource:
        """The frames of a live session, which grow.

        Args:
            info: the session, which is live.

        Raises:
            FileNotFoundError: there are none yet.
            StaleVersion: it is another session by now.
        """
        if self._exchange is not None and info.slug not in self._writing:
            await self._exchange.begin_to_follow(info.slug)
        async with self._lock_of(info.slug):
            state = await self._read(info.slug)
        if state.about is None or state.growing is None:
            what = "it is one of pictures" if state.about is not None else "no frames yet"
            raise FileNotFoundError(f"{info.slug}: {what}")
        if state.version != info.version:
            self._catalogue.forget(info.slug)
            raise StaleVersion(f"{info.slug!r} has another version by now")
        return state.growing

    async def _read(self, slug: str) -> LiveState:
        """Bring what is known of a session up to date from its log. Hold the session's lock."""
        if slug in self._writing:
            return self._states[slug]
        state = self._states.get(slug) or LiveState()
        reader = self._readers.get(slug) or LogReader(self._recordings, slug)
        before = state.version

        def read() -> None:
            for record, _ in reader.read_new():
                state.apply(record)

        await asyncio.get_running_loop().run_in_executor(self.executor, read)
        if state.about is not None:
            self._states[slug], self._readers[slug] = state, reader
            self._attach(slug, before)
        return state

    def _attach(self, slug: str, before: str) -> None:
        state = self._states[slug]
        if before and before != state.version:
            self._frames.detach(before)
        if state.growing is not None:
            self._frames.attach(state.version, state.growing)
        if state.pictures is not None:
            self._frames.attach_pictures(state.version, state.pictures)

    def _arrived(self, slug: str, pieces: Sequence[Piece]) -> None:
        """Another worker has written records."""
        state, reader = self._states.get(slug), self._readers.get(slug)
        if slug in self._writing or state is None or reader is None:
            return
        version = state.version
        for piece in pieces:
            if (piece.part, piece.end) <= (reader.part, reader.end):
                continue
            in_order = (piece.part, piece.start) == (reader.part, reader.end)
            if not in_order or self._lock_of(slug).locked():
                # The log has it: what is sent is on disk.
                self._spawn(self._catch_up(slug))
                return
            record = decode(piece.data)
            state.apply(record)
            self._tell(slug, (record,))
            reader.skip_to(piece.part, piece.end)
        if state.version != version:
            self._attach(slug, version)
            self._catalogue.forget(slug)
        self.grew(slug)

    def _tell(self, slug: str, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, Happened):
                self.happened(slug, {"type": "event", **asdict(record.event)})

    async def _catch_up(self, slug: str) -> None:
        async with self._lock_of(slug):
            if slug in self._states:
                await self._read(slug)
                self.grew(slug)

    async def _poll(self) -> None:
        for slug in [slug for slug in self._states if slug not in self._writing]:
            await self._catch_up(slug)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for slug in list(self._states):
                busy = slug in self._writing or self._lock_of(slug).locked()
                if not busy and not self.watched(slug):
                    self.forget(slug)
            try:
                before = datetime.now(UTC) - timedelta(seconds=self._idle_seconds)
                for slug in await database_sync_to_async(silent_since)(before):
                    logger.warning("live session %s: its producer did not come back", slug)
                    await self._store_and_forget(slug)
            except DatabaseError as error:
                logger.warning("live sessions are not reviewed: %s", type(error).__name__)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lock_of(self, slug: str) -> asyncio.Lock:
        return self._reading.setdefault(slug, asyncio.Lock())

    # Producers --------------------------------------------------------------------------------

    async def begin(
        self, slug: str, start: Start, producer: Producer, owner: int | None
    ) -> Broadcast:
        """Let a producer write a session, which is made if it is not there.

        Args:
            slug: of the session.
            start: what the producer says of it.
            producer: its connection.
            owner: primary key of the user whose program it is, or None.

        Raises:
            IngestError: another producer writes it, it is a recording, or `start` lacks something.
        """
        try:
            lock = await self._locked(slug, take_over=start.take_over)
        except SessionBusy:
            raise IngestError(ErrorCode.HELD, await self._who_holds(slug)) from None
        except ValidationError as error:
            raise IngestError(ErrorCode.BAD_VALUE, f"slug: {error.messages[0]}") from None
        except OSError as error:
            raise IngestError(ErrorCode.UNAVAILABLE, f"{error.strerror}: try again") from None
        lease = None if self._exchange is None else self._exchange.lease(slug)
        try:
            if lease is not None and not await lease.acquire():
                raise IngestError(ErrorCode.HELD, await self._who_holds(slug))
            broadcast = await self._begin(slug, start, lock, lease, producer, owner)
        except BaseException:
            if lease is not None:
                await lease.release()
            await database_sync_to_async(lock.__exit__)(None, None, None)
            raise
        self._writing[slug] = broadcast
        return broadcast

    async def _locked(self, slug: str, *, take_over: bool) -> SessionLock:
        """The session's lock, held. Raises: SessionBusy; ValidationError; OSError."""
        lock = SessionLock(slug)
        deadline = time.monotonic() + (WANTED_SECONDS if take_over else 0.0)
        if take_over:
            if slug in self._writing:
                self._writing[slug].take_over()
            elif self._exchange is not None:
                await self._exchange.want(slug)
        while True:
            try:
                await database_sync_to_async(lock.__enter__)()
            except SessionBusy:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return lock

    async def _begin(
        self,
        slug: str,
        start: Start,
        lock: SessionLock,
        lease: Lease | None,
        producer: Producer,
        owner: int | None,
    ) -> Broadcast:
        loop = asyncio.get_running_loop()
        async with self._lock_of(slug):
            try:
                found = await database_sync_to_async(_row_state)(slug)
                if found not in (None, Session.State.LIVE.value):
                    raise IngestError(
                        ErrorCode.FINISHED,
                        f"session {slug!r} is {found}, not live: choose another slug",
                    )
                if found is None:
                    self.forget(slug)
                    await loop.run_in_executor(self.executor, remove_log, self._recordings, slug)
                state = await self._read(slug)
                if state.ended is not None:
                    raise IngestError(
                        ErrorCode.FINISHED, f"session {slug!r} has ended: choose another slug"
                    )
                about = state.about
                if about is None:
                    about = await self._make(slug, start, owner, there=found is not None)
                reader = self._readers.get(slug) or LogReader(self._recordings, slug)
                most = PICTURE_LOG_BYTES if about.kind == "media" else None
                log = await loop.run_in_executor(
                    self.executor, partial(LogWriter, self._recordings, about, reader, most=most)
                )
            except (InvalidColumns, ValidationError) as error:
                raise IngestError(ErrorCode.BAD_VALUE, _first_line(error)) from None
            except NotLive as error:
                raise IngestError(ErrorCode.FINISHED, str(error)) from None
            except (OSError, RecordingError) as error:
                logger.exception("live session %s", slug)
                reason = f"the session cannot be written: {_first_line(error)}"
                raise IngestError(ErrorCode.UNAVAILABLE, reason) from None
            self._readers[slug] = reader
            state = await self._read(slug)
            self._catalogue.forget(slug)
            if self._exchange is not None:
                self._exchange.end_to_follow(slug)
            broadcast = Broadcast(self, slug, state, lock, lease, producer)
            broadcast.start(log)
            return broadcast

    async def _make(self, slug: str, start: Start, owner: int | None, *, there: bool) -> About:
        """Make the rows of a new session. Raises: IngestError; InvalidColumns; NotLive;
        ValidationError."""
        about = about_from(start, slug, secrets.token_hex(8))
        if about.kind == "telemetry":
            # Also raises what is wrong with the fields.
            _ = about.schema
        elif not about.content_type:
            raise IngestError(ErrorCode.BAD_VALUE, "content_type: expected that of the pictures")
        if there:
            # Its worker was killed before the log was begun.
            await database_sync_to_async(grow_live)(slug, about.version, 0, None)
            return about
        await database_sync_to_async(begin_live)(
            slug,
            title=about.title,
            kind=about.session_kind,
            frame_rate=about.frame_rate,
            version=about.version,
            entities=about.entities,
            geometry=about.geometry,
            metadata=about.metadata,
            live=(
                {"content_type": about.content_type}
                if about.kind == "media"
                else {"fields": [field.as_dict() for field in about.fields]}
            ),
            access=start.access,
            owner=owner,
        )
        return about

    # From broadcasts --------------------------------------------------------------------------

    def written(
        self,
        broadcast: Broadcast,
        before: str,
        records: Sequence[Record],
        pieces: Sequence[Piece],
    ) -> None:
        """Records are on disk. before: the version until then; pieces: the same records."""
        slug = broadcast.slug
        self._readers[slug].skip_to(pieces[-1].part, pieces[-1].end)
        if self._exchange is not None:
            self._exchange.send(slug, pieces)
        if broadcast.state.version != before:
            self._attach(slug, before)
            self._catalogue.forget(slug)
        self._tell(slug, records)
        self.grew(slug)

    def released(self, broadcast: Broadcast) -> None:
        """A broadcast writes no more."""
        slug = broadcast.slug
        if self._writing.get(slug) is broadcast:
            del self._writing[slug]
            if self._exchange is not None:
                # Another worker may go on with it, and viewers stay here.
                self._spawn(self._go_on_following(self._exchange, slug))

    async def _go_on_following(self, exchange: Exchange, slug: str) -> None:
        await exchange.begin_to_follow(slug)
        await self._catch_up(slug)

    def store(self, slug: str) -> None:
        """Make a recording of a session that has ended, in the background."""
        self._spawn(self._store_and_forget(slug))

    async def _store_and_forget(self, slug: str) -> None:
        problem = await self._store(slug)
        self._catalogue.forget(slug)
        if problem:
            logger.error("live session %s is not stored: %s", slug, problem)
            return
        logger.info("live session %s is stored", slug)
        asyncio.get_running_loop().call_later(KEEP_SECONDS, self._forget_stored, slug)

    def _forget_stored(self, slug: str) -> None:
        if slug not in self._writing:
            self.forget(slug)

    def forget(self, slug: str) -> None:
        """Drop what is known of a session."""
        state = self._states.pop(slug, None)
        self._readers.pop(slug, None)
        if state is not None and state.version:
            self._frames.detach(state.version)
        if self._exchange is not None:
            self._exchange.end_to_follow(slug)

    async def close(self) -> None:
        """Stop writing. Sessions stay live for another worker."""
        for broadcast in self.broadcasts:
            await broadcast.close()
        for task in list(self._tasks):
            task.cancel()
        if self._exchange is not None:
            await self._exchange.close()
        self.executor.shutdown(wait=False)

    async def _who_holds(self, slug: str) -> str:
        broadcast = self._writing.get(slug)
        holder = None if self._exchange is None else await self._exchange.holder(slug)
        if broadcast is not None:
            since, where = broadcast.since, ""
        elif holder is not None:
            since, where = holder.since, f" on worker {holder.worker}"
        else:
            return f"session {slug!r} is being written by another process: try again later"
        moment = datetime.fromtimestamp(since, UTC)
        return (
            f"session {slug!r} has a producer{where} since {moment:%H:%M:%S} UTC: end that one, or "
            "say take_over"
        )


def _first_line(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(error.messages)[:300]
    return str(error).split("\n")[0][:300]


def _row_state(slug: str) -> str | None:
    """The state of the session's row, None if there is none; blocking."""
    return Session.objects.filter(slug=slug).values_list("state", flat=True).first()


async def store_in_process(slug: str) -> str:
    """Store a session in a process of its own. Returns: why that failed, or ""."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "django",
        "store_live",
        slug,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"]},
    )
    _, errors = await process.communicate()
    if process.returncode == 0:
        return ""
    return errors.decode(errors="replace").strip().split("\n")[-1] or "its process was killed"
