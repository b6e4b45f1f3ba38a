"""The process that an import runs in: started, watched, and never left behind.

It holds a lock from before its first instruction to its end, whatever the end is, so that anyone
can tell whether it still runs. Its standard input is a pipe from the process that started it: when
that closes, because the service ended, the import ends as well.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from django.conf import settings

NICENESS = 10
"""Viewers come first: an import may take longer while the processor is wanted."""


class JobLock:
    """One job's lock file below the recordings folder. Held by an open file, not by a process
    number, so that it cannot be mistaken for another's and needs no clearing after a crash."""

    def __init__(self, job_id: int | str) -> None:
        self.path = Path(settings.RECORDINGS_DIR) / ".imports" / f"{job_id}.lock"
        self._stream: IO[bytes] | None = None

    def acquire(self, *, wait: bool = False) -> bool:
        """Returns: whether it is ours now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.path.open("ab")
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give it up; a child that inherited it still holds it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def remove(self) -> None:
        """Delete the file of a job that has ended."""
        self.path.unlink(missing_ok=True)

    def fileno(self) -> int:
        """Raises: ValueError if it is not held."""
        if self._stream is None:
            raise ValueError(f"{self.path} is not held")
        return self._stream.fileno()


Ended = Callable[[int, str], None]
"""Called with the exit code and the last line the process wrote to its standard error."""


def start(job_id: int, on_end: Ended, command: Sequence[str] | None = None) -> threading.Thread:
    """Run a queued job in a process of its own. Returns: the thread that waits for its end.

    command: what to run instead of `manage.py run_import_job`. Raises: OSError.
    """
    lock = JobLock(job_id)
    lock.acquire()
    try:
        process = subprocess.Popen(
            command or [sys.executable, "-m", "django", "run_import_job", str(job_id)],
            cwd=settings.BASE_DIR,
            # The default data folder depends on the working folder of an installed package.
            env={**os.environ, "REPLAY_DATA_DIR": str(settings.DATA_DIR)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(lock.fileno(),),
            # Ctrl-C in the terminal reaches the service, which tells its imports by the pipe.
            start_new_session=True,
        )
    finally:
        lock.release()

    def watch() -> None:
        assert process.stderr is not None
        last = ""
        for line in process.stderr:
            last = line.decode(errors="replace").strip() or last
        code = process.wait()
        lock.remove()
        assert process.stdin is not None
        process.stdin.close()
        process.stderr.close()
        on_end(code, last)

    watcher = threading.Thread(target=watch, name=f"import-{job_id}", daemon=True)
    watcher.start()
    return watcher


def end_with_starter() -> None:
    """In the import's process: be interrupted when whoever started it ends."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            continue
        # A real signal: it also ends a wait for a lock or a disk.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # A service started in the background by a shell has its children ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=wait, name="starter", daemon=True).start()


def be_nice() -> None:
    """Let the servers go first."""
    os.nice(NICENESS)
