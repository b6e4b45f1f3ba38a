"""Imports that were asked for over REST: their rows, what they report, and how they end.

`enqueue` writes a job and its background task in one transaction. `manage.py import_worker`, a
process of its own, runs the tasks one after another, because decoding and coding a race would hold
up the frames of everybody who is watching.

The jobs say what is to be done; the queue is made from them again at every start of the worker:

1. A job is RUNNING only while a worker is in `run`. Only one worker runs at a time, so that a job
   which is RUNNING when a worker starts was cut off.
2. A job that was cut off runs again, at most MAX_ATTEMPTS times; at a start of the whole service it
   fails instead, for the service may have ended because of it.
3. A job that has ended is not touched again: a task that finds it so does nothing, and one that
   is running it finds out with its next report of progress, or when it would store the session.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError, close_old_connections, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django_tasks import task
from django_tasks_db.models import DBTaskResult

from .importers.bounds import bounded_memory
from .importers.errors import SourceTooLarge
from .importers.options import ImportOptions
from .importers.result import ImportResult, ImportSourceError
from .importers.text import cleaned
from .locks import FolderLock, SessionLock
from .models import ImportJob, Session
from .recording import RecordingError
from .sources import UnknownSource, source_at
from .storing import one_line, store_result
from .unpacking import UnsafeArchive
from .uploads import SCHEME, UnknownUpload, find_upload, opened, remove_upload, upload_of

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
Read = Callable[[Progress], ImportResult]
"""Reads the job's source; everything that an importer needs beside a progress callback."""
ReadAt = Callable[[Path | None, str, Mapping[str, Any], Progress], ImportResult]
"""Reads a path with the importer of that name, with options beside those of the job."""

REPORT_SECONDS = 0.5
"""Between two progress reports: what a waiting viewer sees as smooth, two small writes each."""
UNPACKING_SHARE = 0.1
"""Of reading an upload that is an archive."""
READING_SHARE = 0.8
"""Of the whole import's time; the rest is writing the recording and the rows."""
FAILED = "the import failed; staff see the reason in its job"
"""What a session says to those who may watch it. The reason may hold paths of this machine and
values of the source, and stands in the job and in the log."""
CANCELLED = "the import was cancelled"
MAX_ATTEMPTS = 2
"""A worker may be killed by chance once; a job that kills it twice has too little memory."""
UNFINISHED = (ImportJob.State.QUEUED, ImportJob.State.RUNNING)
WATCHABLE = (Session.State.READY, Session.State.LIVE)
"""There are frames to be seen, whatever a job may be doing to the session."""
_PATH_OPTIONS = ("geometry", "mapping")


class NothingToRetry(Exception):
    """There is no import that could be tried again; the message says why."""


class Withdrawn(Exception):
    """The job was cancelled, or its session deleted, while it ran."""


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
    owner: int | None = None,
) -> tuple[ImportJob, bool]:
    """A job for that session, and whether it is new: an unfinished one of the same session stands.

    access: who may watch, at once; None keeps that of a session that is there, and is "private"
    for a new one. owner: of a new session, the primary key of a user. A session that can be watched
    stays so until the job replaces its recording.
    """
    with transaction.atomic():
        session, _ = Session.objects.select_for_update().get_or_create(
            slug=slug,
            defaults={
                "title": cleaned(title, 200),
                "year": year,
                "round": round_number,
                "kind": kind,
                "access": Session.Access.PRIVATE,
                "owner_id": owner,
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
        if session.state not in WATCHABLE:
            session.state = Session.State.PENDING
            session.progress = 0
        session.message = "waiting to be imported"
        session.save()
        import_session.enqueue(job.pk)
    return job, True


@task()
def import_session(job_id: int) -> None:
    """The background task: import what a job names, unless the job has ended or is gone."""
    # Importers need pyarrow, which the processes that serve viewers need not load.
    from .importers.registry import run_importer  # noqa: PLC0415

    job = ImportJob.objects.select_related("session").filter(pk=job_id, state__in=UNFINISHED)
    if (found := job.first()) is None:
        logger.info("import %s has ended already or was deleted", job_id)
        return

    def read(
        path: Path | None, importer: str, more: Mapping[str, Any], progress: Progress
    ) -> ImportResult:
        options: dict[str, Any] = {
            name: Path(value) if name in _PATH_OPTIONS else value
            for name, value in {**more, **found.options}.items()
        }
        wanted = ImportOptions(
            bounds=settings.IMPORT_BOUNDS, downloads=settings.DOWNLOADS, **options
        )
        return run_importer(importer, path, wanted, progress)

    with bounded_memory(settings.IMPORT_MEMORY_BYTES):
        if found.source.startswith(SCHEME):
            if run(found, lambda progress: _read_upload(found, read, progress)):
                remove_upload(found.source)
        else:
            path = Path(found.source) if found.source else None
            run(found, lambda progress: read(path, found.importer, {}, progress))


def _read_upload(job: ImportJob, read: ReadAt, progress: Progress) -> ImportResult:
    """Read an upload: unpacked, and by the importer that fits its content unless the job names one.

    Raises: ImportSourceError. An upload that is refused as a whole is removed: another attempt
    would end alike.
    """
    try:
        upload = find_upload(job.source.removeprefix(SCHEME))
        with opened(
            upload, settings.IMPORT_BOUNDS, lambda f, text: progress(UNPACKING_SHARE * f, text)
        ) as path:
            source = source_at(path.name, path)
            importer = job.importer or source.importer
            ImportJob.objects.filter(pk=job.pk).update(importer=importer)
            try:
                return read(
                    path if importer != source.importer else source.path,
                    importer,
                    source.options,
                    lambda f, text: progress(UNPACKING_SHARE + (1 - UNPACKING_SHARE) * f, text),
                )
            except ImportSourceError as error:
                # Where it was unpacked tells nobody anything, and is gone by now.
                error.args = (str(error).replace(f"{path.parent}/", ""),)
                raise
    except (UnsafeArchive, SourceTooLarge):
        remove_upload(job.source)
        raise
    except (UnknownUpload, UnknownSource) as error:
        raise ImportSourceError(str(error)) from error


def run(job: ImportJob, read: Read, clock: Callable[[], float] = time.monotonic) -> bool:
    """Import in this process, reporting into the session and the job. Returns: whether it worked.

    A failure of the source, the disk, the database or the recording ends the job with one line;
    anything else is a bug: the job fails too, it is logged with its traceback, and raised.
    """
    this = ImportJob.objects.filter(pk=job.pk, state__in=UNFINISHED)
    report = _Reporter(job, clock)

    def storing(fraction: float, message: str) -> None:
        # At 1 the session is stored and ready.
        if fraction < 1:
            report(READING_SHARE + fraction * (1 - READING_SHARE), message)

    def finish() -> None:
        now = timezone.now()
        if not this.update(state=ImportJob.State.DONE, progress=100, message="", finished_at=now):
            raise Withdrawn("cancelled, or its session deleted, while it ran")

    try:
        with _wait_for_lock(job) as lock:
            this.update(
                state=ImportJob.State.RUNNING,
                attempts=F("attempts") + 1,
                started_at=timezone.now(),
            )
            # Withdrawn already, if that changed nothing.
            report(0.0, "reading", at_once=True)
            result = read(lambda fraction, message: report(fraction * READING_SHARE, message))
            store_result(
                result,
                slug=job.session.slug,
                replace=True,
                progress=storing,
                lock=lock,
                together=finish,
            )
    except Withdrawn as error:
        logger.info("import %s: %s", job.pk, error)
        _forget_progress(job)
        return False
    except (ImportSourceError, RecordingError, OSError, OperationalError) as error:
        fail(job, one_line(error))
        return False
    except KeyboardInterrupt:
        fail(job, "the import was interrupted; start it again")
        return False
    except BaseException as error:
        logger.exception("import %s of %s", job.pk, job.session.slug)
        fail(job, f"unexpected {type(error).__name__}: {one_line(error)}")
        raise
    return True


def _wait_for_lock(job: ImportJob) -> SessionLock:
    """The lock of the job's session, which a command that imports the same session may hold."""
    lock = SessionLock(job.session.slug, wait=True)
    if lock.is_held():
        text = "waiting for another import of this session to end"
        ImportJob.objects.filter(pk=job.pk).update(message=text)
        _write_progress(job, loading={"message": text}, watchable=text)
    return lock


class _Reporter:
    """Writes progress to the database, at most once in `REPORT_SECONDS`.

    Raises: Withdrawn, when called, if nobody wants the import any more.
    """

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
        try:
            this = ImportJob.objects.filter(pk=self._job.pk, state__in=UNFINISHED)
            if not this.update(progress=progress, message=text):
                raise Withdrawn("cancelled, or its session deleted, while it ran")
            _write_progress(
                self._job,
                loading={"state": Session.State.IMPORTING, "progress": progress, "message": text},
                watchable=f"importing again, {progress:g} %: {text}",
            )
        except OperationalError as error:
            # An import outlasts a database that is away or locked for a while; its end does not.
            logger.warning("import %s: progress not written: %s", self._job.pk, one_line(error))
            close_old_connections()


def _write_progress(job: ImportJob, *, loading: dict[str, Any], watchable: str) -> None:
    """Say in the session what its import does.

    Args:
        job: of the session.
        loading: what changes in a session without frames.
        watchable: the message of one that has frames, and keeps them.
    """
    session = Session.objects.filter(pk=job.session_id)
    now = timezone.now()
    if not session.exclude(state__in=WATCHABLE).update(**loading, updated_at=now):
        session.update(message=watchable[:500], updated_at=now)


def cancel(session: Session) -> bool:
    """End the unfinished job of a session. Returns: whether there was one.

    One that waits never begins; one that runs stops with its next report of progress, and stores
    nothing. Its upload stays for another attempt.
    """
    job = session.import_jobs.filter(state__in=UNFINISHED).first()
    if job is not None:
        fail(job, CANCELLED, told=CANCELLED)
    return job is not None


def retry(session: Session) -> ImportJob:
    """A new job like the session's last one.

    Raises: NothingToRetry if there is none, or if it went well or has not ended.
    """
    last = session.import_jobs.order_by("-created_at", "-pk").first()
    if last is None or last.state != ImportJob.State.FAILED:
        raise NothingToRetry(f"session {session.slug!r} has no import that failed")
    try:
        upload_of(last.source)
    except UnknownUpload as error:
        raise NothingToRetry(str(error)) from error
    job, _ = enqueue(
        session.slug,
        title=session.title,
        importer=last.importer,
        source=last.source,
        options=last.options,
    )
    return job


def _forget_progress(job: ImportJob) -> None:
    """What a withdrawn job wrote into its session after its end is not true any more."""
    with transaction.atomic():
        of_session = ImportJob.objects.filter(session_id=job.session_id)
        if not of_session.filter(state__in=UNFINISHED).exists():
            _write_progress(
                job,
                loading={"state": Session.State.FAILED, "message": CANCELLED},
                watchable=CANCELLED,
            )


def fail(job: ImportJob, error: str, told: str = FAILED) -> None:
    """End the job; a session without a recording fails with it, one with a recording keeps it.

    error: the reason, for staff and the log. told: what the session says.
    """
    error = cleaned(error)
    with transaction.atomic():
        ended = ImportJob.objects.filter(pk=job.pk, state__in=UNFINISHED).update(
            state=ImportJob.State.FAILED, error=error, message=error, finished_at=timezone.now()
        )
        if not ended:
            return
        _write_progress(
            job,
            loading={"state": Session.State.FAILED, "message": told},
            watchable=told,
        )
    logger.warning("import %s of %s failed: %s", job.pk, job.session.slug, error)


def worker_lock() -> FolderLock:
    """Held by the one worker that runs imports; they would not end sooner if there were two."""
    return FolderLock("imports.worker.lock")


def fail_interrupted() -> int:
    """At the start of the service: fail the jobs that its end cut off. Returns: how many.

    Those of a worker that runs, in a container of its own, are left alone.
    """
    lock = worker_lock()
    if not lock.acquire():
        return 0
    try:
        jobs = list(_running())
        for job in jobs:
            fail(job, "the service stopped while it was being imported; start it again")
    finally:
        lock.release()
    return len(jobs)


def restore_queue() -> None:
    """At the start of the worker, which holds the lock: queue exactly what has not ended.

    What an earlier worker was killed over waits again, or fails if it was the last attempt. Rows of
    tasks that have ended go: what became of an import is in its job.
    """
    with transaction.atomic():
        for job in _running():
            if job.attempts >= MAX_ATTEMPTS:
                fail(
                    job,
                    f"the import's process was killed {job.attempts} times, the last time at "
                    f"{job.progress:g} % ({job.message}); is there enough memory?",
                )
                continue
            text = "the import's process was killed; waiting to run again"
            ImportJob.objects.filter(pk=job.pk).update(
                state=ImportJob.State.QUEUED, progress=0, message=text
            )
            _write_progress(
                job,
                loading={"state": Session.State.PENDING, "progress": 0, "message": text},
                watchable=text,
            )
        DBTaskResult.objects.filter(task_path=import_session.module_path).delete()
        queued = ImportJob.objects.filter(state=ImportJob.State.QUEUED).order_by("created_at", "pk")
        for job_id in queued.values_list("pk", flat=True):
            import_session.enqueue(job_id)


def _running() -> QuerySet[ImportJob]:
    return ImportJob.objects.filter(state=ImportJob.State.RUNNING).select_related("session")
