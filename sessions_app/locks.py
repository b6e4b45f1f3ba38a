"""Locks of the recordings folder: who may write what, and what a killed process left behind.

A lock is a hidden file in that folder, held with flock(2) by whoever has it open. The kernel gives
it up when its holder ends, whatever the end was, so it needs no process numbers and no time-outs,
and it holds between containers that share the folder.

Only the holder of a session's `SessionLock` may write recordings of that session or change which
one the database names. Its file lists the recordings that it may leave behind: the one it writes
and the one that this replaces. Two rules follow, and they are all that cleans up:

1. A recording is listed, durably, before its first byte is written.
2. Who holds the lock removes what is listed and not named by the database: at the end of its own
   work, or after taking the lock of a holder that was killed.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from django.conf import settings

from .models import Session

_SUFFIX = ".session.lock"


class SessionBusy(Exception):
    """Another process is writing a recording of that session."""


class FolderLock:
    """One lock in the recordings folder.

    The file's text stays when its holder is killed, and goes when the holder releases the lock.
    """

    def __init__(self, name: str) -> None:
        self.path = Path(settings.RECORDINGS_DIR) / f".{name}"
        self._descriptor = -1

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock. Returns: whether it is held now; always true with `wait`.

        Raises: OSError, for example for a full disk.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            if self._is_current(descriptor):
                self._descriptor = descriptor
                return True
            # The holder before us removed the file between our open and our lock.
            os.close(descriptor)

    def release(self, *, keep_text: bool = False) -> None:
        """Give the lock up. keep_text: leave the file for the next holder of the lock."""
        if not keep_text:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def add_line(self, line: str) -> None:
        """Write a line that survives a crash of the process and of the machine. Raises: OSError."""
        text = f"{line}\n".encode()
        while text:
            text = text[os.write(self._descriptor, text) :]
        os.fsync(self._descriptor)

    def lines(self) -> list[str]:
        """Every whole line; one that was cut off by a crash is left out."""
        text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        return text.decode(errors="replace").split("\n")[:-1]

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False


class SessionLock:
    """The right to write one session's recording, as a context manager.

    Args:
        slug: of the session, which need not exist yet.
        wait: for another holder to end, instead of raising SessionBusy.

    Raises:
        SessionBusy: On entering, if another holds the lock.
        ValidationError: For a slug that cannot stand in an address.
        OSError: If the folder cannot be written.
    """

    def __init__(self, slug: str, *, wait: bool = False) -> None:
        self.slug: str = Session._meta.get_field("slug").clean(slug, None)
        self._wait = wait
        self._lock = FolderLock(f"{slug}{_SUFFIX}")

    def __enter__(self) -> Self:
        if not self._lock.acquire(wait=self._wait):
            raise SessionBusy(
                f"session {self.slug!r} is being imported by another process: try again when that "
                "has ended"
            )
        try:
            self._remove_unnamed()
        except BaseException:
            self._lock.release(keep_text=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        cleaned = False
        try:
            self._remove_unnamed()
            cleaned = True
        finally:
            # If the database is away, the next holder of the lock removes what is listed.
            self._lock.release(keep_text=not cleaned)

    def is_held(self) -> bool:
        """Whether a process holds the lock at this moment."""
        probe = FolderLock(f"{self.slug}{_SUFFIX}")
        if not probe.acquire():
            return True
        probe.release(keep_text=True)
        return False

    def add_leftover(self, recording: str) -> None:
        """List a recording that is to be removed unless the database names it in the end."""
        if recording:
            self._lock.add_line(recording)

    def _remove_unnamed(self) -> None:
        listed = self._lock.lines()
        if not listed:
            return
        named = Session.objects.filter(slug=self.slug).values_list("recording", flat=True).first()
        folder = Path(settings.RECORDINGS_DIR)
        for name in listed:
            for partial in folder.glob(f".{name}.*.partial"):
                partial.unlink(missing_ok=True)
            if name != named:
                # Workers that still have it open keep their mapping; new openings find the other.
                (folder / name).unlink(missing_ok=True)


def remove_leftovers() -> None:
    """Clean up after every process that was killed while it wrote; leave alone who still writes."""
    for path in Path(settings.RECORDINGS_DIR).glob(f".*{_SUFFIX}"):
        try:
            with SessionLock(path.name.removeprefix(".").removesuffix(_SUFFIX)):
                pass
        except SessionBusy:
            continue
