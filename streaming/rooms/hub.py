"""Rooms: viewers on any worker who share one timeline.

The state lives in the room store and has a version. A worker that changes it sends the new state to
the other workers over the channel layer. Such a message may get lost, so each worker also compares
versions with the store twice a second. There is no leader: any member may send commands, and a room
goes on when any member leaves.

Theory of operation. Each room that has members here has an inbox. Handlers (`join`, `leave`,
`command`) never wait: they put a request into the room's inbox, and the room into the queue of
rooms with requests. A few tasks take rooms from that queue. A task takes all requests of a room and
folds them into one change: the members of the room afterwards, and one new state. The state is
stored only if no other worker has stored one meanwhile; otherwise the requests are folded onto the
newer state. Then the members here get one update, and each request its answer.

What holds at any time:

1. At most one task works on a room, and on its inbox in the order in which it was filled. So a
   member that joins and leaves in one packet is not in the room.
2. A room without members and with an empty inbox is not kept.
3. A connection gets no message about a room that it has left.
4. However many requests one room has, another room waits for one of its turns at most: an inbox is
   one turn's work, and a room rests after a turn in proportion to the time that the turn took.
5. Inboxes and the number of rooms are bounded; requests beyond the bounds are refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..playback.commands import CommandError, CommandId, Seek
from ..playback.playhead import Playhead
from ..playback.protocol import MAX_ROOMS, ErrorCode
from ..redis.clients import REDIS_ERRORS, RedisAway
from .messages import RoomMessages
from .people import MAX_LISTED, Person, Roster, room_message
from .state import RoomCommand, RoomState
from .store import RoomStore

logger = logging.getLogger("streaming.rooms.hub")

RECONCILE_SECONDS = 0.5
RECONCILE_SECONDS_PER_ROOM = 0.001
"""Comparing a room takes about a tenth of this: however many there are, it is a tenth of a core."""

ROOMS_AT_ONCE = 100
"""Rooms compared in one round trip; between two, the event loop sends frames."""

ATTEMPTS = 20
"""To store a change while other workers store theirs; each failure means that another succeeded."""

TASKS = 8
"""Rooms worked on at the same time: each mostly waits for the store."""

MAX_WAITING = 1000
"""Requests in a room's inbox: as many members may join at the same instant."""

REST, MAX_REST_SECONDS = 4.0, 0.25
"""After a turn a room rests for so many times the time that it took, at most for a delay that
nobody notices."""

MEMBERS_AT_ONCE = 50
"""Members updated without a break; between two such groups, the event loop sends frames."""


class Member(Protocol):
    """A connection in a room."""

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
        """Follow the room's playhead.

        Args:
            room: its name.
            playhead: of the room at time `at`.
            at: seconds of this worker's monotonic clock; may be in the past.
            sought: whether a member sought, so that what was sent before is worthless.
            generation: that the member chose for its own seek.
            id: of the member's own command, which the `state` answers.
        """

    def room_changed(self, message: dict[str, Any]) -> None:
        """Send the `room` message: the members or the last action have changed."""


@dataclass(frozen=True, slots=True)
class _Join:
    member: Member
    playhead: Playhead
    id: CommandId
    sought: bool
    name: str


@dataclass(frozen=True, slots=True)
class _Leave:
    member: Member


@dataclass(frozen=True, slots=True)
class _Change:
    member: Member
    command: RoomCommand
    apply: Callable[[RoomState, Person], RoomState]


_Request = _Join | _Leave | _Change


class _Room:
    """A room as this worker sees it.

    members: those on this worker. inbox: requests not yet worked on. queued: whether the room waits
        for
    a task, rests or is worked on. sent: the roster and the last action of the last `room` message.
    """

    __slots__ = ("inbox", "key", "members", "name", "queued", "roster", "sent", "state")

    def __init__(self, key: str, name: str) -> None:
        self.key = key
        self.name = name
        self.state: RoomState | None = None
        self.members: dict[Member, Person] = {}
        self.inbox: list[_Request] = []
        self.queued = False
        self.roster = Roster()
        self.sent: tuple[Roster, str, str] | None = None

    @property
    def empty(self) -> bool:
        return not self.members and not self.inbox

    def send_roster(self, newcomers: Collection[Member] = ()) -> None:
        """Send `room` messages: to all members if it has changed, otherwise to `newcomers`."""
        state = self.state
        new = (self.roster, state.leader if state else "", state.last_action if state else "")
        to = [m for m in self.members if m in newcomers] if new == self.sent else [*self.members]
        self.sent = new
        for member in to:
            person = self.members[member]
            member.room_changed(room_message(self.name, self.roster, state, person))


class RoomHub:
    """All rooms that have members on this worker. Belongs to one event loop."""

    def __init__(
        self,
        store: RoomStore,
        layer: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        reconcile_seconds: float = RECONCILE_SECONDS,
        max_rooms: int = MAX_ROOMS,
    ) -> None:
        """Make a hub; it works once `start` was called.

        Args:
            store: where states and rosters are kept.
            layer: a channel layer, or None to rely on comparing with the store.
            clock: monotonic seconds.
            reconcile_seconds: between two comparisons with the store.
            max_rooms: rooms that may have members on this worker.
        """
        self._store = store
        self._messages = RoomMessages(
            layer, self._on_state, self._on_store_error, retry_seconds=reconcile_seconds
        )
        self._clock = clock
        self._reconcile_seconds = reconcile_seconds
        self._max_rooms = max_rooms
        self._worker = secrets.token_hex(8)
        self._offset = 0.0
        self._rooms: dict[str, _Room] = {}
        self._queue: asyncio.Queue[_Room] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.reconciled = 0
        self.store_failures = 0

    def __len__(self) -> int:
        """Rooms that have members here, or are about to."""
        return len(self._rooms)

    def start(self) -> None:
        """Start the hub's tasks on the running event loop. Call it once."""
        loop = asyncio.get_running_loop()
        clock_known = loop.create_task(self._set_clock())
        work: list[Coroutine[Any, Any, None]] = [self._work(clock_known) for _ in range(TASKS)]
        work += [self._reconcile_periodically(), self._messages.listen()]
        self._tasks = [clock_known, *(loop.create_task(each) for each in work)]

    async def stop(self) -> None:
        """End all tasks."""
        running = set(self._tasks)
        while running:
            # Again and again: a Redis call that times out at that moment swallows a cancellation.
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=0.1)

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
        """Put `member` into a room of a session; a room without members is created.

        Does not wait: `member.follow_room` and `member.room_changed` are called later.

        Args:
            slug: of the session.
            room: name of the room.
            member: the connection that joins.
            playhead: where a new room begins.
            id: of the command that the next `state` answers.
            again: whether the member was in the room before (it reconnected), so that following the
                room counts as a seek only if the room has moved on.
            name: shown to the other members; "" keeps the present one, or becomes "viewer" and a
                number.

        Raises:
            CommandError: there are too many rooms, or too many requests wait for this one.
        """
        self._submit(_key(slug, room), room, _Join(member, playhead, id, not again, name))

    def leave(self, slug: str, room: str, member: Member) -> None:
        """Take a member out, whether or not its `join` is done by now. Safe to call twice."""
        here = self._rooms.get(_key(slug, room))
        if here is not None:
            # At once, so that it gets no more messages; and after a `join` that still waits.
            here.members.pop(member, None)
            here.inbox.append(_Leave(member))
            self._enqueue(here)

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
        """Apply a member's command to the whole room.

        Args:
            slug: of the session.
            room: name of the room.
            member: the connection that sent it.
            command: already checked.
            frame_count: frames of the session now.
            frame_rate: frames a second.
            target: frame that a seek means.

        Raises:
            CommandError: too many requests wait for this room.
        """
        at = self._now()

        def apply(state: RoomState, by: Person) -> RoomState:
            return state.after(
                command,
                at,
                frame_count=frame_count,
                frame_rate=frame_rate,
                target=target,
                leader=by.id,
                leader_name=by.name,
            )

        self._submit(_key(slug, room), room, _Change(member, command, apply))

    def _submit(self, key: str, name: str, request: _Request) -> None:
        room = self._rooms.get(key)
        if room is None:
            if len(self._rooms) >= self._max_rooms:
                raise CommandError(
                    ErrorCode.TOO_MANY,
                    f"{self._max_rooms} rooms are open already: join one of them, or wait",
                )
            room = self._rooms[key] = _Room(key, name)
        elif len(room.inbox) >= MAX_WAITING:
            raise CommandError(ErrorCode.TOO_MANY, f"room {name!r} is busy: wait for its state")
        room.inbox.append(request)
        self._enqueue(room)

    def _enqueue(self, room: _Room) -> None:
        if not room.queued:
            room.queued = True
            self._queue.put_nowait(room)

    # The hub's work -------------------------------------------------------------------------

    def _now(self) -> float:
        """The rooms' common clock."""
        return self._clock() + self._offset

    async def _work(self, clock_known: asyncio.Task[None]) -> None:
        await asyncio.wait([clock_known])
        while True:
            room = await self._queue.get()
            began = self._clock()
            try:
                await self._turn(room)
            except Exception:
                # One room's failure must not end the rooms of everyone on this worker.
                logger.exception("the requests of a room failed")
            rest = min(REST * (self._clock() - began), MAX_REST_SECONDS)
            asyncio.get_running_loop().call_later(rest, self._after_rest, room)

    def _after_rest(self, room: _Room) -> None:
        room.queued = False
        if room.inbox:
            self._enqueue(room)
        elif room.empty and self._rooms.get(room.key) is room:
            del self._rooms[room.key]

    async def _turn(self, room: _Room) -> None:
        """Fold all requests of a room into one change."""
        requests, room.inbox = room.inbox, []
        fresh = room.state is None
        if fresh:
            await self._messages.subscribe(room.key)
        newcomers, changes = await self._change_members(room, requests)
        if room.state is None:
            first = next((r.playhead for r in requests if isinstance(r, _Join)), None)
            if first is None:
                # All members have left, and the requests came from connections outside the room.
                await self._messages.unsubscribe(room.key)
                return
            if room.members or changes:
                room.state = await self._load_or_create(room.key, RoomState.of(first, self._now()))
        for join in newcomers.values():
            if room.state is not None and join.member in room.members:
                self._follow(room, join.member, sought=join.sought, id=join.id)
        if changes:
            await self._change(room, changes)
        await self._update_roster(room, newcomers)
        if room.empty:
            room.state = None
            await self._messages.unsubscribe(room.key)

    async def _change_members(
        self, room: _Room, requests: Sequence[_Request]
    ) -> tuple[dict[Member, _Join], list[tuple[Person, _Change]]]:
        """Update the members. Returns: joins by member, and commands, in the order of the requests.
        Update the members. Returns: joins by member, and commands, in the order of the requests."""
        newcomers: dict[Member, _Join] = {}
        changes: list[tuple[Person, _Change]] = []
        people = dict(room.members)
        for request in requests:
            member = request.member
            person = people.get(member)
            match request:
                case _Join():
                    name = request.name
                    if person is None:
                        name = name or await self._viewer_name(room.key)
                        person = Person(secrets.token_hex(4), name, self._now())
                    elif name:
                        person = replace(person, name=name)
                    people[member] = room.members[member] = person
                    newcomers[member] = request
                case _Leave():
                    people.pop(member, None)
                    room.members.pop(member, None)
                    newcomers.pop(member, None)
                case _Change() if person is not None:
                    changes.append((person, request))
        # A member that left while we waited for the store must not be put back.
        for request in room.inbox:
            if isinstance(request, _Leave):
                room.members.pop(request.member, None)
        return newcomers, changes

    async def _viewer_name(self, key: str) -> str:
        try:
            return f"viewer {await self._store.number(key)}"
        except REDIS_ERRORS as error:
            self._on_store_error(error)
            return "viewer"

    async def _load_or_create(self, key: str, fresh: RoomState) -> RoomState:
        try:
            for _ in range(ATTEMPTS):
                found = (await self._store.load([key]))[0]
                if found is not None:
                    return found
                if await self._store.replace(key, fresh, 0):
                    break
        except REDIS_ERRORS as error:
            self._on_store_error(error)
        return fresh

    async def _change(self, room: _Room, changes: Sequence[tuple[Person, _Change]]) -> None:
        state = room.state
        assert state is not None
        changed = _folded(state, changes)
        try:
            for _ in range(ATTEMPTS):
                if await self._store.replace(room.key, changed, state.version):
                    break
                found = (await self._store.load([room.key]))[0]
                # Flushed or expired: only this worker still has the state.
                state = found or replace(room.state or state, version=0)
                changed = _folded(state, changes)
        except REDIS_ERRORS as error:
            # The members here go on together; versions are compared when the store is back.
            self._on_store_error(error)
        by = {change.member for _, change in changes}
        # `reconcile` may have applied our own change already: answers are owed all the same.
        await self._apply(room, changed, but_for=by)
        for _, change in changes:
            if change.member in room.members:
                command = change.command
                wished = command.generation if isinstance(command, Seek) else None
                sought = isinstance(command, Seek)
                self._follow(room, change.member, sought=sought, id=command.id, generation=wished)
        room.send_roster()
        await self._messages.publish(room.key, changed)

    async def _apply(
        self,
        room: _Room,
        state: RoomState,
        *,
        but_for: Collection[Member] = (),
        stored: bool = False,
    ) -> bool:
        """Take over a newer state and have the members follow. Returns: whether it was newer.

        stored: whether it comes from the store. Two workers may change a room while neither reaches
            the
        store; of two states with one version the store's is taken.
        """
        before = room.state
        if before is not None:
            if state.version < before.version or state == before:
                return False
            if state.version == before.version and not stored:
                return False
        room.state = state
        sought = before is None or state.seeks != before.seeks
        to = [member for member in room.members if member not in but_for]
        for done, member in enumerate(to, start=1):
            if member in room.members:
                # Of the newest state, should there be another by now.
                self._follow(room, member, sought=sought)
            if done % MEMBERS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return True

    def _follow(
        self,
        room: _Room,
        member: Member,
        *,
        sought: bool,
        id: CommandId = None,
        generation: int | None = None,
    ) -> None:
        state = room.state
        assert state is not None
        at = state.at - self._offset
        member.follow_room(
            room.name, state.playhead, at, sought=sought, generation=generation, id=id
        )

    async def _update_roster(self, room: _Room, newcomers: Collection[Member] = ()) -> None:
        """Store this worker's members, read the members of all workers, and send the roster."""
        people = list(room.members.values())
        try:
            rosters = await self._store.rosters(self._worker, {room.key: people})
            room.roster = rosters[room.key]
        except REDIS_ERRORS as error:
            self._on_store_error(error)
            room.roster = Roster.of(len(people), people[:MAX_LISTED])
        room.send_roster(newcomers)

    async def _set_clock(self) -> None:
        try:
            self._offset = await self._store.offset()
        except REDIS_ERRORS as error:
            self._on_store_error(error)

    def _on_store_error(self, error: Exception) -> None:
        self.store_failures += 1
        if isinstance(error, RedisAway):
            # `RedisClients` has logged it.
            return
        if self.store_failures == 1 or self.store_failures % 100 == 0:
            logger.warning("rooms are shared by this worker only, for now: %s", error)

    # Reconciling with the store -------------------------------------------------------------------

    async def _reconcile_periodically(self) -> None:
        while True:
            await asyncio.sleep(
                max(self._reconcile_seconds, len(self) * RECONCILE_SECONDS_PER_ROOM)
            )
            await self.reconcile()

    async def reconcile(self) -> None:
        """Compare our states with the store's, in case a message was lost."""
        rooms = [room for room in self._rooms.values() if room.state is not None]
        if rooms:
            await self._set_clock()
            await self._messages.retry_subscriptions()
        for first in range(0, len(rooms), ROOMS_AT_ONCE):
            try:
                await self._reconcile_rooms(rooms[first : first + ROOMS_AT_ONCE])
            except REDIS_ERRORS as error:
                self._on_store_error(error)
                return
            await asyncio.sleep(0)

    async def _reconcile_rooms(self, rooms: Sequence[_Room]) -> None:
        states = await self._store.load([room.key for room in rooms])
        for room, state in zip(rooms, states, strict=True):
            if room.state is None:
                continue
            if state is not None and await self._apply(room, state, stored=True):
                self.reconciled += 1
            elif state is None or state.version < room.state.version:
                # The store has lost the state, or was away when it changed: store ours.
                await self._store.replace(room.key, room.state, state.version if state else 0)
        people = {room.key: list(room.members.values()) for room in rooms}
        rosters = await self._store.rosters(self._worker, people)
        for room in rooms:
            if list(room.members.values()) == people[room.key]:
                room.roster = rosters[room.key]
                room.send_roster()
            else:
                # A member joined or left meanwhile: what was stored is out of date.
                await self._update_roster(room)

    def _on_state(self, key: str, state: RoomState) -> None:
        """Another worker has changed a room."""
        room = self._rooms.get(key)
        if room is not None and room.state is not None:
            # The room's next turn would be too late, and this callback must be short.
            task = asyncio.get_running_loop().create_task(self._take_over(room, state))
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

    async def _take_over(self, room: _Room, state: RoomState) -> None:
        if await self._apply(room, state):
            room.send_roster()


def _folded(state: RoomState, changes: Sequence[tuple[Person, _Change]]) -> RoomState:
    """`state` after all changes, as one step of its version."""
    changed = state
    for person, change in changes:
        changed = change.apply(changed, person)
    return replace(changed, version=state.version + 1)


def _key(slug: str, room: str) -> str:
    """A room's name in the store and the channel layer, which limits length and characters."""
    return hashlib.sha256(f"{slug}/{room}".encode()).hexdigest()[:32]
