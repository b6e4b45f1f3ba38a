"""A real IP link that loses packets: two network namespaces and this process between them.

Each namespace has one TUN device. What one sends is read here, lost or delayed, and written to the
other. TCP on both sides is the kernel's own, so what it makes of loss is what it makes of it on any
line. Nothing else of the machine's network is touched, and the kernel needs no traffic shaping.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import random
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .stage import Skip

TUN = Path("/dev/net/tun")
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
MAX_PACKET = 65536
ADDRESSES = ("10.99.7.1", "10.99.7.2")


class LossyLink:
    """The link between the two namespaces.

    Attributes:
        loss: share of the packets lost, in each direction.
        delay: seconds that the others take, in each direction.
        sent, lost: packets so far.
    """

    def __init__(self, names: tuple[str, str]) -> None:
        self._names = names
        self._tuns: list[int] = []
        self._random = random.Random(5)
        self.loss = 0.0
        self.delay = 0.0
        self.sent = 0
        self.lost = 0

    def listen(self) -> socket.socket:
        """A socket that listens at the far end."""
        with _inside(self._names[1]):
            listener = socket.socket()
        listener.bind((ADDRESSES[1], 0))
        listener.listen(128)
        listener.setblocking(False)
        return listener

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from the near end to the far one. Raises: OSError."""
        with _inside(self._names[0]):
            line = socket.socket()
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (ADDRESSES[1], port))
        return await asyncio.open_connection(sock=line)

    def open(self) -> None:
        """Make both ends; packets pass from now on. Raises: OSError, CalledProcessError."""
        for name, address in zip(self._names, ADDRESSES, strict=True):
            with _inside(name):
                tun = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"tun0", IFF_TUN | IFF_NO_PI))
            self._tuns.append(tun)
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "tun0")
            _ip("-n", name, "link", "set", "tun0", "up")
        near, far = self._tuns
        loop = asyncio.get_running_loop()
        loop.add_reader(near, self._pass, near, far)
        loop.add_reader(far, self._pass, far, near)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        tuns, self._tuns = self._tuns, []
        for tun in tuns:
            loop.remove_reader(tun)
            os.close(tun)

    def _pass(self, source: int, target: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while packet := os.read(source, MAX_PACKET):
                self.sent += 1
                if self._random.random() < self.loss:
                    self.lost += 1
                    continue
                asyncio.get_running_loop().call_later(self.delay, self._write, target, packet)

    def _write(self, target: int, packet: bytes) -> None:
        # A device whose queue is full loses the packet, as any router would.
        if target in self._tuns:
            with contextlib.suppress(BlockingIOError):
                os.write(target, packet)


@contextmanager
def lossy_link() -> Iterator[LossyLink]:
    """Made, and removed at the end. Raises: Skip where it may not be made."""
    if os.getuid() != 0:
        raise Skip("only root may make network namespaces")
    if not TUN.exists():
        raise Skip(f"there is no {TUN}")
    names = (f"faults-{os.getpid()}-a", f"faults-{os.getpid()}-b")
    made: list[str] = []
    link = LossyLink(names)
    try:
        try:
            for name in names:
                _ip("netns", "add", name)
                made.append(name)
            link.open()
        except (OSError, subprocess.CalledProcessError) as error:
            raise Skip(f"no network namespaces or TUN devices here: {error}") from error
        yield link
    finally:
        link.close()
        for name in made:
            _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def _inside(name: str) -> Iterator[None]:
    """This thread is in that network namespace; sockets stay where they were made."""
    with Path("/proc/self/ns/net").open() as here, Path("/run/netns", name).open() as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(here.fileno())


def _setns(descriptor: int) -> None:
    """`os.setns`, which Python has from 3.12 on. Raises: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns failed")
