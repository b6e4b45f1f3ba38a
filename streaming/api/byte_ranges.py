"""HTTP byte ranges (RFC 9110 section 14): what a Range header asks of a file of known size.

Pure: no Django, no files.
"""

from __future__ import annotations

import re

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_MOST_DIGITS = 19
"""No file is longer than they say, and Python refuses to read more than 4,300."""


class Unsatisfiable(Exception):
    """The range lies wholly behind the end: to be answered with 416."""


def requested_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last, or None for the whole file.

    header: of the request, "" if there is none. A header that is malformed, or asks for several
    ranges, is ignored, as the RFC allows: the client then gets everything.
    Raises: Unsatisfiable.
    """
    match = _ONE_RANGE.fullmatch(header.strip().lower().replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(_number(last), size)
        if length == 0:
            raise Unsatisfiable
        return size - length, size
    start = _number(first)
    if last and _number(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(_number(last) + 1, size) if last else size


def _number(digits: str) -> int:
    """What the digits say; of very many, a number beyond any file."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MOST_DIGITS else 10**_MOST_DIGITS
