"""Our server with an application that only echoes: what a message costs at the least."""

from __future__ import annotations

from typing import Any

from streaming.server.daphne import run_server


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI: every message comes back."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


if __name__ == "__main__":
    run_server(
        application,
        on_listening=lambda port: print(f"listening http://127.0.0.1:{port}", flush=True),
    )
