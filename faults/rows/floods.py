"""Clients that ask for too much: what the others notice, and how the flooder ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import percentile
from streaming.client import connect

from ..report import Promise, Seen
from ..service import Service, seconds_until
from ..stage import SLUG, Stage

SEEK_P99_SECONDS = 0.05
PROBES = 5
ENOUGH = 20
"""Seeks timed from the beginning of a flood."""

TEXT, BINARY, CONTINUATION, PING = 0x1, 0x2, 0x0, 0x9
FINAL, MASKED = 0x80, 0x80


@dataclass(frozen=True, slots=True)
class Target:
    """What is flooded, as a process of its own can be told. short: in the short form."""

    port: int
    short: bool

    def seconds(self, long: float, short: float) -> float:
        return short if self.short else long

    def count(self, long: int, short: int) -> int:
        return short if self.short else long


Flood = Callable[[Target], Coroutine[Any, Any, str]]
"""Floods a service. Returns: how it was answered, in words."""


def _run(flood: Flood, target: Target) -> str:
    """In the flooder's process: the audience's clock must not stand still while this one works."""
    return asyncio.run(flood(target))


class RawSocket:
    """A WebSocket without manners: it sends whatever bytes a fault needs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, target: Target, slug: str = SLUG) -> RawSocket:
        """Connected and upgraded. Raises: OSError, RuntimeError if it is refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(
            f"GET /ws/sessions/{slug}/ HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: replay.v1\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer:
            raise RuntimeError(answer.split(b"\r\n")[0].decode())
        return cls(reader, writer)

    def frame(self, opcode: int, payload: bytes, *, final: bool = True) -> None:
        """Write one frame, masked as a client's must be."""
        size = len(payload)
        head = bytes([(FINAL if final else 0) | opcode])
        if size < 126:
            head += bytes([MASKED | size])
        elif size < 1 << 16:
            head += bytes([MASKED | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([MASKED | 127]) + size.to_bytes(8, "big")
        # A mask of zeros leaves the payload as it is, and is as good as any.
        self.writer.write(head + bytes(4) + payload)

    def say(self, action: str, **fields: object) -> None:
        self.frame(TEXT, json.dumps({"action": action, **fields}).encode())

    async def close_code(self, within: float = 20.0) -> int | None:
        """Read to the end; the code of the close frame, 0 for an end without one, None for none."""
        seen = b""
        try:
            async with asyncio.timeout(within):
                while piece := await self.reader.read(65536):
                    seen = (seen + piece)[-300:]
        except TimeoutError:
            return None
        except OSError:
            pass
        at = seen.rfind(b"\x88")
        return int.from_bytes(seen[at + 2 : at + 4], "big") if at >= 0 else 0

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def _probing(service: Service) -> AsyncIterator[list[float]]:
    """Viewers that seek all the time; how long each seek's first data took, in seconds."""
    answers: list[float] = []

    async def probe(number: int) -> None:
        async with connect(service.websocket(SLUG), fields=["x"]) as client:
            place = 1000 * number
            while True:
                place = (place + 1777) % 25_000
                began = time.monotonic()
                await client.seek(frame=place)
                await anext(client)
                answers.append(time.monotonic() - began)
                await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(probe(i)) for i in range(PROBES)]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        answers += [float("inf") for e in ended if isinstance(e, Exception)]


def _row(flood: Flood) -> Callable[[Stage], Awaitable[Seen]]:
    async def run(stage: Stage) -> Seen:
        async with (
            stage.service() as service,
            stage.watched(service, segments=20, rows=4) as people,
            _probing(service) as quiet,
        ):
            await asyncio.sleep(2)
            before = percentile([*quiet], 99)
            memory = service.memory()
            quiet.clear()
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
                target = Target(service.port, stage.short)
                loop = asyncio.get_running_loop()
                told = await loop.run_in_executor(other, _run, flood, target)

            async def enough() -> bool:
                return len(quiet) >= ENOUGH

            # A flood that is refused at once is over before anybody has sought.
            await seconds_until(enough, 10)
            p99 = percentile(quiet or [float("inf")], 99)
            grown = (service.memory() - memory) / 1e6
            seen = await stage.after(people, service.ready)
            seen.told = f"{told}; seek p99 {1000 * p99:.0f} ms ({1000 * before:.0f} before)"
            if p99 > SEEK_P99_SECONDS + before:
                seen.broken.append(f"seek p99 {1000 * p99:.0f} ms")
            if grown > 100:
                seen.broken.append(f"{grown:.0f} MB of memory kept")
            return seen

    return run


async def _commands(target: Target) -> str:
    """Seeks as fast as the socket takes them."""
    flooder = await RawSocket.open(target)
    flooder.say("hello")
    with contextlib.suppress(OSError):
        for i in range(target.count(20_000, 5_000)):
            flooder.say("seek", frame=i)
            if i % 100 == 0:
                await flooder.writer.drain()
    code = await flooder.close_code()
    flooder.close()
    return f"flooder closed with {code}"


async def _pings(target: Target) -> str:
    flooder = await RawSocket.open(target)
    flooder.say("hello")
    with contextlib.suppress(OSError):
        for i in range(target.count(200_000, 20_000)):
            flooder.frame(PING, b"x")
            if i % 200 == 0:
                await flooder.writer.drain()
    code = await flooder.close_code()
    flooder.close()
    return f"flooder closed with {code}"


async def _fragments(target: Target) -> str:
    """A message that never ends, and one that is too large."""
    flooder = await RawSocket.open(target)
    flooder.frame(TEXT, b"{", final=False)
    with contextlib.suppress(OSError):
        for i in range(target.count(200_000, 20_000)):
            flooder.frame(CONTINUATION, b" ", final=False)
            if i % 200 == 0:
                await flooder.writer.drain()
    fragments = await flooder.close_code()
    flooder.close()
    giant = await RawSocket.open(target)
    with contextlib.suppress(OSError):
        giant.frame(TEXT, b" " * 50_000_000)
        await giant.writer.drain()
    code = await giant.close_code()
    giant.close()
    return f"fragments closed with {fragments}, 50 MB with {code}"


async def _handshakes(target: Target) -> str:
    """All at once; each says hello and goes."""
    count = target.count(10_000, 1_000)
    refused = 0

    async def one() -> None:
        nonlocal refused
        try:
            async with asyncio.timeout(60):
                client = await RawSocket.open(target)
                client.say("hello")
                await client.reader.read(100)
                client.close()
        except (OSError, RuntimeError, asyncio.IncompleteReadError, TimeoutError):
            refused += 1

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(count)))
    return f"{count - refused} of {count} served in {time.monotonic() - began:.1f} s"


async def _trickle(target: Target) -> str:
    """Handshakes that send a byte a second and never end."""
    count = target.count(1_000, 200)
    clients = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", target.port) for _ in range(count))
    )
    request = b"GET /ws/sessions/bench/ HTTP/1.1\r\nX-Slow: "
    began = time.monotonic()
    open_ = dict(enumerate(clients))

    async def until_closed(number: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                continue
        open_.pop(number, None)

    waits = [asyncio.create_task(until_closed(i, r)) for i, (r, _) in enumerate(clients)]
    for at in range(25):
        for _, writer in [*open_.values()]:
            with contextlib.suppress(OSError):
                writer.write(request[at : at + 1] or b"x")
        await asyncio.sleep(1)
        if not open_:
            break
    took = time.monotonic() - began
    left = len(open_)
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    for _, writer in clients:
        writer.transport.abort()
    if left:
        raise RuntimeError(f"{left} of {count} trickling handshakes were still open after 25 s")
    return f"{count} closed after at most {took:.0f} s"


async def _body(target: Target) -> str:
    """A POST of a gigabyte by nobody in particular, again and again."""
    until = time.monotonic() + target.seconds(10, 3)
    number = 0
    while time.monotonic() < until:
        said = await _post(target)
        number += 1
    return f"{number} answered: {said}"


async def _post(target: Target) -> str:
    size = target.count(1_000_000_000, 100_000_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    head = f"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
    writer.write(f"{head}Content-Length: {size}\r\n\r\n".encode())
    sent = 0
    piece = bytes(1 << 20)
    # What is sent after the answer is thrown away, and may cost the answer: it is read at once.
    answer = asyncio.create_task(reader.readline())
    with contextlib.suppress(OSError):
        while sent < size and not answer.done():
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 10)
            sent += len(piece)
    try:
        said = (await asyncio.wait_for(answer, 10)).decode().strip()
    finally:
        writer.transport.abort()
    if " 413 " not in said:
        raise RuntimeError(f"{size / 1e6:.0f} MB were answered “{said}”")
    return f"{said} after {sent / 1e6:.0f} MB"


async def _room(target: Target) -> str:
    """A room of a thousand, one of whom seeks as often as it may."""
    members = []
    for _ in range(target.count(1_000, 200)):
        member = await RawSocket.open(target)
        member.say("hello", fields=["x"], window=32)
        member.say("join", room="crowd")
        members.append(member)
    drains = [asyncio.create_task(m.close_code(within=120)) for m in members]
    flooder = members[0]
    until = time.monotonic() + target.seconds(20, 5)
    number = 0
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            number += 1
            flooder.say("seek", frame=int.from_bytes(os.urandom(2), "big") % 20_000)
            await flooder.writer.drain()
            await asyncio.sleep(1 / 150)
    for task in drains:
        task.cancel()
    await asyncio.gather(*drains, return_exceptions=True)
    for member in members:
        member.close()
    return f"{number} seeks for {len(members)} members"


async def _joins(target: Target) -> str:
    """Joins and leaves of rooms with names made up, as fast as they may."""
    flooders = [await RawSocket.open(target) for _ in range(10)]
    until = time.monotonic() + target.seconds(20, 5)
    number = 0
    for flooder in flooders:
        flooder.say("hello", fields=["x"])
    while time.monotonic() < until:
        for flooder in flooders:
            with contextlib.suppress(OSError):
                flooder.say("join", room=f"r{number}")
                flooder.say("leave")
            number += 1
        await asyncio.sleep(0.02)
    for flooder in flooders:
        flooder.close()
    return f"{number} joins and leaves"


ROWS = {
    "flood of commands": (_row(_commands), Promise(still_rows=0.2)),
    "flood of pings": (_row(_pings), Promise(still_rows=0.2)),
    "endless fragments, giant messages": (_row(_fragments), Promise(still_rows=0.2)),
    "10,000 handshakes at once": (_row(_handshakes), Promise(still_rows=1.0)),
    "1,000 trickling handshakes": (_row(_trickle), Promise(still_rows=0.2)),
    "1 GB posted by nobody": (_row(_body), Promise(still_rows=0.2)),
    "room of 1,000, one floods": (_row(_room), Promise(still_rows=0.5)),
    "flood of joins": (_row(_joins), Promise(still_rows=0.2)),
}
