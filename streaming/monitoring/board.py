"""The board on which workers publish their figures, and on which readers find them.

With Redis, each worker has one hash that expires after five seconds: `worker` (its own figures),
`b0`, `b1`… (rows of connections) and, while its loop stands still, `stalled`. Commands go to one
channel for each worker, answers come back through a list of their own. Without Redis
there is one worker, and the board is its memory.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol

import msgpack
import redis

from ..redaction import redacted
from ..redis.clients import RedisAway, RedisClients
from ..statistics.histogram import Distribution

EXPIRE_S = 5
WATCHED_S = 30
CLOSED_KEPT = 1_000
ANSWER_S = 3.0
_RETRY_S = 1.0
_PREFIX = "replay:callbacks"
_MOST_WORKERS = 1_000


class BoardError(Exception):
    """The board cannot be reached, or a worker did not answer. No password of an address is shown.
    The board cannot be reached, or a worker did not answer. No password of an address is shown."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class Received(NamedTuple):
    """The board's answer to a publication.

    known: whether it still had this worker; otherwise all blocks must be sent. watched: whether a
    reader read connections within the last half minute.
    """

    known: bool
    watched: bool


class Handler(Protocol):
    """What answers a request on a worker: the registry."""

    async def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request; `{"ok": value}` or `{"error": text}`."""


class Board(Protocol):
    """The worker's side. All but `report_stall` run on the event loop."""

    async def publish(
        self, worker_id: str, worker: bytes, blocks: dict[int, bytes], closed: list[bytes]
    ) -> Received:
        """Replace the worker's figures and some blocks of rows, add to the closed connections.

        Args:
            worker_id: of the worker.
            worker: its own figures, msgpack.
            blocks: rows of connections by block number, msgpack.
            closed: final reports of connections, msgpack, newest last.

        Returns:
            Whether the board still had this worker, and whether its rows are read.

        Raises:
            BoardError: the board cannot be reached.
        """

    async def serve(self, worker_id: str, handler: Handler) -> None:
        """Pass requests for this worker to `handler` until cancelled."""

    async def remove(self, worker_id: str) -> None:
        """Take a worker that ends off the board. Raises: BoardError."""

    def report_stall(self, worker_id: str, seconds: float, stack: str) -> None:
        """Keep the worker on the board while its loop stands still. Called in a thread."""

    def report(self) -> dict[str, Any]:
        """Kind, worker number and latency (ns) of the board, plain values."""


class BoardReader(Protocol):
    """The reader's side; blocks, so not for the event loop."""

    def read(self, *, watching: bool) -> dict[str, dict[bytes, bytes]]:
        """Read what all workers have published.

        Args:
            watching: whether workers are to keep their rows fresh for the next half minute.

        Returns:
            By worker id, the fields of its hash: `worker`, `b0`, `b1`…, `stalled`, as msgpack.

        Raises:
            BoardError: the board cannot be reached.
        """

    def closed(self) -> list[bytes]:
        """Final reports, newest first. Raises: BoardError."""

    def ask(self, worker_id: str, request: dict[str, Any]) -> Any:
        """Send a request to a worker and wait for its answer, `ANSWER_S` seconds at most.

        Raises:
            BoardError: no answer came.
            LookupError: the worker answered with an error.
        """


class MemoryBoard:
    """Board and reader of the only worker."""

    def __init__(self) -> None:
        self._fields: dict[str, dict[bytes, bytes]] = {}
        self._expires: dict[str, float] = {}
        self._closed: deque[bytes] = deque(maxlen=CLOSED_KEPT)
        self._serving: dict[str, tuple[asyncio.AbstractEventLoop, Handler]] = {}
        self._watched_until = 0.0
        self._lock = threading.Lock()

    async def publish(
        self, worker_id: str, worker: bytes, blocks: dict[int, bytes], closed: list[bytes]
    ) -> Received:
        """Never fails."""
        with self._lock:
            fields = self._fields.setdefault(worker_id, {})
            fields.pop(b"stalled", None)
            fields[b"worker"] = worker
            fields.update({b"b%d" % number: rows for number, rows in blocks.items()})
            self._expires[worker_id] = time.monotonic() + EXPIRE_S
            self._closed.extendleft(closed)
            return Received(True, time.monotonic() < self._watched_until)

    async def serve(self, worker_id: str, handler: Handler) -> None:
        """Remember the handler and its event loop."""
        self._serving[worker_id] = (asyncio.get_running_loop(), handler)

    async def remove(self, worker_id: str) -> None:
        """Remove the worker's figures and its handler."""
        with self._lock:
            self._fields.pop(worker_id, None)
            self._serving.pop(worker_id, None)

    def report_stall(self, worker_id: str, seconds: float, stack: str) -> None:
        """As with Redis; the page itself answers only when the loop runs again."""
        with self._lock:
            if worker_id in self._fields:
                self._fields[worker_id][b"stalled"] = msgpack.packb([seconds, stack])
                self._expires[worker_id] = time.monotonic() + EXPIRE_S

    def report(self) -> dict[str, Any]:
        """The kind; nothing is sent, so there is no latency."""
        return {"kind": "memory", "number": 1, "latency": None}

    def read(self, *, watching: bool) -> dict[str, dict[bytes, bytes]]:
        """A copy."""
        now_s = time.monotonic()
        with self._lock:
            if watching:
                self._watched_until = now_s + WATCHED_S
            return {w: dict(f) for w, f in self._fields.items() if self._expires[w] > now_s}

    def closed(self) -> list[bytes]:
        """A copy."""
        with self._lock:
            return list(self._closed)

    def ask(self, worker_id: str, request: dict[str, Any]) -> Any:
        """Runs the request on the worker's event loop and waits for it."""
        if worker_id not in self._serving:
            raise BoardError(f"worker {worker_id} is not running")
        loop, handler = self._serving[worker_id]
        future = asyncio.run_coroutine_threadsafe(handler.handle(request), loop)
        try:
            return _value(future.result(ANSWER_S))
        except TimeoutError as error:
            raise BoardError(f"worker {worker_id} did not answer in {ANSWER_S:g} s") from error


class RedisBoard:
    """The worker's side over Redis."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._client = clients.for_loop()
        self._latency = Distribution()
        self._number = 0
        self._for_stalls: redis.Redis | None = None

    async def publish(
        self, worker_id: str, worker: bytes, blocks: dict[int, bytes], closed: list[bytes]
    ) -> Received:
        """One round trip."""
        key = _key(worker_id)
        fields: dict[Any, Any] = {b"b%d" % number: rows for number, rows in blocks.items()}
        fields[b"worker"] = worker
        began_ns = time.perf_counter_ns()
        try:
            with self._clients.asking("statistics are not published"):
                known, watched = await self._replace(key, worker_id, fields, closed)
                self._latency.add(time.perf_counter_ns() - began_ns)
                if not self._number:
                    await self._take_number(worker_id)
        except RedisAway as error:
            raise BoardError(str(error)) from error
        return Received(known, watched)

    async def _replace(
        self, key: str, worker_id: str, fields: dict[Any, Any], closed: list[bytes]
    ) -> tuple[bool, bool]:
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.exists(key)
            pipeline.exists(f"{_PREFIX}:watched")
            pipeline.hset(key, mapping=fields)
            pipeline.hdel(key, "stalled")
            pipeline.expire(key, EXPIRE_S)
            pipeline.sadd(f"{_PREFIX}:workers", worker_id)
            if self._number:
                pipeline.set(f"{_PREFIX}:number:{self._number}", worker_id, ex=EXPIRE_S)
            if closed:
                pipeline.lpush(f"{_PREFIX}:closed", *closed)
                pipeline.ltrim(f"{_PREFIX}:closed", 0, CLOSED_KEPT - 1)
            known, watched, *_ = await pipeline.execute()
        return bool(known), bool(watched)

    async def serve(self, worker_id: str, handler: Handler) -> None:
        """Subscribes again whenever Redis was lost."""
        answering: set[asyncio.Task[None]] = set()
        while True:
            try:
                with self._clients.asking("operator commands cannot be received"):
                    async with self._client.pubsub() as subscription:
                        await subscription.subscribe(_channel(worker_id))
                        while True:
                            message = await subscription.get_message(
                                ignore_subscribe_messages=True, timeout=None
                            )
                            if message is not None:
                                task = asyncio.create_task(self._answer(message["data"], handler))
                                answering.add(task)
                                task.add_done_callback(answering.discard)
            except RedisAway:
                await asyncio.sleep(_RETRY_S)

    async def remove(self, worker_id: str) -> None:
        """Frees the worker's number at once."""
        keys = [_key(worker_id)]
        if self._number:
            keys.append(f"{_PREFIX}:number:{self._number}")
        try:
            with self._clients.asking("this worker is shown until its figures expire"):
                await self._client.delete(*keys)
                await self._client.srem(f"{_PREFIX}:workers", worker_id)
        except RedisAway as error:
            raise BoardError(str(error)) from error

    def report_stall(self, worker_id: str, seconds: float, stack: str) -> None:
        """Over a connection of its own, since the loop's cannot be used."""
        if self._for_stalls is None:
            self._for_stalls = self._clients.for_threads()
        with (
            suppress(RedisAway),
            self._clients.asking("a stall could not be published"),
            self._for_stalls.pipeline(transaction=False) as pipeline,
        ):
            pipeline.hset(_key(worker_id), "stalled", msgpack.packb([seconds, stack]))
            pipeline.expire(_key(worker_id), EXPIRE_S)
            if self._number:
                pipeline.expire(f"{_PREFIX}:number:{self._number}", EXPIRE_S)
            pipeline.execute()

    def report(self) -> dict[str, Any]:
        """Latency of publishing: one round trip with all its data."""
        return {"kind": "redis", "number": self._number, "latency": self._latency.report()}

    async def _take_number(self, worker_id: str) -> None:
        """The lowest number that no living worker has: a name for people and for metrics."""
        await self._remove_dead_workers()
        for number in range(1, _MOST_WORKERS):
            name = f"{_PREFIX}:number:{number}"
            if await self._client.set(name, worker_id, nx=True, ex=EXPIRE_S):
                self._number = number
                return

    async def _remove_dead_workers(self) -> None:
        """Take workers that were killed off the list, which otherwise only readers do."""
        name = f"{_PREFIX}:workers"
        members: set[Any] = await self._client.smembers(name)
        listed = [each.decode() for each in members]
        async with self._client.pipeline(transaction=False) as pipeline:
            for each in listed:
                pipeline.exists(_key(each))
            alive = await pipeline.execute()
        if dead := [each for each, lives in zip(listed, alive, strict=True) if not lives]:
            await self._client.srem(name, *dead)

    async def _answer(self, data: bytes, handler: Handler) -> None:
        message = msgpack.unpackb(data)
        answer = msgpack.packb(await handler.handle(message["request"]))
        with (
            suppress(RedisAway),
            self._clients.asking("an operator's command could not be answered"),
        ):
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.lpush(message["answer"], answer)
                pipeline.expire(message["answer"], EXPIRE_S)
                await pipeline.execute()


class RedisReader:
    """The reader's side over Redis."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._client = clients.for_threads(answer_seconds=ANSWER_S + 1)

    def read(self, *, watching: bool) -> dict[str, dict[bytes, bytes]]:
        """Two round trips; workers whose hash expired are gone, and taken off the list."""
        with self._asking():
            members: set[Any] = self._client.smembers(f"{_PREFIX}:workers")
            names = sorted(member.decode() for member in members)
            with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.hgetall(_key(name))
                if watching:
                    pipeline.set(f"{_PREFIX}:watched", b"1", ex=WATCHED_S)
                found = dict(zip(names, pipeline.execute(), strict=False))
            if dead := [name for name, fields in found.items() if not fields]:
                self._client.srem(f"{_PREFIX}:workers", *dead)
        return {name: fields for name, fields in found.items() if b"worker" in fields}

    def closed(self) -> list[bytes]:
        """One round trip."""
        with self._asking():
            reports: list[Any] = self._client.lrange(f"{_PREFIX}:closed", 0, -1)
        return reports

    def ask(self, worker_id: str, request: dict[str, Any]) -> Any:
        """Publishes the request and waits for the answer."""
        name = f"{_PREFIX}:answer:{uuid.uuid4().hex}"
        message = msgpack.packb({"answer": name, "request": request})
        with self._asking():
            if not self._client.publish(_channel(worker_id), message):
                raise BoardError(f"worker {worker_id} is not running")
            answer = self._client.blpop([name], ANSWER_S)
        if answer is None:
            raise BoardError(f"worker {worker_id} did not answer in {ANSWER_S:g} s")
        return _value(msgpack.unpackb(answer[1], strict_map_key=False))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raises: BoardError if Redis does not answer."""
        try:
            with self._clients.asking("the live figures cannot be read"):
                yield
        except RedisAway as error:
            raise BoardError(str(error)) from error


def _key(worker_id: str) -> str:
    return f"{_PREFIX}:worker:{worker_id}"


def _channel(worker_id: str) -> str:
    return f"{_PREFIX}:commands:{worker_id}"


def _value(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise LookupError(answer["error"])
    return answer["ok"]
