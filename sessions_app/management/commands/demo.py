"""`manage.py demo`: simulate a race and store it."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...demo import DEFAULT_MINUTES, DEFAULT_SEED, simulate
from ...locks import SessionBusy
from ...models import Session
from ...storing import SlugTaken, store_result


class Command(BaseCommand):
    help = "Simulate a race on an invented circuit and store it as a session."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--minutes", type=float, default=DEFAULT_MINUTES, help="Length (default: %(default)g)."
        )
        parser.add_argument(
            "--seed", type=int, default=DEFAULT_SEED, help="The same seed gives the same race."
        )
        parser.add_argument("--slug", default="demo", help="Name in addresses.")
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument(
            "--replace", action="store_true", help="Take the place of a session of that slug."
        )
        choice.add_argument(
            "--if-missing", action="store_true", help="Do nothing if that slug is there."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        slug = options["slug"]
        there = Session.objects.filter(slug=slug).exists()
        if there and options["if_missing"]:
            return
        if there and not options["replace"]:
            raise CommandError(
                f"session {slug!r} is there already: use --replace or another --slug"
            )
        begun = time.monotonic()
        try:
            result = simulate(options["minutes"], options["seed"])
            session = store_result(result, slug=slug, replace=options["replace"])
        except (ValueError, SlugTaken, SessionBusy, OSError) as error:
            raise CommandError(str(error)) from error
        if options["verbosity"]:
            self.stdout.write(
                f"{session.slug}: {session.title}, {session.frame_count} frames, "
                f"{len(result.events)} events, {time.monotonic() - begun:.1f} s"
            )
