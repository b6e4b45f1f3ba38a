"""The load generator: many viewers in one process of its own, on picows.

    python -m benchmarks.load '{"mode": "viewers", "url": "ws://…", "count": 1000, …}'

It prints `connected`, then waits for lines on its input: `measure` begins counting, `stop` ends it
and makes it print what it found as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import msgpack
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from .processes import ROOT

FRAME_RATE = 25.0
SUBPROTOCOL = {"Sec-WebSocket-Protocol": "replay.v1"}
CONNECTING_AT_ONCE = 40
HEADER_BYTES = 40
"""More than a data message's numbers take."""

ROW = 2


@dataclass(slots=True)
class Counts:
    """What is counted between `measure` and `stop`. lateness: seconds by which data came after it
    was needed, 0 if before; answers: seconds from a seek (or an echo) to its first data."""

    messages: int = 0
    frames: int = 0
    bytes: int = 0
    late: int = 0
    stale: int = 0
    lost: int = 0
    errors: list[str] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


def read_header(payload: memoryview) -> tuple[int, int, int, int, int, int]:
    """kind, generation, seq, first_frame, frame_count, stride, without unpacking what follows."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(payload[:HEADER_BYTES])
    unpacker.read_array_header()
    unpack = unpacker.unpack
    return unpack(), unpack(), unpack(), unpack(), unpack(), unpack()


class Load:
    """The viewers of one process and what they have counted."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.counts = Counts()
        self.viewers: list[Viewer] = []
        self.random = random.Random(spec.get("seed", 1))
        self.begun = 0.0
        self.playing = asyncio.Event()

    async def run(self) -> None:
        self.loop = asyncio.get_running_loop()
        gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def one() -> None:
            async with gate:
                viewer = VIEWERS[self.spec["mode"]](self)
                self.viewers.append(viewer)
                await ws_connect(
                    lambda: viewer,
                    self.spec["url"],
                    extra_headers=viewer.headers,
                    websocket_handshake_timeout=60,
                    read_buffer_init_size=4096,
                )
                await viewer.started

        await asyncio.gather(*(one() for _ in range(self.spec["count"])))
        print("connected", flush=True)
        reader = asyncio.StreamReader()
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode().strip():
            if line == "measure":
                self.counts = Counts()
                self.begun = time.monotonic()
            elif line == "stop":
                print(json.dumps(self.found()), flush=True)

    def found(self) -> dict[str, Any]:
        counts = self.counts
        progress = [v.progress() for v in self.viewers]
        return {
            "seconds": time.monotonic() - self.begun,
            "viewers": len(self.viewers),
            "messages": counts.messages,
            "frames": counts.frames,
            "bytes": counts.bytes,
            "late": counts.late,
            "stale": counts.stale,
            "lost": counts.lost,
            "errors": counts.errors[:5],
            "lateness": _sample(counts.lateness),
            "answers": _sample(counts.answers),
            "answered": len(counts.answers),
            "starved": sum(p < -1.0 for p in progress),
        }


def _sample(values: list[float], most: int = 20_000) -> list[float]:
    """The values, thinned evenly, with the largest kept."""
    if len(values) <= most:
        return values
    ordered = sorted(values)
    return [*ordered[:: len(ordered) // most + 1], ordered[-1]]


class Viewer(WSListener):
    """Connects, says hello, seeks somewhere, plays, and acknowledges what it gets."""

    headers: dict[str, str] = SUBPROTOCOL

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: WSTransport | None = None
        self.started: asyncio.Future[None] = load.loop.create_future()
        self.first_at: float | None = None
        self.playing_at: float | None = None
        self.schedule = math.inf
        self.first_frame = 0
        self.next_needed = 0.0
        self.generation = 0
        self.confirmed = 0
        self.last_seq = 0
        self.ack_due = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.send({"action": "hello", **self.load.spec.get("hello", {})})

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.load.counts.lost += 1
        if not self.started.done():
            self.started.set_exception(ConnectionError("closed before it played"))

    def send(self, message: dict[str, Any]) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self.load.counts.bytes += frame.payload_size
            self.on_data(frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.TEXT:
            self.on_control(json.loads(frame.get_payload_as_bytes()))

    def on_control(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "welcome":
            self.on_welcome(message)
        elif kind == "state":
            self.confirmed = message["generation"]
            if message["status"] == "playing" and self.playing_at is None:
                self.playing_at = time.monotonic()
        elif kind == "error":
            self.load.counts.errors.append(message["message"])

    def on_welcome(self, message: dict[str, Any]) -> None:
        last = message["session"]["frame_count"] - self.load.spec.get("tail_frames", 2500)
        self.first_frame = self.load.random.randrange(max(1, last))
        self.generation = 1
        self.send({"action": "seek", "frame": self.first_frame, "generation": 1})
        self.send({"action": "play", "speed": self.load.spec.get("speed", 1)})

    def on_data(self, payload: memoryview) -> None:
        now = time.monotonic()
        kind, generation, seq, first, count, stride = read_header(payload)
        counts = self.load.counts
        counts.messages += 1
        counts.frames += count
        if generation < self.confirmed:
            counts.stale += 1
        self.last_seq = seq
        if not self.ack_due:
            # Once for all that came together, as a browser does that reads them in one turn.
            self.ack_due = True
            self.load.loop.call_soon(self.acknowledge)
        if self.first_at is None:
            self.first_at = now
            if not self.started.done():
                self.started.set_result(None)
        # Rows are paced by the server: their schedule is that of the promptest one so far. Segments
        # come ahead: they are needed by the clock that started with play and the first of them.
        since_start = (first - self.first_frame) / FRAME_RATE
        if kind == ROW:
            self.schedule = min(self.schedule, now - since_start)
        else:
            self.schedule = max(self.first_at, self.playing_at or 0.0)
        needed = self.schedule + since_start
        self.next_needed = needed + count * abs(stride) / FRAME_RATE
        lateness = max(0.0, now - needed)
        counts.lateness.append(lateness)
        counts.late += lateness > self.load.spec.get("tolerance", 0.0)

    def acknowledge(self) -> None:
        self.ack_due = False
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send(WSMsgType.TEXT, b'{"action":"ack","seq":%d}' % self.last_seq)

    def progress(self) -> float:
        """Seconds of frames still unplayed; below zero the viewer is without."""
        return self.next_needed - time.monotonic()


class Seeker(Viewer):
    """Seeks somewhere again and again, each time once the first frames are there."""

    asked_at = 0.0

    def on_welcome(self, message: dict[str, Any]) -> None:
        self.last = message["session"]["frame_count"]
        self.send({"action": "play", "speed": 1})
        self.seek()

    def seek(self) -> None:
        self.generation += 1
        frame = self.load.random.randrange(self.last)
        self.asked_at = time.monotonic()
        self.send({"action": "seek", "frame": frame, "generation": self.generation})

    def on_data(self, payload: memoryview) -> None:
        now = time.monotonic()
        _, generation, seq, *_ = read_header(payload)
        counts = self.load.counts
        counts.messages += 1
        if generation < self.confirmed:
            counts.stale += 1
        self.transport.send(WSMsgType.TEXT, b'{"action":"ack","seq":%d}' % seq)  # type: ignore[union-attr]
        if generation == self.generation and self.asked_at:
            counts.answers.append(now - self.asked_at)
            self.asked_at = 0.0
            if not self.started.done():
                self.started.set_result(None)
            self.load.loop.call_later(self.load.spec.get("pause", 0.0), self.seek)

    def progress(self) -> float:
        return 0.0


class Echoer(Viewer):
    """Sends a message as soon as the last one came back."""

    headers: dict[str, str] = {}  # noqa: RUF012

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.started.set_result(None)
        self.message = bytes(self.load.spec.get("size", 2000))
        self.bounce()

    def bounce(self) -> None:
        self.asked_at = time.monotonic()
        self.transport.send(WSMsgType.BINARY, self.message)  # type: ignore[union-attr]

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.load.counts.messages += 1
        self.load.counts.answers.append(time.monotonic() - self.asked_at)
        self.bounce()

    def progress(self) -> float:
        return 0.0


class PlainViewer(Viewer):
    """A front end of the F1 app: no hello, no acknowledgements, rows as they come."""

    headers: dict[str, str] = {}  # noqa: RUF012

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.send({"action": "play", "speed": 1})

    def on_control(self, message: dict[str, Any]) -> None:
        """`loading_complete` and the like: the picture comes by itself."""

    def on_data(self, payload: memoryview) -> None:
        now = time.monotonic()
        counts = self.load.counts
        counts.messages += 1
        counts.frames += 1
        if self.first_at is None:
            self.first_at = now
            if not self.started.done():
                self.started.set_result(None)

    def progress(self) -> float:
        return 0.0


VIEWERS: dict[str, type[Viewer]] = {
    "viewers": Viewer,
    "seek": Seeker,
    "echo": Echoer,
    "plain": PlainViewer,
}


class LoadProcess:
    """A load generator as a child; enter it when the viewers should be there."""

    def __init__(self, **spec: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", json.dumps(spec)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def __enter__(self) -> LoadProcess:
        line = self._out.readline()
        if line.strip() != "connected":
            self._process.kill()
            raise RuntimeError(f"the load generator ended early: {line!r}")
        return self

    def measure(self) -> None:
        self._in.write("measure\n")
        self._in.flush()

    def stop(self) -> dict[str, Any]:
        self._in.write("stop\n")
        self._in.flush()
        result: dict[str, Any] = json.loads(self._out.readline())
        return result

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    asyncio.run(Load(json.loads(sys.argv[1])).run())
