"""Whoever a view refused with 429 is counted as everybody else whom a limit refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from sessions_app.api.errors import REFUSED_BY
from streaming.worker import WORKER

Handler = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def count_refusals(get_response: Handler) -> Handler:
    """Django middleware: what an answer says in REFUSED_BY goes into the worker's figures."""
    if iscoroutinefunction(get_response):
        ask = cast("Callable[[HttpRequest], Awaitable[HttpResponseBase]]", get_response)

        async def handle(request: HttpRequest) -> HttpResponseBase:
            return _counted(request, await ask(request))

        return handle

    def handle_sync(request: HttpRequest) -> HttpResponseBase:
        return _counted(request, cast(HttpResponseBase, get_response(request)))

    return handle_sync


def _counted(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    limit = getattr(response, REFUSED_BY, "")
    worker = getattr(request, "scope", request.META).get(WORKER)
    if limit and worker is not None:
        worker.registry.refused(limit)
    return response
