"""A worker whose parent was killed: the port is given up at once, and the process ends for certain.

On Linux such a worker also gets SIGTERM from the system (`die_with_us`), and sees its viewers off.
That takes up to ten seconds, longer if its event loop is stuck, and until then the port would be
taken: the socket is one, whichever process holds it. So a thread waits on a pipe from the parent.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress

from .supervisor import END_SECONDS


def end_with_parent(parent: int, listener: int) -> None:
    """parent: descriptor of a pipe whose other end only the parent holds. listener: descriptor of
    the listening socket that all workers share."""
    # Of our own, because the server closes the one that it was given.
    shared = socket.socket(fileno=os.dup(listener))
    threading.Thread(target=_watch, args=(parent, shared), name="parent", daemon=True).start()


def _watch(parent: int, shared: socket.socket) -> None:
    while os.read(parent, 64):
        continue
    with suppress(OSError):
        # Not only closed here: no process that has it, not even one that stands still, listens on
        # it any more, and the next service can bind the port.
        shared.shutdown(socket.SHUT_RDWR)
    shared.close()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
