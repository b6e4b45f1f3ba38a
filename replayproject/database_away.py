"""What the site answers while its database is away: 503 with a time to come back, at once.

A request that waits for a database that is locked or gone keeps its thread from all others. So
after one has failed, those that come within `REST_SECONDS` are answered without asking it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from sessions_app.api.errors import error_response
from sessions_app.api.middleware import PREFIX

logger = logging.getLogger("replayproject.database")

REST_SECONDS = 1.0
RETRY_AFTER = "5"
MESSAGE = "The database is away; what is playing goes on. Try again in a moment."
NEED_NONE = ("/livez", "/readyz", "/metrics", "/static/")
"""Paths that are answered all the same."""


class DatabaseAwayMiddleware:
    """Django middleware. Made once in a process; remembers when the database last failed."""

    async_capable = True
    sync_capable = True

    def __init__(
        self,
        get_response: Callable[[HttpRequest], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._get_response = get_response
        self._clock = clock
        self._rests_until = 0.0
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._answer(request)
        return self._refusal(request) or self._get_response(request)

    async def _answer(self, request: HttpRequest) -> Any:
        return self._refusal(request) or await self._get_response(request)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if self._clock() < self._rests_until and not request.path.startswith(NEED_NONE):
            return _away(request)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Django calls it with what a view raised."""
        if not isinstance(error, OperationalError | InterfaceError) or _is_a_mistake(error):
            return None
        self._rests_until = self._clock() + REST_SECONDS
        logger.warning("the database is away: %s", type(error).__name__)
        return _away(request)


def _is_a_mistake(error: Exception) -> bool:
    """Whether the query was wrong, not the database away: SQLite has one class for both."""
    return str(error).startswith("no such ")


def _away(request: HttpRequest) -> HttpResponse:
    headers = {"Retry-After": RETRY_AFTER}
    if request.path.startswith(PREFIX):
        return error_response(503, MESSAGE, code="database_away", headers=headers)
    return HttpResponse(
        MESSAGE, status=503, content_type="text/plain; charset=utf-8", headers=headers
    )
