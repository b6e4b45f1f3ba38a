"""`manage.py verify_recording SLUG|FILE`, or `--all`: read recordings, say which are intact."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app.models import Session
from sessions_app.recording.errors import CorruptRecording, RecordingError
from sessions_app.recording.integrity import Verification, recover_recording, verify_recording


class Command(BaseCommand):
    help = "Checks every checksum, segment and frame number of recordings, and their content hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recording", nargs="?", metavar="SLUG|FILE")
        parser.add_argument(
            "--all",
            action="store_true",
            help="every session's recording; names each that is damaged, and fails if any is",
        )
        parser.add_argument(
            "--recover",
            type=Path,
            metavar="TARGET",
            help="write the whole segments of a file that ends early to TARGET",
        )

    def handle(
        self, *, recording: str | None, all: bool, recover: Path | None, **options: Any
    ) -> None:
        if all:
            if recording is not None or recover is not None:
                raise CommandError("--all takes neither a recording nor --recover")
            self._verify_all()
        elif recording is None:
            raise CommandError("which recording? Expected a session's slug, a file, or --all")
        elif recover is not None:
            self._recover(self._path(recording), recover)
        else:
            self._verify(recording)

    def _verify_all(self) -> None:
        damaged = []
        sessions = Session.objects.exclude(version="").exclude(state=Session.State.LIVE)
        for session in sessions.order_by("slug"):
            try:
                found = _verified(session)
            except (RecordingError, OSError) as error:
                damaged.append(session.slug)
                self.stderr.write(f"{session.slug}: {error}")
            else:
                self._say(f"{session.slug}: {session.recording_path}", found)
        if damaged:
            raise CommandError(f"damaged or missing: {', '.join(damaged)}")

    def _verify(self, recording: str) -> None:
        session = Session.objects.filter(slug=recording).first()
        path = self._path(recording)
        try:
            found = verify_recording(path) if session is None else _verified(session)
        except (RecordingError, OSError) as error:
            raise CommandError(str(error)) from error
        self._say(str(path), found)

    def _recover(self, path: Path, target: Path) -> None:
        try:
            found = recover_recording(path, target)
        except (RecordingError, OSError) as error:
            raise CommandError(str(error)) from error
        self._say(str(target), found)

    def _say(self, what: str, found: Verification) -> None:
        self.stdout.write(
            f"{what}: intact, version {found.version}, {found.frame_count} frames in "
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


def _verified(session: Session) -> Verification:
    """Raises: OSError; CorruptRecording, also if the file holds another recording."""
    found = verify_recording(session.recording_path)
    if found.version != session.version:
        raise CorruptRecording(
            f"{session.recording_path}: holds version {found.version}: the session's is "
            f"{session.version}"
        )
    return found
