"""`manage.py retention`: removes what RETENTION_DAYS and RETENTION_GB do not keep."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from ...retention import outdated, remove, stored_sessions
from ...storing import one_line

EVERY_SECONDS = 3600.0


class Command(BaseCommand):
    help = (
        "Remove sessions whose recordings are older than RETENTION_DAYS, and the oldest while all "
        "take more than RETENTION_GB. Pinned sessions stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="name them and remove nothing")
        parser.add_argument(
            "--hourly", action="store_true", help="go on, once an hour; `serve` starts it so"
        )

    def handle(self, *, dry_run: bool, hourly: bool, **options: Any) -> None:
        days, most_bytes = settings.RETENTION_DAYS, settings.RETENTION_BYTES
        if not days and not most_bytes:
            raise CommandError("expected RETENTION_DAYS or RETENTION_GB: nothing else is removed")
        try:
            while True:
                self._once(days, most_bytes, dry_run)
                if not hourly:
                    return
                close_old_connections()
                time.sleep(EVERY_SECONDS)
        except KeyboardInterrupt:
            return

    def _once(self, days: int, most_bytes: int, dry_run: bool) -> None:
        try:
            chosen = outdated(stored_sessions(), timezone.now(), days=days, most_bytes=most_bytes)
            for stored in chosen if dry_run else ():
                self.stdout.write(
                    f"would remove {stored.slug}, {stored.size / 1e6:.1f} MB of "
                    f"{stored.stored_at:%Y-%m-%d}"
                )
            for slug in [] if dry_run else remove(chosen):
                self.stdout.write(f"removed {slug}")
        except (DatabaseError, OSError) as error:
            raise CommandError(f"nothing more was removed: {one_line(error)}") from error
