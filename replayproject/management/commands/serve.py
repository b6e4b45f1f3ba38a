"""`manage.py serve`: the one way to start the service."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections

from replayproject.backing import BackingError, choose_backing
from replayproject.first_run import prepare
from replayproject.private_files import tighten
from replayproject.supervisor import (
    Supervisor,
    WorkerFailed,
    companion_kind,
    private_server_kind,
    worker_kind,
)
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
        parser.add_argument(
            "--no-imports",
            action="store_true",
            help="leave imports to an import_worker that something else starts",
        )

    def handle(
        self,
        *,
        host: str,
        port: int,
        workers: int,
        demo: bool,
        no_imports: bool,
        **options: Any,
    ) -> None:
        if workers < 1:
            raise CommandError(f"--workers {workers}: expected at least 1")
        try:
            listener = listen(host, port)
        except OSError as error:
            raise CommandError(f"cannot listen: {error.strerror}") from error
        with listener:
            address = f"http://{'[' + host + ']' if ':' in host else host}:{_port(listener)}"
            try:
                self._serve(listener, address, workers, demo, not no_imports)
            except (BackingError, WorkerFailed) as error:
                raise CommandError(str(error)) from error
        self._say("stopped")

    def _serve(self, listener: Any, address: str, workers: int, demo: bool, imports: bool) -> None:
        with choose_backing(settings.REDIS_URL) as backing:
            if not backing.url and workers > 1:
                raise CommandError(
                    f"--workers {workers} needs Redis or Valkey: {backing.description}"
                )
            self._say(f"database     {_database()}")
            self._say(f"cache        {backing.description}")
            self._say(f"recordings   {settings.RECORDINGS_DIR}")
            self._say(f"viewers      {_room_for_viewers()}")
            for path in tighten(_private_paths()):
                self._say(f"permissions  {path} could be read by others; now by its owner only")
            prepare(self._say, with_demo=demo)
            connections.close_all()
            environ = {**os.environ, "REDIS_URL": backing.url}
            if backing.server is not None:
                # As at the start: more than one worker cannot do without, a single one can.
                environ.setdefault("REDIS_NEEDED", str(int(workers > 1)))
            if workers == 1 and backing.server is not None:
                # The only worker of a private server has no other worker to share frames with.
                environ.setdefault("FRAME_STORE_SHARED", "0")
            kinds = [
                worker_kind([sys.executable, sys.argv[0], "worker"], listener, workers, environ)
            ]
            if backing.server is not None:
                kinds.append(private_server_kind(backing.server))
            if imports:
                command = [sys.executable, sys.argv[0], "import_worker"]
                kinds.append(companion_kind("import_worker", command, environ))
            if settings.RETENTION_DAYS or settings.RETENTION_BYTES:
                command = [sys.executable, sys.argv[0], "retention", "--hourly"]
                kinds.append(companion_kind("retention", command, environ))
            Supervisor(
                kinds,
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


def _room_for_viewers() -> str:
    most, wanted, limit = (
        settings.MAX_CONNECTIONS,
        settings.MAX_CONNECTIONS_WANTED,
        settings.FILE_LIMIT,
    )
    if most < wanted:
        return (
            f"up to {most:,} a worker: MAX_CONNECTIONS={wanted} does not fit into the limit of "
            f"{limit:,} open files (ulimit -Hn)"
        )
    return f"up to {most:,} a worker"


def _private_paths() -> list[Path]:
    database = settings.DATA_DIR / "db.sqlite3"
    return [
        settings.DATA_DIR / "secret_key",
        *(database.with_name(database.name + end) for end in ("", "-wal", "-shm")),
    ]
