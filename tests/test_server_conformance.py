"""RFC 6455 against the real server: the kinds of cases of the Autobahn suite, as one table.

Each row is what a client sends after the handshake and what it gets back. Messages come back in
their order and pongs in theirs; a pong may overtake a message, as the RFC wants it (5.5.2). What
the suite calls non-strict is marked: the server finds an error behind good messages in the same
packet, and closes whether or not the application has answered those.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from .test_server_flow import Flow, flow, raw_websocket

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PROTOCOL_ERROR, INVALID_PAYLOAD, TOO_BIG = 1002, 1007, 1009

MEBIBYTE = 1024 * 1024


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = None,
    masked: bool = True,
    length_bytes: int | None = None,
) -> bytes:
    """A client's frame. length_bytes: 1, 3 or 9, by default the fewest that will do."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    fewest = 1 if size < 126 else 3 if size < 1 << 16 else 9
    head = bytes((final << 7 | reserved << 4 | opcode,))
    flag = masked << 7
    match length_bytes or fewest:
        case 1:
            head += bytes((flag | size,))
        case 3:
            head += bytes((flag | 126,)) + struct.pack("!H", size)
        case _:
            head += bytes((flag | 127,)) + struct.pack("!Q", size)
    if not masked:
        return head + data
    key = os.urandom(4) if mask is None else mask
    repeated = (key * (size // 4 + 1))[:size]
    return head + key + bytes(a ^ b for a, b in zip(data, repeated, strict=True))


def closing(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def fragments(opcode: int, *parts: bytes | str) -> bytes:
    """One message in so many frames."""
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUATION if i else opcode, part, final=i == last) for i, part in enumerate(parts)
    )


def chopped(sent: bytes, size: int) -> tuple[bytes, ...]:
    """In packets of so many bytes."""
    return tuple(sent[i : i + size] for i in range(0, len(sent), size))


@dataclass(frozen=True)
class Case:
    """sent: bytes, in these packets. answer: the frames that come back before the close, in order.

    code: of the server's close frame (0: an empty one); by default the test closes with 1000 after
    the answers. strict: False where the answers before the close may be missing.
    """

    name: str
    sent: bytes | tuple[bytes, ...]
    answer: tuple[tuple[int, bytes], ...] = ()
    code: int | None = None
    strict: bool = True

    def __str__(self) -> str:
        return self.name


def echo(name: str, opcode: int, payload: bytes | str, sent: bytes | None = None) -> Case:
    """A message that comes back. sent: by default one frame."""
    data = payload.encode() if isinstance(payload, str) else payload
    return Case(name, frame(opcode, data) if sent is None else sent, ((opcode, data),))


def fails(name: str, sent: bytes | tuple[bytes, ...], code: int = PROTOCOL_ERROR) -> Case:
    return Case(name, sent, code=code)


def after_hello(name: str, bad: bytes) -> Case:
    """A good message, something bad, and a ping, in one packet. Non-strict."""
    sent = frame(TEXT, "hello") + bad + frame(PING)
    return Case(name, sent, ((TEXT, b"hello"),), PROTOCOL_ERROR, strict=False)


GREEK = "κόσμε".encode()
SURROGATE = b"\xed\xa0\x80"
ABOVE_UNICODE = b"\xf4\x90\x80\x80"
SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536)

CASES: list[Case] = [
    # 1 Framing: every length, text and binary.
    *(echo(f"1.1 text of {n}", TEXT, "*" * n) for n in SIZES),
    *(echo(f"1.2 binary of {n}", BINARY, b"\xfe" * n) for n in SIZES),
    echo("1 a mask of zeros", TEXT, "plain", frame(TEXT, "plain", mask=bytes(4))),
    # Five messages that are each too large for one packet.
    *(echo(f"1 binary of {n}", BINARY, bytes(n)) for n in (MEBIBYTE - 1, MEBIBYTE)),
    # 2 Pings and pongs.
    Case("2.1 empty ping", frame(PING), ((PONG, b""),)),
    Case("2.2 ping with text", frame(PING, "hello"), ((PONG, b"hello"),)),
    Case("2.3 ping with bytes", frame(PING, b"\x00\xff\xfe"), ((PONG, b"\x00\xff\xfe"),)),
    Case("2.4 ping of 125", frame(PING, b"\xfe" * 125), ((PONG, b"\xfe" * 125),)),
    fails("2.5 ping of 126", frame(PING, b"\xfe" * 126)),
    Case("2.7 a pong that nobody asked for", frame(PONG)),
    Case("2.8 the same with a payload", frame(PONG, "unsolicited")),
    Case("2.9 pong, then ping", frame(PONG, "x") + frame(PING, "y"), ((PONG, b"y"),)),
    Case(
        "2.10 ten pings",
        b"".join(frame(PING, f"{i}") for i in range(10)),
        tuple((PONG, f"{i}".encode()) for i in range(10)),
    ),
    # 3 Reserved bits.
    fails("3.1 RSV 1", frame(TEXT, "hello", reserved=1)),
    after_hello("3.2 RSV 2 behind a message", frame(TEXT, "hello", reserved=2)),
    Case(
        "3.3 the same in packets of their own",
        (frame(TEXT, "hello"), frame(TEXT, "hello", reserved=3), frame(PING)),
        ((TEXT, b"hello"),),
        PROTOCOL_ERROR,
        strict=False,
    ),
    fails("3.5 RSV 5, binary", frame(BINARY, b"\x00\xff", reserved=5)),
    fails("3.6 RSV 6, ping", frame(PING, b"\x00\xff", reserved=6)),
    fails("3.7 RSV 7, close", frame(CLOSE, struct.pack("!H", 1000), reserved=7)),
    fails("3 RSV 4, as compression that was not agreed on", frame(TEXT, "hello", reserved=4)),
    # 4 Reserved opcodes.
    *(fails(f"4.1 opcode {n}", frame(n)) for n in (3, 4, 5, 6, 7)),
    *(fails(f"4.1 opcode {n} with payload", frame(n, "x")) for n in (3, 4, 5, 6, 7)),
    after_hello("4.1.3 opcode 5 behind a message", frame(5)),
    after_hello("4.1.4 opcode 6 behind a message", frame(6, "x")),
    *(fails(f"4.2 control opcode {n}", frame(n)) for n in (11, 12, 13, 14, 15)),
    after_hello("4.2.3 opcode 13 behind a message", frame(13)),
    after_hello("4.2.4 opcode 14 behind a message", frame(14, "x")),
    # 5 Fragmentation.
    fails("5.1 ping in fragments", fragments(PING, "1", "2")),
    fails("5.2 pong in fragments", fragments(PONG, "1", "2")),
    echo("5.3 two fragments", TEXT, "onetwo", fragments(TEXT, "one", "two")),
    echo("5.3 two fragments, binary", BINARY, b"\x00\xff", fragments(BINARY, b"\x00", b"\xff")),
    echo("5 empty fragments", TEXT, "x", fragments(TEXT, "", "x", "", "")),
    echo("5 nothing but empty fragments", TEXT, "", fragments(TEXT, "", "", "")),
    Case(
        "5.6 ping between fragments",
        frame(TEXT, "one", final=False) + frame(PING, "now") + frame(CONTINUATION, "two"),
        ((PONG, b"now"), (TEXT, b"onetwo")),
    ),
    Case(
        "5.19 many pings between fragments",
        frame(TEXT, "a", final=False)
        + frame(CONTINUATION, "b", final=False)
        + frame(PING, "1")
        + frame(CONTINUATION, "c", final=False)
        + frame(PING, "2")
        + frame(CONTINUATION, "d"),
        ((PONG, b"1"), (PONG, b"2"), (TEXT, b"abcd")),
    ),
    fails("5.9 continuation of nothing", frame(CONTINUATION, "x")),
    fails("5.12 continuation of nothing, not final", frame(CONTINUATION, "x", final=False)),
    Case(
        "5.15 continuation of nothing behind a message",
        fragments(TEXT, "one", "two") + frame(CONTINUATION, "x", final=False) + frame(TEXT, "y"),
        ((TEXT, b"onetwo"),),
        PROTOCOL_ERROR,
        strict=False,
    ),
    fails("5.18 a text within a text", frame(TEXT, "one", final=False) + frame(TEXT, "two")),
    fails("5 binary within a text", frame(TEXT, "one", final=False) + frame(BINARY, b"two")),
    # 6 UTF-8.
    echo("6.1 empty", TEXT, ""),
    echo("6.2 of several bytes", TEXT, "Hello-µ@ßöäüàá-UTF-8!!"),
    echo("6.2 cut within a character", TEXT, GREEK, fragments(TEXT, GREEK[:3], GREEK[3:])),
    echo(
        "6.2 a byte a fragment", TEXT, GREEK, fragments(TEXT, *(bytes((byte,)) for byte in GREEK))
    ),
    Case(
        "6.2 cut within a character, a ping between",
        frame(TEXT, GREEK[:3], final=False) + frame(PING) + frame(CONTINUATION, GREEK[3:]),
        ((PONG, b""), (TEXT, GREEK)),
    ),
    fails("6.3 a surrogate", frame(TEXT, GREEK + SURROGATE + b"edited"), INVALID_PAYLOAD),
    fails(
        "6.4 wrong in the first fragment, the second never comes",
        frame(TEXT, GREEK + ABOVE_UNICODE, final=False),
        INVALID_PAYLOAD,
    ),
    fails(
        "6.4 wrong in the middle of a fragment that has not ended",
        frame(TEXT, GREEK + SURROGATE + b"edited" * 10)[:-20],
        INVALID_PAYLOAD,
    ),
    fails(
        "6.4 wrong across two fragments",
        frame(TEXT, b"\xf4", final=False) + frame(CONTINUATION, b"\x90\x80\x80", final=False),
        INVALID_PAYLOAD,
    ),
    *(echo(f"6 {data!r}", TEXT, data) for data in (b"\x00", b"\x7f", b"\xf4\x8f\xbf\xbf")),
    echo("6 a noncharacter", TEXT, b"\xef\xbf\xbf"),
    echo("6 a byte order mark", TEXT, b"\xef\xbb\xbfx"),
    *(
        fails(f"6 {data!r}", frame(TEXT, data), INVALID_PAYLOAD)
        for data in (
            b"\x80",
            b"\xbf",
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xfe",
            b"\xff",
            ABOVE_UNICODE,
            b"\xce",
            b"ab\xce",
            b"\xf0\x90\x80",
            SURROGATE,
            b"\xed\xa0\x80\xed\xb0\x80",
        )
    ),
    echo("6 a binary message need not be UTF-8", BINARY, b"\xff\xfe\x80"),
    # 7 Closing.
    Case(
        "7.1.1 message, then close", frame(TEXT, "x") + closing(1000), ((TEXT, b"x"),), 1000, False
    ),
    Case("7.1.2 two closes", closing(1000) + closing(1000), (), 1000),
    Case("7.1.3 close, then ping", closing(1000) + frame(PING), (), 1000),
    Case("7.1.4 close, then text", closing(1000) + frame(TEXT, "late"), (), 1000),
    Case(
        "7.1.5 close within a message",
        frame(TEXT, "one", final=False) + closing(1000) + frame(CONTINUATION, "two"),
        (),
        1000,
    ),
    Case("7.3.1 close without a code", closing(), (), 1000),
    fails("7.3.2 close with half a code", frame(CLOSE, b"\x03")),
    Case("7.3.3 close with a code", closing(1000), (), 1000),
    Case("7.3.4 with a reason", closing(1000, b"done"), (), 1000),
    Case("7.3.5 with the longest reason", closing(1000, b"*" * 123), (), 1000),
    fails("7.3.6 with a reason that is too long", closing(1000, b"*" * 124)),
    fails("7.5.1 a reason that is not UTF-8", closing(1000, b"\xce\xba\xed\xa0"), INVALID_PAYLOAD),
    *(
        Case(f"7.7 code {code}", closing(code), (), 1000)
        for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        fails(f"7.9 code {code}", closing(code))
        for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
    ),
    # 9 Limits.
    fails("9 a frame over the limit", frame(BINARY, bytes(MEBIBYTE + 1)), TOO_BIG),
    fails(
        "9 fragments over the limit",
        fragments(BINARY, *[bytes(MEBIBYTE // 4)] * 4, b"x"),
        TOO_BIG,
    ),
    fails("9 a frame of 2^63 bytes", b"\x82\xff" + b"\xff" * 8 + bytes(4)),
    fails("9 a frame of an exabyte", b"\x82\xff\x0f" + b"\xff" * 7 + bytes(4), TOO_BIG),
    # Masks, and lengths in more bytes than needed.
    fails("unmasked", frame(TEXT, "hello", masked=False)),
    fails("unmasked ping", frame(PING, masked=False)),
    fails("a length of 5 in three bytes", frame(TEXT, "hello", length_bytes=3)),
    fails("a length of 5 in nine bytes", frame(TEXT, "hello", length_bytes=9)),
    fails("a length of 1,000 in nine bytes", frame(BINARY, bytes(1000), length_bytes=9)),
    # 10 and chopped writes: where the packets end says nothing.
    echo("10.1 fifty fragments", TEXT, "*" * 65_000, fragments(TEXT, *["*" * 1300] * 50)),
    Case(
        "chopped: a byte a packet",
        chopped(frame(TEXT, GREEK) + frame(PING, "p"), 1),
        ((TEXT, GREEK), (PONG, b"p")),
    ),
    Case(
        "chopped: within the long length",
        chopped(frame(BINARY, bytes(300)), 3),
        ((BINARY, bytes(300)),),
    ),
    Case(
        "coalesced: a hundred messages in three packets",
        chopped(b"".join(frame(TEXT, f"{i}") for i in range(100)), 333),
        tuple((TEXT, f"{i}".encode()) for i in range(100)),
    ),
    Case(
        "coalesced: simple frames around what is not",
        frame(TEXT, "a")
        + frame(PING, "p")
        + frame(BINARY, b"b")
        + fragments(TEXT, "c", "d")
        + frame(TEXT, GREEK)
        + frame(TEXT, "e"),
        (
            (TEXT, b"a"),
            (PONG, b"p"),
            (BINARY, b"b"),
            (TEXT, b"cd"),
            (TEXT, GREEK),
            (TEXT, b"e"),
        ),
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Flow]:
    with flow() as running:
        yield running


def read_frames(client: socket.socket) -> Iterator[tuple[int, bytes]]:
    """What the server sends, up to its end."""
    stream = client.makefile("rb")
    while head := stream.read(2):
        first, length = head
        assert first & 0x70 == 0, "no extension was agreed on"
        assert first & 0x80, "the server never fragments"
        assert length < 128, "a server does not mask"
        if length == 126:
            [length] = struct.unpack("!H", stream.read(2))
        elif length == 127:
            [length] = struct.unpack("!Q", stream.read(8))
        yield first & 0x0F, stream.read(length)


def by_kind(frames: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Messages first, then pongs, each in their order."""
    return sorted(frames, key=lambda frame: frame[0] == PONG)


def send(client: socket.socket, packets: Iterable[bytes]) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for packet in packets:
        client.sendall(packet)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_table(server: Flow, case: Case) -> None:
    packets = (case.sent,) if isinstance(case.sent, bytes) else case.sent
    with raw_websocket(server, "echo") as client:
        send(client, packets)
        frames = read_frames(client)
        if case.code is None:
            found = [next(frames) for _ in case.answer]
            assert by_kind(found) == by_kind(case.answer)
            client.sendall(closing(1000))
            assert next(frames) == (CLOSE, struct.pack("!H", 1000))
            return
        found = []
        for opcode, payload in frames:
            if opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                break
            found.append((opcode, payload))
        else:
            pytest.fail(f"no close frame, after {found}")
        assert code == case.code
        if case.strict:
            assert by_kind(found) == by_kind(case.answer)
        else:
            assert found in ([], list(case.answer))
