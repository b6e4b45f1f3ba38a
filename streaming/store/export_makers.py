"""Makes exports beside the service: each in a process of its own, at low priority.

An export computes for minutes. In the worker it would take the processor from the viewers.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

MOST = 4
"""Being made, or waiting, at once; more would only wait longer."""

Run = Callable[[Sequence[str]], Awaitable[None]]


class TooManyExports(Exception):
    """So many are being made that another one has to wait."""


class ExportMakers:
    """The exports that this process has asked for.

    Args:
        run: makes one, given the arguments of `manage.py export_session`; a process by default.
    """

    def __init__(self, run: Run | None = None) -> None:
        self._run = run or run_process
        self._making: dict[str, asyncio.Task[None]] = {}

    async def make(self, name: str, arguments: Sequence[str], wait: float) -> bool:
        """Have an export made, unless it is being made already, and wait a while for it.

        Args:
            name: of the export; the same for whoever asks for the same file.
            arguments: of `manage.py export_session`.
            wait: seconds, at most.

        Returns:
            Whether its maker has ended, with a file or without.

        Raises:
            TooManyExports: too many are being made.
        """
        task = self._making.get(name)
        if task is None:
            if len(self._making) >= MOST:
                raise TooManyExports
            task = asyncio.get_running_loop().create_task(self._made(name, arguments))
            self._making[name] = task
        await asyncio.wait({task}, timeout=wait)
        return task.done()

    async def _made(self, name: str, arguments: Sequence[str]) -> None:
        try:
            await self._run(arguments)
        finally:
            del self._making[name]

    async def close(self) -> None:
        """End those that are being made; they leave nothing half done."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_process(arguments: Sequence[str]) -> None:
    """`manage.py export_session` with these arguments; killed if this is cancelled."""
    paths = [path for path in sys.path if path]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "django", "export_session", *arguments,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
