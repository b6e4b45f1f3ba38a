"""How much may be uploaded: so many bytes an hour of one address, user and token, then 429.

An endpoint that takes files asks before it reads the first byte, and tells each piece that it read:

    spend = upload_allowance(request, visitor, content_length)
    async for piece in body:
        spend(len(piece))
"""

from __future__ import annotations

import math
from collections.abc import Callable

from django.http import HttpRequest

from ..access import Visitor
from ..networks import network_of
from .errors import ApiError
from .kept import kept_of

LIMIT = "upload_bytes"
"""Its name in `/metrics` and on the admin's page of workers."""


def upload_allowance(request: HttpRequest, visitor: Visitor, size: int) -> Callable[[int], None]:
    """Let an upload begin, if there is something left for whoever sends it.

    Args:
        visitor: who sends it; the rights were checked already.
        size: bytes that are to come, 0 if that is not known.

    Returns:
        What is called with the size of each piece that has come. What was begun may go beyond the
        allowance; the next upload then waits longer.

    Raises:
        ApiError: 429 with `Retry-After`.
    """
    allowance, keys = kept_of(request).uploads, _keys(request, visitor)
    wait = allowance.wait(keys, size)
    if wait:
        seconds = max(1, math.ceil(wait))
        message = f"Too much was uploaded within an hour. Come back in {seconds} seconds."
        raise ApiError(429, message, headers={"Retry-After": str(seconds)}, limit=LIMIT)

    def spend(count: int) -> None:
        allowance.spend(keys, count)

    return spend


def _keys(request: HttpRequest, visitor: Visitor) -> list[str]:
    keys = [f"address {network_of(request.META.get('REMOTE_ADDR') or '')}"]
    if visitor.user is not None:
        keys.append(f"user {visitor.user}")
    if visitor.token is not None:
        keys.append(f"token {visitor.token}")
    return keys
