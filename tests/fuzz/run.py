"""Feed a target cases until one fails, or until the number of cases or the seconds are over."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from .targets import Target

CASE_SECONDS = 1.0
"""Of processor time: other programs may keep a case waiting."""
HANG_SECONDS = 30
"""After which a case is interrupted."""


class TooSlow(AssertionError):
    """A case took more than a second."""


class TooLarge(AssertionError):
    """A case took more memory than its target allows."""


@dataclass
class Tally:
    """cases: that were fed; refused: of them by a documented error; slowest: seconds."""

    cases: int = 0
    refused: int = 0
    slowest: float = 0.0


def run_case(target: Target, case: object, tally: Tally, *, timed: bool = True) -> None:
    """Raises: whatever the check raises and does not document; TooLarge; TooSlow if timed."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    tally.cases += 1
    try:
        with _interrupted_after(HANG_SECONDS) if timed else nullcontext():
            target.check(case)
    except target.allowed:
        tally.refused += 1
    took = time.process_time() - begun
    tally.slowest = max(tally.slowest, took)
    if timed and took > CASE_SECONDS:
        raise TooSlow(f"{took:.1f} s of processor time")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    if grown > target.memory:
        raise TooLarge(f"{grown / 1e6:,.0f} MB: expected at most {target.memory / 1e6:,.0f}")


def run_cases(target: Target, cases: int, start: int, tally: Tally, *, timed: bool = True) -> None:
    """So many cases from one seed. Raises: as `run_case`, after making the case small.

    timed: whether a slow case fails; not where other timers run, or other programs matter.
    """

    @seed(start)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(target.inputs)
    def feed(case: object) -> None:
        run_case(target, case, tally, timed=timed)

    feed()


@contextmanager
def _interrupted_after(seconds: int) -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise TooSlow(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
