"""A process that writes a live session's log until it is killed, and says what it acknowledged."""

from __future__ import annotations

import os
import random
import signal
import struct
from pathlib import Path
from typing import Any

from sessions_app.importers.result import EntityRecord
from sessions_app.recording import Field
from streaming.live.layout import Layout
from streaming.live.log import LogReader, LogWriter
from streaming.live.producing import Frame
from streaming.live.records import About, Came, encode
from streaming.live.state import LiveState

SLUG = "killed"
ABOUT = About(
    SLUG, "0123456789abcdef", "telemetry", "Killed", "other", 10.0, (Field("x"),),
    (EntityRecord("A"),),
)  # fmt: skip
_NUMBER = struct.Struct("<q")


def payload(number: int) -> dict[str, Any]:
    """Of a frame: its number."""
    return {"entities": {"A": {"x": number}}}


def read(folder: Path) -> tuple[LiveState, LogReader, list[int]]:
    """The state on disk, and the numbers of all frames in the order in which they stand there."""
    reader, state, numbers = LogReader(folder, SLUG), LiveState(), []
    for record, _ in reader.read_new():
        state.apply(record)
        if isinstance(record, Came):
            numbers += [frame.number for frame in record.frames]
    return state, reader, numbers


def kill_once(folder: Path, chance: random.Random) -> int:
    """Let a process write, kill -9 it at a random moment.

    Returns:
        The last frame that it acknowledged, -1 if none.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(reading)
            _write_until_killed(folder, writing)
        finally:
            os._exit(1)
    os.close(writing)
    acknowledged = -1
    with os.fdopen(reading, "rb") as answers:
        for _ in range(chance.randrange(1, 12)):
            acknowledged = _NUMBER.unpack(answers.read(_NUMBER.size))[0]
        # While the next group is on its way.
        for _ in range(chance.randrange(3_000)):
            pass
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        rest = answers.read()
    if len(rest) >= _NUMBER.size:
        whole = len(rest) // _NUMBER.size * _NUMBER.size
        acknowledged = _NUMBER.unpack(rest[whole - _NUMBER.size : whole])[0]
    return acknowledged


def _write_until_killed(folder: Path, acknowledge: int) -> None:
    """Go on after what is on disk, in groups of one to five frames. acknowledge: a descriptor."""
    state, reader, _ = read(folder)
    writer = LogWriter(folder, ABOUT, reader)
    layout, number = Layout(ABOUT.schema), state.next_frame
    while True:
        count = number % 5 + 1
        frames = [Frame(n, n / 10, layout.row(payload(n))) for n in range(number, number + count)]
        writer.append([encode(Came(1, frames, 0.0))])
        number += count
        os.write(acknowledge, _NUMBER.pack(number - 1))
