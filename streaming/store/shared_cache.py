"""The cache of all workers in Redis, and the locks by which one worker makes each payload.

Redis is a help, never a need. Its answers are waited for only so long; after several late or failed
answers in a row it is not used for a while, and then tried again with one request. `stats()` counts
each of these, by reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from ..redis.clients import REDIS_ERRORS, RedisClients

Answer = TypeVar("Answer")

ANSWER_SECONDS = 0.025
"""A local server answers in 0.2 ms; making a segment takes 1 to 30 ms. A cache that takes longer
than this is slower than none, so a later answer counts as a failure even when it is used."""

LATE_ANSWER_SECONDS = 0.25
"""How long an answer is waited for at all. One late answer is better than a piece made twice."""

GRACE_TURNS = 10
"""Turns in which the event loop may deliver an answer that has arrived already, so that the loop's
own delay does not count as a failure of Redis."""

FAILURES_TO_OPEN = 3
RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 5.0
"""How long a server that failed is not used: doubling while it goes on failing."""

FULL_SECONDS = 1.0
"""How long nothing is written to a server that answered that it is full. Reading goes on."""

EXPIRY_SECONDS = 3600
LOCK_MILLISECONDS = 1_000
"""Longer than any one piece takes to make, so that a lock outlives its maker only by a crash, or by
an offer that Redis did not take."""

BUILD_WAIT_SECONDS = 0.2
"""How long another worker's piece is waited for before it is made here as well. Less than the
shortest lead, so that no buffer runs dry behind a maker that has died; making a piece twice costs a
thread some milliseconds."""

POLL_SECONDS, MAX_POLL_SECONDS = 0.002, 0.02

_CLAIM = """
local value = redis.call('GET', KEYS[1])
if value then return value end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""
"""The value, or 1 if the lock is ours now, or 0 if another worker has it: one request instead of
three, and nothing can happen between them."""

_UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Unavailable(Exception):
    """Redis did not answer in time, failed, or is not used after failures: go on without it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of `SharedCache.claim`.

    Attributes:
        key: that was claimed.
        value: if it was there or another worker has made it; None if the caller is to make it.
        token: of the lock that the caller holds, "" if it holds none.
        shared: whether to `offer` the value once it is made.
    """

    key: str
    value: bytes | None = None
    token: str = ""
    shared: bool = False


class SharedCache:
    """Byte strings in Redis, by key, for all workers. Belongs to one event loop."""

    def __init__(
        self,
        clients: RedisClients,
        *,
        prefix: str = "replay:frames:",
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a cache; it connects when it is first used.

        Args:
            clients: of the Redis that all workers share.
            prefix: of all keys.
            answer_seconds: after which an answer counts as late.
            clock: monotonic seconds.
        """
        self._prefix = prefix
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._client = clients.for_loop()
        self._failures = 0
        self._retry_after = RETRY_SECONDS
        self._closed_until = 0.0
        self._full_until = 0.0
        self._probing = False
        self._proven = False
        self._pending: set[asyncio.Future[Any]] = set()
        self.counts: Counter[str] = Counter()

    @property
    def is_available(self) -> bool:
        """Whether the next request would be sent."""
        return self._clock() >= self._closed_until

    async def get(self, key: str) -> bytes | None:
        """The value, or None if there is none. Raises: Unavailable."""
        value = await self._ask(
            # Without decode_responses the answer is bytes; the client's types say "or str".
            lambda client: cast(Awaitable[bytes | None], client.get(self._prefix + key))
        )
        self.counts["misses" if value is None else "hits"] += 1
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` for an hour, if Redis is there and has room; failing is only counted."""
        if self._clock() < self._full_until:
            self.counts["skipped_full"] += 1
            return
        with contextlib.suppress(Unavailable):
            await self._ask(lambda client: client.set(self._prefix + key, value, ex=EXPIRY_SECONDS))
            self.counts["stored"] += 1

    async def claim(self, key: str) -> Claim:
        """Get the value of `key`, or the right to make it.

        Waits at most `BUILD_WAIT_SECONDS` while another worker makes it; without Redis the caller
        may make it at once.

        Returns:
            A claim; if its value is None, it must be ended with `offer` or `release`.
        """
        try:
            return await self._take_or_wait(key)
        except Unavailable:
            self.counts["unshared"] += 1
            return Claim(key)

    def offer(self, claim: Claim, value: bytes) -> None:
        """Store a value that was made and end the claim, in the background."""
        if claim.shared:
            self._in_background(self._offer(claim, value))

    def release(self, claim: Claim) -> None:
        """End a claim whose value could not be made, in the background; another worker may try."""
        if claim.token:
            self._in_background(self._unlock(claim))

    async def _offer(self, claim: Claim, value: bytes) -> None:
        if self._clock() < self._full_until:
            self.counts["skipped_full"] += 1
            await self._unlock(claim)
            return
        lock = self._lock_name(claim.key)

        async def put_and_unlock(client: Redis) -> Any:
            both = client.pipeline(transaction=False)
            both.set(self._prefix + claim.key, value, ex=EXPIRY_SECONDS)
            both.eval(_UNLOCK, 1, lock, claim.token)
            # The second is carried out even if there is no room for the first.
            return await both.execute()

        with contextlib.suppress(Unavailable):
            await self._ask(put_and_unlock)
            self.counts["stored"] += 1

    async def _unlock(self, claim: Claim) -> None:
        lock = self._lock_name(claim.key)
        with contextlib.suppress(Unavailable):
            await self._ask(
                lambda client: cast(Awaitable[int], client.eval(_UNLOCK, 1, lock, claim.token))
            )

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._answered)

    def _lock_name(self, key: str) -> str:
        return f"{self._prefix}{key}:lock"

    async def _take_or_wait(self, key: str) -> Claim:
        """The value, or the lock, or the value once another worker has made it.

        Raises: Unavailable.
        """
        if self._clock() < self._full_until:
            # Redis is full: it has no room for a lock.
            value = await self.get(key)
            self.counts["unshared"] += value is None
            return Claim(key, value)
        lock, token = self._lock_name(key), secrets.token_hex(8)
        deadline = self._clock() + BUILD_WAIT_SECONDS
        pause = POLL_SECONDS
        waited = False
        while True:
            answer = await self._ask(
                lambda client: cast(
                    Awaitable[bytes | int],
                    client.eval(_CLAIM, 2, self._prefix + key, lock, token, str(LOCK_MILLISECONDS)),
                )
            )
            if isinstance(answer, bytes):
                self.counts["hits"] += 1
                return Claim(key, answer)
            if not waited:
                self.counts["misses"] += 1
            if answer == 1:
                return Claim(key, token=token, shared=True)
            if not waited:
                self.counts["waited_for_others"] += 1
                waited = True
            if self._clock() > deadline:
                self.counts["gave_up_waiting"] += 1
                return Claim(key)
            await asyncio.sleep(pause)
            pause = min(MAX_POLL_SECONDS, pause * 1.5)

    async def _ask(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Send a request, wait at most `answer_seconds`, count the result. Raises: Unavailable."""
        if not self.is_available or self._probing:
            self.counts["skipped"] += 1
            raise Unavailable("Redis is being left alone after failures")
        # After a pause one request is tried; the others go without until it is answered.
        self._probing = self._failures >= FAILURES_TO_OPEN
        answer: asyncio.Future[Answer] = asyncio.ensure_future(question(self._client))
        # A late answer is not cancelled: that would cost the connection, and with it the next one.
        self._pending.add(answer)
        answer.add_done_callback(self._answered)
        try:
            if slow := not await self._answered_in_time(answer):
                self._failed("slow")
                await asyncio.wait({answer}, timeout=LATE_ANSWER_SECONDS)
                if not answer.done():
                    raise Unavailable(f"no answer in {LATE_ANSWER_SECONDS * 1000:.0f} ms")
            try:
                result = answer.result()
            except REDIS_ERRORS as error:
                # From a script, older servers wrap it in an error of their own.
                if isinstance(error, OutOfMemoryError) or "OOM command" in str(error):
                    self._full_until = self._clock() + FULL_SECONDS
                    self.counts["refused_full"] += 1
                    raise Unavailable(str(error)) from error
                self._failed("refused" if isinstance(error, ResponseError) else "down")
                raise Unavailable(str(error)) from error
            if not slow:
                self._failures = 0
                self._retry_after = RETRY_SECONDS
            return result
        finally:
            self._probing = False

    async def _answered_in_time(self, answer: asyncio.Future[Any]) -> bool:
        # The first answer of all includes connecting, and Python's first use of much code.
        longest = max(self._answer_seconds, LATE_ANSWER_SECONDS)
        answer_seconds = self._answer_seconds if self._proven else longest
        await asyncio.wait({answer}, timeout=answer_seconds)
        self._proven = True
        for _ in range(GRACE_TURNS):
            if answer.done():
                break
            await asyncio.sleep(0)
        return answer.done()

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        self._pending.discard(answer)
        if not answer.cancelled():
            # Read it, so that a late failure is not logged as never retrieved.
            answer.exception()

    def _failed(self, reason: str) -> None:
        self.counts[reason] += 1
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._closed_until = self._clock() + self._retry_after
            self._retry_after = min(MAX_RETRY_SECONDS, self._retry_after * 2)

    def stats(self) -> dict[str, Any]:
        """Counters and whether Redis is in use, for metrics and the admin."""
        return {
            "available": self.is_available,
            "full": self._clock() < self._full_until,
            **self.counts,
        }

    def close(self) -> None:
        """Wait for no answer any more."""
        for answer in list(self._pending):
            answer.cancel()
