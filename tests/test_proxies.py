"""The real client behind a reverse proxy, and nobody else's word for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from replayproject.proxies import TrustedProxies, parse_networks

from .conftest import RunningServer
from .samples import RACE_SLUG
from .websocket_client import open_wire

PROXIES = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]


async def seen(client: str, *headers: tuple[str, str], kind: str = "http") -> tuple[str, str]:
    """Address and scheme that the application gets."""
    found: dict[str, Any] = {}

    async def application(scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        found.update(scope)

    scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": (client, 1234),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    await TrustedProxies(application, parse_networks(PROXIES))(scope, None, None)
    return found["client"][0], found["scheme"]


FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [(FOR, "198.51.100.7")], "192.0.2.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [(FOR, "198.51.100.7")], "198.51.100.7"),
        ("::ffff:10.1.2.3", [(FOR, "198.51.100.7")], "198.51.100.7"),
        # What the client itself wrote stands left of what the proxies appended.
        ("127.0.0.1", [(FOR, "203.0.113.9, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
        ("127.0.0.1", [(FOR, "203.0.113.9"), (FOR, "198.51.100.7")], "198.51.100.7"),
        ("127.0.0.1", [(FOR, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        ("127.0.0.1", [(FOR, "198.51.100.7, nonsense, 10.0.0.2")], "10.0.0.2"),
        ("127.0.0.1", [(FOR, "nonsense")], "127.0.0.1"),
        ("127.0.0.1", [(FOR, "198.51.100.7:5555")], "198.51.100.7"),
        ("fd00::1", [(FOR, "[2001:db8::7]:5555")], "2001:db8::7"),
        ("127.0.0.1", [(FOR, "2001:db8::7")], "2001:db8::7"),
    ],
)
async def test_the_address(client: str, headers: list[tuple[str, str]], expected: str) -> None:
    assert (await seen(client, *headers))[0] == expected


@pytest.mark.parametrize(
    ("client", "kind", "value", "expected"),
    [
        ("127.0.0.1", "http", "https", "https"),
        ("127.0.0.1", "http", "http", "http"),
        ("127.0.0.1", "http", "https, http", "http"),
        ("127.0.0.1", "websocket", "https", "wss"),
        ("127.0.0.1", "http", "gopher", "http"),
        ("192.0.2.1", "http", "https", "http"),
    ],
)
async def test_the_scheme(client: str, kind: str, value: str, expected: str) -> None:
    assert (await seen(client, (PROTO, value), kind=kind))[1] == expected


def test_a_bad_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"not '10\.0\.0\.0/33'"):
        parse_networks(["127.0.0.1", "10.0.0.0/33"])


async def test_limits_and_the_redirect_go_by_the_real_client(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(
        TRUSTED_PROXIES="127.0.0.1",
        MAX_CONNECTIONS_PER_ADDRESS="1",
        SECURE_SSL_REDIRECT="1",
        SECURE_HSTS_SECONDS="3600",
    )
    url = server.websocket(f"/ws/sessions/{RACE_SLUG}/")
    async with open_wire(url, additional_headers={FOR: "198.51.100.7"}) as one:
        await one.ask("hello")
        async with open_wire(url, additional_headers={FOR: "198.51.100.7"}) as two:
            assert "198.51.100.7 has its 1 connections" in (await two.until_type("bye"))["reason"]
        async with open_wire(url, additional_headers={FOR: "198.51.100.8"}) as three:
            assert (await three.ask("hello"))["type"] == "welcome"
    async with httpx.AsyncClient(base_url=server.url) as http:
        plain = await http.get("/")
        assert plain.status_code == 301
        assert plain.headers["Location"].startswith("https://")
        assert (await http.get("/livez")).status_code == 200
        secure = await http.get("/", headers={PROTO: "https"})
        assert secure.status_code == 200
        assert secure.headers["Strict-Transport-Security"] == "max-age=3600"
        assert "camera=()" in secure.headers["Permissions-Policy"]
