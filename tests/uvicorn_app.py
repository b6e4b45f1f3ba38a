"""The whole service on uvicorn instead of our Daphne: `python -m tests.uvicorn_app`."""

from __future__ import annotations

import os
import socket

import uvicorn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")

SEND_BUFFER = 64 * 1024
"""Of every socket: without it the kernel takes megabytes of what a client does not read, and a test
that needs a full socket would send for minutes."""


class Server(uvicorn.Server):
    """Says where it listens once it answers: the socket is there long before the service is."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            print(f"listening http://127.0.0.1:{each.getsockname()[1]}", flush=True)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    config = uvicorn.Config("replayproject.asgi:application", log_level="error", lifespan="on")
    Server(config).run(sockets=[listener])
