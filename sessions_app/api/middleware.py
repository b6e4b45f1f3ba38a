"""What every answer below /api/ has in common: JSON errors, HEAD, and what is kept for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from .errors import error_response, phrase
from .kept import KEPT, Kept

PREFIX = "/api/"

Handler = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def api_middleware(get_response: Handler) -> Handler:
    """Django middleware; touches nothing outside /api/. Made once in a process."""
    kept = Kept()
    if iscoroutinefunction(get_response):
        ask = cast("Callable[[HttpRequest], Awaitable[HttpResponseBase]]", get_response)

        async def handle(request: HttpRequest) -> HttpResponseBase:
            if not request.path.startswith(PREFIX):
                return await ask(request)
            request.META[KEPT] = kept
            head = _as_get(request)
            response = _as_json_error(await ask(request))
            return _without_body(response) if head else response

        return handle

    def handle_sync(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(PREFIX):
            return cast(HttpResponseBase, get_response(request))
        request.META[KEPT] = kept
        head = _as_get(request)
        response = _as_json_error(get_response(request))
        return _without_body(response) if head else response

    return handle_sync


def _as_get(request: HttpRequest) -> bool:
    """HEAD is answered by the GET view; returns whether it was HEAD."""
    if request.method != "HEAD":
        return False
    request.method = "GET"
    return True


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    """The headers that GET would have sent, and nothing after them."""
    bare = HttpResponse(status=response.status_code)
    bare.headers = response.headers
    bare.cookies = response.cookies
    if not response.streaming:
        bare["Content-Length"] = str(len(cast(HttpResponse, response).content))
    response.close()
    return bare


def _as_json_error(response: HttpResponseBase) -> Any:
    """Errors that Django or ninja made themselves (no such path, method not allowed, CSRF)."""
    if response.status_code < 400 or response.streaming:
        return response
    if response.get("Content-Type", "").startswith("application/json"):
        return response
    kept = {name: response[name] for name in ("Allow", "Retry-After") if response.has_header(name)}
    message = phrase(response.status_code)
    if "Allow" in kept:
        message = f"Method not allowed: this path knows {kept['Allow']}."
    elif response.status_code == 404:
        message = "Nothing is at this path; /api/docs lists what there is."
    return error_response(response.status_code, message, headers=kept)
