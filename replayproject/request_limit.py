"""What one address, one login or one token may ask for: so much a second, then 429.

A request costs what it costs the server: a file of the pages next to nothing, a range of frames as
much as ten small answers. Who has used up what comes back each second is answered with 429 and
`Retry-After`, without Django, and before a WebSocket is accepted. So is who has downloaded more in
a minute than one may; what was begun is sent to its end.

The counts are each worker's own: with four workers somebody may have four times as much, and no
request waits for Redis. Clients on this machine are not limited, because a proxy that
TRUSTED_PROXIES does not name is one too, and would be shut out with all its viewers.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from sessions_app.networks import is_address, is_this_machine, network_of
from sessions_app.rates import Buckets, ByteAllowance
from streaming.worker import WORKER

Application = Callable[[Any, Any, Any], Awaitable[None]]

BURST_SECONDS = 10.0
"""So many seconds' worth may come at once: a page with its scripts, of everybody in one room."""

DOWNLOAD_SECONDS = 60.0
"""The period of `Rates.download_bytes`: long enough for the recording of a race at once."""

COSTS: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"/(livez|readyz|metrics)$"), 0.0),
    (re.compile(r"/static/"), 0.02),
    # Asks the provider before it answers.
    (re.compile(r"/login/oidc/"), 10.0),
    (re.compile(r"/api/(compare|.*/(frames|telemetry|segments|export))\b"), 10.0),
)
"""The first that matches a path is its cost; any other costs 1."""

WRITE_COST = 10.0
"""Of a POST, PUT, PATCH or DELETE: an import, a login."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one address, login or token may have; 0: not limited.

    requests: a second, in costs. handshakes: WebSockets opened a second.
    download_bytes: of answers in DOWNLOAD_SECONDS; what a WebSocket sends is not in it.
    """

    requests: float
    handshakes: float
    download_bytes: float = 0.0


def cost_of(method: str, path: str) -> float:
    """What a request costs, in small answers."""
    if method not in ("GET", "HEAD", "OPTIONS"):
        return WRITE_COST
    return next((cost for pattern, cost in COSTS if pattern.match(path)), 1.0)


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
        self._requests = _buckets(rates.requests)
        self._handshakes = _buckets(rates.handshakes)
        self._downloads = ByteAllowance(rates.download_bytes, DOWNLOAD_SECONDS, clock=clock)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        who = self._who(scope)
        limit, wait = self._exceeded(scope, who)
        if not limit:
            if scope["type"] == "http" and who and cost_of(scope["method"], scope["path"]):
                send = self._counting(send, [f"{kind} {key}" for kind, key in who])
            await self._application(scope, receive, send)
            return
        worker = scope.get(WORKER)
        if worker is not None:
            worker.registry.refused(limit)
        await _refuse(scope, receive, send, limit, max(1, math.ceil(wait)))

    def _counting(self, send: Any, keys: list[str]) -> Any:
        async def count(event: dict[str, Any]) -> None:
            self._downloads.spend(keys, len(event.get("body", b"")))
            await send(event)

        return count

    def _exceeded(self, scope: dict[str, Any], who: list[tuple[str, str]]) -> tuple[str, float]:
        """The limit that this would exceed, or "", and the seconds to wait."""
        if scope["type"] == "http":
            buckets, noun = self._requests, "requests"
            cost = cost_of(scope["method"], scope["path"])
        elif scope["type"] == "websocket":
            buckets, noun, cost = self._handshakes, "handshakes", 1.0
        else:
            return "", 0.0
        if not cost:
            return "", 0.0
        now = self._clock()
        for kind, key in who:
            name = f"{kind} {key}"
            if buckets is not None and (wait := buckets.take(name, cost, now)):
                return f"{noun}_per_{kind}", wait
            if scope["type"] == "http" and (wait := self._downloads.wait([name])):
                return f"bytes_per_{kind}", wait
        return "", 0.0

    def _who(self, scope: dict[str, Any]) -> list[tuple[str, str]]:
        """Address, login and token of who asks; nobody, and so not limited, on this machine."""
        if scope["type"] not in ("http", "websocket"):
            return []
        address = (scope.get("client") or ("", 0))[0]
        if not is_address(address) or is_this_machine(address):
            return []
        return [("address", network_of(address)), *self._named(scope)]

    def _named(self, scope: dict[str, Any]) -> Iterator[tuple[str, str]]:
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


def _buckets(rate: float) -> Buckets | None:
    return Buckets(rate, rate * BURST_SECONDS) if rate else None


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


async def _refuse(scope: dict[str, Any], receive: Any, send: Any, limit: str, wait: int) -> None:
    """429 with the time to come back; as JSON below /api/, as every error there."""
    what = limit.replace("bytes", "bytes downloaded").replace("_", " ")
    message = f"Too many {what}. Come back in {wait} seconds."
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
