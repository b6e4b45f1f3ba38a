"""`manage.py run_import_job ID`: what the service starts for an import that REST asked for."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...importers.bounds import bounded_memory
from ...importers.options import ImportOptions
from ...importers.registry import run_importer
from ...importers.result import ImportResult
from ...job_process import JobLock, be_nice, end_with_starter
from ...jobs import UNFINISHED, Progress, run
from ...models import ImportJob

PATH_OPTIONS = ("geometry", "mapping")


class Command(BaseCommand):
    help = "Run one queued import (the service starts this by itself)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=int, help="Number of the import job.")

    def handle(self, *_args: Any, job: int, **_options: Any) -> None:
        found = ImportJob.objects.select_related("session").filter(pk=job).first()
        if found is None or found.state not in UNFINISHED:
            raise CommandError(f"import job {job}: expected one that has not ended")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        end_with_starter()
        be_nice()
        # One import at a time: two would take twice the memory and end no sooner.
        turn = JobLock("turn")
        turn.acquire(wait=True)
        try:
            worked = run(found, lambda progress: read(found, progress))
        finally:
            turn.release()
        if not worked:
            raise CommandError(f"import job {job} failed; the job says why")


def read(job: ImportJob, progress: Progress) -> ImportResult:
    """The job's source, by the importer that it names. Raises: ImportSourceError."""
    options: dict[str, Any] = {
        name: Path(value) if name in PATH_OPTIONS else value for name, value in job.options.items()
    }
    wanted = ImportOptions(bounds=settings.IMPORT_BOUNDS, **options)
    with bounded_memory(settings.IMPORT_MEMORY_BYTES):
        return run_importer(job.importer, Path(job.source), wanted, progress)
