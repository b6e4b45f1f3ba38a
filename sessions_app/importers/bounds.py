"""What reading a source may cost: bytes, rows, columns, files and memory.

A few megabytes of gzip or Parquet unpack to many gigabytes, a link leads out of its folder, and a
pipe is never read to its end. Importers open files here only, and count what they took against
the `Bounds` of the import, which the settings give.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import resource
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .errors import ImportSourceError, SourceTooLarge

MAX_COLUMNS = 2_000
"""Of one table; OpenF1's widest has 16."""
MAX_FIELD = 10_000
"""Characters of one text value; race control's longest message has a few hundred."""
MAX_DEPTH = 8
"""Folders within each other; `race/driver_number=7/location.parquet` is two."""
_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"
"""What gzip files begin with; archives of trace files name them .json all the same."""
HEAD = 4096
"""Bytes of a file that tell what it is."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one import. The defaults are those of the settings; a race of 20 cars and three
    hours unpacks to 100 MB of CSV and 1.5 million rows in 100 files.

    unpacked_bytes: of all files together, after gzip and Parquet's compression. rows: of all tables
    together. files: that a folder may hold, with all its folders.
    """

    unpacked_bytes: int = 1_000_000_000
    rows: int = 10_000_000
    files: int = 5_000


@dataclass(slots=True)
class Allowance:
    """What an import has taken of its `bounds` so far."""

    bounds: Bounds = field(default_factory=Bounds)
    unpacked_bytes: int = 0
    rows: int = 0

    def take_bytes(self, path: Path, count: int) -> None:
        """Count bytes that a file unpacks to. Raises: SourceTooLarge beyond the bound."""
        self.unpacked_bytes += count
        if self.unpacked_bytes > self.bounds.unpacked_bytes:
            raise SourceTooLarge(
                f"the source unpacks to more than {self.bounds.unpacked_bytes / 1e6:,.0f} MB: "
                "expected less (IMPORT_UNPACKED_MB)",
                file=path,
            )

    def take_rows(self, path: Path, count: int) -> None:
        """Count rows of a table. Raises: SourceTooLarge beyond the bound."""
        self.rows += count
        if self.rows > self.bounds.rows:
            raise SourceTooLarge(
                f"the source has more than {self.bounds.rows:,} rows: expected fewer (IMPORT_ROWS)",
                file=path,
            )

    def check_columns(self, path: Path, count: int) -> None:
        """Raises: SourceTooLarge if a table has too many columns."""
        if count > MAX_COLUMNS:
            raise SourceTooLarge(
                f"{count:,} columns found: expected at most {MAX_COLUMNS:,}", file=path
            )

    def read(self, path: Path, most: int | None = None) -> bytearray:
        """A regular file's bytes, unpacked if its name ends with .gz or its bytes are gzip's.

        most: a bound of its own for this file, in bytes.
        Raises: SourceTooLarge beyond a bound; ImportSourceError for what is no regular file, or no
        whole gzip file; OSError if it cannot be read.
        """
        data = bytearray()
        with open_regular(path) as stream:
            packed = path.suffix.lower() == ".gz" or stream.read(2) == _GZIP
            stream.seek(0)
            blocks = _unpacked(stream, path) if packed else _blocks(stream)
            for block in blocks:
                self.take_bytes(path, len(block))
                data += block
                if most is not None and len(data) > most:
                    raise SourceTooLarge(
                        f"more than {most:,} bytes found: expected fewer", file=path
                    )
        return data


def head_of(path: Path, most: int = HEAD) -> bytes:
    """The first bytes of a file, unpacked; b"" for what is no regular file or cannot be unpacked.

    For recognising a format: nothing is counted.
    """
    if not is_regular(path):
        return b""
    try:
        with open_regular(path) as stream:
            packed = stream.read(2) == _GZIP
            stream.seek(0)
            if not packed:
                return stream.read(most)
            with gzip.GzipFile(fileobj=stream) as unpacking:
                return unpacking.read(most)
    except (OSError, EOFError, zlib.error, ImportSourceError):
        return b""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, if it is one: not through a link, and without waiting for a pipe.

    Raises: ImportSourceError for a link, a folder, a pipe, a socket or a device; OSError.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        # ELOOP is what O_NOFOLLOW says of a link, ENXIO what opening a socket does.
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise
        raise ImportSourceError(f"{kind_of(path)} found: expected a file", file=path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImportSourceError(f"{kind_of(path)} found: expected a file", file=path)
    return os.fdopen(descriptor, "rb")


def is_regular(path: Path) -> bool:
    """Whether it is a file itself: no link to one, no folder, no pipe, no device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def kind_of(path: Path) -> str:
    """What lies there, in words."""
    mode = path.lstat().st_mode
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((words for is_kind, words in kinds if is_kind(mode)), "a device")


def files_below(folder: Path, bounds: Bounds) -> list[Path]:
    """All regular files of a folder and its folders, sorted; hidden ones are passed over.

    Raises: ImportSourceError for a symbolic link or a special file, for more entries than
    `bounds.files` and for folders nested too deeply: a source is what lies in it.
    """
    found: list[Path] = []
    entries = 0
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ImportSourceError(
                f"more than {MAX_DEPTH} folders within each other: expected fewer", file=here
            )
        with os.scandir(here) as listing:
            for entry in listing:
                entries += 1
                if entries > bounds.files:
                    raise ImportSourceError(
                        f"more than {bounds.files:,} files: expected fewer (IMPORT_FILES)",
                        file=folder,
                    )
                path = here / entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((path, depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    found.append(path)
                else:
                    raise ImportSourceError(
                        f"{kind_of(path)} found: expected files and folders only", file=path
                    )
    return sorted(found)


@contextlib.contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Within the block this process may take `most` bytes of memory more than it has; beyond that
    an allocation fails with MemoryError.

    It holds for the process, not for a thread: use it where an import has a process to itself.
    Counted is memory that is reserved for writing (Linux: RLIMIT_DATA), of which Arrow takes 1 GB
    at once. macOS keeps no such limit: there the other bounds are all there is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = most + _data_in_use()
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY:
        wanted = min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    except MemoryError as error:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        raise SourceTooLarge(
            f"the import needs more than {most / 1e6:,.0f} MB of memory: expected a smaller source "
            "(IMPORT_MEMORY_MB)"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_in_use() -> int:
    """Bytes of this process that count for RLIMIT_DATA; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _unpacked(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """A gzip file's content in pieces of at most `_BLOCK` bytes, however much they were packed."""
    try:
        with gzip.GzipFile(fileobj=stream) as unpacking:
            while block := unpacking.read(_BLOCK):
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ImportSourceError(f"{error}: expected a whole gzip file", file=path) from error
