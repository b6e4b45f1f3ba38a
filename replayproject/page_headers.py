"""Headers that depend on what is answered: who may frame a page, and where Trusted Types hold.

The policy of all answers is in settings.py, strict; here is what deviates from it:

- The library and the player may be framed by EMBED_ORIGINS. Nothing else may be framed by anybody.
- Django's admin and the API's page are other people's scripts, which write HTML: Trusted Types are
  not asked of them. They have the rest of the policy, and no `unsafe-…` either.
- Static files get the policy as well: a worker has the one of its own script, not its page's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

RESOURCE_POLICY = "Cross-Origin-Resource-Policy"
EMBEDDER_POLICY = "Cross-Origin-Embedder-Policy"

EMBEDDABLE = frozenset({"streaming:library", "streaming:player"})
FOREIGN_SCRIPTS = frozenset({"admin", "api-1"})
"""URL namespaces whose pages run scripts that are not ours."""
LIVE_PAGES = "admin:streaming_liveconnection_"
"""The admin's pages that run only our own script beside the few of every page of the admin."""

Handler = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def page_headers(get_response: Handler) -> Handler:
    """Django middleware; has to stand after django-csp's, which writes what it decides."""
    if iscoroutinefunction(get_response):
        ask = cast("Callable[[HttpRequest], Awaitable[HttpResponseBase]]", get_response)

        async def handle(request: HttpRequest) -> HttpResponseBase:
            return _with_headers(request, await ask(request))

        return handle

    def handle_sync(request: HttpRequest) -> HttpResponseBase:
        return _with_headers(request, cast(HttpResponseBase, get_response(request)))

    return handle_sync


def static_headers(headers: Any, path: str, url: str) -> None:
    """ServeStatic's hook, called once a file. headers: of its answers, to be added to."""
    headers["Content-Security-Policy"] = build_policy()
    headers[RESOURCE_POLICY] = "same-origin"
    # A page that asks for it starts no worker whose script does not.
    headers[EMBEDDER_POLICY] = "require-corp"


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    match = request.resolver_match
    name = match.view_name if match is not None else ""
    framed = name in EMBEDDABLE and settings.EMBED_ORIGINS
    changed: dict[str, Any] = {}
    if framed:
        changed["frame-ancestors"] = settings.EMBED_ORIGINS
        # The older header knows no list: browsers that know the policy do not look at it.
        response.headers.pop("X-Frame-Options", None)
    if name.startswith(LIVE_PAGES):
        changed["trusted-types"] = ["replay-live"]
    elif match is not None and FOREIGN_SCRIPTS & set(match.namespaces):
        changed["require-trusted-types-for"] = changed["trusted-types"] = None
    if changed:
        response._csp_replace = changed  # type: ignore[attr-defined]
    response.headers.setdefault(RESOURCE_POLICY, "cross-origin" if framed else "same-origin")
    response.headers.setdefault(EMBEDDER_POLICY, "require-corp")
    return response
