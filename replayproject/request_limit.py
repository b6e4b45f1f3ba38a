"""What one address, one login or one token may ask for: so much a second, then 429.

A request costs what it costs the server: a file of the pages next to nothing, a range of frames as
much as ten small answers. Who has used up what comes back each second is answered with 429 and
`Retry-After`, without Django, and before a WebSocket is accepted.

The counts are each worker's own: with four workers somebody may have four times as much, and no
request waits for Redis. Clients on this machine are not limited, because a proxy that
TRUSTED_PROXIES does not name is one too, and would be shut out with all its viewers.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from streaming.connections.token_bucket import TokenBucket
from streaming.worker import WORKER

Application = Callable[[Any, Any, Any], Awaitable[None]]

BURST_SECONDS = 10.0
"""So many seconds' worth may come at once: a page with its scripts, of everybody in one room."""

MAX_BUCKETS = 50_000
"""Of one worker, some 200 bytes each; who has not come for longest is forgotten first."""

COSTS: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"/(livez|readyz|metrics)$"), 0.0),
    (re.compile(r"/static/"), 0.02),
    (re.compile(r"/api/(compare|.*/(frames|telemetry|segments|export))\b"), 10.0),
)
"""The first that matches a path is its cost; any other costs 1."""

WRITE_COST = 10.0
"""Of a POST, PUT, PATCH or DELETE: an import, a login."""


@dataclass(frozen=True, slots=True)
class Rates:
    """requests: a second, in costs; handshakes: WebSockets opened a second. 0: not limited."""

    requests: float
    handshakes: float


def cost_of(method: str, path: str) -> float:
    """What a request costs, in small answers."""
    if method not in ("GET", "HEAD", "OPTIONS"):
        return WRITE_COST
    return next((cost for pattern, cost in COSTS if pattern.match(path)), 1.0)


class Buckets:
    """Token buckets by key, as many as were used last."""

    def __init__(self, rate: float, most: int = MAX_BUCKETS) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, cost: float, now: float) -> float:
        """Take `cost`. Returns: 0.0 if it was there, else the seconds until it is."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = TokenBucket(self._rate, self._rate * BURST_SECONDS, now)
            self._buckets[key] = bucket
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        # One expensive request must be possible at a rate below its cost.
        cost = min(cost, bucket.burst)
        return 0.0 if bucket.take(now, cost) else bucket.wait(cost)


class RequestLimit:
    """An ASGI application in front of another, behind the one that finds the real address."""

    def __init__(
        self,
        application: Application,
        rates: Rates,
        *,
        login_cookie: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            application: answers what is within the limits.
            rates: what one address, login or token may have.
            login_cookie: the name of the cookie that tells logins apart.
            clock: seconds that do not go back.
        """
        self._application = application
        self._login_cookie = login_cookie
        self._clock = clock
        self._requests = Buckets(rates.requests) if rates.requests else None
        self._handshakes = Buckets(rates.handshakes) if rates.handshakes else None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        limit, wait = self._exceeded(scope)
        if not limit:
            await self._application(scope, receive, send)
            return
        worker = scope.get(WORKER)
        if worker is not None:
            worker.registry.refused(limit)
        await _refuse(scope, receive, send, limit, max(1, math.ceil(wait)))

    def _exceeded(self, scope: dict[str, Any]) -> tuple[str, float]:
        """The limit that this would exceed, or "", and the seconds to wait."""
        if scope["type"] == "http":
            buckets, noun = self._requests, "requests"
            cost = cost_of(scope["method"], scope["path"])
        elif scope["type"] == "websocket":
            buckets, noun, cost = self._handshakes, "handshakes", 1.0
        else:
            return "", 0.0
        network = _network((scope.get("client") or ("", 0))[0])
        if buckets is None or not cost or network is None:
            return "", 0.0
        now = self._clock()
        for kind, key in (("address", network), *self._who(scope)):
            if wait := buckets.take(f"{kind} {key}", cost, now):
                return f"{noun}_per_{kind}", wait
        return "", 0.0

    def _who(self, scope: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """The login and the token that a request names, unchecked, as a hash."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                yield "token", _hash(value)
            elif name == b"cookie" and self._login_cookie.encode() in value:
                try:
                    cookie = SimpleCookie(value.decode("latin-1")).get(self._login_cookie)
                except CookieError:
                    continue
                if cookie is not None:
                    yield "login", _hash(cookie.value.encode())


def _network(address: str) -> str | None:
    """What counts as one address, or None if it is on this machine or none.

    Of IPv6 the first 64 bits: whoever has one address has all that follow.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


async def _refuse(scope: dict[str, Any], receive: Any, send: Any, limit: str, wait: int) -> None:
    """429 with the time to come back; as JSON below /api/, as every error there."""
    message = f"Too many {limit.replace('_', ' ')}. Come back in {wait} seconds."
    as_json = scope["path"].startswith("/api/")
    body = json.dumps({"code": "too_many_requests", "message": message}) if as_json else message
    kind = "application/json" if as_json else "text/plain; charset=utf-8"
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(wait).encode()),
        (b"cache-control", b"no-store"),
    ]
    start = "http.response"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close"})
            return
        start = "websocket.http.response"
    await send({"type": f"{start}.start", "status": 429, "headers": headers})
    await send({"type": f"{start}.body", "body": body.encode()})
