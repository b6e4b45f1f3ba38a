"""What the REST API keeps between requests: packed bodies, open recordings, who has which token.

The API's middleware makes it, once in a process, and each request below /api/ carries it.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import cast

from django.conf import settings
from django.http import HttpRequest

from ..credentials import Credentials
from ..rates import ByteAllowance
from ..recording.file import Recording

KEPT = "replay.kept"
"""Where it stands in a request's META."""

KEPT_BYTES = 32_000_000
KEPT_BODY_BYTES = 512_000
"""Larger ones (frame ranges) are not worth the room that they take from everything else."""

MAX_OPEN = 16
"""Files open at once. Opening one costs its summary (some ms for two hours), an open one only
a descriptor."""


HOUR_SECONDS = 3600.0


class Bodies:
    """The bodies built last, by ETag, plain and gzipped; bounded in bytes. Thread-safe."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._bodies: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()
        self._lock = Lock()
        self.bytes = 0

    def get(self, tag: str) -> tuple[bytes, bytes] | None:
        """(plain, gzipped; empty if that would not pay)."""
        with self._lock:
            body = self._bodies.get(tag)
            if body is not None:
                self._bodies.move_to_end(tag)
            return body

    def put(self, tag: str, plain: bytes, packed: bytes) -> None:
        """Keep a body, unless it is a large one."""
        if len(plain) > KEPT_BODY_BYTES:
            return
        with self._lock:
            if tag in self._bodies:
                return
            self._bodies[tag] = (plain, packed)
            self.bytes += len(plain) + len(packed)
            while self.bytes > self._limit:
                _, (old_plain, old_packed) = self._bodies.popitem(last=False)
                self.bytes -= len(old_plain) + len(old_packed)


class OpenRecordings:
    """The recordings read last, by path; safe to use from several threads.

    One that drops out is not closed here: it closes when its last reader has finished.
    """

    def __init__(self, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        self._open: OrderedDict[Path, Recording] = OrderedDict()
        self._lock = Lock()

    def get(self, path: Path) -> Recording:
        """The recording that is at `path` now, opened anew if that is another than before.

        Raises: FileNotFoundError; CorruptRecording. Blocks: call it in a thread.
        """
        with self._lock:
            recording = self._open.get(path)
            if recording is not None:
                self._open.move_to_end(path)
        if recording is not None and recording.is_current:
            return recording
        recording = Recording(path)
        with self._lock:
            self._open[path] = recording
            while len(self._open) > self._limit:
                self._open.popitem(last=False)
        return recording

    def __len__(self) -> int:
        return len(self._open)


class Kept:
    """What one process keeps for the API.

    Attributes:
        bodies: those built last.
        recordings: those read last.
        credentials: tokens and links seen last.
        uploads: what each address, user and token may still upload; see `allowances.py`.
    """

    def __init__(self) -> None:
        self.bodies = Bodies()
        self.recordings = OpenRecordings()
        self.credentials = Credentials()
        self.uploads = ByteAllowance(settings.UPLOAD_BYTES_PER_HOUR, HOUR_SECONDS)


def kept_of(request: HttpRequest) -> Kept:
    """What the process that answers `request`, below /api/, keeps."""
    return cast(Kept, request.META[KEPT])
