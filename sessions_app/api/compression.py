"""Gzip for text: whether a client takes it, and making it without holding up the event loop."""

from __future__ import annotations

import asyncio
import zlib

MIN_COMPRESSED = 512
"""Bytes below which gzip's own header eats what it saves."""
THREAD_FROM = 32 * 1024
"""Bytes from which compressing leaves the event loop: about half a millisecond of it."""
LEVEL = 6
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (q=0 forbids it)."""
    for part in header.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            quality = parameters.strip().removeprefix("q=").strip()
            try:
                return float(quality or 1) > 0
            except ValueError:
                return False
    return False


async def gzipped(body: bytes) -> bytes:
    """The body packed, in a thread if that takes long: zlib lets the interpreter go meanwhile."""
    if len(body) < THREAD_FROM:
        return _gzip(body)
    return await asyncio.to_thread(_gzip, body)


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return compressor.compress(body) + compressor.flush()
