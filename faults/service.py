"""A `manage.py serve` that is broken on purpose: its processes, its log, its pages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
TOKEN = "faults"


class Service:
    """One running service of its own, on a free port.

    Attributes:
        url: http://127.0.0.1:PORT.
        data_dir: recordings, database.
    """

    def __init__(self, data_dir: Path, *, workers: int = 1, port: int = 0, **environ: str) -> None:
        """environ: settings, as the environment has them."""
        self.data_dir = data_dir
        self.url = ""
        self._workers = workers
        self._port = port
        self._environ = environ
        self._log = Path(tempfile.mkstemp(prefix="faults-", suffix=".log")[1])
        self._process: asyncio.subprocess.Process | None = None
        self._pages = httpx.AsyncClient(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"})

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pages.aclose()
        await self.stop()
        self._log.unlink(missing_ok=True)

    async def start(self) -> None:
        """Start it, again if need be, on the same port. Raises: RuntimeError with its log."""
        before = len(self.log())
        arguments = ("serve", "--port", str(self._port), "--workers", str(self._workers))
        with self._log.open("ab") as log:
            self._process = await self._manage(*arguments, output=log)
        found: re.Match[str] | None = None
        for _ in range(int(START_SECONDS / 0.05)):
            found = re.search(r"listening\s+(http://\S+):(\d+)", self.log()[before:])
            if found or self._process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        if not found:
            raise RuntimeError(f"the service did not start:\n{self.log()[before:]}")
        self.url, self._port = f"{found[1]}:{found[2]}", int(found[2])

    async def manage(self, *arguments: str) -> tuple[int, str]:
        """Run one of its commands beside it. Returns: exit status and what it said."""
        process = await self._manage(*arguments, output=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode(errors="replace")

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start one of its commands and leave it running; its output is read with `communicate`."""
        return await self._manage(*arguments, output=asyncio.subprocess.PIPE)

    async def _manage(self, *arguments: str, output: Any) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "manage.py", *arguments,
            cwd=ROOT, env=self._settings(), stdout=output, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    def _settings(self) -> dict[str, str]:
        return {
            **os.environ,
            "REPLAY_DATA_DIR": str(self.data_dir),
            "API_TOKENS": TOKEN,
            "METRICS_TOKEN": TOKEN,
            "LOG_LEVEL": "INFO",
            # All viewers come from this machine.
            "MAX_CONNECTIONS_PER_ADDRESS": "20000",
            "MESSAGES_PER_SECOND_TOGETHER": "1000000",
            **self._environ,
        }

    async def stop(self) -> None:
        """End it as an operator does."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def websocket(self, slug: str) -> str:
        return f"ws://127.0.0.1:{self._port}/ws/sessions/{slug}/"

    def log(self) -> str:
        """All that it has said so far."""
        return self._log.read_text(errors="replace")

    def family(self) -> list[psutil.Process]:
        """The supervisor's children and theirs that live."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [p for p in psutil.Process(self.pid).children(recursive=True) if _lives(p)]
        return []

    def workers(self) -> list[psutil.Process]:
        """Processes that serve viewers."""
        return [p for p in self.family() if "worker" in _arguments(p)]

    def cache(self) -> psutil.Process | None:
        """The private Valkey."""
        servers = ("valkey-server", "redis-server")
        return next((p for p in self.family() if p.name() in servers), None)

    def busiest(self) -> psutil.Process:
        """The worker with the most connections."""
        return max(self.workers(), key=lambda p: len(p.net_connections("tcp")))

    def memory(self) -> int:
        """Resident bytes of the workers."""
        return sum(int(p.memory_info().rss) for p in self.workers())

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; (0, why) if there was no answer."""
        return await self.ask("GET", path)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """As `get`, with any method and httpx's options."""
        try:
            answer = await self._pages.request(method, self.url + path, **options)
        except httpx.HTTPError as error:
            return 0, type(error).__name__
        return answer.status_code, answer.text

    async def ready(self) -> bool:
        """Whether `/readyz` says that nothing is missing."""
        return (await self.get("/readyz"))[0] == 200


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    """SIGKILL: it gets no chance to tidy up."""
    process.send_signal(signal.SIGKILL)


async def seconds_until(condition: Callable[[], Awaitable[bool]], within: float) -> float:
    """How long it takes until `condition` holds; infinity if that is longer than `within`."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        if await condition():
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    return float("inf")
