"""The client's address and scheme behind a reverse proxy.

A proxy names its client in `X-Forwarded-For` and says in `X-Forwarded-Proto` whether that came by
TLS. Anybody can send these headers, so they are believed of the proxies alone that
TRUSTED_PROXIES names. What is found becomes the scope's `client` and `scheme`, so that limits,
statistics, logs, and Django's redirect to https all see the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]
Network = IPv4Network | IPv6Network

_SECURE = {"http": "https", "ws": "wss"}


def parse_networks(names: Iterable[str]) -> list[Network]:
    """Addresses and networks (`10.0.0.0/8`). Raises: ValueError naming the one that is neither."""
    networks = []
    for name in names:
        try:
            networks.append(ip_network(name.strip(), strict=False))
        except ValueError as error:
            raise ValueError(f"expected addresses or networks, not {name!r}") from error
    return networks


class TrustedProxies:
    """An ASGI application that puts the real client's address into another's scope.

    networks: of the proxies that are believed; none by default, and then nothing is changed.
    """

    def __init__(self, application: Application, networks: Sequence[Network]) -> None:
        self._application = application
        self._networks = networks

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self._networks and scope["type"] in ("http", "websocket"):
            self._correct(scope)
        await self._application(scope, receive, send)

    def _correct(self, scope: dict[str, Any]) -> None:
        client = scope.get("client")
        if not client or not self._trusted(_address(client[0])):
            return
        forwarded = _values(scope, b"x-forwarded-for")
        # Each proxy appends whom it saw, so only what trusted ones appended is worth anything.
        address = client[0]
        for text in reversed(forwarded):
            found = _address(text)
            if found is None:
                break
            address = str(found)
            if not self._trusted(found):
                break
        if forwarded:
            scope["client"] = (address, 0)
        if _values(scope, b"x-forwarded-proto")[-1:] in (["https"], ["wss"]):
            plain = scope.get("scheme") or ("ws" if scope["type"] == "websocket" else "http")
            scope["scheme"] = _SECURE.get(plain, plain)

    def _trusted(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _values(scope: dict[str, Any], header: bytes) -> list[str]:
    """What stands between the commas of all headers of that name."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == header]
    return [value.strip().lower() for value in ",".join(lines).split(",") if value.strip()]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `text`, maybe with a port as some proxies write it; None if there is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # ::ffff:10.0.0.1, as a socket of both families names an IPv4 client.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
