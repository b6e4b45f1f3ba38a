"""Clients that never read: what each of them costs the server's memory."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from streaming.server.transport import unmask

from .figures import Figure, percentile
from .load import LoadProcess
from .processes import race_data, resident_bytes, serving

GOAL_KB = 64.0


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20)
    each, seconds = (150, 10) if quick else (500, 60)
    with serving(data) as service:
        url = service.websocket("/ws/sessions/bench/")
        with LoadProcess(mode="viewers", url=url, count=50):
            pass
        before = resident_bytes(service.workers)
        with LoadProcess(mode="seek", url=url, count=10, pause=0.1) as probe:
            segments = [_never_reads(url, "replay.v1", "segments") for _ in range(each)]
            plain = [_never_reads(url, None, "") for _ in range(each)]
            time.sleep(5)
            early = resident_bytes(service.workers)
            probe.measure()
            time.sleep(seconds)
            growth = (resident_bytes(service.workers) - before) / (2 * each)
            later = (resident_bytes(service.workers) - early) / (2 * each)
            found = probe.stop()
        for client in segments + plain:
            client.close()
    yield Figure(
        "stalled",
        "memory a client that never reads",
        growth / 1000,
        "kB",
        2 * each,
        seconds,
        spread=f"of it after the first 5 s: {later / 1000:.1f}",
        goal=f"≤ {GOAL_KB:g}",
        met=growth / 1000 <= GOAL_KB,
    )
    answers = [1000 * a for a in found["answers"]]
    yield Figure(
        "stalled",
        "seek of those that do read, p99",
        percentile(answers, 99),
        "ms",
        len(answers),
        seconds,
        spread=f"p50 {percentile(answers, 50):.2f}",
    )


def _never_reads(url: str, subprotocol: str | None, encoding: str) -> socket.socket:
    """A raw socket that shakes hands, asks for frames as fast as they come, and reads nothing."""
    parts = urlsplit(url)
    client = socket.create_connection((parts.hostname or "", parts.port or 80))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    if subprotocol is not None:
        hello = {"action": "hello", "encoding": encoding, "window": 32, "lead": 60}
        client.sendall(_masked(json.dumps(hello).encode()))
    client.sendall(_masked(b'{"action":"play","speed":1}'))
    return client


def _masked(payload: bytes) -> bytes:
    mask = os.urandom(4)
    return bytes((0x81, 0x80 | len(payload))) + mask + unmask(payload, mask)
