"""Paths of the WebSockets, and which consumer speaks with whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.urls import URLPattern, re_path

from .consumers import IngestConsumer, PlainConsumer, RefusedConsumer, ReplayConsumer
from .live.wire import SUBPROTOCOL as INGEST_SUBPROTOCOL
from .playback.protocol import SUBPROTOCOL

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class SubprotocolRouter:
    """ASGI application that passes a WebSocket on by the subprotocols that its client offers."""

    def __init__(
        self, applications: Mapping[str, Application], *, none: Application, unknown: Application
    ) -> None:
        """
        Args:
            applications: by the subprotocol that they speak; the first that is offered is taken.
            none: for clients that offer no subprotocol.
            unknown: for clients all of whose subprotocols are unknown.
        """
        self._applications = applications
        self._none = none
        self._unknown = unknown

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        offered = scope.get("subprotocols") or []
        spoken = next((name for name in offered if name in self._applications), None)
        if spoken is not None:
            application = self._applications[spoken]
        else:
            application = self._unknown if offered else self._none
        await application(scope, receive, send)


viewers = SubprotocolRouter(
    {SUBPROTOCOL: ReplayConsumer.as_asgi()},
    none=PlainConsumer.as_asgi(),
    unknown=RefusedConsumer.as_asgi(),
)

producers = SubprotocolRouter(
    {INGEST_SUBPROTOCOL: IngestConsumer.as_asgi()},
    none=RefusedConsumer.as_asgi(),
    unknown=RefusedConsumer.as_asgi(),
)


async def no_such_path(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse the handshake with 404, or with 403 on servers that support no other status."""
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no such path\n"})
    else:
        await send({"type": "websocket.close"})


websocket_urlpatterns: list[URLPattern] = [
    # Channels' URLRouter calls the ASGI application that stands where Django expects a view.
    re_path(r"^ws/sessions/(?P<slug>[^/]+)/?$", viewers),  # type: ignore[arg-type]
    re_path(r"^ws/replay/(?P<slug>[^/]+)/?$", viewers),  # type: ignore[arg-type]
    re_path(r"^ws/ingest/(?P<slug>[^/]+)/?$", producers),  # type: ignore[arg-type]
    # Else the router raises, and the server answers 500 with a traceback in the log.
    re_path(r"", no_such_path),  # type: ignore[arg-type]
]
