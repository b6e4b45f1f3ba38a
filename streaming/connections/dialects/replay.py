"""`replay.v1`: the dialect with credit, generations, segments and rooms. See docs/protocol.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from channels.db import database_sync_to_async

from sessions_app.rates import TokenBucket
from sessions_app.recording import InvalidColumns, RecordingError, public_reason

from ...playback.command_parser import clean_name, parse_command
from ...playback.commands import (
    Acknowledge,
    Bye,
    Command,
    CommandError,
    CommandId,
    GoLive,
    Hello,
    Join,
    Leave,
    Pause,
    Ping,
    Play,
    Request,
    Seek,
    SetSpeed,
)
from ...playback.event_track import EventTrack
from ...playback.playhead import Playhead
from ...playback.protocol import (
    JOINS_PER_SECOND,
    MAX_NAME_LENGTH,
    SUBPROTOCOL,
    CloseCode,
    ErrorCode,
    MessageType,
)
from ...playback.viewer import PICTURE_WINDOW, Viewer
from ...rooms.state import RoomCommand
from ...store.catalogue import SessionInfo
from ...store.open_recordings import StaleVersion
from ...store.subset import subset_key, subset_schema
from ..lifecycle import Connection
from ..pump import RETRY_SECONDS, Send
from ..resume import ResumeError, issue_token, read_token
from ..services import Services
from .event_messages import read_event_messages
from .welcome import hello_summary, picture_schema, pong, welcome


class ReplayConnection(Connection):
    """One client that speaks `replay.v1`."""

    subprotocol = SUBPROTOCOL

    __slots__ = ("_hello", "_joins", "_ready", "_sent_progress", "_unopened")

    def __init__(self, services: Services, scope: Mapping[str, Any], send: Send, slug: str) -> None:
        super().__init__(services, scope, send, slug)
        self._hello: Hello | None = None
        self._joins: TokenBucket | None = None
        self._ready = False
        self._sent_progress: tuple[str, float, str] | None = None
        self._unopened: Hello | None = None

    async def opened(self, info: SessionInfo) -> None:
        """Nothing is sent before the client's `hello`."""

    async def message(self, text: str | bytes) -> None:
        command = parse_command(text)
        viewer = self.viewer
        if isinstance(command, Acknowledge) and viewer is not None:
            self._acknowledge(viewer, command)
        elif isinstance(command, Ping):
            self.client_reported(command)
            self.pump.enqueue(pong(command))
        elif isinstance(command, Bye):
            if viewer is not None:
                # Before it closes, so that any worker can resume it.
                await self._services.resume.ended(self.id, viewer.playhead(time.monotonic()))
            self.pump.close(CloseCode.DONE)
        elif isinstance(command, Hello):
            await self._on_hello(command)
        elif self._hello is None:
            raise CommandError(
                ErrorCode.OUT_OF_TURN, 'say {"action": "hello"} first, once', command.id
            )
        elif viewer is None:
            self.hold(command)
        else:
            self.apply(viewer, command)

    def _acknowledge(self, viewer: Viewer, command: Acknowledge) -> None:
        now_ns = time.monotonic_ns()
        try:
            waited = viewer.acknowledge(command.seq)
        except CommandError as error:
            error.id = command.id
            raise
        self.statistics.acknowledged(viewer.credit.left or 0, now_ns)
        if waited:
            self.pump.wake()

    def execute(self, viewer: Viewer, command: Command) -> None:
        now = time.monotonic()
        if viewer.room is not None and isinstance(command, Play | Pause | Seek | SetSpeed):
            self._execute_for_room(viewer, viewer.room, command)
            return
        self._execute_alone(viewer, command, now)
        if not isinstance(command, Request):
            self._services.resume.changed(self.id, viewer.playhead(now))

    def _execute_alone(self, viewer: Viewer, command: Command, now: float) -> None:
        match command:
            case Acknowledge():
                self._acknowledge(viewer, command)
            case Play():
                viewer.play(now, command.speed, command.id)
            case Pause():
                viewer.pause(now, command.id)
            case Seek():
                viewer.seek(
                    now,
                    frame=command.frame,
                    time=command.time,
                    generation=command.generation,
                    id=command.id,
                )
                self.statistics.seek_started(time.monotonic_ns())
            case SetSpeed():
                viewer.set_speed(command.speed, now, command.id)
            case GoLive():
                viewer.go_live(now, command.id, catch_up=command.catch_up)
            case Request():
                viewer.request(command)
            case Join():
                self._count_join(now)
                before = viewer.room
                again = before == command.room
                name = command.name or ("" if again else self._default_name())
                self._join_room(viewer, command.room, command.id, again=again, name=name)
                if before is not None and not again:
                    self._services.rooms.leave(self.slug, before, self)
            case Leave():
                if viewer.room is None:
                    raise CommandError(ErrorCode.NO_ROOM, "not in a room: join one first")
                self._leave_room(viewer)
                self.pump.enqueue({"type": MessageType.ROOM.value, "room": None, "members": 0})
                viewer.notify(command.id)

    # Rooms ----------------------------------------------------------------------------------

    def _count_join(self, now: float) -> None:
        """Raises: CommandError if there were too many just now."""
        if self._joins is None:
            self._joins = TokenBucket(JOINS_PER_SECOND, JOINS_PER_SECOND, now)
        if not self._joins.take(now):
            raise CommandError(
                ErrorCode.TOO_MANY, f"more than {JOINS_PER_SECOND} joins a second: wait a moment"
            )

    def _execute_for_room(self, viewer: Viewer, room: str, command: RoomCommand) -> None:
        target = 0.0
        if isinstance(command, Seek):
            target = viewer.target(command.frame, command.time)
            self.statistics.seek_started(time.monotonic_ns())
        timeline = viewer.timeline
        self._services.rooms.command(
            self.slug,
            room,
            self,
            command,
            frame_count=timeline.frame_count,
            frame_rate=timeline.frame_rate,
            target=target,
        )

    def _join_room(
        self,
        viewer: Viewer,
        room: str,
        id: CommandId = None,
        *,
        again: bool = False,
        name: str = "",
    ) -> None:
        """Raises: CommandError if the hub refuses; the viewer stays where it is."""
        playhead = viewer.playhead(time.monotonic())
        self._services.rooms.join(self.slug, room, self, playhead, id, again=again, name=name)
        viewer.room = room

    def _default_name(self) -> str:
        """The name in the client's `hello`, else the logged-in user's, else ""."""
        if self._hello is not None and self._hello.name:
            return self._hello.name
        return clean_name(self.visitor.name)[:MAX_NAME_LENGTH] if self.visitor.name else ""

    def _leave_room(self, viewer: Viewer) -> None:
        if viewer.room is not None:
            self._services.rooms.leave(self.slug, viewer.room, self)
            viewer.room = None

    def follow_room(
        self,
        room: str,
        playhead: Playhead,
        at: float,
        *,
        sought: bool,
        generation: int | None = None,
        id: CommandId = None,
    ) -> None:
        viewer = self.viewer
        if viewer is not None and viewer.room == room:
            now = time.monotonic()
            self.note_status(viewer)
            viewer.follow(playhead, at, now, sought=sought, generation=generation, id=id)
            self.note_status(viewer)
            self._services.resume.changed(self.id, viewer.playhead(now))
            self.pump.wake()

    def room_changed(self, message: dict[str, Any]) -> None:
        viewer = self.viewer
        if viewer is not None and viewer.room == message["room"]:
            self.pump.enqueue(message)

    # Hello ----------------------------------------------------------------------------------

    async def _on_hello(self, hello: Hello) -> None:
        info = self.info
        if self._hello is not None:
            raise CommandError(ErrorCode.OUT_OF_TURN, "hello was said already", hello.id)
        if info is None:
            return
        self.statistics.about.update(
            encoding=hello.encoding.value, dialect=SUBPROTOCOL, hello=hello_summary(hello)
        )
        self._unopened = None
        if info.is_ready or info.is_live:
            try:
                await self._open(info, hello)
            except CommandError as error:
                self._wait_if_unavailable(info, hello, error)
                raise
        else:
            # Names are checked when there is a schema to check them against.
            self.pump.enqueue(welcome(self.id, info, hello, None, Playhead(0.0, 1.0, False)))
        self._hello = hello
        if not self._ready:
            self.session_changed(info)

    async def _open(self, info: SessionInfo, hello: Hello) -> None:
        """Make the viewer and welcome the client. Raises: CommandError for unknown names."""
        pictures = await self._services.frames.pictures(info)
        try:
            schema = (
                await self._services.frames.schema(info)
                if pictures is None
                else picture_schema(info.frame_rate)
            )
        except StaleVersion:
            self.pump.close_stale()
            return
        except (OSError, RecordingError) as error:
            # The store has logged it, once for all viewers of this recording.
            problem = f"the session cannot be opened: {public_reason(error)}; trying again"
            raise CommandError(ErrorCode.UNAVAILABLE, problem, hello.id) from error
        try:
            subset = subset_key(schema, hello.fields, hello.entities)
        except InvalidColumns as error:
            raise CommandError(ErrorCode.BAD_VALUE, str(error), hello.id) from None
        start = await self._resumed(info, hello) if pictures is None else None
        if pictures is not None:
            hello = replace(hello, window=min(hello.window, PICTURE_WINDOW))
        if hello.events:
            # Those of a live session are not kept: there are more each time.
            known = read_event_messages if info.is_live else self._services.read_event_messages
            read = database_sync_to_async(known)
            self.pump.events = EventTrack(await read(info.slug, info.version))
        frames = self._services.frames.frame_count(info)
        now = time.monotonic()
        viewer = Viewer(
            frame_count=frames,
            frame_rate=info.frame_rate,
            segment_frames=schema.segment_frames,
            now=now,
            encoding=hello.encoding,
            lead=hello.lead,
            window=hello.window,
            max_fps=hello.max_fps,
            live=info.is_live,
            start=start,
            acknowledge_within=self._services.admission.limits.ack_timeout,
            pictures=pictures is not None,
        )
        self.info = self.pump.info = info
        self.pump.subset = subset
        self.statistics.window = hello.window
        self.statistics.credit = hello.window
        self.pump.viewer = viewer
        self._ready = True
        refused = self._resume_room(viewer, start.room, hello) if start is not None else None
        playhead = viewer.playhead(now)
        self.pump.enqueue(
            welcome(
                self.id,
                info,
                hello,
                subset_schema(schema, subset),
                playhead,
                frames=frames,
                resumed=start is not None,
                pictures=pictures,
            )
        )
        if refused is not None:
            self.enqueue_error(refused.code, refused.message, hello.id)
        if start is not None:
            # Its token is of this connection: what it stands for is known from the beginning.
            self._services.resume.changed(self.id, playhead)
        self._services.renewals.add(self)
        self.apply_held(viewer)
        if not info.is_live:
            self.unwatch()
        self.pump.wake()

    async def _resumed(self, info: SessionInfo, hello: Hello) -> Playhead | None:
        """The playhead that a token stands for; None without one, or if that is not known."""
        if hello.resume is None:
            return None
        try:
            token = read_token(hello.resume, self.slug)
        except ResumeError as error:
            self.enqueue_error(ErrorCode.BAD_VALUE, f"resume: {error}: starting anew", hello.id)
            return None
        return await self._services.resume.place(token, info.frame_rate)

    def _resume_room(self, viewer: Viewer, room: str | None, hello: Hello) -> CommandError | None:
        """Put it back into its room. Returns: why not, if the hub refuses."""
        if room is not None:
            name = hello.name or self._default_name()
            try:
                self._join_room(viewer, room, again=True, name=name)
            except CommandError as error:
                return error
        return None

    def renew_token(self) -> None:
        viewer = self.viewer
        if viewer is not None:
            now = time.monotonic()
            playhead = viewer.playhead(now)
            self._services.resume.changed(self.id, playhead)
            token = issue_token(self.id, self.slug, playhead)
            self.pump.enqueue({**viewer.state(now), "resume": token})

    # The session ----------------------------------------------------------------------------

    def session_changed(self, info: SessionInfo) -> None:
        self.info = info
        hello, viewer = self._hello, self.viewer
        if viewer is not None:
            self.session_grew(viewer, info)
            return
        if (
            hello is None
            or (current := (info.state, info.progress, info.message)) == self._sent_progress
        ):
            return
        self._sent_progress = current
        if info.state == "failed":
            self.pump.enqueue({"type": MessageType.LOADING_ERROR.value, "message": info.message})
        elif info.is_ready or info.is_live:
            self.pump.enqueue(
                {
                    "type": MessageType.LOADING_COMPLETE.value,
                    "frames": info.frame_count,
                    "elapsed_seconds": self.elapsed,
                    "metadata": info.metadata,
                }
            )
            self.spawn(self._open_late(info, hello))
        else:
            self.pump.enqueue(
                {
                    "type": MessageType.LOADING_PROGRESS.value,
                    "progress": info.progress,
                    "message": info.message,
                    "elapsed_seconds": self.elapsed,
                }
            )

    async def _open_late(self, info: SessionInfo, hello: Hello) -> None:
        try:
            await self._open(info, hello)
        except CommandError as error:
            # A name that is not in the schema: the client may send another `hello`.
            self._hello = None
            self.enqueue_error(error.code, error.message, hello.id)
            self._wait_if_unavailable(info, hello, error)

    def _wait_if_unavailable(self, info: SessionInfo, hello: Hello, error: CommandError) -> None:
        """Welcome the client once the recording can be read, without another `hello`."""
        if error.code is ErrorCode.UNAVAILABLE:
            self._unopened = hello
            self.spawn(self._open_when_readable(info, hello))

    async def _open_when_readable(self, info: SessionInfo, hello: Hello) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self._unopened is not hello:
                # Another `hello` came meanwhile and was answered by itself.
                return
            self._hello = hello
            try:
                await self._open(info, hello)
            except CommandError as error:
                self._hello = None
                if error.code is not ErrorCode.UNAVAILABLE:
                    self.enqueue_error(error.code, error.message, hello.id)
                    return
            else:
                return

    def revoke(self, code: CloseCode, reason: str) -> None:
        """Who may not watch any more hears nothing more of who is in the room."""
        viewer = self.viewer
        if viewer is not None:
            self._leave_room(viewer)
        super().revoke(code, reason)

    def bye_fields(self) -> dict[str, Any]:
        viewer = self.viewer
        if viewer is None:
            return {}
        playhead = viewer.playhead(time.monotonic())
        return {"resume": issue_token(self.id, self.slug, playhead, final=True)}

    async def closed(self) -> None:
        self._services.renewals.remove(self)
        viewer = self.viewer
        if viewer is not None:
            playhead = viewer.playhead(time.monotonic())
            self._leave_room(viewer)
            await self._services.resume.ended(self.id, playhead)
