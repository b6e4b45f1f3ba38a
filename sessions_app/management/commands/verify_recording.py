"""`manage.py verify_recording SLUG|FILE`: read a whole recording and say whether it is intact."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app.models import Session
from sessions_app.recording.errors import RecordingError
from sessions_app.recording.integrity import recover_recording, verify_recording


class Command(BaseCommand):
    help = "Checks every checksum, segment and frame number of a recording, and its content hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recording", metavar="SLUG|FILE")
        parser.add_argument(
            "--recover",
            type=Path,
            metavar="TARGET",
            help="write the whole segments of a file that ends early to TARGET",
        )

    def handle(self, *, recording: str, recover: Path | None, **options: Any) -> None:
        path = self._path(recording)
        try:
            found = verify_recording(path) if recover is None else recover_recording(path, recover)
        except (RecordingError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{recover or path}: intact, version {found.version}, {found.frame_count} frames in "
            f"{found.segment_count} segments, {found.bytes_per_frame:.1f} bytes a frame"
        )

    def _path(self, recording: str) -> Path:
        session = Session.objects.filter(slug=recording).first()
        if session is not None:
            return session.recording_path
        path = Path(recording)
        if not path.exists():
            raise CommandError(f"{recording}: neither a session's slug nor a file")
        return path
