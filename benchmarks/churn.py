"""Ten thousand connections that come and go: what stays of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from .figures import Figure
from .load import SUBPROTOCOL
from .processes import cpu_seconds, race_data, resident_bytes, serving

AT_ONCE = 20


class Visitor(WSListener):
    """Connects, says hello and play, leaves with the first data."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, json.dumps({"action": "hello"}).encode())
        transport.send(WSMsgType.TEXT, json.dumps({"action": "play"}).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            transport.disconnect()


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20)
    cycles = 2_000 if quick else 10_000
    with serving(data) as service:
        url = service.websocket("/ws/sessions/bench/")
        asyncio.run(_visit(url, 1000))
        time.sleep(2)
        before = resident_bytes(service.workers)
        cpu = cpu_seconds(service.workers)
        begun = time.monotonic()
        asyncio.run(_visit(url, cycles))
        seconds = time.monotonic() - begun
        cpu = cpu_seconds(service.workers) - cpu
        time.sleep(2)
        growth = resident_bytes(service.workers) - before
    yield Figure(
        "churn",
        "memory that stays after the cycles",
        growth / 1e6,
        "MB",
        cycles,
        seconds,
        spread=f"{growth / cycles:.0f} B a cycle",
    )
    yield Figure("churn", "connections", cycles / seconds, "1/s", cycles, seconds)
    yield Figure("churn", "CPU a connection", 1000 * cpu / cycles, "ms", cycles, seconds)


async def _visit(url: str, cycles: int) -> None:
    remaining = iter(range(cycles))

    async def visit() -> None:
        for _ in remaining:
            transport, _listener = await ws_connect(
                Visitor, url, extra_headers=SUBPROTOCOL, websocket_handshake_timeout=30
            )
            await transport.wait_disconnected()

    await asyncio.gather(*(visit() for _ in range(AT_ONCE)))
