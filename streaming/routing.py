"""Paths of the WebSockets."""

from django.urls import URLPattern, re_path

from .connections.dialects.replay import replay_socket

websocket_urlpatterns: list[URLPattern] = [
    # Channels' URLRouter calls the ASGI application that stands where Django expects a view.
    re_path(r"^ws/sessions/(?P<slug>[^/]+)/?$", replay_socket),  # type: ignore[arg-type]
    re_path(r"^ws/replay/(?P<slug>[^/]+)/?$", replay_socket),  # type: ignore[arg-type]
]
