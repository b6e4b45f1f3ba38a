"""`manage.py upgrade_recordings`: rewrite recordings of older versions, which take more bytes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app.locks import SessionBusy
from sessions_app.models import Session
from sessions_app.recording import RecordingError
from sessions_app.storing import upgrade_recording


class Command(BaseCommand):
    help = (
        "Rewrites recordings whose segments store every frame (format 1): the same frames in "
        "fewer bytes. Until then they are served as they are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "slugs", nargs="*", metavar="SLUG", help="these sessions; all by default"
        )

    def handle(self, *, slugs: list[str], **options: Any) -> None:
        sessions = Session.objects.filter(state=Session.State.READY).exclude(version="")
        if slugs:
            sessions = sessions.filter(slug__in=slugs)
            there = set(sessions.values_list("slug", flat=True))
            for slug in slugs:
                if slug not in there:
                    raise CommandError(f"{slug!r}: no session of that slug is ready")
        failed = []
        for slug in sessions.order_by("slug").values_list("slug", flat=True):
            try:
                sizes = upgrade_recording(slug)
            except (RecordingError, SessionBusy, OSError) as error:
                failed.append(slug)
                self.stderr.write(f"{slug}: {error}")
                continue
            if sizes is None:
                self.stdout.write(f"{slug}: is of the present format")
            else:
                self.stdout.write(f"{slug}: rewritten, {sizes[0]:,} bytes before, {sizes[1]:,} now")
        if failed:
            raise CommandError(f"not rewritten: {', '.join(failed)}")
