"""`manage.py import_worker`: runs the imports that were asked for over REST."""

from __future__ import annotations

import os
import signal
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django_tasks.signals import task_started

from ... import uploads
from ...jobs import restore_queue, worker_lock
from ...locks import remove_leftovers
from ...storing import one_line

NICENESS = 10
"""Viewers come first: an import may take longer while the processor is wanted."""
POLL_SECONDS = 1.0
"""Between two queries for a task; measured in docs/decisions/0013-imports-as-tasks.md."""


class Command(BaseCommand):
    help = (
        "Run the next import that was asked for over REST, then end. `serve` starts it, and starts "
        "it again when it ends, so that no import's memory is kept."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        os.nice(NICENESS)
        # Opening SQLite for every query would cost more than the query.
        connection.settings_dict["CONN_MAX_AGE"] = None
        task_started.connect(end_at_once)
        lock = worker_lock()
        lock.acquire(wait=True)
        try:
            remove_leftovers()
            uploads.remove_leftovers()
            restore_queue()
            call_command(
                "db_worker",
                interval=POLL_SECONDS,
                max_tasks=1,
                startup_delay=False,
                reload=False,
                verbosity=0,
            )
        except KeyboardInterrupt:
            # SIGTERM came before or after an import, which handles its own interruption.
            return
        except DatabaseError as error:
            raise CommandError(f"the database refuses: {one_line(error)}") from error
        finally:
            lock.release()


def end_at_once(**_signal: Any) -> None:
    """Let SIGTERM interrupt the import that begins; `db_worker` would wait for its end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
