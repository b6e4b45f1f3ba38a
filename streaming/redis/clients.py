"""All of a process's clients of Redis, with one policy for "Redis is away".

Redis is a help, never a need: without it viewers are served, by this worker alone. So nothing waits
for it for long. A server that refuses fails at once, one that does not answer after
`ANSWER_SECONDS`; the caller gets one exception, `RedisAway`, and goes on without. The failure is
counted, and logged once until Redis answers again.

Many questions at once are no failure. Each client has a bounded pool of connections, and a question
waits for a free one: a thousand viewers that come back together take turns.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
import redis.asyncio
from redis.exceptions import RedisError

from ..redaction import shown

logger = logging.getLogger("streaming.redis")

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 1.0
"""A server on the same machine answers in 0.2 ms, one in the same data centre in 1 ms."""

POOL = 16
"""Connections of one client. An answer costs this process more than the server, so more of them at
once make none quicker; but opening a hundred in one instant has taken longer than `CONNECT_SECONDS`
on a busy machine, and all that waited for them failed."""

TURN_SECONDS = 10.0
"""How long a question waits for a free connection. A thousand have had their turn in a tenth of a
second; what waits so long waits for a server that does not answer."""

REMIND_SECONDS = 60.0
"""Between two log lines about the same failure while it lasts."""

REDIS_ERRORS = (RedisError, OSError)
"""How a client of Redis fails, ours and those of libraries (the channel layer)."""


class RedisAway(ConnectionError):
    """Redis cannot be reached, did not answer in time, or refused: do without."""


class RedisClients:
    """Opens clients of one server and closes them; counts and logs when it is away.

    The clients of `for_loop` belong to one event loop. Nothing is connected before it is used.

    Attributes:
        address: the server's URL without user and password, for messages.
        failures: how often Redis was away, by what was wanted of it.
    """

    def __init__(
        self,
        url: str,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        pool: int = POOL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            url: redis://…, rediss://… or unix://….
            answer_seconds: how long an answer is waited for.
            turn_seconds: how long a question waits for one of the connections.
            pool: connections of each client.
            clock: monotonic seconds.
        """
        self.address = shown(url)
        self.failures: Counter[str] = Counter()
        self._url = url
        self._answer_seconds = answer_seconds
        self._turn_seconds = turn_seconds
        self._pool = pool
        self._clock = clock
        self._remind_at: dict[str, float] = {}
        self._of_loop: list[redis.asyncio.Redis] = []
        self._of_threads: list[redis.Redis] = []

    def for_loop(self) -> redis.asyncio.Redis:
        """A client with a pool of its own, for the event loop.

        Use it inside `asking`, which turns its errors into `RedisAway`.
        """
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._pool,
            timeout=self._turn_seconds,
            socket_timeout=self._answer_seconds,
            socket_connect_timeout=max(CONNECT_SECONDS, self._answer_seconds),
            # Telling the server our library's version costs two questions and 5 ms each time.
            driver_info=None,
        )
        client = redis.asyncio.Redis.from_pool(pool)
        self._of_loop.append(client)
        return client

    def for_threads(self, answer_seconds: float | None = None) -> redis.Redis:
        """A client with a pool of its own, for threads; it blocks.

        Args:
            answer_seconds: of a client that asks for what takes longer (a blocking pop).
        """
        seconds = self._answer_seconds if answer_seconds is None else answer_seconds
        pool = redis.BlockingConnectionPool.from_url(
            self._url,
            max_connections=self._pool,
            timeout=self._turn_seconds,
            socket_timeout=seconds,
            socket_connect_timeout=max(CONNECT_SECONDS, self._answer_seconds),
            driver_info=None,
        )
        client = redis.Redis.from_pool(pool)
        self._of_threads.append(client)
        return client

    @contextmanager
    def asking(self, otherwise: str) -> Iterator[None]:
        """Ask Redis inside of this.

        Args:
            otherwise: what is the case if it does not answer, as the log tells the operator:
                "rooms are shared by this worker only".

        Raises:
            RedisAway: if the client fails; it is counted and logged by then.
        """
        try:
            yield
        except REDIS_ERRORS as error:
            away = RedisAway(f"Redis at {self.address}: {error}")
            self.failed(otherwise, away)
            raise away from error
        if otherwise in self._remind_at:
            del self._remind_at[otherwise]
            logger.info("Redis at %s answers again (%s)", self.address, otherwise)

    def failed(self, otherwise: str, error: Exception) -> None:
        """Count a failure and log it, unless the same was logged within `REMIND_SECONDS`."""
        self.failures[otherwise] += 1
        now = self._clock()
        if now >= self._remind_at.get(otherwise, now):
            self._remind_at[otherwise] = now + REMIND_SECONDS
            logger.warning("%s: %s", otherwise, error)

    async def close(self) -> None:
        """Close every client that was opened. What is still asked fails."""
        of_loop, self._of_loop = self._of_loop, []
        of_threads, self._of_threads = self._of_threads, []
        for client in of_threads:
            client.close()
        for client_of_loop in of_loop:
            await client_of_loop.aclose(close_connection_pool=True)
