"""Children that die, parents that are killed: with real processes, small ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis

from replayproject.backing import FOLDER_PREFIX
from streaming.server.listening import listen

from .conftest import ROOT
from .processes import ended

LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs prctl, which is Linux's"
)

PARENT = """
import os, signal, socket, sys
from replayproject.backing import find_server, start_server
from replayproject.supervisor import *
from streaming.server.listening import listen

def say(*words):
    print(*words, flush=True)
"""

WORKER = """
import os, signal, sys
from replayproject import orphan
orphan.END_SECONDS = 0.2
numbers = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2])))
orphan.end_with_parent(numbers["--parent"], numbers["--socket"])
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as one whose loop is stuck
print("worker", os.getpid(), flush=True)
os.write(numbers["--ready"], b"1")
while True:
    signal.pause()
"""


class Program:
    """A parent in a process of its own, and what it says."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT + code, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self, text: str) -> str:
        """The next line with `text`."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            if text in line:
                return line.strip()
        raise AssertionError(f"no {text!r} in:\n" + "".join(seen))

    def number(self, text: str) -> int:
        """The number at the end of that line."""
        return int(self.line(text).split()[-1])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def run() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []
    family: list[psutil.Process] = []

    def start(code: str, *arguments: str) -> Program:
        started.append(Program(code, *arguments))
        return started[-1]

    yield start
    for program in started:
        with suppress(psutil.NoSuchProcess):
            family += psutil.Process(program.process.pid).children(recursive=True)
        program.kill()
        assert program.process.stdout is not None
        program.process.stdout.close()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_private_server_that_is_killed_is_replaced_where_it_was(
    valkey: str, run: Callable[..., Program]
) -> None:
    program = run(
        "with start_server(find_server()) as backing:\n"
        "    say('url', backing.url)\n"
        "    Supervisor([private_server_kind(backing.server)], lambda: None).run()\n"
    )
    url = program.line("url").split()[1]
    with redis.Redis.from_url(url, retry=None) as client:

        def pid() -> int:
            try:
                return int(client.info("server")["process_id"])
            except redis.RedisError:
                return 0

        before = pid()
        for _ in range(3):
            os.kill(before, signal.SIGKILL)
            until(lambda: pid() not in (0, before))  # noqa: B023  called at once
            before = pid()
    assert program.end() == 0
    assert not psutil.pid_exists(before)
    assert not Path(url.removeprefix("unix://")).parent.exists()


def test_a_child_that_keeps_dying_is_started_ever_later(run: Callable[..., Program]) -> None:
    program = run(
        "kind = companion_kind('importer', [sys.executable, '-c', 'raise SystemExit(3)'], {})\n"
        "import dataclasses\n"
        "Supervisor([dataclasses.replace(kind, waits=False)], lambda: None).run()\n"
    )
    for when in ("now", "in 0.25 s", "in 0.5 s"):
        assert program.line("importer").endswith(f"ended with status 3; starting another {when}")
    assert program.end() == 0


WORKERS = (
    "listener = listen('127.0.0.1', 0)\n"
    "say('port', listener.getsockname()[1])\n"
    "command = [sys.executable, '-c', sys.argv[1]]\n"
    "kind = worker_kind(command, listener, 2, dict(os.environ))\n"
    "Supervisor([kind], lambda: say('ready')).run()\n"
)


@LINUX
def test_a_killed_parents_port_is_free_though_a_worker_stands_still(
    run: Callable[..., Program],
) -> None:
    """One worker is stopped and can do nothing; the other ignores SIGTERM and ends all the same."""
    program = run(WORKERS, WORKER)
    port = program.number("port")
    program.line("ready")
    stopped, stuck = psutil.Process(program.process.pid).children()
    stopped.suspend()
    try:
        program.kill()

        def free() -> bool:
            try:
                listen("127.0.0.1", port).close()
            except OSError:
                return False
            return True

        until(free)
        assert stopped.status() == psutil.STATUS_STOPPED
        psutil.wait_procs([stuck], timeout=60)
        assert ended(stuck)
    finally:
        stopped.kill()


FAILS_LATER = """
import os, pathlib, signal, sys
numbers = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2])))
flag = pathlib.Path(os.environ["FLAG"])
if flag.exists():
    raise SystemExit(7)
os.write(numbers["--ready"], b"1")
while True:
    signal.pause()
"""


def test_a_new_worker_that_fails_leaves_the_old_ones(
    run: Callable[..., Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "broken"
    monkeypatch.setenv("FLAG", str(flag))
    program = run(WORKERS, FAILS_LATER)
    program.line("ready")
    before = set(psutil.Process(program.process.pid).children())
    flag.touch()
    program.process.send_signal(signal.SIGHUP)
    assert "status 7 before it listened; 2 old ones stay" in program.line("a new worker")
    assert set(psutil.Process(program.process.pid).children()) == before
    assert program.end() == 0


def test_a_worker_that_fails_at_the_first_start_stops_the_service(
    run: Callable[..., Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAG", str(tmp_path))
    program = run(WORKERS, FAILS_LATER)
    program.line("WorkerFailed: a worker ended with status 7 before it listened")
    assert program.process.wait(60) == 1


def test_what_a_killed_service_left_is_removed_by_the_next(
    valkey: str, run: Callable[..., Program]
) -> None:
    code = "backing = start_server(find_server())\nsay('url', backing.url)\nsignal.pause()\n"
    first = run(code)
    folder = Path(first.line("url").split()[1].removeprefix("unix://")).parent
    assert folder.name.startswith(FOLDER_PREFIX)
    first.kill()
    assert folder.exists()
    second = run(code)
    alive = Path(second.line("url").split()[1].removeprefix("unix://")).parent
    assert not folder.exists()
    run(code).line("url")
    assert alive.exists(), "that of a living service is left alone"


def test_a_shared_socket_is_closed_for_all_who_have_it() -> None:
    """What `orphan.py` relies on."""
    with (
        listen("127.0.0.1", 0) as listener,
        socket.socket(fileno=os.dup(listener.fileno())) as other,
    ):
        port = listener.getsockname()[1]
        other.shutdown(socket.SHUT_RDWR)
        listen("127.0.0.1", port).close()
