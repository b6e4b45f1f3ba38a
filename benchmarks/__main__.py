"""`python -m benchmarks [names…] [--quick]`: measure, print, and write the results down."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

import django

from .figures import Figure, as_json, as_table, as_text, machine
from .processes import RESULTS, ROOT

NAMES = (
    "codec",
    "importing",
    "store",
    "start",
    "baseline",
    "viewers",
    "seek",
    "clock",
    "stalled",
    "churn",
    "restart",
    "live",
    "callbacks",
    "player",
)
LONG = ("importing", "restart", "live", "callbacks")
"""Left out of a quick run of all: most of their time goes by whatever their size."""
SOAKS = ("player",)
"""What has a long run, on demand: `ARGS="player --soak"` takes ten minutes."""

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, a few minutes")
    parser.add_argument(
        "--soak", action="store_true", help=f"the long run of {', '.join(SOAKS)}: ten minutes"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/benchmarks.md"
    )
    options = parser.parse_args()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"no benchmark {name!r}: expected some of {', '.join(NAMES)}")
    # The store is measured in this process, and knows sessions by their model.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")
    os.environ.setdefault("REPLAY_DATA_DIR", str(RESULTS / "data"))
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    figures: list[Figure] = []
    started = time.monotonic()
    for name in options.names or [n for n in NAMES if not (options.quick and n in LONG)]:
        begun = time.monotonic()
        module = importlib.import_module(f"benchmarks.{name}")
        soak = options.soak and name in SOAKS
        for figure in module.soak() if soak else module.run(options.quick):
            figures.append(figure)
            met = {None: "", True: "  (met)", False: "  (NOT MET)"}[figure.met]
            print(
                f"{figure.benchmark:9} {figure.what:52} {figure.value:14,.4f} {figure.unit}"
                f"  {figure.spread}{met}",
                flush=True,
            )
        print(f"{name:9} took {time.monotonic() - begun:.0f} s", flush=True)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    target.write_text(as_json(figures) + "\n")
    print(f"\n{as_text(figures)}\n{time.monotonic() - started:.0f} s in all; ", end="")
    print(f"written to {target.relative_to(ROOT)}")
    if options.write:
        _write(ROOT / "docs" / "benchmarks.md", _merged(figures))
    # A goal that is missed is a figure to read, not a command that failed.
    return 0


def _merged(figures: list[Figure]) -> list[Figure]:
    """These figures, and the last ones kept of the benchmarks that did not run this time."""
    kept = RESULTS / "kept.json"
    measured = {f.benchmark for f in figures}
    if kept.exists():
        before = [Figure(**f) for f in json.loads(kept.read_text())["figures"]]
        figures = figures + [f for f in before if f.benchmark not in measured]
    figures.sort(key=lambda f: NAMES.index(f.benchmark))
    kept.write_text(as_json(figures) + "\n")
    return figures


def _write(document: Path, figures: list[Figure]) -> None:
    """Replace the table between the marks."""
    text = document.read_text()
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    where = machine()
    about = (
        f"{where['cores']} cores ({where['processor']}), Linux {where['kernel']}, "
        f"Python {where['python']}, {where['time'][:10]}."
    )
    document.write_text(f"{before}{BEGIN}\n\n{about}\n\n{as_table(figures)}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
