"""Live sessions: from `publish` to what a viewer sees, what viewers cost, and kills.

Producer and viewers are in this process, so one clock times both ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import struct
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from streaming import live
from streaming.live.log import FOLDER
from streaming.playback.protocol import SUBPROTOCOL

from .figures import Figure, percentile
from .live_writer import kill_once, read
from .processes import RESULTS, Service, cpu_seconds, serving

RATE = 25.0
ENTITIES = 20
OWN_GOAL, OTHER_GOAL = 60.0, 150.0
FIELDS = ("x", "y", "speed", "gear", "throttle", "brake", "lap", "position")
TOKEN = "benchmark"
_HEADER = struct.Struct(">BBBIBIBI")
SECONDS, QUICK_SECONDS = 60.0, 6.0


def run(quick: bool) -> Iterator[Figure]:
    yield from _writer_kills(100 if quick else 1_000)
    seconds = QUICK_SECONDS if quick else SECONDS
    data = RESULTS / "live"
    data.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=data) as folder,
        serving(Path(folder), workers=2, API_TOKENS=TOKEN, HANDSHAKES_PER_SECOND="0") as service,
    ):
        yield from asyncio.run(_latency(service, Path(folder), 40 if quick else 100, seconds))
        yield from _worker_kills(service, Path(folder), 3 if quick else 20)


def _writer_kills(kills: int) -> Iterator[Figure]:
    """Kill -9 of the process that writes the log."""
    chance, wrong, begun = random.Random(1), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(kills):
            acknowledged = kill_once(Path(folder), chance)
            state, _, numbers = read(Path(folder))
            lost = state.next_frame <= acknowledged
            wrong += lost or numbers != list(range(state.next_frame))
    yield Figure(
        "live", "kills of the writer: frames lost, twice, out of order", wrong, "",
        kills, time.monotonic() - begun, goal="0", met=wrong == 0,
    )  # fmt: skip


def _payload(number: int) -> dict[str, Any]:
    return {
        "entities": {
            f"C{i:02}": dict.fromkeys(FIELDS, number * (i + 1) % 10000) for i in range(ENTITIES)
        }
    }


def _producer(service: Service, slug: str) -> live.Producer:
    return live.open(
        slug,
        url=service.url,
        token=TOKEN,
        frame_rate=RATE,
        fields=[{"name": name, "kind": "linear"} for name in FIELDS],
        entities=[{"code": f"C{i:02}"} for i in range(ENTITIES)],
    )


async def _latency(service: Service, folder: Path, viewers: int, seconds: float) -> list[Figure]:
    producer = await asyncio.to_thread(_producer, service, "latency")
    published: dict[int, float] = {}
    own = _writing_worker(service.workers, folder)
    seen: dict[bool, list[float]] = {True: [], False: []}
    stop = asyncio.Event()

    async def publish() -> None:
        begun, number = time.monotonic(), 0
        while not stop.is_set():
            published[number] = time.monotonic()
            producer.publish(_payload(number), frame=number)
            number += 1
            await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))

    publishing = asyncio.create_task(publish())
    async with contextlib.AsyncExitStack() as stack:
        watching = []
        for _ in range(viewers):
            socket = await stack.enter_async_context(
                connect(
                    service.websocket("/ws/sessions/latency/"),
                    subprotocols=[Subprotocol(SUBPROTOCOL)],
                    max_size=None,
                )
            )
            port = socket.transport.get_extra_info("sockname")[1]
            here = any(
                c.raddr and c.raddr.port == port for c in psutil.Process(own).net_connections()
            )
            watching.append(asyncio.create_task(_watch(socket, published, seen[here])))
        await asyncio.sleep(2.0)
        for times in seen.values():
            times.clear()
        cpu = cpu_seconds(service.workers)
        await asyncio.sleep(seconds)
        cpu = (cpu_seconds(service.workers) - cpu) / seconds
        stop.set()
        await publishing
        for task in watching:
            task.cancel()
    await asyncio.to_thread(producer.close)
    figures = []
    for here, goal in ((True, OWN_GOAL), (False, OTHER_GOAL)):
        where = "own worker" if here else "other worker"
        for percent in (50, 99):
            value = percentile(seen[here], percent) * 1000
            met = value <= goal if percent == 99 else None
            goal_text = f"≤ {goal:g}" if percent == 99 else ""
            what = f"published → seen, {where}, p{percent}"
            found = len(seen[here])
            figures.append(
                Figure("live", what, value, "ms", found, seconds, goal=goal_text, met=met)
            )
    share = 100 * cpu / viewers
    figures.append(
        Figure("live", f"CPU a viewer at the edge, {viewers} of them", share, "%", viewers, seconds)
    )
    return figures


async def _watch(socket: ClientConnection, published: dict[int, float], seen: list[float]) -> None:
    """One viewer of rows at the edge."""
    await socket.send(json.dumps({"action": "hello", "encoding": "rows", "window": 8}))
    await socket.send(json.dumps({"action": "live"}))
    async for message in socket:
        if isinstance(message, str):
            continue
        now = time.monotonic()
        *_, seq, _, frame = _HEADER.unpack_from(message)
        if frame in published:
            seen.append(now - published[frame])
        if seq % 4 == 0:
            await socket.send(json.dumps({"action": "ack", "seq": seq}))


def _writing_worker(workers: list[int], folder: Path) -> int:
    """The process that has the log open. Raises: LookupError."""
    for pid in workers:
        for name in psutil.Process(pid).open_files():
            if f"{FOLDER}/" in name.path and name.path.startswith(str(folder)):
                return pid
    raise LookupError("no worker writes a live session")


def _workers_of(service: Service) -> list[int]:
    """Those that run now: killed ones are replaced."""
    supervisor = psutil.Process(service.others[0])
    return [p.pid for p in supervisor.children(recursive=True) if "worker" in p.cmdline()]


def _worker_kills(service: Service, folder: Path, kills: int) -> Iterator[Figure]:
    """Kill -9 of the worker that writes, while a producer publishes; nothing acknowledged may be
    missing in the recording."""
    producer, chance, begun = _producer(service, "kills"), random.Random(2), time.monotonic()
    number = killed = 0
    pauses: list[float] = []
    next_kill = time.monotonic() + 1.0
    while killed < kills:
        producer.publish(_payload(number), frame=number)
        number += 1
        time.sleep(1 / RATE)
        if time.monotonic() > next_kill and producer.acknowledged >= 0:
            with contextlib.suppress(LookupError, psutil.NoSuchProcess):
                pid = _writing_worker(_workers_of(service), folder)
                before = producer.acknowledged
                psutil.Process(pid).send_signal(signal.SIGKILL)
                killed += 1
                at = time.monotonic()
                while producer.acknowledged <= before + 1 and time.monotonic() < at + 30:
                    producer.publish(_payload(number), frame=number)
                    number += 1
                    time.sleep(1 / RATE)
                pauses.append(time.monotonic() - at)
            next_kill = time.monotonic() + chance.uniform(0.5, 2.0)
    acknowledged = producer.acknowledged
    producer.close()
    wrong = _missing(service, "kills", acknowledged)
    seconds = time.monotonic() - begun
    yield Figure(
        "live", "kills of the writing worker: acknowledged frames not recorded", wrong, "",
        kills, seconds, goal="0", met=wrong == 0,
    )  # fmt: skip
    yield Figure(
        "live", "kill of the writing worker → acknowledged again, longest", max(pauses), "s",
        kills, seconds, spread=f"p50 {percentile(pauses, 50):.2g}",
    )  # fmt: skip


def _missing(service: Service, slug: str, last: int) -> int:
    """Frames up to `last` that are not in the recording as they were published."""
    while True:
        with urllib.request.urlopen(f"{service.url}/api/sessions/{slug}") as answer:
            if json.load(answer)["state"] == "ready":
                break
        time.sleep(0.2)
    wrong = 0
    for start in range(0, last + 1, 1000):
        stop = min(start + 1000, last + 1)
        address = f"{service.url}/api/sessions/{slug}/frames?from={start}&to={stop}"
        with urllib.request.urlopen(address) as answer:
            rows = json.load(answer)["frames"]
        for row in rows:
            expected = _payload(row["frame_index"])["entities"]["C03"]["x"]
            found = row.get("entities", {}).get("C03", {}).get("x")
            wrong += found != expected
        wrong += stop - start - len(rows)
    return wrong
