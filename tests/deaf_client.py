"""A WebSocket client that sends but never reads, on a small buffer, for tests of slow viewers."""

from __future__ import annotations

import base64
import json
import os
import socket
from typing import Any

from streaming.server.transport import unmask

RECEIVE_BUFFER = 32 * 1024


class DeafClient:
    """A blocking socket after its handshake; use it as a context manager."""

    def __init__(self, port: int, path: str, *, subprotocol: str | None = None) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        wanted = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        self.socket.sendall(
            (
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n{wanted}"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        # The last that is read: before it, nothing may be sent.
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(1)
        assert answer.startswith(b"HTTP/1.1 101"), answer

    def say(self, action: str, **fields: Any) -> None:
        """Send a command: a masked text frame."""
        payload = json.dumps({"action": action, **fields}).encode()
        mask = os.urandom(4)
        assert len(payload) < 126
        head = bytes((0x81, 0x80 | len(payload)))
        self.socket.sendall(head + mask + unmask(payload, mask))

    def read_to_the_end(self) -> bytes:
        """Everything that the server had sent until it ended the connection, however it did."""
        parts: list[bytes] = []
        try:
            while part := self.socket.recv(1 << 16):
                parts.append(part)
        except ConnectionError:
            pass  # dropped, not closed: what a server does to who does not answer its close
        return b"".join(parts)

    def __enter__(self) -> DeafClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
