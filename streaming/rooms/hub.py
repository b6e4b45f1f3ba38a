"""Rooms: viewers on any worker who share one timeline.

The state lives in the room store and has a version. Whoever changes it tells the other workers over
the channel layer; such a message may get lost, so each worker also compares versions twice a
second. Nobody leads: any member may command, and who leaves takes nothing away.

Handlers only put work into the hub's queue; the hub's task talks to the store and then to viewers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

from channels.layers import get_channel_layer
from django.conf import settings

from ..playback.commands import CommandId, Seek
from ..playback.playhead import Playhead
from .messages import OUT_OF_REACH, RoomMessages
from .people import MAX_LISTED, Person, Roll, room_message
from .state import RoomCommand, RoomState
from .store import LocalRooms, RedisRooms, RoomStore

logger = logging.getLogger("streaming.rooms.hub")

HEAL_SECONDS = 0.5
ATTEMPTS = 20
"""Of a change that others were quicker with; each failure means that someone succeeded."""


class Member(Protocol):
    """A connection in a room."""

    def follow_room(
        self,
        playhead: Playhead,
        at: float,
        *,
        sought: bool,
        generation: int | None = None,
        id: CommandId = None,
    ) -> None:
        """The room's playhead was at `playhead` at `at` (our monotonic clock)."""

    def room_said(self, message: dict[str, Any]) -> None:
        """Who is in the room and who led last has changed: the message that says so."""


class _Room:
    """A room as this worker sees it. members: those on this worker. told: who was in it and who led
    it when the members were last told."""

    __slots__ = ("members", "name", "roll", "state", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: RoomState | None = None
        self.members: dict[Member, Person] = {}
        self.roll = Roll()
        self.told: tuple[Roll, str, str] | None = None

    def tell(self, *, newcomer: Member | None = None) -> None:
        """Tell every member who is there and who leads if that is news, else only a newcomer."""
        state = self.state
        news = (self.roll, state.leader if state else "", state.deed if state else "")
        to = list(self.members)
        if news == self.told:
            to = [newcomer] if newcomer in self.members else []
        self.told = news
        for member in to:
            person = self.members[member]
            member.room_said(room_message(self.name, self.roll, state, person))


class RoomHub:
    """All rooms that have members on this worker. Belongs to one event loop."""

    def __init__(
        self,
        store: RoomStore,
        layer: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        heal_seconds: float = HEAL_SECONDS,
    ) -> None:
        """layer: a channel layer, or None to rely on healing alone."""
        self._store = store
        self._messages = RoomMessages(layer, self._heard, self._lost, retry_seconds=heal_seconds)
        self._clock = clock
        self._heal_seconds = heal_seconds
        self._worker = secrets.token_hex(8)
        self._offset = 0.0
        self._rooms: dict[str, _Room] = {}
        self._work: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.healed = 0
        self.out_of_reach = 0

    def start(self) -> None:
        """Begin to work; once."""
        loop = asyncio.get_running_loop()
        work = (self._do_work(), self._heal_for_ever(), self._messages.listen())
        self._tasks = [loop.create_task(each) for each in work]

    async def stop(self) -> None:
        """End all tasks and release the store."""
        running = set(self._tasks)
        while running:
            # Again and again: a Redis call that times out at that moment swallows a cancellation.
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=0.1)
        while not self._work.empty():
            self._work.get_nowait().close()
        await self._store.close()

    # From connections -----------------------------------------------------------------------

    def join(
        self,
        slug: str,
        room: str,
        member: Member,
        playhead: Playhead,
        id: CommandId = None,
        *,
        again: bool = False,
        name: str = "",
    ) -> None:
        """Put `member` into a room of a session; it is made if nobody was in it.

        again: it was in the room already, so that this is no seek unless the room has gone on.
        name: what the others call it; "" for the one that it has, or "viewer" and a number.
        """
        key = _key(slug, room)
        self._work.put_nowait(self._join(key, room, member, playhead, id, not again, name))

    def leave(self, slug: str, room: str, member: Member) -> None:
        """Take it out again. Safe to call twice."""
        key = _key(slug, room)
        here = self._rooms.get(key)
        if here is not None:
            here.members.pop(member, None)
        self._work.put_nowait(self._left(key))

    def command(
        self,
        slug: str,
        room: str,
        member: Member,
        command: RoomCommand,
        *,
        frame_count: int,
        frame_rate: float,
        target: float = 0.0,
    ) -> None:
        """Carry out a member's command for the whole room."""
        at = self._now()

        def change(state: RoomState, by: Person) -> RoomState:
            return state.after(
                command,
                at,
                frame_count=frame_count,
                frame_rate=frame_rate,
                target=target,
                leader=by.id,
                leader_name=by.name,
            )

        self._work.put_nowait(self._change(_key(slug, room), member, command, change))

    # The hub's work -------------------------------------------------------------------------

    def _now(self) -> float:
        """The rooms' common clock."""
        return self._clock() + self._offset

    async def _do_work(self) -> None:
        await self._set_clock()
        while True:
            work = await self._work.get()
            try:
                await work
            except Exception:
                # One command's failure must not end the rooms of everyone on this worker.
                logger.exception("a room's command failed")

    async def _set_clock(self) -> None:
        try:
            self._offset = await self._store.offset()
        except OUT_OF_REACH as error:
            self._lost(error)

    async def _join(
        self,
        key: str,
        room_name: str,
        member: Member,
        playhead: Playhead,
        id: CommandId,
        sought: bool,
        name: str,
    ) -> None:
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = _Room(room_name)
            await self._messages.subscribe(key)
        person = room.members.get(member)
        if person is None:
            person = Person(secrets.token_hex(4), name or await self._viewer_name(key), self._now())
        elif name:
            person = replace(person, name=name)
        room.members[member] = person
        if room.state is None:
            room.state = await self._found_or_made(key, RoomState.of(playhead, self._now()))
        self._tell(member, room.state, sought=sought, id=id)
        await self._call_roll(key, room, newcomer=member)

    async def _viewer_name(self, key: str) -> str:
        try:
            return f"viewer {await self._store.number(key)}"
        except OUT_OF_REACH as error:
            self._lost(error)
            return "viewer"

    async def _found_or_made(self, key: str, fresh: RoomState) -> RoomState:
        try:
            for _ in range(ATTEMPTS):
                found = (await self._store.load([key]))[0]
                if found is not None:
                    return found
                if await self._store.replace(key, fresh, 0):
                    break
        except OUT_OF_REACH as error:
            self._lost(error)
        return fresh

    async def _left(self, key: str) -> None:
        room = self._rooms.get(key)
        if room is None:
            return
        if not room.members:
            del self._rooms[key]
            await self._messages.unsubscribe(key)
        await self._call_roll(key, room)

    async def _change(
        self,
        key: str,
        member: Member,
        command: RoomCommand,
        change: Callable[[RoomState, Person], RoomState],
    ) -> None:
        room = self._rooms.get(key)
        if room is None or room.state is None or member not in room.members:
            return
        person = room.members[member]
        changed = change(room.state, person)
        try:
            for _ in range(ATTEMPTS):
                if await self._store.replace(key, changed, changed.version - 1):
                    break
                found = (await self._store.load([key]))[0]
                # Gone (flushed, expired): ours is the only memory of it.
                changed = change(found or replace(room.state, version=0), person)
        except OUT_OF_REACH as error:
            # The members here go on together; versions settle it when the store is back.
            self._lost(error)
        if not self._apply(room, changed, by=member, command=command):
            # Healing was quicker with our own change; the sender still waits for its answer.
            self._tell(member, room.state or changed, sought=False, id=command.id)
        await self._messages.publish(key, changed)

    def _apply(
        self,
        room: _Room,
        state: RoomState,
        *,
        by: Member | None = None,
        command: RoomCommand | None = None,
    ) -> bool:
        """Take over a newer state and tell the members. Returns: whether it was newer."""
        before = room.state
        if before is not None and state.version <= before.version:
            return False
        room.state = state
        sought = before is None or state.seeks != before.seeks
        for member in list(room.members):
            if member is by and command is not None:
                wished = command.generation if isinstance(command, Seek) else None
                self._tell(member, state, sought=sought, id=command.id, generation=wished)
            else:
                self._tell(member, state, sought=sought)
        room.tell()
        return True

    def _tell(
        self,
        member: Member,
        state: RoomState,
        *,
        sought: bool,
        id: CommandId = None,
        generation: int | None = None,
    ) -> None:
        at = state.at - self._offset
        member.follow_room(state.playhead, at, sought=sought, generation=generation, id=id)

    async def _call_roll(self, key: str, room: _Room, newcomer: Member | None = None) -> None:
        people = list(room.members.values())
        try:
            room.roll = await self._store.roll(key, self._worker, people)
        except OUT_OF_REACH as error:
            self._lost(error)
            room.roll = Roll.of(len(people), people[:MAX_LISTED])
        room.tell(newcomer=newcomer)

    def _lost(self, error: Exception) -> None:
        self.out_of_reach += 1
        if self.out_of_reach == 1 or self.out_of_reach % 100 == 0:
            logger.warning("rooms are shared by this worker only, for now: %s", error)

    # Healing and what was heard -------------------------------------------------------------------

    async def _heal_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._heal_seconds)
            await self.heal()

    async def heal(self) -> None:
        """Compare our states with the store's, and take over what a lost message had told."""
        keys = list(self._rooms)
        if not keys:
            return
        await self._set_clock()
        try:
            states = await self._store.load(keys)
        except OUT_OF_REACH as error:
            self._lost(error)
            return
        for key, state in zip(keys, states, strict=True):
            room = self._rooms.get(key)
            if room is None or room.state is None:
                continue
            if state is not None and self._apply(room, state):
                self.healed += 1
            elif state is None or state.version < room.state.version:
                # The store forgot, or was away while we changed: it learns from us.
                await self._restore(key, room.state, state.version if state else 0)
            await self._call_roll(key, room)

    async def _restore(self, key: str, state: RoomState, expected: int) -> None:
        try:
            await self._store.replace(key, state, expected)
        except OUT_OF_REACH as error:
            self._lost(error)

    def _heard(self, key: str, state: RoomState) -> None:
        """Another worker has changed a room."""
        room = self._rooms.get(key)
        if room is not None:
            self._apply(room, state)


def _key(slug: str, room: str) -> str:
    """A room's name in the store and the channel layer, which limits length and characters."""
    return hashlib.sha256(f"{slug}/{room}".encode()).hexdigest()[:32]


_hub: tuple[asyncio.AbstractEventLoop, RoomHub] | None = None


def room_hub() -> RoomHub:
    """The running loop's hub, started at the first call."""
    global _hub
    loop = asyncio.get_running_loop()
    if _hub is None or _hub[0] is not loop:
        store: RoomStore = RedisRooms(settings.REDIS_URL) if settings.REDIS_URL else LocalRooms()
        hub = RoomHub(store, get_channel_layer())
        hub.start()
        _hub = (loop, hub)
    return _hub[1]
