"""The loop that this product replaces, as its own server: the other side of the ratio.

Our own version of what the design describes: every viewer has a loop that waits 10 ms for a
command, then sleeps 1/60 s, advances its clock by 1/60 s, and packs the frame again for itself.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import msgpack
import uvicorn

from sessions_app.recording.file import Recording
from streaming.store.rows import encode_rows

FRAMES = 2500
FRAME_RATE = 25.0


def read_frames(path: Path) -> list[dict[str, Any]]:
    """The first frames of a recording as the maps that are packed per viewer."""
    with Recording(path) as recording:
        start = min(recording.frame_count // 2, recording.frame_count - FRAMES)
        columns = recording.columns(start, start + FRAMES)
        rows = encode_rows(columns, start, recorded=recording.schema, lap_length=5000.0)
    return [msgpack.unpackb(row) for row in rows]


def application(frames: list[dict[str, Any]]) -> Any:
    """An ASGI application: `play` starts it, everything else is ignored."""

    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def read() -> None:
            while True:
                message = await receive()
                inbox.put_nowait(message)
                if message["type"] == "websocket.disconnect":
                    return

        reader = asyncio.create_task(read())
        playing, position, last = False, 0.0, -1
        while not reader.done():
            try:
                message = await asyncio.wait_for(inbox.get(), timeout=0.01)
            except TimeoutError:
                pass
            else:
                if message["type"] == "websocket.disconnect":
                    return
                playing = json.loads(message["text"])["action"] == "play"
            if playing:
                position = (position + FRAME_RATE / 60) % len(frames)
                if int(position) != last:
                    last = int(position)
                    packed = msgpack.packb(frames[last])
                    await send({"type": "websocket.send", "bytes": packed})
            await asyncio.sleep(1 / 60)

    return serve


def main() -> None:
    frames = read_frames(Path(sys.argv[1]))
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        application(frames), log_level="error", lifespan="off", ws_per_message_deflate=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
