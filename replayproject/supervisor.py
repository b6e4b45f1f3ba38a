"""One parent that owns the listening socket, the workers and their companions, and nothing else.

Workers share the socket, so that a new one can accept before an old one has ended. A worker that
ends by itself is started again; one that ends before it ever listened stops the service, because
the next would fail in the same way. A companion is a child that serves no viewer, such as the one
that imports: it is started once all workers listen, and again whenever it ends. Signals: SIGTERM
and SIGINT end everything, SIGHUP replaces the workers one after another and sends SIGINT to
companions.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .backing import die_with_us

END_SECONDS = 10.0
"""How long a worker may take to say good-bye to its viewers before it is killed."""

RESTART_SECONDS = 1.0
"""Pause before a worker that died is replaced, so that a crash loop does not eat the machine."""

COMPANION_RESTART_SECONDS = 5.0
"""The same for a companion, for which viewers do not wait."""


class WorkerFailed(Exception):
    """A worker that ended before it listened."""


@dataclass(eq=False, slots=True)
class Worker:
    """One child. ready: it has said that it listens; ending: it was told to end."""

    process: subprocess.Popen[bytes]
    ready_pipe: int
    ready: bool = False
    ending: bool = False


@dataclass(eq=False, slots=True)
class Companion:
    """One child that is kept running. due: monotonic time of its next start."""

    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    due: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Runs `count` workers on `listener` until told to end.

    command: of a worker; the number of the socket and of the ready pipe are appended as
    `--socket N --ready N`. on_ready: called once, when all workers listen. companions: commands of
    further children; one that ends with status 0 is started again at once.
    """

    command: Sequence[str]
    listener: socket.socket
    count: int
    environ: dict[str, str]
    on_ready: Callable[[], None]
    companions: Sequence[Sequence[str]] = ()
    _companions: list[Companion] = field(default_factory=list)
    _workers: list[Worker] = field(default_factory=list)
    _replacing: list[Worker] = field(default_factory=list)
    _told: bool = False
    _stop: bool = False

    def run(self) -> None:
        """Blocks until SIGTERM or SIGINT; then ends every worker and returns.

        Raises: WorkerFailed if one ends before it listened.
        """
        selector = selectors.DefaultSelector()
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        selector.register(wake_read, selectors.EVENT_READ)
        old_wakeup = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        old_handlers = {number: signal.signal(number, lambda *_: None) for number in handled}
        try:
            for _ in range(self.count):
                self._start(selector)
            while not self._stop:
                for key, _ in selector.select(self._start_companions()):
                    if key.fd == wake_read:
                        for number in os.read(wake_read, 64):
                            self._on_signal(number, selector)
                    else:
                        self._on_ready_pipe(key.data, selector)
        finally:
            self._end_all()
            for number, handler in old_handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_wakeup)
            os.close(wake_read)
            os.close(wake_write)
            selector.close()

    def _start(self, selector: selectors.BaseSelector) -> Worker:
        read, write = os.pipe()
        fd = self.listener.fileno()
        process = subprocess.Popen(
            [*self.command, "--socket", str(fd), "--ready", str(write)],
            env=self.environ,
            pass_fds=(fd, write),
            start_new_session=True,  # Ctrl-C reaches only us; we tell the workers in order
            preexec_fn=die_with_us(),
        )
        os.close(write)
        worker = Worker(process, read)
        self._workers.append(worker)
        selector.register(read, selectors.EVENT_READ, worker)
        return worker

    def _on_ready_pipe(self, worker: Worker, selector: selectors.BaseSelector) -> None:
        """A worker wrote that it listens, or closed the pipe by ending."""
        worker.ready = bool(os.read(worker.ready_pipe, 1))
        selector.unregister(worker.ready_pipe)
        os.close(worker.ready_pipe)
        worker.ready_pipe = -1
        if worker.ready and self._replacing:
            self._tell_to_end(self._replacing.pop(0))
            if self._replacing:
                self._start(selector)
        if not self._told and all(w.ready for w in self._workers):
            self._told = True
            self._companions = [Companion(command) for command in self.companions]
            self.on_ready()

    def _on_signal(self, number: int, selector: selectors.BaseSelector) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop = True
        elif number == signal.SIGHUP and not self._replacing:
            self._replacing = [w for w in self._workers if not w.ending]
            self._start(selector)
            for companion in self._companions:
                if companion.process is not None:
                    companion.process.send_signal(signal.SIGINT)
        elif number == signal.SIGCHLD:
            self._reap(selector)

    def _reap(self, selector: selectors.BaseSelector) -> None:
        self._reap_companions()
        for worker in [w for w in self._workers if w.process.poll() is not None]:
            self._workers.remove(worker)
            if worker.ready_pipe >= 0:
                self._on_ready_pipe(worker, selector)
            if not worker.ready:
                self._stop = True
                raise WorkerFailed(
                    f"a worker ended with status {worker.process.returncode} before it listened"
                )
            if not worker.ending and not self._stop:
                print(
                    f"worker {worker.process.pid} ended with status {worker.process.returncode}; "
                    "starting another",
                    file=sys.stderr,
                    flush=True,
                )
                if worker in self._replacing:
                    self._replacing.remove(worker)
                time.sleep(RESTART_SECONDS)
                self._start(selector)

    def _start_companions(self) -> float | None:
        """Start those that are due. Returns: seconds until the next one is, None if none waits."""
        now = time.monotonic()
        waiting = [c for c in self._companions if c.process is None]
        for companion in waiting:
            if companion.due <= now:
                companion.process = subprocess.Popen(
                    companion.command,
                    env=self.environ,
                    start_new_session=True,
                    preexec_fn=die_with_us(),
                )
        return min((c.due - now for c in waiting if c.process is None), default=None)

    def _reap_companions(self) -> None:
        for companion in self._companions:
            process = companion.process
            if process is None or process.poll() is None:
                continue
            companion.process = None
            if process.returncode == 0 or self._stop:
                continue
            companion.due = time.monotonic() + COMPANION_RESTART_SECONDS
            print(
                f"{companion.command[-1]} {process.pid} ended with status {process.returncode}; "
                f"starting another in {COMPANION_RESTART_SECONDS:g} s",
                file=sys.stderr,
                flush=True,
            )

    def _tell_to_end(self, worker: Worker) -> None:
        worker.ending = True
        if worker.process.poll() is None:
            worker.process.terminate()

    def _end_all(self) -> None:
        for worker in self._workers:
            self._tell_to_end(worker)
        companions = [c.process for c in self._companions if c.process is not None]
        for process in companions:
            process.terminate()
        deadline = time.monotonic() + END_SECONDS
        for process in companions:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            if worker.ready_pipe >= 0:
                os.close(worker.ready_pipe)
