"""An import that is killed leaves the session as it was, no file, and a job that runs again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from .conftest import ROOT

# The first of these waits for all scenarios: 20 processes, some seconds where nothing else runs.
pytestmark = [pytest.mark.timeout(700), pytest.mark.long]
KILLS = 8
Outcomes = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What tests/killed_imports.py says of each scenario, with a database of its own."""
    folder = tmp_path_factory.mktemp("kills")
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed_imports", str(folder), str(KILLS)],
        cwd=ROOT,
        env={
            **os.environ,
            "REPLAY_DATA_DIR": str(folder / "data"),
            "DJANGO_SETTINGS_MODULE": "replayproject.settings",
            "ALLOWED_HOSTS": "testserver",
            "API_TOKENS": "secret",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_kills_at_random_moments_leave_nothing(outcomes: Outcomes) -> None:
    found = outcomes["random_moments"]
    assert len(found) == KILLS
    for case in found:
        assert case["whole"], case
        assert case["frames"] in (750, 775), case
        assert case["others"] == [], case
    # The moments were such that there was something to clean up.
    assert any(case["killed"] and case["left"] for case in found)


def test_a_kill_at_any_stage_leaves_the_session_and_the_job_runs_again(outcomes: Outcomes) -> None:
    found = {case["stage"]: case for case in outcomes["stages"]}
    assert len(found) == 8
    for stage, case in found.items():
        assert case["killed"], stage
        after, again, end = case["after"], case["again"], case["end"]
        stored = stage in (
            "right_after_the_commit",
            "with_the_old_file_removed",
            "before_the_task_is_done",
        )
        # Rows are a second apart at 10 Hz, so that n of them make 10 (n - 1) + 1 frames.
        new, old = 10 * (case["rows"] - 1) + 1, 10 * (case["rows"] - 2) + 1
        for moment in (after, again):
            assert (moment["state"], moment["whole"]) == ("ready", True), stage
            assert moment["frames"] == (new if stored else old), stage
        assert again["job"] == ("done" if stored else "queued"), stage
        assert again["others"] == [], stage
        assert (end["job"], end["frames"], end["others"]) == ("done", new, []), stage
        assert end["message"] == "", stage


def test_a_job_that_kills_its_process_twice_fails_with_the_reason(outcomes: Outcomes) -> None:
    first, second, end = outcomes["twice"]
    assert [first["attempts"], second["attempts"]] == [1, 2]
    assert (end["job"], end["state"], end["frames"], end["others"]) == ("failed", "ready", 21, [])
    assert "killed 2 times" in end["error"]
    assert "memory" in end["error"]


def test_a_restart_of_the_machine_fails_what_was_running(outcomes: Outcomes) -> None:
    before, after = outcomes["restart"]
    assert (before["job"], len(before["others"])) == ("running", 3)
    assert (after["job"], after["state"], after["frames"]) == ("failed", "ready", 21)
    assert after["others"] == []
    assert "the service stopped" in after["error"]
