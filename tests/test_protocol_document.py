"""The tables of docs/protocol.md are those of the server, the Python client and the player."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from enum import StrEnum
from pathlib import Path

import pytest

from streaming.connections.lifecycle import BURST_SECONDS, MAX_HELD
from streaming.playback import protocol
from streaming.playback.protocol import (
    Action,
    CloseCode,
    DataKind,
    ErrorCode,
    MessageType,
    Status,
    backoff,
    may_return,
)
from streaming.playback.viewer import MAX_REQUESTS
from streaming.rooms.hub import MAX_WAITING
from streaming.rooms.people import MAX_LISTED
from streaming.server.daphne import MAX_MESSAGE_BYTES

from .conftest import ROOT

DOCUMENT = (ROOT / "docs" / "protocol.md").read_text()
ENGINE = ROOT / "streaming" / "static" / "streaming" / "engine"
UNKNOWN_CODES = (1001, 1002, 1006, 3000, 4000, 4499)
ATTEMPTS, SHARES = range(12), (0.0, 0.25, 1.0)


def table(*header: str) -> list[list[str]]:
    """The rows below a table's header, as cells without backquotes around a whole cell."""
    line = f"| {' | '.join(header)} |\n"
    assert DOCUMENT.count(line) == 1, line
    rows = []
    for row in DOCUMENT.split(line)[1].splitlines()[1:]:
        if not row.startswith("|"):
            break
        rows.append([re.sub(r"^`([^`]+)`$", r"\1", c.strip()) for c in row.strip("|").split("|")])
    assert rows
    return rows


CLOSE_CODES = {
    int(code): back.startswith("yes")
    for code, _, back in table("code", "meaning", "come back by yourself?")
}
ACTIONS = {action: fields for action, fields, _ in table("action", "fields (default)", "answer")}
BACKOFF = dict(table("backoff", "value"))


def documented_wait(attempt: int, share: float) -> float:
    """Seconds, by the table alone."""
    first, factor, most = (
        float(re.match(r"[\d.]+", BACKOFF[name])[0])  # type: ignore[index]
        for name in (
            "longest wait before the first attempt",
            "grows with each further attempt",
            "longest wait of all",
        )
    )
    return min(most, first * factor**attempt) * share


def test_close_codes_of_the_server() -> None:
    assert {int(code): code.retry for code in CloseCode} == CLOSE_CODES


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (("action", "fields (default)", "answer"), Action),
        (("type", "fields"), MessageType),
        (("status", "meaning"), Status),
        (("error code", "meaning"), ErrorCode),
    ],
)
def test_names_of_the_server(header: tuple[str, ...], names: type[StrEnum]) -> None:
    assert {row[0] for row in table(*header)} == {str(name) for name in names}


def test_kinds_of_data() -> None:
    [kind] = [row[2] for row in table("element", "type", "meaning") if row[0] == "kind"]
    documented = {name.upper(): int(n) for n, name in re.findall(r"(\d) (segment|row|media)", kind)}
    assert documented == {kind.name: kind.value for kind in DataKind}


def test_limits_of_the_server() -> None:
    p = protocol
    assert f"`window` 1…{p.MAX_WINDOW} ({p.DEFAULT_WINDOW})" in ACTIONS["hello"]
    lead = f"`lead` {p.MIN_LEAD:g}…{p.MAX_LEAD:g} s ({p.DEFAULT_LEAD:g})"
    assert lead in ACTIONS["hello"]
    assert f"`max_fps` 0.1…{p.MAX_FPS:g}" in ACTIONS["hello"]
    assert f"`speed` {p.MIN_SPEED:g}…{p.MAX_SPEED:g}" in ACTIONS["speed"]
    assert f"`frames` 1…{p.MAX_REQUEST_FRAMES}" in ACTIONS["request"]
    assert f"`stride` 1, 2, 4…{p.STRIDES[-1]} (1)" in ACTIONS["request"]
    assert f"1 to {p.MAX_NAME_LENGTH} characters" in ACTIONS["join"]
    errors = dict(table("error code", "meaning"))
    assert f"more than {MAX_REQUESTS} requests wait" in errors["too_many"]
    assert f"more than {p.MAX_ROOMS:,} rooms are open" in errors["too_many"]
    assert f"more than {MAX_WAITING:,} commands wait" in errors["too_many"]
    states = dict(table("status", "meaning"))
    assert f"waited {p.BUFFERING_AFTER * 1000:g} ms" in states["buffering"]
    for sentence in (
        f"a string of at most {p.MAX_ID_LENGTH} characters",
        f"MUST be at most {p.MAX_MESSAGE_BYTES:,} bytes (else {CloseCode.TOO_LARGE:d}; "
        f"beyond {MAX_MESSAGE_BYTES >> 20} MiB {CloseCode.FAR_TOO_LARGE:d}",
        f"Data that has waited {p.ACKNOWLEDGE_WITHIN:g} s (`ACK_TIMEOUT`)",
        f"({MAX_HELD} of them, beyond that `not_ready`)",
        f"at most {MAX_LISTED} of them",
    ):
        assert sentence in DOCUMENT, sentence
    assert BURST_SECONDS == 2.0
    assert "a burst of two seconds' worth" in DOCUMENT


def test_defaults_of_the_settings_in_the_document() -> None:
    """The settings of a test run may differ, so it is their source that is read."""
    source = (ROOT / "replayproject" / "settings.py").read_text()
    for name, sentence in (
        ("MESSAGES_PER_SECOND", "`MESSAGES_PER_SECOND` ({})"),
        ("ACK_TIMEOUT", "{} s (`ACK_TIMEOUT`)"),
    ):
        [default] = re.findall(rf'_number\("{name}", (\d+)', source)
        assert sentence.format(default) in DOCUMENT


def test_backoff_of_the_python_client() -> None:
    for attempt in ATTEMPTS:
        for share in SHARES:
            assert backoff(attempt, share) == documented_wait(attempt, share)


def test_close_codes_of_the_python_client() -> None:
    assert {code: may_return(code) for code in CLOSE_CODES} == CLOSE_CODES
    assert all(may_return(code) for code in UNKNOWN_CODES)


def sent_by(*paths: Path) -> set[str]:
    text = "".join(path.read_text() for path in paths)
    return set(re.findall(r'(?:_command\(|"?\baction"?: )"([a-z]+)"', text))


def test_actions_of_the_clients() -> None:
    python = sent_by(ROOT / "streaming" / "client" / "client.py")
    player = sent_by(*ENGINE.glob("*.js"))
    for sent in (python, player):
        assert {"hello", "play", "seek", "ack"} <= sent <= set(ACTIONS)


PLAYER = """
const { Kind, SUBPROTOCOL, backoff, closeMeaning } = await import(process.argv[1]);
const codes = [];
for (let code = 1000; code < 5000; code += 1) codes.push([code, closeMeaning(code)]);
const { attempts, shares } = JSON.parse(process.argv[2]);
const waits = attempts.map((a) => shares.map((s) => backoff(a, () => s)));
console.log(JSON.stringify({ kinds: Kind, subprotocol: SUBPROTOCOL, codes, waits }));
"""


def test_codes_and_backoff_of_the_player() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH, which runs the player's modules")
    wanted = json.dumps({"attempts": list(ATTEMPTS), "shares": SHARES})
    done = subprocess.run(
        [node, "--input-type=module", "-e", PLAYER, (ENGINE / "protocol.js").as_uri(), wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["kinds"] == {kind.name: kind.value for kind in DataKind}
    assert said["subprotocol"] == protocol.SUBPROTOCOL
    meanings = dict(said["codes"])
    unknown = meanings[4999]
    assert unknown["retry"]
    known = {code: m["retry"] for code, m in meanings.items() if m != unknown}
    assert known == CLOSE_CODES
    for attempt, waits in zip(ATTEMPTS, said["waits"], strict=True):
        assert waits == [1000 * documented_wait(attempt, share) for share in SHARES]
