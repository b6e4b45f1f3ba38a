"""Which web pages may open our WebSockets: a browser sends the user's cookies for any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host


def origin_allowed(scope: Mapping[str, Any]) -> bool:
    """Whether a page of that origin may connect: our own host, ALLOWED_HOSTS, or a trusted origin.

    No Origin means no browser, hence no one else's cookies: allowed.
    """
    headers = dict(scope.get("headers") or ())
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        return True
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.netloc and parts.netloc.lower() == headers.get(b"host", b"").decode("latin-1").lower():
        return True
    bracketed = f"[{host}]" if ":" in host else host
    return bool(host) and validate_host(bracketed, settings.ALLOWED_HOSTS)
