"""A small ASGI application for tests of the server: `python -m tests.flow_app`.

It prints `listening PORT`. Paths: /echo · /flood sends 2 kB messages without end · /deaf accepts
and does not receive until /listen is asked for · /later is /echo that accepts only then ·
/return and /raise end at the first message.
POST to any path answers with how many bytes of body came; /upload takes 100 MB, streamed, and
/upload/refused answers 403 without receiving. GET /resources answers with the
process's resident bytes and its CPU seconds.
GET /garbage answers with the types that only the garbage collector found since the last time.
GET /late answers a little after the server has seen its viewers off.
GET /blocked answers once no flood has made progress for half a second, though the event loop went
on turning, with what was sent, whether the transport said so, and the process's resident memory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streaming.server.daphne import run_server
from streaming.server.limits import BodyRule, Limits

STALLED_SECONDS = 0.5
FAIR_TURNS = 100
MESSAGE = bytes(2000)


class FlowApplication:
    """State of one process."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.events: list[str] = []
        self.progress: asyncio.Event | None = None
        self.listen: asyncio.Event | None = None
        self.drained = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.progress = self.progress or asyncio.Event()
        self.listen = self.listen or asyncio.Event()
        if scope["type"] == "http":
            if scope["method"] == "POST":
                await self.take(scope["path"], receive, send)
            else:
                await self.answer(scope["path"], send)
        elif scope["type"] == "websocket":
            await receive()
            if transport := scope.get("extensions", {}).get("replay.transport"):
                transport.set_listener(self.events.append)
            if scope["path"] == "/later":
                await self.listen.wait()
            await send({"type": "websocket.accept", "subprotocol": None})
            await getattr(self, scope["path"].strip("/"))(receive, send)

    async def take(self, path: str, receive: Any, send: Any) -> None:
        taken, more, status = 0, True, 200
        if path == "/upload/refused":
            more, status = False, 403
        while more:
            part = await receive()
            taken += len(part.get("body", b""))
            more = part.get("more_body", False)
            self.received += 1
        body = json.dumps(taken).encode()
        head = {"type": "http.response.start", "status": status}
        await send({**head, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def answer(self, path: str, send: Any) -> None:
        body: object = None
        if path == "/blocked":
            await self.until_blocked()
            body = {
                "sent": self.sent,
                "received": self.received,
                "events": self.events,
                "resident": resident_bytes(),
            }
        elif path == "/resources":
            body = {"resident": resident_bytes(), "cpu": time.process_time()}
        elif path == "/garbage":
            body = garbage()
        elif path == "/listen":
            assert self.listen is not None
            self.listen.set()
        elif path == "/late":
            print("asked", flush=True)
            await self.drained.wait()
            for _ in range(FAIR_TURNS):
                await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/endless":
            while True:
                await send({"type": "http.response.body", "body": MESSAGE, "more_body": True})
                self.sent += 1
                self.progress.set()  # type: ignore[union-attr]
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async def until_blocked(self) -> None:
        assert self.progress is not None
        while True:
            self.progress.clear()
            try:
                await asyncio.wait_for(self.progress.wait(), STALLED_SECONDS)
            except TimeoutError:
                # A process that was not run for so long has not been blocked by its clients.
                for _ in range(FAIR_TURNS):
                    await asyncio.sleep(0)
                if not self.progress.is_set():
                    return
            await asyncio.sleep(0)

    async def echo(self, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            content = {k: v for k, v in message.items() if k in ("bytes", "text")}
            if content.get("text") == "close":
                await send({"type": "websocket.close", "code": 4404, "reason": "no such"})
            else:
                await send({"type": "websocket.send", **content})

    later = echo

    async def flood(self, receive: Any, send: Any) -> None:
        reader = asyncio.ensure_future(receive())
        while not reader.done():
            await send({"type": "websocket.send", "bytes": MESSAGE})
            self.sent += 1
            self.progress.set()  # type: ignore[union-attr]
            await asyncio.sleep(0)

    async def deaf(self, receive: Any, send: Any) -> None:
        await self.listen.wait()  # type: ignore[union-attr]
        while (await receive())["type"] == "websocket.receive":
            self.received += 1
            self.progress.set()  # type: ignore[union-attr]

    async def raising(self, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("as the test wants")

    async def returning(self, receive: Any, send: Any) -> None:
        await receive()


def body_rule(_method: str, path: str, _headers: Mapping[bytes, bytes]) -> BodyRule:
    """A limit for everything, and one path that takes more, streamed."""
    return BodyRule(100_000_000, streamed=True) if "upload" in path else BodyRule(1_000_000)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def garbage() -> list[str]:
    """Also starts to keep it, with the first call."""
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    found = sorted({type(thing).__qualname__ for thing in gc.garbage})
    gc.garbage.clear()
    return found


def listening(port: int) -> None:
    print(f"listening {port}", flush=True)


def main() -> None:
    application = FlowApplication()

    async def drain() -> None:
        print("drained", flush=True)
        application.drained.set()

    limits = Limits(body_rule=body_rule)
    run_server(application, on_listening=listening, drain=drain, limits=limits)


if __name__ == "__main__":
    main()
