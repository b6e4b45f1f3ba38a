"""`manage.py serve`: starts what is needed, says what it chose, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sessions_app.locks import FolderLock, SessionLock
from streaming.server.listening import listen

from .conftest import ROOT, SERVE_WITH_IMPORTS, RunningServer, start_serving
from .processes import children, ended, import_workers, workers
from .websocket_client import open_wire

Start = Callable[..., RunningServer]


def test_it_works(server: RunningServer) -> None:
    assert httpx.get(f"{server.url}/livez").json() == {"status": "alive"}
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}


def test_it_says_what_it_chose(server: RunningServer) -> None:
    text = "\n".join(server.lines)
    for word in ("database     SQLite", "cache        ", "listening    http://127.0.0.1:"):
        assert word in text


def test_it_ends_cleanly_and_leaves_no_child(start_server: Start) -> None:
    server = start_server("--workers", "2")
    family = children(server)
    assert len(workers(server)) == 2
    assert server.stop() == 0
    _gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, [p.cmdline() for p in alive]
    assert server.wait_for_line("stopped")


def test_interrupt_from_the_keyboard_ends_it_cleanly(start_server: Start) -> None:
    server = start_server()
    family = children(server)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    _gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert not any("Traceback" in line for line in server.lines)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl, which is Linux's")
def test_a_killed_parent_leaves_no_child(start_server: Start) -> None:
    server = start_server("--workers", "2")
    family = children(server)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    _gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, [p.cmdline() for p in alive]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl, which is Linux's")
def test_a_killed_parent_frees_the_port_while_viewers_are_seen_off(start_server: Start) -> None:
    server = start_server()
    [worker] = workers(server).values()
    # A viewer that answers nothing, so that seeing it off takes a second.
    with socket.create_connection(("127.0.0.1", server.port)) as viewer:
        viewer.sendall(
            b"GET /ws/sessions/small-race/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert viewer.recv(100).startswith(b"HTTP/1.1 101")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        deadline = time.monotonic() + 60
        while True:
            try:
                listen("127.0.0.1", server.port).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the port is still taken"
        # The farewell may be there already, the end of the connection may not.
        viewer.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                assert viewer.recv(4096), "the port was free only once the viewer was gone"
    psutil.wait_procs([worker], timeout=60)


def test_a_worker_that_dies_is_replaced(start_server: Start) -> None:
    server = start_server("--workers", "2")
    victim = next(iter(workers(server)))
    os.kill(victim, signal.SIGKILL)
    server.wait_for_line(f"worker {victim} ended")
    for _ in range(20):
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
    assert victim not in workers(server)


@pytest.fixture
def importing(start_server: Start, tmp_path: Path, settings) -> Iterator[RunningServer]:
    """A service whose import worker waits, because this test holds the lock of the session."""
    (tmp_path / "play.csv").write_text("t,who,x,y\n0,a,0,0\n1,a,1,1\n")
    (tmp_path / "play.mapping.yaml").write_text(
        "time: {column: t, unit: s}\nentity: who\nfields: {x: x, y: y}\nrate: 10\n"
    )
    server = start_server(
        program=SERVE_WITH_IMPORTS,
        API_TOKENS="secret",
        IMPORT_SOURCES=f"play={tmp_path / 'play.csv'}",
    )
    server.shell(
        "from sessions_app.models import Session\n"
        "Session.objects.create(slug='play', title='Play', state='failed', access='public')"
    )
    settings.RECORDINGS_DIR = server.data_dir / "recordings"
    with SessionLock("play"):
        answer = httpx.post(
            f"{server.url}/api/sessions",
            json={"source": "play"},
            headers={"Authorization": "Bearer secret"},
            timeout=60,
        )
        assert answer.status_code == 202
        yield server


def waits(message: dict[str, Any]) -> bool:
    return "waiting for another import" in message.get("message", "")


async def test_an_import_worker_that_is_killed_is_replaced_and_its_job_runs_again(
    importing: RunningServer,
) -> None:
    async with open_wire(importing.websocket("/ws/sessions/play/")) as wire:
        await wire.say("hello")
        await wire.until(waits)
        [victim] = import_workers(importing)
        os.kill(victim, signal.SIGKILL)
        importing.wait_for_line(f"import_worker {victim} ended with status -9")
        # Whose lock has no file holds nothing any longer.
        FolderLock("play.session.lock").path.unlink()
        assert (await wire.until_type("loading_complete"))["frames"] == 11


async def test_the_end_of_the_service_interrupts_an_import(importing: RunningServer) -> None:
    async with open_wire(importing.websocket("/ws/sessions/play/")) as wire:
        await wire.say("hello")
        await wire.until(waits)
    [worker] = map(psutil.Process, import_workers(importing))
    assert importing.stop() == 0
    assert ended(worker)
    text = importing.shell(
        "from sessions_app.models import ImportJob; print(ImportJob.objects.get().error)"
    )
    assert "the import was interrupted; start it again" in text


def test_hang_up_replaces_the_workers_without_refusing_anyone(start_server: Start) -> None:
    server = start_server("--workers", "2")
    before = workers(server)
    server.process.send_signal(signal.SIGHUP)
    answers = 0
    while not all(ended(p) for p in before.values()):
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
        answers += 1
        assert answers < 20_000, "the old workers did not end"
    assert len(workers(server)) == 2
    assert not set(workers(server)) & set(before)


def test_a_taken_port_is_said_in_one_line(server: RunningServer, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", str(server.port)],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert f"127.0.0.1:{server.port}" in done.stderr
    assert "in use" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--workers", "0"], {}, "--workers 0: expected at least 1"),
        ([], {"PORT": "http"}, "PORT=http: expected a whole number 0 to 65535"),
        (["--port", "0"], {"REDIS_URL": "unix:///nowhere"}, "REDIS_URL=unix:///nowhere"),
    ],
)
def test_bad_input_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", *arguments],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.server
def test_the_first_start_prints_the_admin_login_once(tmp_path: Path) -> None:
    first = start_serving(tmp_path)
    line = first.wait_for_line("admin login")
    name, _, password = line.removeprefix("admin login").split()[:3]
    with httpx.Client(base_url=first.url, follow_redirects=True) as client:
        client.get("/admin/login/")
        page = client.post(
            "/admin/login/?next=/admin/",
            data={
                "username": name,
                "password": password,
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
            },
        )
        assert "Log out" in page.text
    first.stop()
    second = start_serving(tmp_path)
    second.stop()
    assert not any("admin login" in line for line in second.lines)
