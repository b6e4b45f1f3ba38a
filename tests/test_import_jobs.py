"""Imports in the background: their rows, their process, and how they end."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions_app import job_process
from sessions_app.importers.result import ImportResult, ImportSourceError
from sessions_app.job_process import JobLock
from sessions_app.jobs import FAILED, Progress, enqueue, fail_interrupted, run
from sessions_app.models import ImportJob, Session

from .small_race import small_race, store_small_race


def queued(slug: str = "job") -> ImportJob:
    job, is_new = enqueue(
        slug, title="T", importer="table", source="/nowhere", options={}, access="public"
    )
    assert is_new
    return job


def seconds() -> Iterator[float]:
    """A clock on which a second passes at every look."""
    return itertools.count(0.0, 1.0).__next__  # type: ignore[return-value]


@pytest.mark.django_db
class TestRun:
    def test_a_job_makes_its_session_ready(self) -> None:
        job = queued()
        assert job.session.state == "pending"
        assert run(job, lambda progress: small_race())
        job.refresh_from_db()
        session = Session.objects.get(slug="job")
        assert (job.state, job.progress, job.error) == ("done", 100, "")
        assert job.finished_at is not None
        assert (session.state, session.progress, session.message) == ("ready", 100, "")
        assert session.recording_path.exists()

    def test_whoever_polls_sees_the_end_of_the_job(self, client) -> None:
        job = queued()
        during: list[str] = []

        def clock() -> float:
            during[:] = [client.get("/api/sessions/job")["ETag"]]
            return next(ticks)

        ticks = itertools.count(0.0)
        assert run(job, lambda progress: small_race(), clock=clock)
        answer = client.get("/api/sessions/job", headers={"If-None-Match": during[0]})
        assert answer.status_code == 200
        assert answer.json()["job"]["state"] == "done"

    def test_progress_is_in_the_session(self) -> None:
        job = queued()
        seen: list[tuple[str, float, str]] = []

        def read(progress: Progress) -> ImportResult:
            for fraction, message in ((0.25, "reading cars"), (1.0, "standings")):
                progress(fraction, message)
                session = Session.objects.get(slug="job")
                seen.append((session.state, session.progress, session.message))
            return small_race()

        before = job.session.updated_at
        assert run(job, read, clock=seconds())
        assert seen == [("importing", 20, "reading cars"), ("importing", 80, "standings")]
        assert Session.objects.get(slug="job").updated_at > before

    def test_progress_is_not_written_more_often_than_seen(self) -> None:
        job = queued()

        def read(progress: Progress) -> ImportResult:
            for i in range(100):
                progress(i / 100, "reading")
            assert ImportJob.objects.get(pk=job.pk).progress == 0
            return small_race()

        assert run(job, read, clock=lambda: 7.0)

    @pytest.mark.parametrize(
        "error",
        [
            ImportSourceError("expected a number", file="laps.csv", row=3, column="lap"),
            OSError("No space left on device"),
            KeyboardInterrupt(),
        ],
    )
    def test_failure_is_one_line_and_leaves_nothing(self, error: BaseException) -> None:
        job = queued()

        def read(_progress: Progress) -> ImportResult:
            raise error

        assert not run(job, read)
        job.refresh_from_db()
        session = Session.objects.get(slug="job")
        assert job.state == "failed"
        assert session.state == "failed"
        assert session.message == FAILED
        assert "\n" not in job.error
        assert (str(error) or "interrupted") in job.error
        assert not session.recording_path.exists()

    def test_a_bug_fails_the_job_and_is_raised(self) -> None:
        job = queued()

        def read(_progress: Progress) -> ImportResult:
            raise ZeroDivisionError("first line\nsecond line")

        with pytest.raises(ZeroDivisionError):
            run(job, read)
        job.refresh_from_db()
        assert job.error == "unexpected ZeroDivisionError: first line second line"

    def test_again_after_a_failure(self) -> None:
        job = queued()
        assert not run(job, lambda _p: (_ for _ in ()).throw(OSError("full")))
        assert run(queued(), lambda _p: small_race())
        assert Session.objects.get(slug="job").state == "ready"

    def test_refresh_keeps_the_old_recording_watchable_until_the_end(self) -> None:
        old = store_small_race("job")

        def read(progress: Progress) -> ImportResult:
            progress(0.5, "reading")
            session = Session.objects.get(slug="job")
            assert (session.state, session.progress) == ("ready", 100)
            assert session.message == "importing again, 40 %: reading"
            assert session.recording_path.exists()
            return small_race(title="Corrected")

        assert run(queued(), read, clock=seconds())
        session = Session.objects.get(slug="job")
        assert (session.title, session.message) == ("Corrected", "")
        assert session.recording != old.recording
        assert not old.recording_path.exists()

    def test_failed_refresh_keeps_what_was_there(self) -> None:
        old = store_small_race("job")
        assert not run(queued(), lambda _p: (_ for _ in ()).throw(OSError("full")))
        session = Session.objects.get(slug="job")
        assert (session.state, session.version) == ("ready", old.version)
        assert session.message == FAILED
        assert ImportJob.objects.get(session=session).error == "full"
        assert session.recording_path.exists()


@pytest.mark.django_db
class TestInterrupted:
    def test_job_of_a_dead_process_fails_at_the_next_start(self, settings) -> None:
        job = queued()
        ImportJob.objects.filter(pk=job.pk).update(state="running", pid=424242)
        folder = Path(settings.RECORDINGS_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        stamp = "20250101000000000000"
        partial = folder / f".job.{stamp}.mcap.424242.partial"
        unfinished = folder / f"job.{stamp}.mcap"
        other = folder / f"job-2.{stamp}.mcap"
        for path in (partial, unfinished, other):
            path.write_bytes(b"x")
        assert fail_interrupted() == 1
        job.refresh_from_db()
        assert job.state == "failed"
        assert "stopped" in job.error
        assert Session.objects.get(slug="job").state == "failed"
        assert [p.exists() for p in (partial, unfinished, other)] == [False, False, True]
        other.unlink()
        assert fail_interrupted() == 0

    def test_what_is_being_watched_is_not_a_leftover(self) -> None:
        session = store_small_race("job")
        queued()
        assert fail_interrupted() == 1
        assert session.recording_path.exists()

    def test_running_job_is_left_alone(self) -> None:
        job = queued()
        lock = JobLock(job.pk)
        assert lock.acquire()
        try:
            assert fail_interrupted() == 0
            job.refresh_from_db()
            assert job.state == "queued"
        finally:
            lock.release()
            lock.remove()


class TestProcess:
    """The process, without Django inside it."""

    @staticmethod
    def end_of(name: str, program: str) -> tuple[int, str]:
        ended: list[tuple[int, str]] = []
        command = [sys.executable, "-c", program]
        watcher = job_process.start(name, lambda *how: ended.append(how), command)  # type: ignore[arg-type]
        watcher.join(timeout=30)
        assert not JobLock(name).path.exists()
        return ended[0]

    def test_its_end_is_told_with_its_last_words(self) -> None:
        program = "import sys; print('first', file=sys.stderr); sys.exit('last words')"
        assert self.end_of("a", program) == (1, "last words")

    def test_being_killed_is_told(self) -> None:
        code, _ = self.end_of("b", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert code == -9

    def test_lock_is_held_while_it_runs(self) -> None:
        ended: list[tuple[int, str]] = []
        program = "import sys, os; os.read(0, 1); sys.exit(3)"
        lock = JobLock("c")
        assert lock.acquire()
        with lock_passed_to_child(lock, program) as process:
            lock.release()
            assert not JobLock("c").acquire()
            process.communicate(b"x", timeout=30)
        again = JobLock("c")
        assert again.acquire()
        again.release()
        again.remove()
        assert ended == []

    @pytest.mark.parametrize("before", ["SIG_DFL", "SIG_IGN"])  # the latter behind a shell's &
    def test_it_ends_with_who_started_it(self, before: str) -> None:
        program = (
            "import sys, signal\n"
            f"signal.signal(signal.SIGINT, signal.{before})\n"
            "from sessions_app.job_process import end_with_starter\n"
            "try:\n"
            "    end_with_starter()\n"
            "    print('running', flush=True)\n"
            "    signal.pause()\n"
            "except KeyboardInterrupt:\n"
            "    print('cleaned up', flush=True)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"running\n"
            process.stdin.close()
            assert process.stdout.read() == b"cleaned up\n"
            assert process.wait(timeout=30) == 0


def lock_passed_to_child(lock: JobLock, program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, pass_fds=(lock.fileno(),)
    )
