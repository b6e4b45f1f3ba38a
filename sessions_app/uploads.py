"""Uploads: files that somebody sent to be imported, each upload a folder below UPLOADS_DIR.

The name of such a folder says what state it is in:

- `.ID.receiving`: its files are still coming;
- `ID`: it is whole, and waits to be imported until it is UPLOAD_HOURS old;
- `.ID.unpacked`: what an import has unpacked of it.

Whoever fills a hidden folder holds it with flock(2) and removes it at the end. The kernel gives the
lock up when its holder ends, whatever the end was, so that a hidden folder which nobody holds is a
leftover: `remove_unheld` takes it away, at the start of a process and with every upload and
import.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from django.conf import settings

from .importers.bounds import Bounds
from .importers.text import shown
from .models import ImportJob
from .unpacking import UnsafeArchive, archive_format, inner_path, unpack

Progress = Callable[[float, str], None]

SCHEME = "upload:"
"""Before the id, in the `source` of an import job."""
LOOSE = "upload"
"""The folder of files that came without one."""
_ID = re.compile(r"[0-9a-f]{32}")


class UnknownUpload(Exception):
    """There is no such upload; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A whole upload.

    id: names it. path: of its one file, or of the folder that holds its files. expires: Unix
    seconds, when it is removed unless an import needs it.
    """

    id: str
    path: Path
    expires: float

    @property
    def source(self) -> str:
        """As an import job names it."""
        return f"{SCHEME}{self.id}"


class Incoming:
    """An upload on its way to disk. For one thread at a time; `discard` and `finish` wait for the
    one that writes.

    files: that have come. size: their bytes.
    """

    def __init__(self, bounds: Bounds, most_bytes: int) -> None:
        """Raises: OSError."""
        self.files = 0
        self.size = 0
        self._bounds = bounds
        self._most_bytes = most_bytes
        self._folder = _HeldFolder("receiving")
        self._writing = threading.Lock()
        self._file: BinaryIO | None = None

    def begin_file(self, name: str) -> None:
        """The next file begins. name: with the folders that it lies in.

        Raises: UnsafeArchive for a name that is refused; OSError.
        """
        self.end_file()
        path = inner_path(name)
        if path is None:
            return
        self.files += 1
        if self.files > self._bounds.files:
            raise UnsafeArchive(
                f"more than {self._bounds.files:,} files: expected fewer (IMPORT_FILES)"
            )
        if len(path.parts) == 1:
            path = PurePosixPath(LOOSE) / path
        target = self._folder.path / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file = target.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UnsafeArchive(f"{shown(name)} comes twice: expected each name once") from error

    def write(self, data: bytes) -> None:
        """Bytes of the present file. Raises: UnsafeArchive beyond UPLOAD_MB; OSError."""
        self.size += len(data)
        if self.size > self._most_bytes:
            raise UnsafeArchive(
                f"more than {self._most_bytes // 1_000_000:,} MB: expected less (UPLOAD_MB)"
            )
        if self._file is not None:
            self._file.write(data)

    def end_file(self) -> None:
        """The present file is whole. Raises: OSError."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Held while bytes are written. Yields: whether the upload is still wanted."""
        with self._writing:
            yield self._folder.held

    def finish(self) -> Upload:
        """All has come. Raises: UnsafeArchive if that was no file; OSError."""
        with self._writing:
            self.end_file()
            id_ = self._folder.id
            if not any(self._folder.path.iterdir()):
                raise UnsafeArchive("no file found: expected at least one, hidden ones not counted")
            self._folder.keep(Path(settings.UPLOADS_DIR) / id_)
        return find_upload(id_)

    def discard(self) -> None:
        """Remove what has come; nothing happens to a finished one."""
        with self._writing:
            self.end_file()
            self._folder.remove()


def find_upload(id_: str) -> Upload:
    """Raises: UnknownUpload."""
    folder = Path(settings.UPLOADS_DIR) / id_
    if not _ID.fullmatch(id_) or not folder.is_dir():
        raise UnknownUpload(f"there is no upload {shown(id_)} any more: upload it again")
    path = _only_entry(folder)
    if path.name == LOOSE:
        path = _only_entry(path)
    return Upload(id_, path, folder.stat().st_mtime + settings.UPLOAD_SECONDS)


def _only_entry(folder: Path) -> Path:
    """What lies in a folder if it is one thing, else the folder."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 else folder


def upload_of(source: str) -> Upload | None:
    """The upload that an import job's source names; None for another source.

    Raises: UnknownUpload.
    """
    return find_upload(source.removeprefix(SCHEME)) if source.startswith(SCHEME) else None


def remove_upload(source: str) -> None:
    """Remove the upload that a job's source names, if it names one and that is there."""
    id_ = source.removeprefix(SCHEME)
    if source.startswith(SCHEME) and _ID.fullmatch(id_):
        shutil.rmtree(Path(settings.UPLOADS_DIR) / id_, ignore_errors=True)


@contextmanager
def opened(upload: Upload, bounds: Bounds, progress: Progress) -> Iterator[Path]:
    """The files of an upload, an archive unpacked for as long as the block lasts.

    Yields: a file, or a folder. Raises: ImportSourceError for an archive that is refused; OSError.
    """
    if not upload.path.is_file() or archive_format(upload.path) is None:
        yield upload.path
        return
    held = _HeldFolder("unpacked")
    try:
        # Named as the archive, because importers make titles of that.
        into = held.path / (upload.path.name.partition(".")[0] or LOOSE)
        into.mkdir()
        yield unpack(upload.path, into, bounds, progress)
    finally:
        held.remove()


def remove_unheld() -> None:
    """Remove the hidden folders of processes that were killed. Asks no database."""
    for path in _folders():
        if path.name.startswith("."):
            _remove_unless_held(path)


def remove_leftovers(now: float | None = None) -> None:
    """The same, and remove uploads that are too old and needed by no import. now: Unix seconds."""
    remove_unheld()
    too_old = (time.time() if now is None else now) - settings.UPLOAD_SECONDS
    for path in _folders():
        if _ID.fullmatch(path.name) and _time_of(path) < too_old and not _is_needed(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _folders() -> list[Path]:
    folder = Path(settings.UPLOADS_DIR)
    return list(folder.iterdir()) if folder.is_dir() else []


def _time_of(path: Path) -> float:
    """When it became whole, in Unix seconds; 0 if another process has just removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_needed(id_: str) -> bool:
    unfinished = (ImportJob.State.QUEUED, ImportJob.State.RUNNING)
    return ImportJob.objects.filter(source=f"{SCHEME}{id_}", state__in=unfinished).exists()


class _HeldFolder:
    """A new hidden folder that no other process removes while this one holds it."""

    def __init__(self, state: str) -> None:
        parent = Path(settings.UPLOADS_DIR)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.id = secrets.token_hex(16)
            self.path = parent / f".{self.id}.{state}"
            self.path.mkdir(mode=0o700)
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                # Taken for a leftover between the two calls.
                continue
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if self.path.is_dir():
                return
            os.close(self._descriptor)

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def keep(self, path: Path) -> None:
        """Give the folder a name that is not hidden, for good. Raises: OSError."""
        self.path.rename(path)
        # Its age counts from now.
        os.utime(path)
        self._release()

    def remove(self) -> None:
        """Remove it, unless it was kept or removed before."""
        if self.held:
            shutil.rmtree(self.path, ignore_errors=True)
            self._release()

    def _release(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def _remove_unless_held(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        # Gone meanwhile, or none of ours.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
