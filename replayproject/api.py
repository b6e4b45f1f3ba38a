"""The REST API: both rooms' routers in one document, at /api/docs and /api/openapi.json."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.views.decorators.gzip import gzip_page
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from sessions_app.api import (
    changes,
    compare,
    errors,
    f1_front_end,
    imports,
    links,
    moments,
    sessions,
    tokens,
    uploads,
)
from streaming.api.connections import router as connections
from streaming.api.exports import router as exports
from streaming.api.frames import router as frames
from streaming.api.pictures import router as pictures
from streaming.api.producers import router as producers

DESCRIPTION = """\
Recorded sessions: what moved, where, and what happened. Frames are best taken from the WebSocket
(`docs/protocol.md`) or, for caches, from segments, whose addresses never change their content.

Errors are `{"code", "message"}`. Whatever has no version in its path has an ETag: ask again with
`If-None-Match`. Public and unlisted sessions need no login; for the others, and for imports, log in
to the site, send `Authorization: Bearer <token>`, or add `?link=` with a share link of the session.
"""

SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "One of /api/tokens, or of the setting API_TOKENS.",
    },
    "login": {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
}

RENAMED_STATUSES = {
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Names of RFC 9110. Python's own names of these statuses changed in 3.13."""


class ReplayAPI(NinjaAPI):
    """The API whose document is the same on every supported version of Python."""

    _document: OpenAPISchema | None = None

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """As Ninja makes it, with the names of RENAMED_STATUSES.

        Made once, since that takes a fifth of a second and anybody may ask for it; shared, so do
        not change it.

        Args:
            options: Ninja's. The API is mounted in one place, so that they change nothing here.
        """
        if self._document is None:
            self._document = self._made(**options)
        return self._document

    def _made(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        for operations in document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status in RENAMED_STATUSES:
                        response["description"] = RENAMED_STATUSES[status]
        return document


api = ReplayAPI(
    title="Replay",
    version="1",
    description=DESCRIPTION,
    docs_decorator=gzip_page,
    openapi_extra={"components": {"securitySchemes": SECURITY}},
)
errors.register(api)
imports.mount(sessions.router)
changes.mount(sessions.router)
api.add_router("", sessions.router)
api.add_router("", uploads.router)
api.add_router("", changes.router)
api.add_router("", moments.router)
api.add_router("", compare.router)
api.add_router("", links.router)
api.add_router("", tokens.router)
api.add_router("", f1_front_end.router)
api.add_router("", frames)
api.add_router("", pictures)
api.add_router("", producers)
api.add_router("", exports)
api.add_router("", connections)
