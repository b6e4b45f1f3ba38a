"""The newest picture of a session of pictures. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .producing import Frame


class Pictures:
    """Only the newest is kept: nobody is ever sent an older one.

    Attributes:
        newest: number, time and bytes; None before the first.
        content_type: of all of them.
        arrived: when the newest came from its producer, Unix seconds.
        start_time: Unix seconds of frame 0, None before the first picture.
        frame_count: numbers up to the newest.
        size: width and height of the newest in pixels, None where that is not known.
    """

    def __init__(self, content_type: str) -> None:
        self.newest: Frame | None = None
        self.start_time: float | None = None
        self.arrived: float | None = None
        self.content_type = content_type
        self.frame_count = 0
        self.size: tuple[int, int] | None = None

    def append(self, frames: Sequence[Frame]) -> None:
        """Take pictures; the last is the newest."""
        if self.size is None:
            self.size = size_of(frames[-1].content)
        self.newest = frames[-1]
        self.frame_count = frames[-1].number + 1


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG or PNG in pixels; None where they do not stand where they should.

    Source: ITU-T T.81 B.2.2 (frame header), PNG 11.2.2 (IHDR).
    """
    if picture.startswith(b"\x89PNG\r\n\x1a\n") and len(picture) >= 24:
        width, height = struct.unpack_from(">II", picture, 16)
        return width, height
    if not picture.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(picture) and picture[at] == 0xFF:
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", picture, at + 5)
            return width, height
        at += 2 + length
    return None
