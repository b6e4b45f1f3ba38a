"""`manage.py store_live SLUG`: a recording of a live session whose producer will not return."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.importers.result import ImportSourceError
from sessions_app.locks import SessionBusy
from sessions_app.recording import RecordingError

from ...live.storing import store_live


class Command(BaseCommand):
    help = "End a live session whose producer will not return: its frames become a recording."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="of the session")

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        """Store it. Raises: CommandError in words."""
        try:
            session = store_live(slug)
        except SessionBusy:
            raise CommandError(f"{slug}: a producer is sending frames: end it first") from None
        except (ImportSourceError, RecordingError, OSError) as error:
            raise CommandError(f"{slug}: {error}") from error
        if session is None:
            self.stdout.write(f"{slug}: there was nothing to store")
        else:
            self.stdout.write(f"{slug}: stored, {session.frame_count} frames")
