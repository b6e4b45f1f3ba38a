"""Kills imports and says what is left: `python -m tests.killed_imports FOLDER KILLS`.

Imports run in forks of a process that has Django and pyarrow loaded, so that a kill costs a few
hundredths of a second. Prints one JSON object: the cases of each scenario, by its name.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django_tasks.signals import task_started  # noqa: E402
from django_tasks_db.models import DBTaskResult  # noqa: E402

from replayproject.first_run import prepare  # noqa: E402
from sessions_app import storing  # noqa: E402
from sessions_app.importers import registry  # noqa: E402
from sessions_app.jobs import enqueue, restore_queue, worker_lock  # noqa: E402
from sessions_app.locks import SessionLock, remove_leftovers  # noqa: E402
from sessions_app.management.commands import import_worker  # noqa: E402
from sessions_app.models import Session  # noqa: E402
from sessions_app.recording.file import Recording, RecordingWriter  # noqa: E402

from .samples import small_race  # noqa: E402

Cases = Iterator[dict[str, Any]]
SLUG = "play"
MAPPING = "time: {column: t, unit: s}\nentity: who\nfields: {x: x, y: y}\nrate: 10\n"


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def in_fork(work: Callable[[], object], delay: float | None = None) -> int:
    """Run `work` in a fork, killed after `delay` seconds if given. Returns: waitpid's status."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def files() -> list[str]:
    return sorted(path.name for path in Path(settings.RECORDINGS_DIR).iterdir())


def seen() -> dict[str, Any]:
    """What is there now: the session as REST shows it, its file, and whatever else is on disk."""
    staff = Client(headers={"Authorization": f"Bearer {settings.API_TOKENS[0]}"})
    detail = staff.get(f"/api/sessions/{SLUG}").json()
    session = Session.objects.get(slug=SLUG)
    job = session.import_jobs.first()
    with Recording(session.recording_path) as recording:
        whole = (
            recording.version == session.version and session.frame_count == recording.frame_count
        )
    return {
        "state": detail["state"],
        "message": detail["message"],
        "job": detail["job"] and detail["job"]["state"],
        "error": detail["job"] and detail["job"]["error"],
        "attempts": job and job.attempts,
        "frames": session.frame_count,
        "whole": whole,
        "others": [name for name in files() if name != session.recording],
    }


def random_moments(folder: Path) -> Cases:
    """Kill stores of the same session, each at another moment; clean up as a start does."""
    results = [small_race(30), small_race(31)]
    kills = int(sys.argv[2])
    storing.store_result(results[0], slug=SLUG)
    begun = time.monotonic()
    in_fork(lambda: storing.store_result(results[0], slug=SLUG, replace=True))
    lasted = time.monotonic() - begun
    chance = random.Random(20)
    for i in range(kills):
        result = results[i % 2]
        status = in_fork(
            partial(storing.store_result, result, slug=SLUG, replace=True),
            delay=chance.uniform(0, lasted),
        )
        left = len(seen()["others"])
        remove_leftovers()
        yield {"killed": os.WIFSIGNALED(status), "left": left, **seen()}


def at_start_of_task() -> None:
    task_started.connect(die, weak=False)


def while_reading() -> None:
    registry.run_importer = die


def with_half_a_file() -> None:
    def append(self: RecordingWriter, segment: bytes, frames: int) -> None:
        original(self, segment, frames)
        if self.frame_count > 20:
            self.flush()
            die()

    original = RecordingWriter.append
    RecordingWriter.append = append  # type: ignore[method-assign]


def with_a_whole_file() -> None:
    original = storing.write_recording  # type: ignore[attr-defined]
    storing.write_recording = lambda *a, **k: die(original(*a, **k))  # type: ignore[attr-defined]


def inside_the_transaction() -> None:
    original = storing._replace_rows
    storing._replace_rows = lambda *a: die(original(*a))


def right_after_the_commit() -> None:
    def replace_rows(*arguments: Any) -> None:
        original(*arguments)
        transaction.on_commit(die)

    original = storing._replace_rows
    storing._replace_rows = replace_rows  # type: ignore[assignment]


def with_the_old_file_removed() -> None:
    original = SessionLock.__exit__
    SessionLock.__exit__ = lambda *a: die(original(*a))  # type: ignore[method-assign]


def before_the_task_is_done() -> None:
    DBTaskResult.set_successful = die  # type: ignore[method-assign]


STAGES = {
    stage.__name__: stage
    for stage in (
        at_start_of_task, while_reading, with_half_a_file, with_a_whole_file,
        inside_the_transaction, right_after_the_commit, with_the_old_file_removed,
        before_the_task_is_done,
    )
}  # fmt: skip


def work(stage: Callable[[], None] | None = None) -> None:
    if stage is not None:
        stage()
    call_command("import_worker")


def ask(folder: Path, rows: int) -> None:
    (folder / "m.yaml").write_text(MAPPING)
    (folder / "play.csv").write_text("t,who,x,y\n" + "".join(f"{i},a,{i},0\n" for i in range(rows)))
    enqueue(
        SLUG,
        title="Play",
        importer="table",
        source=str(folder / "play.csv"),
        options={"mapping": str(folder / "m.yaml")},
    )


def start_as_a_worker() -> None:
    """What the next worker does before its first task."""
    lock = worker_lock()
    assert lock.acquire()
    remove_leftovers()
    restore_queue()
    lock.release()


def stages(folder: Path) -> Cases:
    """Kill the worker at every stage of a second import, start another, let it work."""
    ask(folder, 3)
    assert in_fork(work) == 0
    for i, (name, stage) in enumerate(STAGES.items()):
        ask(folder, 4 + i)
        killed = in_fork(partial(work, stage)) == signal.SIGKILL
        after = seen()
        start_as_a_worker()
        again = seen()
        if again["job"] == "queued":
            assert in_fork(work) == 0
        yield {"stage": name, "killed": killed, "rows": 4 + i, "after": after, "again": again,
               "end": seen()}  # fmt: skip


def twice(folder: Path) -> Cases:
    """Kill the worker over one job as often as it is begun."""
    ask(folder, 3)
    assert in_fork(work) == 0
    ask(folder, 4)
    for _ in range(2):
        in_fork(lambda: work(with_half_a_file))
        yield seen()
    start_as_a_worker()
    yield seen()


def restart(folder: Path) -> Cases:
    """Kill the worker, then start the whole service's preparations, as after a power cut."""
    ask(folder, 3)
    assert in_fork(work) == 0
    ask(folder, 4)
    in_fork(lambda: work(with_a_whole_file))
    yield seen()
    prepare(lambda line: None, with_demo=False)
    yield seen()


SCENARIOS = {f.__name__: f for f in (random_moments, stages, twice, restart)}


def main() -> None:
    import_worker.NICENESS = 0  # beside other tests it would get next to nothing
    call_command("migrate", verbosity=0)
    found = {}
    for name, scenario in SCENARIOS.items():
        folder = Path(sys.argv[1], name)
        folder.mkdir()
        found[name] = list(scenario(folder))
        Session.objects.all().delete()
        for left in files():
            (Path(settings.RECORDINGS_DIR) / left).unlink()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
