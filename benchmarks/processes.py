"""The servers under test as processes, and what the operating system says of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
_TICKS = os.sysconf("SC_CLK_TCK")
ONE_ADDRESS = {
    "MAX_CONNECTIONS_PER_ADDRESS": "20000",
    "MAX_CONNECTIONS_PER_USER": "20000",
    "MESSAGES_PER_SECOND_TOGETHER": "1000000",
}
"""All viewers come from this machine, so that the limits of an address would end them."""


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that the kernel booked on these processes."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def resident_bytes(pids: list[int]) -> int:
    """Resident memory, what is shared between them counted in each."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


@dataclass(frozen=True, slots=True)
class Service:
    """A running server. workers: pids that serve; others: supervisor and cache."""

    url: str
    workers: list[int]
    others: list[int]

    def websocket(self, path: str) -> str:
        return self.url.replace("http://", "ws://") + path


@contextlib.contextmanager
def serving(data_dir: Path, *, workers: int = 1, **environ: str) -> Iterator[Service]:
    """`manage.py serve` on a free port, ended afterwards."""
    command = [sys.executable, "manage.py", "serve", "--port", "0", "--workers", str(workers)]
    env = {
        **os.environ, "REPLAY_DATA_DIR": str(data_dir), "LOG_LEVEL": "WARNING", **ONE_ADDRESS,
        **environ,
    }  # fmt: skip
    with _running(command, env) as (process, line):
        tree = psutil.Process(process.pid).children(recursive=True)
        serving_pids = [p.pid for p in tree if "worker" in p.cmdline()]
        others = [process.pid, *(p.pid for p in tree if p.pid not in serving_pids)]
        yield Service(line.split()[1], serving_pids, others)


@contextlib.contextmanager
def module_serving(module: str, *arguments: str, **environ: str) -> Iterator[Service]:
    """`python -m module`, which prints `listening http://…` when it does."""
    command = [sys.executable, "-m", module, *arguments]
    with _running(command, {**os.environ, **environ}) as (process, line):
        yield Service(line.split()[1], [process.pid], [])


@contextlib.contextmanager
def _running(
    command: list[str], env: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    seen = []
    try:
        for line in process.stdout:
            seen.append(line)
            if line.startswith("listening"):
                break
        else:
            raise RuntimeError(f"{' '.join(command)} did not start:\n{''.join(seen)}")
        # Whatever it says later must not fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process, line
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def race_data(minutes: float) -> Path:
    """A data folder with a simulated race of that length as session `bench`; kept for next time."""
    folder = RESULTS / f"data-{minutes:g}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "REPLAY_DATA_DIR": str(folder), "REDIS_URL": ""}
        for arguments in (
            ["migrate", "-v0"],
            ["demo", "--slug", "bench", "--minutes", f"{minutes:g}", "--replace"],
        ):
            subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=env, check=True)
        (folder / "complete").touch()
    return folder
