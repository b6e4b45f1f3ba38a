"""What the workers tell each other of live sessions, over Redis: who writes one, and its newest
records. Redis is a help: without it the lock on disk still lets one worker write, and the others
read the log.

The lease of a session has a time to live, so it ends with its holder. A writer that finds it
in other hands stops. Its records go into a bounded stream, in the bytes that the log has.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..redis.clients import RedisAway, RedisClients

logger = logging.getLogger("streaming.live.exchange")

LEASE_SECONDS = 3.0
"""How long a session waits for a writer that was killed; a third of it is between two renewals."""

RENEW_SECONDS = 0.5
WANTED_SECONDS = 5.0
"""How long a producer that takes over waits for the other one to end."""

TAIL_RECORDS = 256
"""Of one session that Redis holds: ten seconds of a race. Who is further behind reads the log."""

TAIL_BYTES = 8_000_000
LEAST_RECORDS = 8
"""Of pictures there are fewer: nobody is ever sent an old one."""

BLOCK_MILLISECONDS = 500
OTHERWISE = "live sessions are followed through the disk"

_RENEW = """
local now = redis.call('GET', KEYS[1])
if now == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return redis.call('GET', KEYS[2]) or ''
end
return false
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Piece(NamedTuple):
    """A record on its way. part, start, end: where it lies in the log."""

    part: int
    start: int
    end: int
    data: bytes


class Holder(NamedTuple):
    """Who writes a session. worker: its name; since: Unix seconds."""

    worker: str
    since: float


class Lease:
    """The right to write one session, as far as Redis knows.

    Attributes:
        lost: another worker has it.
        wanted: a producer elsewhere wants to take over.
    """

    def __init__(self, redis: Any, clients: RedisClients, slug: str, worker: str) -> None:
        self._redis = redis
        self._clients = clients
        self._key, self._wanted_key = f"live:lease:{slug}", f"live:wanted:{slug}"
        self._value = ""
        self._worker = worker
        self._renewed_at = 0.0
        self.lost = False
        self.wanted = False

    async def confirm(self) -> bool:
        """Whether it is still ours; asks Redis if it might have ended meanwhile."""
        if time.monotonic() - self._renewed_at > LEASE_SECONDS - RENEW_SECONDS:
            await self.renew()
        return not self.lost

    async def acquire(self, within: float = LEASE_SECONDS + 1.0) -> bool:
        """Take it; a killed holder's lease ends by itself. Returns: whether it is ours; true while
        Redis is away."""
        self._renewed_at = time.monotonic()
        deadline = self._renewed_at + within
        with suppress(RedisAway), self._clients.asking(OTHERWISE):
            number = await self._redis.incr(f"{self._key}:number")
            about = {"worker": self._worker, "since": time.time(), "number": number}
            self._value = json.dumps(about)
            milliseconds = int(LEASE_SECONDS * 1000)
            while not await self._redis.set(self._key, self._value, nx=True, px=milliseconds):
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(0.1)
                self._renewed_at = time.monotonic()
            await self._redis.delete(self._wanted_key)
        return True

    async def renew(self) -> None:
        """Keep it; sets `lost` and `wanted`."""
        if not self._value:
            return
        asked_at = time.monotonic()
        with suppress(RedisAway), self._clients.asking(OTHERWISE):
            found = await self._redis.eval(
                _RENEW, 2, self._key, self._wanted_key, self._value, int(LEASE_SECONDS * 1000)
            )
            if found is None and await self._redis.set(
                self._key, self._value, nx=True, px=int(LEASE_SECONDS * 1000)
            ):
                # Redis had lost it, or was away for longer than it lasts.
                found = b""
            self.lost = found is None
            self.wanted = bool(found)
            self._renewed_at = asked_at

    async def release(self) -> None:
        """Give it up."""
        if self._value and not self.lost:
            with suppress(RedisAway), self._clients.asking(OTHERWISE):
                await self._redis.eval(_RELEASE, 1, self._key, self._value)


class Exchange:
    """One worker's part in it. Belongs to one event loop.

    Attributes:
        worker: this worker's name.
    """

    def __init__(self, clients: RedisClients, worker: str) -> None:
        self.worker = worker
        self._clients = clients
        self._redis = clients.for_loop()
        self._reading = clients.for_loop()
        self._places: dict[str, str] = {}
        self._sending: dict[str, list[Piece]] = {}
        self._sender: asyncio.Task[None] | None = None
        self._followed = asyncio.Event()

    def lease(self, slug: str) -> Lease:
        """The lease of a session, not taken yet."""
        return Lease(self._redis, self._clients, slug, self.worker)

    async def holder(self, slug: str) -> Holder | None:
        """Who writes a session, as far as Redis knows."""
        with suppress(RedisAway), self._clients.asking(OTHERWISE):
            value = await self._redis.get(f"live:lease:{slug}")
            if value is not None:
                about = json.loads(value)
                return Holder(about["worker"], about["since"])
        return None

    async def want(self, slug: str) -> None:
        """Ask whoever writes a session to end."""
        with suppress(RedisAway), self._clients.asking(OTHERWISE):
            await self._redis.set(f"live:wanted:{slug}", "1", px=int(WANTED_SECONDS * 1000))

    def send(self, slug: str, pieces: Sequence[Piece]) -> None:
        """Send records to the other workers, after those before them."""
        self._sending.setdefault(slug, []).extend(pieces)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._sending:
            waiting, self._sending = self._sending, {}
            with suppress(RedisAway), self._clients.asking(OTHERWISE):
                pipe = self._redis.pipeline(transaction=False)
                for slug, pieces in waiting.items():
                    largest = max(len(piece.data) for piece in pieces)
                    most = max(LEAST_RECORDS, min(TAIL_RECORDS, TAIL_BYTES // largest))
                    for piece in pieces[-most:]:
                        entry: dict[Any, Any] = {"p": piece.part, "s": piece.start, "e": piece.end}
                        entry["d"] = piece.data
                        pipe.xadd(f"live:tail:{slug}", entry, maxlen=most)
                    pipe.expire(f"live:tail:{slug}", 3600)
                await pipe.execute()

    async def begin_to_follow(self, slug: str) -> None:
        """Before the log is read: what comes from now on is handed to `follow`'s caller."""
        place = "0-0"
        with suppress(RedisAway), self._clients.asking(OTHERWISE):
            last: Any = await self._redis.xrevrange(f"live:tail:{slug}", count=1)
            if last:
                place = last[0][0].decode()
        self._places.setdefault(slug, place)
        self._followed.set()

    def end_to_follow(self, slug: str) -> None:
        """Nothing more of that session is wanted."""
        self._places.pop(slug, None)

    async def follow(
        self, arrived: Callable[[str, Sequence[Piece]], None], poll: Callable[[], Any]
    ) -> None:
        """Hand on what other workers send, until cancelled.

        Args:
            arrived: called with a slug and its records, in order.
            poll: called twice a second while Redis is away.
        """
        while True:
            if not self._places:
                self._followed.clear()
                await self._followed.wait()
            try:
                with self._clients.asking(OTHERWISE):
                    streams: Any = {f"live:tail:{s}": place for s, place in self._places.items()}
                    found: Any = await self._reading.xread(streams, block=BLOCK_MILLISECONDS)
            except RedisAway:
                await asyncio.sleep(BLOCK_MILLISECONDS / 1000)
                await poll()
                continue
            for name, entries in found or ():
                slug = name.decode().removeprefix("live:tail:")
                if slug in self._places and entries:
                    self._places[slug] = entries[-1][0].decode()
                    try:
                        arrived(slug, [_piece(fields) for _, fields in entries])
                    except Exception:
                        # One bad session must not end the following of all others.
                        logger.exception("live session %s cannot be followed", slug)
                        self.end_to_follow(slug)

    async def close(self) -> None:
        """End its tasks."""
        if self._sender is not None:
            self._sender.cancel()


def _piece(fields: Mapping[bytes, bytes]) -> Piece:
    return Piece(int(fields[b"p"]), int(fields[b"s"]), int(fields[b"e"]), fields[b"d"])
