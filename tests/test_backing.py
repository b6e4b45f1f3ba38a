"""The choice of the Redis-compatible server, and the child's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from replayproject.backing import BackingError, choose_backing, find_server, start_server


def test_a_given_url_is_used(valkey: str) -> None:
    backing = choose_backing(valkey)
    assert (backing.url, backing.process) == (valkey, None)


def test_a_given_url_that_does_not_answer_stops_the_start() -> None:
    with pytest.raises(BackingError, match="REDIS_URL=unix:///nowhere"):
        choose_backing("unix:///nowhere")


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
