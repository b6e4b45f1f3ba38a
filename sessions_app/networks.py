"""What counts as one client: an IPv4 address, or the network of an IPv6 address. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

IPV6_PREFIX = 64
"""Whoever has one IPv6 address has all that begin with the same so many bits."""


@lru_cache(4096)
def network_of(address: str) -> str:
    """The name under which a client is counted; what is no IP address counts as it is.

    ::ffff:192.0.2.1, as a socket of both families names an IPv4 client, is 192.0.2.1.
    """
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))
    return address if found is None else str(found)


def is_this_machine(address: str) -> bool:
    """Whether it is a loopback address."""
    found = _parsed(address)
    return found is not None and found.is_loopback


def is_address(text: str) -> bool:
    """Whether it is an IP address at all: a client on a unix socket has none."""
    return _parsed(text) is not None


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
