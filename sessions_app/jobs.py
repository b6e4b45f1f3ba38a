"""Imports that run in the background: their rows, what they report, and how they end.

An import runs in a process of its own (`manage.py run_import_job`), because decoding and coding a
race would hold up the frames of everybody who is watching. `job_process.py` starts and watches it.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from .importers.result import ImportResult, ImportSourceError
from .importers.text import cleaned
from .job_process import JobLock, start
from .models import ImportJob, Session
from .recording import RecordingError
from .storing import store_result

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
Read = Callable[[Progress], ImportResult]
"""Reads the job's source; everything that an importer needs beside a progress callback."""

REPORT_SECONDS = 0.5
"""Between two progress reports: what a waiting viewer sees as smooth, two small writes each."""
READING_SHARE = 0.8
"""Of the whole import's time; the rest is writing the recording and the rows."""
FAILED = "the import failed; staff see the reason in its job"
"""What a session says to those who may watch it. The reason may hold paths of this machine and
values of the source, and stands in the job and in the log."""
UNFINISHED = (ImportJob.State.QUEUED, ImportJob.State.RUNNING)
_STAMPED = re.compile(r"\.\d{20}\.mcap")


def enqueue(
    slug: str,
    *,
    title: str,
    importer: str,
    source: str,
    options: dict[str, Any],
    year: int | None = None,
    round_number: int | None = None,
    kind: str = "other",
    access: str | None = None,
) -> tuple[ImportJob, bool]:
    """A job for that session, and whether it is new: an unfinished one of the same session stands.

    access: who may watch, at once; None keeps that of a session that is there, and is "staff" for
    a new one. A session that can be watched stays so until the job replaces its recording.
    """
    with transaction.atomic():
        session, _ = Session.objects.select_for_update().get_or_create(
            slug=slug,
            defaults={
                "title": cleaned(title, 200),
                "year": year,
                "round": round_number,
                "kind": kind,
                "access": Session.Access.STAFF,
            },
        )
        if access is not None and session.access != access:
            session.access = access
            session.save()
        job = session.import_jobs.filter(state__in=UNFINISHED).first()
        if job is not None:
            return job, False
        job = ImportJob.objects.create(
            session=session, importer=importer, source=source, options=options
        )
        if not is_watchable(session):
            session.state = Session.State.PENDING
            session.progress = 0
        session.message = "waiting to be imported"
        session.save()
    return job, True


def is_watchable(session: Session) -> bool:
    """Whether there are frames to be seen, whatever a job may be doing to it."""
    return session.state in (Session.State.READY, Session.State.LIVE)


def run(job: ImportJob, read: Read, clock: Callable[[], float] = time.monotonic) -> bool:
    """Import in this process, reporting into the session and the job. Returns: whether it worked.

    A failure of the source, the disk or the recording ends the job with one line; anything else
    is a bug: the job fails too, and it is raised for the log.
    """
    report = _Reporter(job, clock)

    def storing(fraction: float, message: str) -> None:
        # At 1 the session is stored and says so itself.
        if fraction < 1:
            report(READING_SHARE + fraction * (1 - READING_SHARE), message)

    job.state = ImportJob.State.RUNNING
    job.pid = os.getpid()
    job.started_at = timezone.now()
    job.save()
    report(0.0, "reading", at_once=True)
    try:
        result = read(lambda fraction, message: report(fraction * READING_SHARE, message))
        store_result(result, slug=job.session.slug, replace=True, progress=storing)
    except (ImportSourceError, RecordingError, OSError) as error:
        fail(job, one_line(error))
        return False
    except KeyboardInterrupt:
        fail(job, "the import was interrupted; start it again")
        return False
    except BaseException as error:
        fail(job, f"unexpected {type(error).__name__}: {one_line(error)}")
        raise
    ImportJob.objects.filter(pk=job.pk).update(
        state=ImportJob.State.DONE, progress=100, message="", finished_at=timezone.now()
    )
    # The session's ETag covers what its body says of the job.
    Session.objects.filter(pk=job.session_id).update(updated_at=timezone.now())
    return True


def launch(job: ImportJob) -> threading.Thread:
    """Run a queued job in a process of its own. Returns: the thread that waits for its end.

    Raises: OSError if no process can be started; the job has failed then.
    """

    def on_end(code: int, last_line: str) -> None:
        try:
            how = f"signal {-code}" if code < 0 else f"code {code}"
            fail(job, f"the import's process ended with {how}: {last_line or 'no message'}")
            if code < 0:
                remove_leftovers(job)
        finally:
            connection.close()

    try:
        return start(job.pk, on_end)
    except OSError as error:
        fail(job, f"no process could be started: {one_line(error)}")
        raise


class _Reporter:
    """Writes progress to the database, not more often than somebody can see."""

    def __init__(self, job: ImportJob, clock: Callable[[], float]) -> None:
        self._job = job
        self._clock = clock
        self._next = clock()

    def __call__(self, fraction: float, message: str, *, at_once: bool = False) -> None:
        if self._clock() < self._next and not at_once:
            return
        self._next = self._clock() + REPORT_SECONDS
        progress = round(100 * min(max(fraction, 0.0), 1.0), 1)
        text = cleaned(message)
        ImportJob.objects.filter(pk=self._job.pk).update(progress=progress, message=text)
        session = Session.objects.filter(pk=self._job.session_id)
        now = timezone.now()
        loading = session.exclude(state__in=(Session.State.READY, Session.State.LIVE))
        if not loading.update(
            state=Session.State.IMPORTING, progress=progress, message=text, updated_at=now
        ):
            session.update(message=f"importing again, {progress:g} %: {text}"[:500], updated_at=now)


def fail(job: ImportJob, error: str) -> None:
    """End the job; a session without a recording fails with it, one with a recording keeps it.

    error: the reason, for staff and the log; the session says `FAILED` only.
    """
    error = cleaned(error)
    now = timezone.now()
    with transaction.atomic():
        ended = ImportJob.objects.filter(pk=job.pk, state__in=UNFINISHED).update(
            state=ImportJob.State.FAILED, error=error, message=error, finished_at=now
        )
        if not ended:
            return
        session = Session.objects.filter(pk=job.session_id)
        loading = session.exclude(state__in=(Session.State.READY, Session.State.LIVE))
        if not loading.update(state=Session.State.FAILED, message=FAILED, updated_at=now):
            session.update(message=FAILED, updated_at=now)
    logger.warning("import %s of %s failed: %s", job.pk, job.session.slug, error)


def fail_interrupted() -> int:
    """Fail the jobs whose process is gone, and remove what it left. Returns: how many.

    To be called when the service starts.
    """
    count = 0
    for job in ImportJob.objects.filter(state__in=UNFINISHED).select_related("session"):
        with _unless_running(job) as stopped:
            if stopped:
                fail(job, "the service stopped while it was being imported; start it again")
                remove_leftovers(job)
                count += 1
    return count


@contextmanager
def _unless_running(job: ImportJob) -> Iterator[bool]:
    lock = JobLock(job.pk)
    held = lock.acquire()
    try:
        yield held
    finally:
        lock.release()
        if held:
            lock.remove()


def remove_leftovers(job: ImportJob) -> None:
    """What a killed process left: half a recording, or a whole one that no row points to."""
    session = Session.objects.get(pk=job.session_id)
    folder = settings.RECORDINGS_DIR
    if job.pid:
        for partial in folder.glob(f".{session.slug}.*.{job.pid}.partial"):
            partial.unlink(missing_ok=True)
    for path in folder.glob(f"{session.slug}.*.mcap"):
        stamp = path.name.removeprefix(session.slug)
        if _STAMPED.fullmatch(stamp) and path.name != session.recording:
            path.unlink(missing_ok=True)


def one_line(error: BaseException) -> str:
    """What went wrong as one line of at most 500 characters, for staff and the log."""
    return cleaned(str(error)) or type(error).__name__
