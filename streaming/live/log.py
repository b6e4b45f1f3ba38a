"""The log of a live session on disk: what was acknowledged is in it. Blocking.

It lies below the recordings folder, `live/<slug>.<part>.log`. Every writer begins a part of its own
and never touches another's, so that one that lost its right to write (a process that was stopped
and goes on) cannot harm: the next part's head says how many bytes of each part before it count.
A torn tail of a killed writer is cut off in the same way.

Whoever holds the session's lock (`sessions_app/locks.py`) may begin a part.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .records import About, Part, Record, decode, encode, framed, whole_records

FOLDER = "live"
_NAME = "{slug}.{part:06d}.log"


def part_path(recordings: Path, slug: str, part: int) -> Path:
    """Where a part lies."""
    return recordings / FOLDER / _NAME.format(slug=slug, part=part)


def part_numbers(recordings: Path, slug: str) -> list[int]:
    """The parts that there are, lowest first."""
    pattern = re.compile(re.escape(slug) + r"\.(\d{6})\.log")
    folder = recordings / FOLDER
    names = (pattern.fullmatch(path.name) for path in folder.glob(f"{slug}.*.log"))
    return sorted(int(name[1]) for name in names if name is not None)


def remove_log(recordings: Path, slug: str) -> None:
    """Remove all parts; for sessions that are stored or deleted."""
    for part in part_numbers(recordings, slug):
        part_path(recordings, slug, part).unlink(missing_ok=True)


class Written(NamedTuple):
    """A record and where it ends in its part."""

    part: int
    end: int
    data: bytes


class LogReader:
    """Reads what is in the log, and later what has been added.

    Attributes:
        slug: of the session.
        part: that is being read; 0 before the first.
        end: bytes of it that were read.
        counted: by number of a part, how many bytes of it count, as far as is known.
    """

    def __init__(self, recordings: Path, slug: str) -> None:
        self._recordings = recordings
        self.slug = slug
        self.part = 0
        self.end = 0
        self.counted: dict[int, int] = {}

    def read_new(self) -> list[tuple[Record, Written]]:
        """The records that came since the last call, in their order.

        Raises:
            CorruptRecording: a record that is whole is none of ours.
            OSError: the log cannot be read.
        """
        found: list[tuple[Record, Written]] = []
        numbers = part_numbers(self._recordings, self.slug)
        # What the newest head says of the parts before it is final.
        for number in numbers:
            with suppress(FileNotFoundError):
                head = self._head(number)
                if head is not None:
                    self.counted.update(head.before)
        for number in numbers:
            if number < self.part:
                continue
            if number > self.part:
                self.part, self.end = number, 0
            # The oldest part of pictures may have been removed meanwhile.
            with suppress(FileNotFoundError):
                found += self._read_part(number)
        return found

    def skip_to(self, part: int, end: int) -> None:
        """The caller has what stands before that place."""
        self.part, self.end = part, end

    def _head(self, number: int) -> Part | None:
        """The head of a part, None if its writer was killed before it was whole."""
        with part_path(self._recordings, self.slug, number).open("rb") as stream:
            data = stream.read(4 * 1024 * 1024)
        first = next(iter(whole_records(data)), None)
        record = None if first is None else decode(first[0])
        return record if isinstance(record, Part) else None

    def _read_part(self, number: int) -> list[tuple[Record, Written]]:
        path = part_path(self._recordings, self.slug, number)
        most = self.counted.get(number)
        with path.open("rb") as stream:
            stream.seek(self.end)
            data = stream.read() if most is None else stream.read(max(0, most - self.end))
        found = []
        start = self.end
        for content, end in whole_records(data):
            self.end = start + end
            found.append((decode(content), Written(number, self.end, content)))
        return found


class LogWriter:
    """The part of one writer. Belongs to one thread at a time.

    Attributes:
        part: its number.
        size: bytes that are whole.
    """

    def __init__(
        self, recordings: Path, about: About, reader: LogReader, *, most: int | None = None
    ) -> None:
        """Begin a part.

        Args:
            recordings: the recordings folder.
            about: the session.
            reader: that has just read everything; it says what of the parts before counts.
            most: bytes of a part after which another is begun and the one before the last removed,
                so that the oldest is forgotten; None to keep everything.

        Raises:
            OSError: it cannot be written.
        """
        self._recordings, self._about, self._most = recordings, about, most
        folder = recordings / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        numbers = part_numbers(recordings, about.slug)
        self._descriptor = -1
        before = dict(reader.counted)
        if reader.part:
            before[reader.part] = reader.end
        for number in numbers:
            before.setdefault(number, 0)
        self._before = before
        self._begin((numbers[-1] if numbers else 0) + 1)

    def _begin(self, part: int) -> None:
        self.close()
        path = part_path(self._recordings, self._about.slug, part)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(path, flags, 0o600)
        self.part, self.size = part, 0
        self._write([encode(Part(part, self._before, self._about))])
        _sync_folder(path.parent)

    def append(self, records: Sequence[bytes]) -> tuple[int, int]:
        """Write records and wait until they are on disk.

        Returns:
            The part, and where the first of them begins in it.

        Raises:
            OSError: none of them is on disk.
        """
        if self._most is not None and self.size > self._most:
            self._before = {self.part: self.size}
            self._begin(self.part + 1)
            for old in part_numbers(self._recordings, self._about.slug):
                if old < self.part - 1:
                    part_path(self._recordings, self._about.slug, old).unlink(missing_ok=True)
        start = self.size
        self._write(records)
        return self.part, start

    def _write(self, records: Sequence[bytes]) -> None:
        data = memoryview(framed(records))
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fdatasync(self._descriptor)
        except OSError:
            # A full disk takes a part of it: what follows must not stand behind a torn record.
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
