"""`make fuzz`: hostile bytes for every parser, for some seconds or a number of cases."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

BATCH = 200
MEMORY = 4_000_000_000


def main() -> int:
    """Returns: 1 if a target failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="some of them, else all")
    parser.add_argument("--seconds", type=float, default=20, help="for each target (%(default)s)")
    parser.add_argument("--cases", type=int, help="for each target, instead of seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="to begin with")
    wanted = parser.parse_args()

    # Django reads its settings when the targets are imported: never those of a running service.
    data = tempfile.TemporaryDirectory(prefix="replay-fuzz-data-")
    os.environ["REPLAY_DATA_DIR"] = data.name
    os.environ["DJANGO_SETTINGS_MODULE"] = "replayproject.settings"
    import django

    django.setup()
    from sessions_app.importers.bounds import bounded_memory

    from .run import Tally, run_cases
    from .targets import TARGETS, names_of

    try:
        chosen = names_of(wanted.targets)
    except KeyError as error:
        parser.error(f"unknown target {error}: expected some of {', '.join(TARGETS)}")
    print(f"seed {wanted.seed}")
    print(f"{'target':34}{'cases':>10}{'refused':>10}{'slowest':>11}{'cases/s':>10}")
    failed = 0
    for name, target in chosen.items():
        tally, begun, start = Tally(), time.monotonic(), wanted.seed
        problem = ""
        try:
            with bounded_memory(MEMORY):
                while (
                    tally.cases < wanted.cases
                    if wanted.cases
                    else (time.monotonic() - begun < wanted.seconds)
                ):
                    most = min(BATCH, wanted.cases - tally.cases) if wanted.cases else BATCH
                    run_cases(target, most, start, tally)
                    start += 1
        except Exception as error:
            failed += 1
            # The end: where it happened, what, and the smallest case that does it.
            problem = "".join(line[:1000] for line in traceback.format_exception(error)[-8:])
        rate = tally.cases / (time.monotonic() - begun)
        print(
            f"{name:34}{tally.cases:>10,}{tally.refused:>10,}{tally.slowest * 1000:>8.0f} ms"
            f"{rate:>10,.0f}",
            flush=True,
        )
        if problem:
            print(f"{name} failed with --seed {start}:\n{problem}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if not Path("manage.py").exists():
        sys.exit("expected to be run from the project's folder: make fuzz")
    sys.exit(main())
