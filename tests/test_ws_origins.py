"""Which hosts and pages may open a WebSocket, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from streaming.connections.origins import blocked_by

HOST, ORIGIN = "this host name", "this page's origin"


def block(host: str | None, origin: str | None) -> str:
    headers = [(b"host", host.encode())] if host is not None else []
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return blocked_by({"headers": headers})


@pytest.mark.parametrize(
    ("host", "origin", "reason"),
    [
        ("replay.example", None, ""),
        ("replay.example", "https://replay.example", ""),
        ("replay.example", "http://replay.example", ""),
        ("Replay.Example", "https://replay.example", ""),
        ("replay.example:8000", "http://replay.example:8000", ""),
        ("replay.example:80", "http://replay.example", ""),
        ("www.replay.example", "https://replay.example", ""),
        ("[::1]:8000", "http://[::1]:8000", ""),
        # Any other port is another service of the same machine, maybe somebody else's.
        ("replay.example:8000", "http://replay.example:9000", ORIGIN),
        ("replay.example:8000", "http://replay.example", ORIGIN),
        ("replay.example", "http://replay.example:8000", ORIGIN),
        ("replay.example:443", "http://replay.example", ORIGIN),
        # A name of somebody else's that points to our address.
        ("evil.example", None, HOST),
        ("evil.example", "http://evil.example", HOST),
        ("evil.example:8000", "http://replay.example:8000", HOST),
        (None, None, HOST),
        ("", "http://", HOST),
        ("replay.example, evil.example", None, HOST),
        ("replay.example", "https://evil.example", ORIGIN),
        ("replay.example", "https://replay.example.evil.example", ORIGIN),
        ("replay.example", "null", ORIGIN),
        ("replay.example", "https://", ORIGIN),
        ("replay.example", "https://replay.example:x", ORIGIN),
        ("replay.example", "file://replay.example", ""),
        # CSRF_TRUSTED_ORIGINS are exact, or all below a domain.
        ("replay.example", "https://front.example:8443", ""),
        ("replay.example", "https://front.example", ORIGIN),
        ("replay.example", "http://front.example:8443", ORIGIN),
        ("replay.example", "https://a.pages.example", ""),
        ("replay.example", "https://apages.example", ORIGIN),
    ],
)
def test_the_table(settings: Any, host: str | None, origin: str | None, reason: str) -> None:
    settings.ALLOWED_HOSTS = ["replay.example", "www.replay.example", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://front.example:8443", "https://*.pages.example"]
    assert block(host, origin).startswith(reason) if reason else block(host, origin) == ""


def test_any_host_is_not_any_page(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    assert block("10.0.0.7:8000", "http://10.0.0.7:8000") == ""
    assert block("10.0.0.7:8000", "http://evil.example:8000").startswith(ORIGIN)


def test_debug_without_hosts_takes_this_machine(settings: Any) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, []
    assert block("app.localhost:8000", "http://app.localhost:8000") == ""
    assert block("evil.example", None).startswith(HOST)
