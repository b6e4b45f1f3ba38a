"""Resume tokens: a viewer's playhead and room, signed, so that any worker can take it up again.

A token names its connection. Where that was last is kept beside it: in Redis, where every worker
sees it, else in this process. The token of a `bye` is the last word and says it itself. For every
other one, what its playhead did since it was issued must be known, or nothing is: a place that may
be wrong is worse than none, because the client knows where its own picture is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import NamedTuple

from django.core import signing

from ..playback.playhead import Playhead, playhead_from
from ..redis.clients import RedisAway, RedisClients

SALT = "replay.resume"
KEEP_SECONDS = 3600
KEEP_IN_PROCESS = 50_000
SEND_EVERY = 0.5
"""Seconds between two writes to Redis: a worker that is killed takes with it what came between."""

GATHER_SECONDS = 0.002
"""How long the first who asks Redis waits for others: a worker's viewers come back together."""

READ_TOGETHER = 500
"""Places read in one round trip; between two, the event loop sends frames."""


class ResumeError(Exception):
    """A token that cannot be used; the message gives the reason."""


class Token(NamedTuple):
    """What a token says.

    connection_id: of the connection that it stands for. playhead: where that was when the token was
    issued. final: it was issued with the connection's end, so it is there still.
    """

    connection_id: str
    playhead: Playhead
    final: bool


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
        self._asked: list[tuple[str, asyncio.Future[bytes | str | None]]] = []
        self._reading: asyncio.Task[None] | None = None
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
        """Now, and what changes until the next turn all at once: a page that scrubs changes sixty
        times a second, and its last place is what counts."""
        while self._unsent:
            await self.send()
            await asyncio.sleep(SEND_EVERY)

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

    async def place(self, token: Token, frame_rate: float) -> Playhead | None:
        """Where the viewer that a token stands for is; None if that is not known for certain."""
        if token.final:
            return token.playhead
        known = await self.get(token.connection_id, frame_rate)
        # Older than the token: its worker was killed before it could share what came after.
        return None if known is None or known.generation < token.playhead.generation else known

    async def get(self, connection_id: str, frame_rate: float) -> Playhead | None:
        """Where it was, or would be by now if it played on; None if that is not known."""
        # A connection belongs to one worker for life: what that one remembers is never older than
        # what it has shared.
        record: bytes | str | None
        until, record = self._here.get(connection_id, (0.0, None))
        if until < self._clock():
            record = None
        if record is None and self._redis is not None:
            record = await self._read(connection_id)
        if record is None:
            return None
        data = json.loads(record)
        playhead = playhead_from(data)
        if playhead.playing and "at" in data:
            passed = max(0.0, self._clock() - data["at"])
            moved = playhead.frame + passed * playhead.speed * frame_rate
            return playhead._replace(frame=max(0.0, moved))
        return playhead

    async def _read(self, connection_id: str) -> bytes | str | None:
        """What another worker has shared of it; None if nothing, or if Redis does not say."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | str | None] = loop.create_future()
        self._asked.append((connection_id, answer))
        if self._reading is None or self._reading.done():
            self._reading = loop.create_task(self._read_asked())
        return await answer

    async def _read_asked(self) -> None:
        """One round trip at a time: all who come while it is under way share the next. However many
        they are, they take one connection, and if there is no answer, nobody waits for another."""
        assert self._clients is not None
        assert self._redis is not None
        while self._asked:
            await asyncio.sleep(GATHER_SECONDS)
            asked, self._asked = self._asked[:READ_TOGETHER], self._asked[READ_TOGETHER:]
            found: Sequence[bytes | str | None] = []
            try:
                with self._clients.asking("where viewers of other workers were is not known"):
                    found = await self._redis.mget(
                        [f"replay:resume:{connection_id}" for connection_id, _ in asked]
                    )
            except RedisAway:
                asked, self._asked = [*asked, *self._asked], []
            finally:
                for (_, answer), record in zip_longest(asked, found):
                    if not answer.done():
                        answer.set_result(record)

    async def close(self) -> None:
        """Share what is not shared yet, and end."""
        for task in (self._sending, self._reading):
            if task is not None:
                task.cancel()
        for _, answer in self._asked:
            if not answer.done():
                answer.set_result(None)
        await self.send()


def issue_token(connection_id: str, slug: str, playhead: Playhead, *, final: bool = False) -> str:
    """A token for a connection at `playhead`. final: the connection ends here."""
    content = [connection_id, slug, round(playhead.frame, 3), *playhead[1:]]
    return signing.dumps([*content, True] if final else content, salt=SALT, compress=False)


def read_token(token: str, slug: str) -> Token:
    """What a token says. Raises: ResumeError."""
    try:
        connection_id, of_slug, frame, speed, playing, generation, room, *final = signing.loads(
            token, salt=SALT, max_age=KEEP_SECONDS
        )
    except signing.SignatureExpired:
        raise ResumeError("the token is more than an hour old") from None
    except (signing.BadSignature, ValueError, TypeError):
        raise ResumeError("not a token of this service") from None
    if of_slug != slug:
        raise ResumeError(f"the token is for session {of_slug}")
    playhead = Playhead(float(frame), float(speed), bool(playing), int(generation), room)
    return Token(connection_id, playhead, any(final))
