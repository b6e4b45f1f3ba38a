"""What one client may cost the server: sizes, rates and deadlines, each with its reason.

It knows no server: `http.py` and `transport.py` keep these limits, `daphne.py` hands them down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

HANDSHAKE_SECONDS = 10.0
"""For a request line and its headers, from the connection or the request's first byte on, and for
the application's answer to a WebSocket's opening handshake. One packet carries the headers of any
browser, so ten seconds are several retransmissions on the worst line."""

KEEP_ALIVE_SECONDS = 75.0
"""How long a connection may be idle between two requests. Longer than the 60 s for which nginx
keeps its own connections to us: whoever closes first must be the one that sends the next request,
or some requests meet a closed connection."""

BODY_SECONDS = 10.0
BODY_BYTES_PER_SECOND = 8 * 1024
"""A body may take so many seconds, and a second more for so many bytes that have come: 64 kbit/s,
less than the slowest line that the player is meant for (100 kbit/s)."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024
"""After a refusal of a body so much more is read and thrown away, for so long: a socket closed over
unread bytes is reset, and a client that sends before it reads would not see the answer."""

STREAM_BYTES = 256 * 1024
"""Of a streamed body that the application has not taken yet; beyond that the socket is not read."""

CONTROL_FRAMES_PER_SECOND = 20
"""Pings and pongs of one WebSocket. Libraries send one in 20 s, the Autobahn suite ten at once."""

MAX_FRAGMENTS = 256
"""Frames of one message: 1 MiB in pieces of 4 kB. Browsers cut at 128 kB."""

BURST_SECONDS = 2.0
"""How many seconds' worth may come at once: a page that was hidden catches up."""

CLOSING_FRAMES = 512
CLOSING_BYTES = 1024 * 1024
"""What is still read of a client that was sent a close frame: its answer stands behind what was on
its way. Whoever sends more than that is not read from any more."""


@dataclass(frozen=True, slots=True)
class BodyRule:
    """How a request's body is taken.

    most: bytes; a larger body is answered with 413 and not read.
    streamed: the application starts when the headers are there, and receives the body as it comes;
    else it starts when all of the body is there.
    """

    most: int
    streamed: bool = False


BodyRules = Callable[[str, str, Mapping[bytes, bytes]], BodyRule]
"""Called with method, path (not decoded, without the query) and headers (names in lower case)."""


def _uncounted(limit: str) -> None:
    """Nobody counts refusals."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker is started with.

    body_bytes: the rule for every body unless `body_rule` says otherwise.
    body_rule: looked up once a request, when its headers are there. A path that takes uploads
    returns a larger, streamed rule; its application then checks the rights before it receives,
    which is also when a client that sent `Expect: 100-continue` is told to go on.
    messages_per_second: fragments that one WebSocket may send, as whole messages are counted by
    the application.
    refused: called with the name of a limit each time that somebody is refused because of it:
    `body_bytes`, `control_frames` or `fragments`.
    """

    body_bytes: int = 1_000_000
    body_rule: BodyRules | None = None
    messages_per_second: float = 200.0
    refused: Callable[[str], None] = _uncounted

    def body(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> BodyRule:
        """The rule for this request."""
        if self.body_rule is None:
            return BodyRule(self.body_bytes)
        return self.body_rule(method, path, headers)
