"""A request's body as it comes, for views that must not wait for all of it.

Django reads a body to its end before it looks at the request. `StreamedBodies` stands in front of
it and keeps the body of the paths that it is given: the view takes it with `body_of`, after it has
decided whether it wants it. What nobody takes stays in the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

from django.http import HttpRequest

Receive = Callable[[], Awaitable[dict[str, Any]]]
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

SCOPE_KEY = "replay.body"
"""Where the body is in the ASGI scope of a request."""
BLOCK = 256 * 1024


class BodyCutOff(Exception):
    """The client has gone before it had sent all."""


class StreamedBodies:
    """An ASGI application in front of another, which sees no body of some requests."""

    def __init__(self, application: Application, requests: Collection[tuple[str, str]]) -> None:
        """
        Args:
            application: Django.
            requests: method and path of those whose view takes the body itself.
        """
        self._application = application
        self._requests = frozenset(requests)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) in self._requests:
            body = _Body(receive)
            scope, receive = {**scope, SCOPE_KEY: body}, body.receive_the_rest
        await self._application(scope, receive, send)


class _Body:
    """The body of one request: iterated by its view, and what remains of the connection for
    Django, which listens for its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._began = False
        self._over = asyncio.Event()
        self._cut_off = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._cut_off = True
                self._over.set()
                raise BodyCutOff
            if data := message.get("body"):
                yield data
            if not message.get("more_body"):
                self._over.set()
                return

    async def receive_the_rest(self) -> dict[str, Any]:
        """ASGI's `receive`, as of a request without a body."""
        if not self._began:
            self._began = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"} if self._cut_off else await self._receive()


async def body_of(request: HttpRequest) -> AsyncIterator[bytes]:
    """The body, piece by piece. Where nothing kept it back, it is what Django has read.

    Raises: BodyCutOff.
    """
    scope = getattr(request, "scope", {})
    if SCOPE_KEY in scope:
        async for data in scope[SCOPE_KEY]:
            yield data
        return
    while data := request.read(BLOCK):
        yield data


def leave_body(request: HttpRequest) -> None:
    """Have Django not look for form fields in the body, for example for a CSRF token."""
    request.read(0)
