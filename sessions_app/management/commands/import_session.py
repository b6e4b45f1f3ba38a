"""`manage.py import_session [FORMAT] SOURCE`, or `import_session FORMAT --year 2024 …`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from sessions_app.access import OLDER_NAMES
from sessions_app.importers.bounds import bounded_memory
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.registry import importer_named, importers, run_importer
from sessions_app.importers.report import summary
from sessions_app.importers.result import ImportSourceError
from sessions_app.locks import SessionBusy, SessionLock
from sessions_app.models import Session
from sessions_app.recording import RecordingError
from sessions_app.sources import slug_of
from sessions_app.storing import SlugTaken, one_line, store_result

_READING = 0.85
"""Share of the whole time that reading takes; storing takes the rest."""


class Command(BaseCommand):
    help = "Import a recording of others as a session, whole or not at all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "words",
            nargs="+",
            metavar="[FORMAT] SOURCE",
            help=f"a file or folder, before it its format ({', '.join(importers())}), which is "
            "recognised if left out; or a format alone, --year and the like, to fetch a session",
        )
        parser.add_argument("--slug", help="the session's name in addresses; else the source's")
        parser.add_argument("--title", default="", help="instead of the one from the source")
        parser.add_argument("--replace", action="store_true", help="take the place of that slug")
        parser.add_argument(
            "--access",
            choices=Session.Access.values,
            type=lambda value: OLDER_NAMES.get(value, value),
            help="who may watch",
        )
        parser.add_argument("--mapping", type=Path, help="table: what the columns mean (YAML)")
        parser.add_argument("--geometry", type=Path, help="openf1: an outline, or a folder of them")
        parser.add_argument("--lead", type=float, default=60.0, help="seconds before the start")
        parser.add_argument(
            "--tail", type=float, default=60.0, help="seconds after the last finish"
        )
        parser.add_argument("--rate", type=float, help="frames a second instead of the usual")
        parser.add_argument("--year", type=int)
        parser.add_argument("--round", type=int)
        parser.add_argument("--circuit", default="", help="of a session to fetch, such as monaco")
        parser.add_argument("--session", default="", help="likewise: race, qualifying, FP1…")
        parser.add_argument(
            "--strict",
            action="store_true",
            help="refuse a source of which anything cannot be believed, instead of leaving it out",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        options["importer"], options["source"] = _source(options["words"])
        if options["importer"]:
            try:
                importer_named(options["importer"])
            except ImportSourceError as error:
                raise CommandError(one_line(error)) from error
        slug: str = options["slug"] or _slug(options)
        for name in ("source", "mapping", "geometry"):
            # Importers follow no links, but a path that an operator types may be one.
            if options[name] is not None and options[name].is_symlink():
                options[name] = options[name].resolve()
        for name in ("lead", "tail"):
            if options[name] < 0:
                raise CommandError(f"--{name} {options[name]:g}: expected 0 or more seconds")
        if options["rate"] is not None and not 0 < options["rate"] <= 1000:
            raise CommandError(f"--rate {options['rate']:g}: expected more than 0, at most 1000")
        try:
            # Taken before reading: no import is read that another one would replace.
            with bounded_memory(settings.IMPORT_MEMORY_BYTES), SessionLock(slug) as lock:
                session = self._import(slug, options, lock)
        except ValidationError as error:
            raise CommandError(f"--slug {slug}: {' '.join(error.messages)}") from error
        except (
            ImportSourceError, SlugTaken, SessionBusy, RecordingError, OSError, OperationalError,
        ) as error:  # fmt: skip
            raise CommandError(one_line(error)) from error
        self.stdout.write(
            f"{session.slug}: {session.title}, {session.frame_count} frames at "
            f"{session.frame_rate:g} Hz, version {session.version}"
        )
        for line in summary(session.report):
            self.stdout.write(f"  {line}")

    def _import(self, slug: str, options: dict[str, Any], lock: SessionLock) -> Session:
        there = Session.objects.filter(slug=slug).first()
        if there is not None and there.state == Session.State.FAILED:
            # Nothing of a failed import is worth keeping.
            options["replace"] = True
        elif there is not None and not there.loading and not options["replace"]:
            raise CommandError(
                f"session {slug!r} is there already: choose another --slug, or --replace it"
            )
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        console = Console(stderr=True)
        with Bar(*columns, TimeElapsedColumn(), console=console) as bar:
            task = bar.add_task("reading", total=1.0)

            def show(share: float, offset: float, fraction: float, message: str) -> None:
                bar.update(task, completed=offset + share * fraction, description=message)

            result = run_importer(
                options["importer"],
                options["source"],
                ImportOptions(
                    circuit=options["circuit"],
                    session=options["session"],
                    title=options["title"],
                    geometry=options["geometry"],
                    mapping=options["mapping"],
                    lead=options["lead"],
                    tail=options["tail"],
                    frame_rate=options["rate"],
                    year=options["year"],
                    round=options["round"],
                    bounds=settings.IMPORT_BOUNDS,
                    downloads=settings.DOWNLOADS,
                    strict=options["strict"],
                ),
                lambda fraction, message: show(_READING, 0.0, fraction, message),
            )
            return store_result(
                result,
                slug=slug,
                replace=options["replace"],
                access=options["access"],
                progress=lambda fraction, message: show(1 - _READING, _READING, fraction, message),
                lock=lock,
            )


def _source(words: list[str]) -> tuple[str, Path | None]:
    """The format, "" to recognise it, and the file or folder, None to fetch a session.

    Raises: CommandError for more than two words.
    """
    if len(words) == 1:
        return (words[0], None) if words[0] in importers() else ("", Path(words[0]))
    if len(words) > 2:
        raise CommandError(f"{words[2]!r} found: expected a format and a source, nothing more")
    return words[0], Path(words[1])


def _slug(options: dict[str, Any]) -> str:
    """A slug from the source's name, or from what names a session that is fetched.

    Raises: CommandError if nothing of them can stand in an address.
    """
    source: Path | None = options["source"]
    if source is not None:
        slug = slug_of(source.resolve().name)
    else:
        named = (options[name] for name in ("year", "circuit", "round", "session"))
        slug = slug_of("-".join(str(part) for part in named if part))
    if not slug:
        raise CommandError("no name for the session: expected --slug")
    return slug
