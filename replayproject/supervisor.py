"""One parent that owns the listening socket and the children, and nothing else.

The children are of a few kinds: workers, the private Valkey, and others that serve no viewer.
Workers share the socket, so that a new one can accept before an old one has ended.

1. A child that ends by itself is started again, at once the first time, and ever later (up to
   `MAX_PAUSE` seconds) while it keeps ending.
2. A child that must say that it is ready, and ends before the service first listened, stops the
   service: the next would fail in the same way.
3. SIGTERM and SIGINT end everything. SIGHUP replaces the workers one after another; a new one that
   does not get ready ends that, and the old ones stay.
4. Each child is told by the system when the parent ends, and workers watch a pipe to it as well
   (`orphan.py`), so that a parent that is killed leaves nothing behind.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .backing import BackingError, PrivateServer, die_with_us

END_SECONDS = 10.0
"""How long a worker may take to drain its viewers before it is killed."""

FIRST_PAUSE, MAX_PAUSE = 0.25, 10.0
"""Seconds before the second and before any further start of a child that keeps ending: doubling, so
that a crash loop does not eat the machine. Before the first there is none."""

STEADY_SECONDS = 30.0
"""A child that has lived so long is well: if it ends, it is started again at once."""

DONE_SECONDS = 1.0
"""The same for one that ended with status 0: it was done with something."""


class WorkerFailed(Exception):
    """A worker that ended before it listened."""


Spawn = Callable[[int, int], "subprocess.Popen[bytes]"]
"""Starts a child. Given: the descriptor on which it is to write a byte when it is ready, and one
that is at its end when the parent has ended."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of child.

    Attributes:
        name: for the operator.
        spawn: starts one.
        count: how many run.
        reports: it says when it is ready, and the service listens only when all of these have.
        waits: it is started when the service listens, not before.
        at_hang_up: what SIGHUP to the parent does: nothing (0), the signal sent on, or, for a kind
            that reports, "replace".
        first: one that runs already.
        owned: it ends with the supervisor's `run`, else whoever made `first` ends it later.
    """

    name: str
    spawn: Spawn
    count: int = 1
    reports: bool = False
    waits: bool = False
    at_hang_up: int | Literal["replace"] = 0
    first: subprocess.Popen[bytes] | None = None
    owned: bool = True


def worker_kind(
    command: Sequence[str], listener: socket.socket, count: int, environ: Mapping[str, str]
) -> Kind:
    """What serves viewers. SIGHUP to the parent replaces these, one after another.

    Args:
        command: is run with `--socket N --ready N --parent N` behind it, numbers of descriptors.
        listener: bound and listening; all of them accept from it.
        count: how many run.
        environ: of each.
    """

    def spawn(ready: int, parent: int) -> subprocess.Popen[bytes]:
        numbers = {"--socket": listener.fileno(), "--ready": ready, "--parent": parent}
        return subprocess.Popen(
            [*command, *(str(word) for pair in numbers.items() for word in pair)],
            env=environ,
            pass_fds=tuple(numbers.values()),
            start_new_session=True,  # Ctrl-C reaches only us; we tell the children in order
            preexec_fn=die_with_us(),
        )

    return Kind("worker", spawn, count, reports=True, at_hang_up="replace")


def companion_kind(name: str, command: Sequence[str], environ: Mapping[str, str]) -> Kind:
    """A child that serves no viewer, such as one that imports. SIGHUP reaches it as SIGINT.

    Args:
        name: for the operator.
        command: program and arguments.
        environ: of the child.
    """

    def spawn(_ready: int, _parent: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, env=environ, start_new_session=True, preexec_fn=die_with_us()
        )

    return Kind(name, spawn, waits=True, at_hang_up=signal.SIGINT)


def private_server_kind(server: PrivateServer) -> Kind:
    """The private Valkey, which runs already, and goes on while the others are ended."""
    return Kind(server.binary.name, lambda *_: server.spawn(), first=server.process, owned=False)


@dataclass(eq=False, slots=True)
class Child:
    """A process of some kind.

    Attributes:
        kind: which.
        process: the running one.
        ready_pipe: descriptor on which it says that it is ready; -1 if it need not or has.
        ready: it has said so.
        ending: it was told to end.
        replacement: it is to take another's place.
        pause: seconds before the next start, should it end by itself.
        started: monotonic seconds.
    """

    kind: Kind
    process: subprocess.Popen[bytes]
    ready_pipe: int = -1
    ready: bool = False
    ending: bool = False
    replacement: bool = False
    pause: float = 0.0
    started: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Supervisor:
    """Runs children of some kinds until told to end (`run`); its rules stand at the file's head.

    Attributes:
        kinds: what runs, in the order in which it is started.
        on_ready: called once, when all that report have said that they are ready.
    """

    kinds: Sequence[Kind]
    on_ready: Callable[[], None]
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _children: list[Child] = field(default_factory=list)
    _replacing: list[Child] = field(default_factory=list)
    _due: list[tuple[float, Kind, float]] = field(default_factory=list)
    _lifeline: int = -1
    _listening: bool = False
    _stop: bool = False

    def run(self) -> None:
        """Blocks until SIGTERM or SIGINT; then ends every child that is ours to end and returns.

        Main thread only: it handles signals, and puts the handlers before it back at the end.

        Raises:
            WorkerFailed: one that reports ended before the service first listened.
        """
        wake_read, wake_write = os.pipe()
        # Its other end is never written to and never handed on, so it closes when we end.
        self._lifeline, held = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        self._selector.register(wake_read, selectors.EVENT_READ)
        old_wakeup = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        old_handlers = {number: signal.signal(number, lambda *_: None) for number in handled}
        try:
            for kind in self.kinds:
                if kind.first is not None:
                    self._children.append(Child(kind, kind.first))
                elif not kind.waits:
                    for _ in range(kind.count):
                        self._start(kind)
            # A child that ended before our handler of SIGCHLD was set caused no signal.
            self._reap()
            while not self._stop:
                for key, _ in self._selector.select(self._start_what_is_due()):
                    if key.fd == wake_read:
                        for number in os.read(wake_read, 64):
                            self._on_signal(number)
                    elif key.data.ready_pipe >= 0:
                        self._on_ready_pipe(key.data)
        finally:
            self._end_all()
            for number, handler in old_handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_wakeup)
            for descriptor in (wake_read, wake_write, self._lifeline, held):
                os.close(descriptor)
            self._selector.close()

    # -- starting -------------------------------------------------------------------------------

    def _start(self, kind: Kind, *, pause: float = 0.0, replacement: bool = False) -> None:
        read, write = os.pipe() if kind.reports else (-1, -1)
        try:
            process = kind.spawn(write, self._lifeline)
        except (OSError, BackingError) as error:
            # No memory, no descriptors, the program replaced: it may be there again in a moment.
            if not self._listening:
                raise WorkerFailed(f"a {kind.name} cannot be started: {error}") from error
            if read >= 0:
                os.close(read)
            self._start_later(kind, pause, f"{kind.name} cannot be started: {error}")
            return
        finally:
            if write >= 0:
                os.close(write)
        child = Child(kind, process, read, pause=pause, replacement=replacement)
        self._children.append(child)
        if read >= 0:
            self._selector.register(read, selectors.EVENT_READ, child)

    def _start_later(self, kind: Kind, pause: float, why: str) -> None:
        """pause: seconds until then; the one after it comes later still."""
        when = f"in {pause:g} s" if pause else "now"
        print(f"{why}; starting another {when}", file=sys.stderr, flush=True)
        longer = min(MAX_PAUSE, max(FIRST_PAUSE, pause * 2))
        self._due.append((time.monotonic() + pause, kind, longer))

    def _start_what_is_due(self) -> float | None:
        """Returns: seconds until the next is due, None if none waits."""
        now = time.monotonic()
        due = [each for each in self._due if each[0] <= now]
        self._due = [each for each in self._due if each[0] > now]
        for _, kind, pause in due:
            self._start(kind, pause=pause)
        return min((max(0.0, at - time.monotonic()) for at, _, _ in self._due), default=None)

    # -- what children and operators say --------------------------------------------------------

    def _on_ready_pipe(self, child: Child) -> None:
        """A child wrote that it is ready, or closed the pipe by ending."""
        child.ready = bool(os.read(child.ready_pipe, 1))
        self._selector.unregister(child.ready_pipe)
        os.close(child.ready_pipe)
        child.ready_pipe = -1
        if child.ready and child.replacement and self._replacing:
            self._terminate(self._replacing.pop(0))
            if self._replacing:
                self._start(self._replacing[0].kind, replacement=True)
        if not self._listening and all(c.ready for c in self._children if c.kind.reports):
            self._listening = True
            self.on_ready()
            for kind in self.kinds:
                if kind.waits:
                    for _ in range(kind.count):
                        self._start(kind)

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop = True
        elif number == signal.SIGHUP and self._listening:
            self._hang_up()
        elif number == signal.SIGCHLD:
            self._reap()

    def _hang_up(self) -> None:
        for child in self._children:
            how = child.kind.at_hang_up
            if how and how != "replace" and child.process.poll() is None:
                child.process.send_signal(how)
        if not self._replacing:
            old = [c for c in self._children if c.kind.at_hang_up == "replace" and not c.ending]
            if old:
                self._replacing = old
                self._start(old[0].kind, replacement=True)

    def _reap(self) -> None:
        for child in [c for c in self._children if c.process.poll() is not None]:
            self._children.remove(child)
            if child.ready_pipe >= 0:
                self._on_ready_pipe(child)
            if not child.ending and not self._stop:
                self._ended(child)

    def _ended(self, child: Child) -> None:
        """A child has ended by itself."""
        kind, status = child.kind, child.process.returncode
        early = kind.reports and not child.ready
        if early and not self._listening:
            self._stop = True
            raise WorkerFailed(f"a {kind.name} ended with status {status} before it listened")
        if early and child.replacement:
            # The next one would fail in the same way, and those that run are well.
            left, self._replacing = len(self._replacing), []
            print(
                f"a new {kind.name} ended with status {status} before it listened; {left} old "
                f"{'one stays' if left == 1 else 'ones stay'}",
                file=sys.stderr,
                flush=True,
            )
            return
        if child in self._replacing:
            self._replacing.remove(child)
        lived = time.monotonic() - child.started
        steady = lived >= (STEADY_SECONDS if status else DONE_SECONDS)
        self._start_later(
            kind,
            0.0 if steady else child.pause,
            f"{kind.name} {child.process.pid} ended with status {status}",
        )

    # -- the end --------------------------------------------------------------------------------

    def _terminate(self, child: Child) -> None:
        child.ending = True
        if child.process.poll() is None:
            child.process.terminate()

    def _end_all(self) -> None:
        ours = [child for child in self._children if child.kind.owned]
        for child in ours:
            self._terminate(child)
        deadline = time.monotonic() + END_SECONDS
        for child in ours:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child.ready_pipe >= 0:
                os.close(child.ready_pipe)
