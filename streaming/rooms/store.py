"""Where rooms are kept: in Redis for all workers, or in the process when there is only one.

Both offer the same: states by key, a change that happens only if nobody else was quicker, who is
in a room, and a clock that all workers read alike.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from ..redis.clients import RedisClients
from .people import MAX_LISTED, Person, Roster
from .state import RoomState

EXPIRE_SECONDS = 6 * 3600
"""After the last member was seen: long enough for a pause at lunch."""

MEMBERS_EXPIRE_SECONDS = 15
"""The members of a worker that has not stored them for so long do not count any more: three times
as long as a worker with the maximal number of rooms takes to store them again."""

AWAY = "rooms are shared by this worker only"
"""What is the case while Redis does not answer, for the log."""

QUICK_READ_SECONDS, MAX_CLOCK_READS = 0.005, 5
"""A reading of the common clock is off by at most half of the time that it took. If that was longer
than this, the clock is read again, so often at most, and the quickest reading counts: a busy worker
must not shift its rooms."""

_REPLACE = """
local now = redis.call('GET', KEYS[1])
local version = 0
if now then version = cjson.decode(now)['version'] end
if version ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
"""SET if the version is still the one that was read: a change by another worker is never lost."""


class RoomStore(Protocol):
    """What the hub needs. All methods raise OSError (RedisAway) if the store is out of reach."""

    async def load(self, keys: Sequence[str]) -> list[RoomState | None]:
        """The states of rooms, None for one that does not exist."""

    async def replace(self, key: str, state: RoomState, expected: int) -> bool:
        """Store `state` if the present version is `expected` (0 for none). Returns: whether."""

    async def rosters(
        self, worker: str, people: Mapping[str, Sequence[Person]]
    ) -> dict[str, Roster]:
        """Store this worker's members by room. Returns: the members on all workers by room."""

    async def number(self, key: str) -> int:
        """The next number of a member of this room that brought no name, from 1."""

    async def offset(self) -> float:
        """Seconds to add to our monotonic clock to get the rooms' common clock."""


class LocalRooms:
    """Rooms of a single worker."""

    def __init__(self) -> None:
        self._states: dict[str, RoomState] = {}
        self._numbers: dict[str, int] = {}

    async def load(self, keys: Sequence[str]) -> list[RoomState | None]:
        return [self._states.get(key) for key in keys]

    async def replace(self, key: str, state: RoomState, expected: int) -> bool:
        now = self._states.get(key)
        if (now.version if now else 0) != expected:
            return False
        self._states[key] = state
        return True

    async def rosters(
        self, worker: str, people: Mapping[str, Sequence[Person]]
    ) -> dict[str, Roster]:
        for key, here in people.items():
            if not here:
                # There is one worker only: an empty room has no members elsewhere.
                self._states.pop(key, None)
                self._numbers.pop(key, None)
        return {k: Roster.of(len(here), here[:MAX_LISTED]) for k, here in people.items()}

    async def number(self, key: str) -> int:
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return self._numbers[key]

    async def offset(self) -> float:
        return 0.0


class RedisRooms:
    """Rooms that all workers share. Their clock is the Redis server's."""

    def __init__(self, clients: RedisClients, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients = clients
        self._redis = clients.for_loop()
        self._replace = self._redis.register_script(_REPLACE)
        self._clock = clock

    async def load(self, keys: Sequence[str]) -> list[RoomState | None]:
        if not keys:
            return []
        with self._clients.asking(AWAY):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.mget([_state_key(key) for key in keys])
                for key in keys:
                    pipe.expire(_state_key(key), EXPIRE_SECONDS)
                found = (await pipe.execute())[0]
        return [RoomState.from_dict(json.loads(text)) if text else None for text in found]

    async def replace(self, key: str, state: RoomState, expected: int) -> bool:
        text = json.dumps(state.as_dict())
        arguments: list[str | int] = [expected, text, EXPIRE_SECONDS]
        with self._clients.asking(AWAY):
            return bool(await self._replace(keys=[_state_key(key)], args=arguments))

    async def rosters(
        self, worker: str, people: Mapping[str, Sequence[Person]]
    ) -> dict[str, Roster]:
        with self._clients.asking(AWAY):
            now = int((await self._redis.time())[0])
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, here in people.items():
                    name = f"replay:room-people:{key}"
                    if here:
                        listed = [(person.id, person.name, person.joined) for person in here]
                        entry = json.dumps([now, len(here), listed[:MAX_LISTED]])
                        pipe.hset(name, worker, entry)
                    else:
                        pipe.hdel(name, worker)
                    pipe.expire(name, MEMBERS_EXPIRE_SECONDS)
                    pipe.hgetall(name)
                answers = await pipe.execute()
        rosters, dead = {}, {}
        for key, answer in zip(people, answers[2::3], strict=True):
            stored = {by: json.loads(text) for by, text in answer.items()}
            fresh = {by: it for by, it in stored.items() if now - it[0] <= MEMBERS_EXPIRE_SECONDS}
            rosters[key] = _roster(fresh.values())
            if gone := stored.keys() - fresh.keys():
                dead[key] = gone
        if dead:
            # Of workers that were killed: a room with members elsewhere would keep them for ever.
            with self._clients.asking(AWAY):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for key, gone in dead.items():
                        pipe.hdel(f"replay:room-people:{key}", *gone)
                    await pipe.execute()
        return rosters

    async def number(self, key: str) -> int:
        name = f"replay:room-numbers:{key}"
        with self._clients.asking(AWAY):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.incr(name)
                pipe.expire(name, EXPIRE_SECONDS)
                return int((await pipe.execute())[0])

    async def offset(self) -> float:
        quickest, offset = math.inf, 0.0
        for _ in range(MAX_CLOCK_READS):
            before = self._clock()
            with self._clients.asking(AWAY):
                seconds, micros = await self._redis.time()
            after = self._clock()
            if after - before < quickest:
                quickest = after - before
                offset = float(seconds + micros / 1e6 - (before + after) / 2)
            if quickest <= QUICK_READ_SECONDS:
                break
        return offset


def _state_key(key: str) -> str:
    return f"replay:room:{key}"


def _roster(stored: Collection[tuple[int, int, list[list[Any]]]]) -> Roster:
    """stored: of each worker the time, the number of its members, and some of them."""
    people = [Person(*person) for _, _, listed in stored for person in listed]
    return Roster.of(sum(count for _, count, _ in stored), people)
