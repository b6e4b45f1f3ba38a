"""Resume tokens: a viewer's playhead and room, signed, so that any worker can take it up again.

A token names its connection and carries the playhead of when it was issued. What the playhead did
since is kept beside it for a while: in Redis, where every worker sees it, else in this process. A
token whose memory is gone (a restart without Redis) still opens at the playhead that it carries;
the one in `bye` is fresh.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from django.core import signing

from ..playback.playhead import Playhead, playhead_from
from ..redis.clients import RedisAway, RedisClients

SALT = "replay.resume"
KEEP_SECONDS = 3600
KEEP_IN_PROCESS = 50_000
SEND_EVERY = 0.5
"""Seconds between two writes to Redis: what a worker that is killed takes with it."""


class ResumeError(Exception):
    """A token that cannot be used; the message gives the reason."""


class ResumeMemory:
    """Where connections were when they ended or last changed, by connection id."""

    def __init__(
        self, clients: RedisClients | None, clock: Callable[[], float] = time.time
    ) -> None:
        """Make an empty memory.

        Args:
            clients: of the Redis that all workers share; None for a single worker.
            clock: wall time, which all workers share.
        """
        self._clients = clients
        self._redis = None if clients is None else clients.for_loop()
        self._here: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._unsent: dict[str, str] = {}
        self._sending: asyncio.Task[None] | None = None
        self._batch: asyncio.Task[None] | None = None
        self._next_batch: asyncio.Task[None] | None = None
        self._clock = clock

    def changed(self, connection_id: str, playhead: Playhead) -> None:
        """A command moved it: should this worker die, it is found where it would be by then."""
        self._remember(connection_id, json.dumps({**playhead._asdict(), "at": self._clock()}))

    async def ended(self, connection_id: str, playhead: Playhead) -> None:
        """The connection is gone; time stands still for it."""
        self._remember(connection_id, json.dumps(playhead._asdict()))
        await self.send()

    def _remember(self, connection_id: str, record: str) -> None:
        now = self._clock()
        self._here[connection_id] = (now + KEEP_SECONDS, record)
        self._here.move_to_end(connection_id)
        while self._here and (
            len(self._here) > KEEP_IN_PROCESS or next(iter(self._here.values()))[0] < now
        ):
            self._here.popitem(last=False)
        if self._redis is not None:
            self._unsent[connection_id] = record
            if self._sending is None or self._sending.done():
                self._sending = asyncio.get_running_loop().create_task(self._send_soon())

    async def _send_soon(self) -> None:
        """A page that scrubs changes sixty times a second; the last place is what counts. What
        changes while others are being sent has its turn after them."""
        while self._unsent:
            await asyncio.sleep(SEND_EVERY)
            await self.send()

    async def send(self) -> None:
        """Share what the other workers do not know yet. Returns when they know it.

        One round trip at a time, or what was taken up first might arrive last; all who come while
        it is under way share the next.
        """
        if self._redis is None:
            return
        if self._next_batch is None:
            self._next_batch = asyncio.get_running_loop().create_task(self._send_batch(self._batch))
        await asyncio.shield(self._next_batch)

    async def _send_batch(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._batch, self._next_batch = self._next_batch, None
        unsent, self._unsent = self._unsent, {}
        if not unsent or self._clients is None or self._redis is None:
            return
        with suppress(RedisAway), self._clients.asking("resume state is kept by this worker only"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for connection_id, record in unsent.items():
                    pipe.set(f"replay:resume:{connection_id}", record, ex=KEEP_SECONDS)
                await pipe.execute()

    async def get(self, connection_id: str, frame_rate: float) -> Playhead | None:
        """Where it was, or would be by now if it played on; None if that is not known."""
        # A connection belongs to one worker for life: what that one remembers is never older than
        # what it has shared.
        record: str | bytes | None
        until, record = self._here.get(connection_id, (0.0, None))
        if until < self._clock():
            record = None
        if record is None and self._clients is not None and self._redis is not None:
            otherwise = "viewers of other workers resume at the playhead in their token"
            with suppress(RedisAway), self._clients.asking(otherwise):
                record = await self._redis.get(f"replay:resume:{connection_id}")
        if record is None:
            return None
        data = json.loads(record)
        playhead = playhead_from(data)
        if playhead.playing and "at" in data:
            passed = max(0.0, self._clock() - data["at"])
            moved = playhead.frame + passed * playhead.speed * frame_rate
            return playhead._replace(frame=max(0.0, moved))
        return playhead

    async def close(self) -> None:
        """Share what is not shared yet, and end."""
        if self._sending is not None:
            self._sending.cancel()
        await self.send()


def issue_token(connection_id: str, slug: str, playhead: Playhead) -> str:
    """A token for a connection at `playhead`."""
    return signing.dumps(
        [connection_id, slug, round(playhead.frame, 3), *playhead[1:]], salt=SALT, compress=False
    )


def read_token(token: str, slug: str) -> tuple[str, Playhead]:
    """(connection id, playhead when it was issued). Raises: ResumeError."""
    try:
        connection_id, of_slug, frame, speed, playing, generation, room = signing.loads(
            token, salt=SALT, max_age=KEEP_SECONDS
        )
    except signing.SignatureExpired:
        raise ResumeError("the token is more than an hour old") from None
    except (signing.BadSignature, ValueError, TypeError):
        raise ResumeError("not a token of this service") from None
    if of_slug != slug:
        raise ResumeError(f"the token is for session {of_slug}")
    playhead = Playhead(float(frame), float(speed), bool(playing), int(generation), room)
    return connection_id, playhead
