"""The REST API: both rooms' routers in one document, at /api/docs and /api/openapi.json."""

from __future__ import annotations

from django.conf import settings
from django.views.decorators.gzip import gzip_page
from ninja import NinjaAPI

from sessions_app.api import errors, imports, moments, sessions
from streaming.api.connections import router as connections
from streaming.api.frames import router as frames

DESCRIPTION = """\
Recorded sessions: what moved, where, and what happened. Frames are best taken from the WebSocket
(`docs/protocol.md`) or, for caches, from segments, whose addresses never change their content.

Errors are `{"code", "message"}`. Whatever has no version in its path has an ETag: ask again with
`If-None-Match`. Public sessions need no login; for the others, and for imports, log in to the site
or send `Authorization: Bearer <token>` with one of the setting API_TOKENS.
"""

SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "One of API_TOKENS."},
    "login": {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
}

api = NinjaAPI(
    title="Replay",
    version="1",
    description=DESCRIPTION,
    docs_decorator=gzip_page,
    openapi_extra={"components": {"securitySchemes": SECURITY}},
)
errors.register(api)
imports.mount(sessions.router)
api.add_router("", sessions.router)
api.add_router("", moments.router)
api.add_router("", frames)
api.add_router("", connections)
