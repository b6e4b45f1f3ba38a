"""The whole service, with trouble on request: `python -m tests.troubled_app`.

It prints `listening URL`. What can be asked of it, beside the service itself:

GET /trouble/block    a handler stops the event loop for 300 ms, or longer than it ever stood still
?trouble=slow-send    on a WebSocket's address: a middleware that takes 2 ms to pass a message on
?trouble=no-data      there: a middleware that fails where data is to be sent
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")

from replayproject.asgi import application as service  # sets Django up
from streaming.server.daphne import run_server

BLOCK_S = 0.3
SLOW_SEND_S = 0.002


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope.get("path", "")
    if path == "/trouble/block":
        # On a busy machine it may have stood still before, and for longer.
        monitor = service.worker.registry.monitor
        longest = monitor and monitor.longest
        block(max(BLOCK_S, 1.5 * longest.duration_ms / 1000 if longest else 0.0))
        await answer(send)
    elif (trouble := SENDING_TROUBLE.get(scope.get("query_string", b""))) is not None:
        # Past the server's own quick way of sending many at once.
        plain = {name: value for name, value in scope.items() if name != "extensions"}
        await service(plain, receive, trouble(send))
    else:
        await service(scope, receive, send)


def block(seconds: float) -> None:
    time.sleep(seconds)


def slowly(send: Any) -> Any:
    async def send_slowly(message: dict[str, Any]) -> None:
        block(SLOW_SEND_S)
        await send(message)

    return send_slowly


def without_data(send: Any) -> Any:
    async def send_texts_only(message: dict[str, Any]) -> None:
        if message.get("bytes") is not None:
            raise ValueError("as the test wants")
        await send(message)

    return send_texts_only


SENDING_TROUBLE = {b"trouble=slow-send": slowly, b"trouble=no-data": without_data}


async def answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"as you wish"})


def listening(port: int) -> None:
    asyncio.get_event_loop().call_soon(service.worker.start)
    print(f"listening http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    run_server(application, on_listening=listening, drain=service.worker.drain)
