"""The processes of a running service, any of which may end while a test looks at it."""

from __future__ import annotations

from contextlib import suppress

import psutil

from .conftest import RunningServer


def ended(process: psutil.Process) -> bool:
    """Whether it has ended; its parent need not have noticed yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def children(server: RunningServer) -> list[psutil.Process]:
    """Its workers, and the backing service that it has started."""
    return psutil.Process(server.process.pid).children(recursive=True)


def workers(server: RunningServer) -> dict[int, psutil.Process]:
    """The workers that run, by pid."""
    found = {}
    for process in children(server):
        with suppress(psutil.NoSuchProcess):
            if "worker" in process.cmdline() and not ended(process):
                found[process.pid] = process
    return found


def import_workers(server: RunningServer) -> list[int]:
    """Pids of its processes that run imports: one, but for a moment."""
    return [p.pid for p in children(server) if "import_worker" in p.cmdline() and not ended(p)]
