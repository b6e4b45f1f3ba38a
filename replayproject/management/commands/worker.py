"""`manage.py worker`: one worker process, started by `serve` on a socket that it inherits."""

from __future__ import annotations

import asyncio
import os
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from replayproject.asgi import application
from replayproject.orphan import end_with_parent
from sessions_app.api import uploads
from sessions_app.uploads import remove_unheld
from streaming.server.daphne import run_server
from streaming.server.limits import BodyRule, Limits

SQLITE_SECONDS = 2
"""How long a worker waits for SQLite's lock; commands that import wait longer."""


def body_rule(method: str, path: str, _headers: Mapping[bytes, bytes]) -> BodyRule:
    """Uploads are large, and streamed: who may send one is decided before it is read."""
    if (method, path) == uploads.REQUEST:
        return BodyRule(settings.UPLOAD_BYTES + uploads.OVERHEAD, streamed=True)
    return BodyRule(settings.MAX_BODY_BYTES)


class Command(BaseCommand):
    help = "Runs one worker on an inherited socket. `serve` starts these; you need not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--socket", type=int, required=True, help="listening descriptor")
        parser.add_argument("--ready", type=int, required=True, help="pipe to report on")

        parser.add_argument("--parent", type=int, required=True, help="pipe that ends with it")

    def handle(self, *, socket: int, ready: int, parent: int, **options: Any) -> None:
        end_with_parent(parent, socket)
        if connection.vendor == "sqlite":
            # One thread runs the queries of all viewers: one that waits for a lock delays all.
            connection.settings_dict["OPTIONS"]["timeout"] = SQLITE_SECONDS
        # Of a worker that was killed while it received an upload.
        remove_unheld()
        worker = application.worker

        def listening(_port: int) -> None:
            # Called by the reactor just before its event loop runs.
            asyncio.get_event_loop().call_soon(worker.start)
            os.write(ready, b"1")
            os.close(ready)

        run_server(
            application,
            socket_fd=socket,
            on_listening=listening,
            drain=worker.drain,
            limits=Limits(
                body_bytes=settings.MAX_BODY_BYTES,
                body_rule=body_rule,
                messages_per_second=settings.MESSAGES_PER_SECOND,
                refused=worker.registry.refused,
            ),
        )
        asyncio.get_event_loop().run_until_complete(worker.close())
