"""Which web pages may open our WebSockets: a browser sends the user's cookies for any of them.

Two rules, in this order. The `Host` that the client asked for must be ours, as Django demands it of
every request; else a page of evil.example, whose name was made to point to our address, would come
with a Host and an Origin that agree (DNS rebinding). Then a page's `Origin` must be of the same
port, and its host the one asked for or one of ours; or it is a trusted origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django takes while DEBUG is on and ALLOWED_HOSTS empty."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def blocked_by(scope: Mapping[str, Any]) -> str:
    """Why this handshake may not go on, or ""."""
    headers = dict(scope.get("headers") or ())
    host = headers.get(b"host", b"").decode("latin-1")
    if not host_allowed(host):
        return "this host name is not served here (ALLOWED_HOSTS)"
    if not origin_allowed(headers.get(b"origin", b"").decode("latin-1"), host):
        return "this page's origin may not connect"
    return ""


def host_allowed(host: str) -> bool:
    """Whether the `Host` header names this service."""
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = _DEBUG_HOSTS
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def origin_allowed(origin: str, host: str) -> bool:
    """Whether a page of `origin` may connect to `host`, which is one of ours.

    No origin means no browser, so no page uses a user's cookies: allowed.
    """
    if not origin or _trusted(origin):
        return True
    try:
        parts = urlsplit(origin)
        port = str(parts.port or _DEFAULT_PORTS.get(parts.scheme, ""))
    except ValueError:
        return False
    if not parts.hostname:
        return False
    domain, asked_port = split_domain_port(host)
    # Without a port the client asked for its scheme's own, which is that of its page.
    if port != (asked_port or _DEFAULT_PORTS.get(parts.scheme, "")):
        return False
    page = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # "*" means that any name may point here, not that any page may connect.
    named = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    return page == domain or validate_host(page, named)


def _trusted(origin: str) -> bool:
    """As Django's CSRF protection reads CSRF_TRUSTED_ORIGINS, https://*.example.com included."""
    scheme, _, netloc = origin.partition("://")
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        trusted_scheme, _, pattern = trusted.partition("://")
        if scheme == trusted_scheme and is_same_domain(netloc, pattern.removeprefix("*")):
            return True
    return False
