"""`manage.py serve`: the one way to start the service."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections

from replayproject.backing import BackingError, choose_backing
from replayproject.first_run import prepare
from replayproject.supervisor import Supervisor, WorkerFailed
from streaming.server.listening import listen


class Command(BaseCommand):
    help = "Starts the backing services that are needed and the workers, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="default: HOST or 127.0.0.1")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="default: PORT or 8000; 0: any free one"
        )
        parser.add_argument(
            "--workers", type=int, default=settings.WORKERS, help="default: WORKERS or 1"
        )
        parser.add_argument("--demo", action="store_true", help="make the demo race if missing")

    def handle(self, *, host: str, port: int, workers: int, demo: bool, **options: Any) -> None:
        if workers < 1:
            raise CommandError(f"--workers {workers}: expected at least 1")
        try:
            listener = listen(host, port)
        except OSError as error:
            raise CommandError(f"cannot listen: {error.strerror}") from error
        with listener:
            address = f"http://{'[' + host + ']' if ':' in host else host}:{_port(listener)}"
            try:
                self._serve(listener, address, workers, demo)
            except (BackingError, WorkerFailed) as error:
                raise CommandError(str(error)) from error
        self._say("stopped")

    def _serve(self, listener: Any, address: str, workers: int, demo: bool) -> None:
        with choose_backing(settings.REDIS_URL) as backing:
            if not backing.url and workers > 1:
                raise CommandError(
                    f"--workers {workers} needs Redis or Valkey: {backing.description}"
                )
            self._say(f"database     {_database()}")
            self._say(f"cache        {backing.description}")
            self._say(f"recordings   {settings.RECORDINGS_DIR}")
            prepare(self._say, with_demo=demo)
            connections.close_all()
            environ = {**os.environ, "REDIS_URL": backing.url}
            if workers == 1 and backing.process is not None:
                # The only worker of a private server would offer its frames to no one.
                environ.setdefault("FRAME_STORE_SHARED", "0")
            Supervisor(
                command=[sys.executable, sys.argv[0], "worker"],
                listener=listener,
                count=workers,
                environ=environ,
                on_ready=lambda: self._say(
                    f"listening    {address}  ({workers} worker{'s' * (workers > 1)}; "
                    "Ctrl-C to stop)"
                ),
            ).run()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _port(listener: Any) -> int:
    return int(listener.getsockname()[1])


def _database() -> str:
    name = connection.settings_dict["NAME"]
    return f"{connection.display_name} {name}"
