"""Data messages that are none: one error that names them, whatever their bytes are."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from sessions_app.recording import CorruptRecording, Field, Schema
from streaming.client.decoding import decode_data

SCHEMA = Schema((Field("x"),), ("A",), 25.0, 10)


@pytest.mark.parametrize(
    "message",
    [
        [],
        {"kind": 1},
        [1, 0, 0, 0, 2**63, 1, b""],
        [1, 0, 0, 2**40, 1, 1, b""],
        [1, 0, 0, "0", 1, 1, b""],
        [1, 0, 0, 0, 1, None, b""],
        [1, 0, 0, 0, 1, 1, "text"],
        [2, 0, 0, 0, 1, 1, b"no map"],
        [2, 0, 0, 0, 1, 1, {"drivers": [1]}],
        [2, 0, 0, 0, 1, 1, {"drivers": {"A": 1}}],
    ],
)
def test_is_refused(message: Any) -> None:
    with pytest.raises(CorruptRecording):
        decode_data(msgpack.packb(message), SCHEMA)


def test_bytes_that_are_no_msgpack_are_refused() -> None:
    for message in (b"", b"\xc1", b"\x97\x01", b"\x97" * 2000):
        with pytest.raises(CorruptRecording):
            decode_data(message, SCHEMA)
