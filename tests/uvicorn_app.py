"""The whole service on uvicorn instead of our Daphne: `python -m tests.uvicorn_app`."""

from __future__ import annotations

import os
import socket

import uvicorn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")

SEND_BUFFER = 64 * 1024
"""Of every socket: without it the kernel takes megabytes of what a client does not read, and a test
that needs a full socket would send for minutes."""

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config("replayproject.asgi:application", log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[listener])
