"""`manage.py export_session SLUG --format F [--output FILE]`: a session as another format."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from sessions_app.exporting import FORMATS, ExportRefused
from sessions_app.exports import Export, export_of, make_export, write_export
from sessions_app.models import Session
from sessions_app.recording import RecordingError
from sessions_app.storing import one_line

NICENESS = 10
"""Of what REST has made: viewers come first."""


class Command(BaseCommand):
    help = "Writes a session as a file of another format, whole or not at all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        about = "; ".join(f"{f.name}: {f.description}" for f in FORMATS.values())
        parser.add_argument("slug", help="of the session")
        parser.add_argument("--format", required=True, choices=sorted(FORMATS), help=about)
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="else SLUG.EXTENSION in this folder"
        )
        parser.add_argument(
            "--rate",
            type=float,
            help="moments a second; else every frame (parquet), or at most 5 a second",
        )
        parser.add_argument(
            "--keep",
            action="store_true",
            help="make it for REST, in the folder of exports, instead of --output",
        )

    def handle(self, *, slug: str, output: Path | None, keep: bool, **options: Any) -> None:
        if keep and output is not None:
            raise CommandError("--keep and --output: expected one of them")
        session = Session.objects.filter(slug=slug).first()
        if session is None:
            raise CommandError(f"there is no session {slug!r}")
        try:
            export = export_of(session, options["format"], options["rate"])
            if keep:
                os.nice(NICENESS)
                make_export(export)
                path = export.path
            else:
                path = output or Path(f"{slug}{export.format.extension}")
                self._write(export, path)
        except (ExportRefused, RecordingError, OSError) as error:
            raise CommandError(one_line(error)) from error
        self.stdout.write(f"{path}: {path.stat().st_size:,} bytes")

    def _write(self, export: Export, path: Path) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(f"writing {path.name}", total=1.0)
            write_export(export, path, lambda fraction: bar.update(task, completed=fraction))
