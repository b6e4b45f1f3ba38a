"""Imports in the background: their rows, their tasks, and how they end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import OperationalError, transaction
from django_tasks_db.models import DBTaskResult

from sessions_app import jobs
from sessions_app.importers.result import ImportResult, ImportSourceError
from sessions_app.jobs import (
    FAILED,
    MAX_ATTEMPTS,
    Progress,
    enqueue,
    fail_interrupted,
    restore_queue,
    run,
    worker_lock,
)
from sessions_app.locks import FolderLock, SessionLock
from sessions_app.models import ImportJob, Session

from .small_race import small_race, store_small_race


def queued(slug: str = "job") -> ImportJob:
    job, is_new = enqueue(
        slug, title="T", importer="table", source="/nowhere", options={}, access="public"
    )
    assert is_new
    return job


def seconds() -> Callable[[], float]:
    """A clock on which a second passes at every look."""
    return itertools.count(0.0, 1.0).__next__


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

    def test_a_session_deleted_meanwhile_stays_deleted(self, settings, tmp_path: Path) -> None:
        settings.RECORDINGS_DIR = tmp_path
        job = queued()

        def read(_progress: Progress) -> ImportResult:
            Session.objects.all().delete()
            return small_race()

        assert not run(job, read)
        assert not Session.objects.exists()
        assert list(tmp_path.iterdir()) == []

    def test_a_database_that_is_away_for_a_while_costs_no_import(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = queued()

        def locked(*_: object, **__: object) -> None:
            raise OperationalError("database is locked")

        def read(progress: Progress) -> ImportResult:
            with monkeypatch.context() as away:
                away.setattr(jobs, "_write_progress", locked)
                progress(0.5, "reading")
            return small_race()

        assert run(job, read, clock=seconds())

    def test_it_waits_for_a_command_that_imports_the_same_session(self) -> None:
        """Whose end this test sees from inside the wait: a lock knows no callbacks."""
        job = queued()
        command = SessionLock("job")
        command.__enter__()

        def release() -> None:
            assert not FolderLock("job.session.lock").acquire()
            command.__exit__(None, None, None)

        ending = threading.Thread(target=release)
        states: list[str] = []

        def read(_progress: Progress) -> ImportResult:
            states.append(ImportJob.objects.get(pk=job.pk).state)
            return small_race()

        ending.start()
        assert run(job, read)
        ending.join()
        assert states == ["running"]


@pytest.mark.django_db
class TestTask:
    """What the worker runs: tasks in the database, one a job."""

    def test_a_job_and_its_task_are_written_together(self) -> None:
        job = queued()
        assert [task.args_kwargs["args"] for task in DBTaskResult.objects.all()] == [[job.pk]]
        with transaction.atomic():
            queued("other")
            transaction.set_rollback(True)
        assert (ImportJob.objects.count(), DBTaskResult.objects.count()) == (1, 1)

    @pytest.mark.parametrize("state", ["done", "failed"])
    def test_a_job_that_has_ended_is_not_run_again(self, state: str) -> None:
        job = queued()
        ImportJob.objects.filter(pk=job.pk).update(state=state)
        jobs.import_session.call(job.pk)
        job.refresh_from_db()
        assert (job.state, job.attempts) == (state, 0)

    def test_a_job_that_was_deleted_is_no_error(self) -> None:
        jobs.import_session.call(12345)


def running(slug: str, attempts: int = 1) -> ImportJob:
    """A job whose worker was killed: its task was taken, and nobody will end it."""
    job = queued(slug)
    ImportJob.objects.filter(pk=job.pk).update(
        state="running", attempts=attempts, progress=40, message="reading cars"
    )
    DBTaskResult.objects.filter(args_kwargs__args=[job.pk]).update(status="RUNNING")
    return job


def waiting() -> list[int]:
    """The jobs that the queue holds, in the order in which they will be run."""
    return [task.args_kwargs["args"][0] for task in DBTaskResult.objects.ready()]


@pytest.mark.django_db
class TestKilledWorker:
    def test_its_job_waits_again_before_those_that_came_later(self) -> None:
        first = running("first")
        second = queued("second")
        restore_queue()
        first.refresh_from_db()
        assert (first.state, first.progress) == ("queued", 0)
        assert "killed" in first.message
        session = Session.objects.get(slug="first")
        assert (session.state, session.message) == ("pending", first.message)
        assert waiting() == [first.pk, second.pk]
        assert DBTaskResult.objects.count() == 2

    def test_a_session_with_frames_stays_watchable(self) -> None:
        store_small_race("job")
        running("job")
        restore_queue()
        session = Session.objects.get(slug="job")
        assert (session.state, session.progress) == ("ready", 100)
        assert "killed" in session.message

    def test_the_last_attempt_fails_with_what_it_was_doing(self) -> None:
        job = running("job", attempts=MAX_ATTEMPTS)
        restore_queue()
        job.refresh_from_db()
        assert job.state == "failed"
        assert "killed 2 times, the last time at 40 % (reading cars)" in job.error
        assert Session.objects.get(slug="job").state == "failed"
        assert waiting() == []

    def test_a_task_taken_before_its_job_began_is_queued_again(self) -> None:
        job = queued()
        DBTaskResult.objects.update(status="RUNNING")
        restore_queue()
        assert waiting() == [job.pk]

    def test_a_job_without_a_task_gets_one(self) -> None:
        job = queued()
        DBTaskResult.objects.all().delete()
        restore_queue()
        assert waiting() == [job.pk]

    def test_tasks_of_ended_jobs_go(self) -> None:
        job = queued()
        assert run(job, lambda progress: small_race())
        DBTaskResult.objects.update(status="SUCCESSFUL")
        restore_queue()
        assert not DBTaskResult.objects.exists()


@pytest.mark.django_db
class TestStartOfTheService:
    def test_a_job_that_was_cut_off_fails(self) -> None:
        job = running("job")
        assert fail_interrupted() == 1
        job.refresh_from_db()
        assert job.state == "failed"
        assert "the service stopped" in job.error
        assert Session.objects.get(slug="job").state == "failed"
        assert fail_interrupted() == 0

    def test_a_job_that_waits_goes_on_waiting(self) -> None:
        job = queued()
        assert fail_interrupted() == 0
        restore_queue()
        assert waiting() == [job.pk]

    def test_what_is_being_watched_stays(self) -> None:
        session = store_small_race("job")
        running("job")
        assert fail_interrupted() == 1
        assert session.recording_path.exists()

    def test_a_worker_that_runs_keeps_its_job(self) -> None:
        """In a container of its own it outlives a restart of the service."""
        job = running("job")
        lock = worker_lock()
        assert lock.acquire()
        try:
            assert fail_interrupted() == 0
        finally:
            lock.release()
        job.refresh_from_db()
        assert job.state == "running"
