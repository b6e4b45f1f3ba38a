"""`python -m faults [names…] [--short]`: break things, look, and hold it against the promise.

`python -m faults soak --minutes 30` breaks nothing and watches what grows.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from . import soak
from .report import CONTROL, SHORT_TOLERANCE, STILL_TOLERANCE, Promise, Row, Seen, write_table
from .rows import (
    backing,
    clock,
    control,
    database,
    disk,
    floods,
    imports,
    lines,
    processes,
    recordings,
)
from .service import ROOT
from .stage import Skip, Stage

Result = TypeVar("Result")
Fault = Callable[[Stage], Awaitable[Seen]]

FAULTS: dict[str, tuple[Fault, Promise]] = {
    **control.ROWS,
    **backing.ROWS,
    **database.ROWS,
    **processes.ROWS,
    **recordings.ROWS,
    **imports.ROWS,
    **disk.ROWS,
    **clock.ROWS,
    **lines.ROWS,
    **floods.ROWS,
}

DOCUMENT = ROOT / "docs" / "reliability.md"
ROW_SECONDS = 300.0
"""After which a fault is given up: it counts as one that never heals."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a fault, or the start of its name"
    )
    parser.add_argument("--short", action="store_true", help="fewer viewers, shorter faults")
    parser.add_argument("--list", action="store_true", help="only name them")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put what was seen into the table of docs/reliability.md",
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="of the soak (default: %(default)g)"
    )
    parser.add_argument(
        "--viewers", type=int, default=500, help="of the soak (default: %(default)d)"
    )
    options = parser.parse_args()
    if options.write and options.short:
        parser.error("--write is for faults in their long form")
    if options.names == [soak.NAME]:
        document = DOCUMENT if options.write else None
        return asyncio.run(_ended_by_sigterm(soak.run(options.minutes, options.viewers, document)))
    chosen = [n for n in FAULTS if not options.names or n.startswith(tuple(options.names))]
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        parser.error(f"no such fault: expected some of {', '.join(FAULTS)}")
    # What the machine itself adds is measured whatever else is: the others are judged by it.
    chosen = [CONTROL, *(n for n in chosen if n != CONTROL)]
    rows = asyncio.run(_ended_by_sigterm(_run(chosen, short=options.short)))
    if options.write:
        write_table(rows, DOCUMENT, list(FAULTS))
    failed = [row.fault for row in rows if row.failures()]
    skipped = sum(bool(row.skipped) for row in rows)
    print(f"{len(rows) - len(failed) - skipped} kept, {len(failed)} broken, {skipped} not run")
    return 1 if failed else 0


async def _ended_by_sigterm(work: Coroutine[Any, Any, Result]) -> Result:
    """So that what was broken is mended, and what was started ends, then too."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _run(names: list[str], *, short: bool) -> list[Row]:
    rows: list[Row] = []
    tolerance = SHORT_TOLERANCE if short else STILL_TOLERANCE
    with tempfile.TemporaryDirectory(prefix="replay-faults-") as folder:
        stage = Stage(short, Path(folder))
        for name in names:
            began = time.monotonic()
            row = await _row(name, stage)
            if name == CONTROL:
                tolerance += max(row.seen.still_segments, row.seen.still_rows)
            row.tolerance = tolerance
            rows.append(row)
            print(f"{row.line()}  ({time.monotonic() - began:.0f} s)", flush=True)
    return rows


async def _row(name: str, stage: Stage) -> Row:
    fault, promise = FAULTS[name]
    try:
        async with asyncio.timeout(ROW_SECONDS):
            return Row(name, promise, await fault(stage))
    except Skip as skip:
        return Row(name, promise, Seen(), skipped=str(skip))
    except TimeoutError:
        return Row(name, promise, Seen(broken=[f"not over after {ROW_SECONDS:.0f} s"]))
    except Exception as error:
        return Row(name, promise, Seen(broken=[f"{type(error).__name__}: {error}"[:300]]))


if __name__ == "__main__":
    sys.exit(main())
