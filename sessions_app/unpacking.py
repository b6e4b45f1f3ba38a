"""Unpacks archives that somebody sent: zip, tar and tar.gz, told by their content, not their name.

An archive is hostile until it is unpacked. What it says of itself (sizes, names, kinds of entries)
is checked or counted again while its bytes come; whatever is not right refuses all of it.
"""

from __future__ import annotations

import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Literal, cast

from .importers.bounds import MAX_DEPTH, Allowance, Bounds, open_regular
from .importers.errors import ImportSourceError
from .importers.text import is_clean, shown

Progress = Callable[[float, str], None]
Format = Literal["zip", "tar", "tar.gz"]

MAX_NAME_BYTES = 255
"""Of a file or folder, as file systems have it."""
_BLOCK = 1 << 20
_TAR_BLOCK = 512
_TAR_MAGIC = slice(257, 262)
_ZIP_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, struct.error,
    NotImplementedError, RuntimeError, ValueError, lzma.LZMAError,
)  # fmt: skip
"""What Python's readers of archives raise for bytes that are none."""


class UnsafeArchive(ImportSourceError):
    """An archive or a name that is refused as a whole. The message is one line."""


def archive_format(path: Path) -> Format | None:
    """What kind of archive a file is by its first bytes; None for one that is none.

    Raises: ImportSourceError for what is no regular file; OSError.
    """
    with open_regular(path) as stream:
        start = stream.read(_TAR_BLOCK)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return "zip"
        if start[_TAR_MAGIC] == b"ustar":
            return "tar"
        if start.startswith(b"\x1f\x8b"):
            try:
                inner = zlib.decompressobj(31).decompress(start + stream.read(_BLOCK), _TAR_BLOCK)
            except zlib.error:
                return None
            return "tar.gz" if inner[_TAR_MAGIC] == b"ustar" else None
    return None


def inner_path(name: str) -> PurePosixPath | None:
    """The path of a file below the folder that it is unpacked or uploaded into.

    Args:
        name: as an archive or a browser has it, with `/` between folders.

    Returns:
        A relative path without `..`; None for what is passed over: hidden files, and what macOS
        adds to every archive.

    Raises:
        UnsafeArchive: For a name that would lead out of the folder, or that no file can have.
    """
    path = PurePosixPath(name)
    parts = path.parts
    if not parts or path.is_absolute() or "\\" in name or not is_clean(name):
        raise UnsafeArchive(f"a file named {shown(name)} found: expected a path such as race/a.csv")
    if ".." in parts:
        raise UnsafeArchive(f"a file named {shown(name)} found: it would lead out of its folder")
    if len(parts) > MAX_DEPTH + 1:
        raise UnsafeArchive(
            f"{shown(name)}: more than {MAX_DEPTH} folders within each other: expected fewer"
        )
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise UnsafeArchive(f"{shown(name)}: expected names of at most {MAX_NAME_BYTES} bytes")
    if parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts):
        return None
    return path


def unpack(archive: Path, into: Path, bounds: Bounds, progress: Progress) -> Path:
    """Unpack an archive into a folder of its own.

    Args:
        archive: a file of which `archive_format` says what it is.
        into: a folder that is there and empty; what is in it after a refusal is the caller's to
            remove.
        bounds: of the files' number and of the bytes that they unpack to.
        progress: called with the fraction of the archive that was read, 0 to 1, and the file that
            comes.

    Returns:
        `into`, or the folder in it if there is one folder and nothing else.

    Raises:
        UnsafeArchive: For links and special files, names that lead out of the folder, a name that
            comes twice, encrypted files, and what is no whole archive.
        SourceTooLarge: Beyond a bound.
        OSError: If it cannot be written, for example for want of space.
    """
    unpacking = _Unpacking(archive, into, bounds)
    kind = archive_format(archive)
    size = max(1, archive.stat().st_size)
    with open_regular(archive) as stream, _refusing_broken(archive):

        def report(path: PurePosixPath) -> None:
            progress(min(stream.tell() / size, 1.0), f"unpacking {path.name}")

        if kind == "zip":
            unpacking.run(_zip_files(stream, unpacking), report)
        elif kind == "tar":
            unpacking.run(_tar_files(stream, unpacking), report)
        elif kind == "tar.gz":
            with gzip.GzipFile(fileobj=stream) as unpacked:
                unpacking.run(_tar_files(cast(IO[bytes], unpacked), unpacking), report)
        else:
            raise UnsafeArchive("expected a zip, tar or tar.gz archive", file=archive.name)
    entries = list(into.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else into


File = tuple[str, IO[bytes]]


class _Unpacking:
    """One archive on its way to disk."""

    def __init__(self, archive: Path, into: Path, bounds: Bounds) -> None:
        self.archive = archive
        self.most_bytes = bounds.unpacked_bytes
        self._into = into
        self._allowance = Allowance(bounds)
        self._files = 0

    def count(self) -> None:
        """Count an entry. Raises: UnsafeArchive beyond the bound."""
        self._files += 1
        most = self._allowance.bounds.files
        if self._files > most:
            raise self.refusal(f"more than {most:,} files: expected fewer (IMPORT_FILES)")

    def refusal(self, problem: str) -> UnsafeArchive:
        return UnsafeArchive(problem, file=self.archive.name)

    def take(self, size: int) -> None:
        self._allowance.take_bytes(Path(self.archive.name), size)

    def run(self, files: Iterable[File], report: Callable[[PurePosixPath], None]) -> None:
        for name, content in files:
            path = inner_path(name)
            if path is not None:
                report(path)
                self._write(path, content)

    def _write(self, path: PurePosixPath, content: IO[bytes]) -> None:
        target = self._into / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while block := content.read(_BLOCK):
                    self.take(len(block))
                    file.write(block)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise self.refusal(
                f"{shown(str(path))} comes twice: expected each name once"
            ) from error


class _Counted:
    """What a tar archive unpacks to, counted with its headers and with what is passed over: they
    cost as much as files. Only `read` is needed."""

    def __init__(self, stream: IO[bytes], unpacking: _Unpacking) -> None:
        self._stream = stream
        self._unpacking = unpacking
        self._left = 2 * unpacking.most_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            self._unpacking.take(self._unpacking.most_bytes + 1)
        return data


def _zip_files(stream: IO[bytes], unpacking: _Unpacking) -> Iterator[File]:
    with zipfile.ZipFile(stream) as archive:
        for _entry in archive.infolist():
            unpacking.count()
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise unpacking.refusal(
                    f"{shown(entry.filename)} is a link or a special file: expected files only"
                )
            if entry.is_dir():
                inner_path(entry.filename)
                continue
            if entry.flag_bits & _ZIP_ENCRYPTED:
                raise unpacking.refusal(
                    f"{shown(entry.filename)} is encrypted: expected an archive without a password"
                )
            with archive.open(entry) as content:
                yield entry.filename, content


def _tar_files(stream: IO[bytes], unpacking: _Unpacking) -> Iterator[File]:
    counted = cast(IO[bytes], _Counted(stream, unpacking))
    # "r|": read once from the start, never back, so that nothing is kept of what was read.
    with tarfile.open(fileobj=counted, mode="r|") as archive:
        for entry in archive:
            unpacking.count()
            if not (entry.isreg() or entry.isdir()):
                raise unpacking.refusal(
                    f"{shown(entry.name)} is a link or a special file: expected files only"
                )
            if entry.isdir():
                if entry.name.strip("./"):
                    inner_path(entry.name)
                continue
            content = archive.extractfile(entry)
            if content is not None:
                yield entry.name.removeprefix("./"), content


@contextmanager
def _refusing_broken(archive: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise UnsafeArchive(
            f"{error}: expected a whole zip, tar or tar.gz archive", file=archive.name
        ) from error
