"""`manage.py export_static SLUG… DIR`: a folder that replays sessions from any host of files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app.models import Session
from sessions_app.recording.errors import RecordingError
from streaming.static_export import NotExportable, export_static


class Command(BaseCommand):
    help = (
        "Writes sessions as a folder of files that any web server or CDN serves: the same player, "
        "without a server of ours. Whoever can read the folder can watch them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="+", metavar="SLUG", help="of a session that is ready")
        parser.add_argument("folder", type=Path, metavar="DIR", help="made, or replaced")
        parser.add_argument(
            "--gzip",
            action="store_true",
            help="write NAME.gz beside every text, for hosts that serve these (gzip_static)",
        )

    def handle(
        self, *, slug: list[str], folder: Path, gzip: bool, verbosity: int, **options: Any
    ) -> None:
        found = {session.slug: session for session in Session.objects.filter(slug__in=slug)}
        missing = [name for name in slug if name not in found]
        if missing:
            raise CommandError(f"there is no session {', '.join(missing)}")
        sessions = [found[name] for name in dict.fromkeys(slug)]

        def progress(fraction: float, name: str) -> None:
            if self.stdout.isatty() and verbosity:
                self.stdout.write(f"\r{fraction:4.0%} {name:40.40}", ending="")

        try:
            exported = export_static(sessions, folder, compressed=gzip, progress=progress)
        except (NotExportable, RecordingError, OSError) as error:
            raise CommandError(str(error)) from error
        if self.stdout.isatty() and verbosity:
            self.stdout.write("\r", ending="")
        for session in sessions:
            if session.access != Session.Access.PUBLIC:
                self.stderr.write(
                    f"{session.slug} is {session.access} here; the folder asks nobody who they are"
                )
        self.stdout.write(
            f"{folder}: {len(sessions)} sessions, {exported.files:,} files, "
            f"{exported.bytes / 1e6:.1f} MB; try `python -m http.server -d {folder}`"
        )
