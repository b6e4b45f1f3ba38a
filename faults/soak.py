"""Half an hour of ordinary use by 500 viewers: what grows that should not.

Viewers seek, join and leave rooms, come and go, and a session is imported again and again. Every
ten seconds the workers' memory, descriptors and threads are read and a seek is timed. A straight
line is fitted to each; a slope fails if it is outside noise: its 95 % interval is above zero, and
what it adds over the run is more than `Series.noise`, because samples that follow one another are
not independent and make that interval too narrow.
"""

from __future__ import annotations

import asyncio
import csv
import json
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from websockets.exceptions import InvalidHandshake

from benchmarks.figures import machine, percentile
from benchmarks.processes import RESULTS
from streaming.client import ReplayError, connect

from .plot import Panel, panels
from .report import put
from .rows.imports import ENDED, Imports, importing, table_source
from .service import ROOT, Service
from .stage import SLUG, Stage
from .viewers import Truth, Viewer

NAME = "soak"
ARRIVALS = 20
"""Viewers a second who come at the beginning."""

ROWS_EVERY = 16
"""Of so many viewers one takes rows, the others segments."""

ROOMS = 20
SAMPLE_SECONDS = 10.0
WARM_SHARE = 0.2
"""Of the run, at its beginning: caches fill, and what grows then is left out of the fit."""

PROBES = 10
"""Seeks timed for each sample; their median is the sample."""

PLOT_LINK = "images/soak.svg"
PLOT = ROOT / "docs" / PLOT_LINK


@dataclass(frozen=True, slots=True)
class Fit:
    """A straight line through samples: value = start + slope × seconds.

    error: half of the slope's 95 % confidence interval.
    """

    start: float
    slope: float
    error: float


def fit(times: Sequence[float], values: Sequence[float]) -> Fit:
    """By least squares. Raises: ValueError for less than three samples."""
    n = len(times)
    if n < 3:
        raise ValueError(f"{n} samples: a slope's confidence takes at least three")
    mean_t, mean_v = math.fsum(times) / n, math.fsum(values) / n
    spread = math.fsum((t - mean_t) ** 2 for t in times)
    pairs = list(zip(times, values, strict=True))
    slope = math.fsum((t - mean_t) * (v - mean_v) for t, v in pairs) / spread
    start = mean_v - slope * mean_t
    rest = math.fsum((v - start - slope * t) ** 2 for t, v in pairs)
    return Fit(start, slope, _student(n - 2) * math.sqrt(rest / (n - 2) / spread))


def _student(freedom: int) -> float:
    """Student's t for 95 %, two-sided: the normal quantile with three terms of its expansion."""
    z = 1.959964
    first = (z**3 + z) / 4 / freedom
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3
    return z + first + second + third


@dataclass(slots=True)
class Series:
    """One thing that is sampled. noise: growth over the run that says nothing, in `unit`."""

    name: str
    unit: str
    noise: float
    values: list[float] = field(default_factory=list)

    def fitted(self, times: Sequence[float]) -> Fit:
        """Of what came after the caches were full."""
        first = int(len(times) * WARM_SHARE)
        return fit(times[first:], self.values[first:])

    def growth(self, times: Sequence[float]) -> float:
        """Over the part that is fitted, in `unit`."""
        return self.fitted(times).slope * (times[-1] - times[int(len(times) * WARM_SHARE)])

    def grows(self, times: Sequence[float]) -> bool:
        """Whether the slope is outside noise."""
        line = self.fitted(times)
        return line.slope > line.error and self.growth(times) > self.noise

    def words(self, times: Sequence[float]) -> str:
        """Its level, its slope with the confidence, and whether that is outside noise."""
        line = self.fitted(times)
        unit = f" {self.unit}" if self.unit else ""
        verdict = "grows" if self.grows(times) else "within noise"
        return (
            f"{self.name}: {self.values[-1]:.0f}{unit}, {3600 * line.slope:+.1f} ± "
            f"{3600 * line.error:.1f}{unit} an hour: {verdict}"
        )


def _series() -> list[Series]:
    return [
        Series("memory of the workers", "MB", 20.0),
        Series("open descriptors", "", 20.0),
        Series("threads", "", 4.0),
        Series("median seek", "ms", 20.0),
    ]


class Crowd:
    """Viewers that do what viewers do, until cancelled. Counts what they did, and errors."""

    def __init__(self, service: Service, truth: Truth, size: int) -> None:
        self.size = size
        self._url = service.websocket(SLUG)
        self._truth = truth
        self._random = random.Random(3)
        self.done: dict[str, int] = dict.fromkeys(("visits", "seeks", "joins", "frames"), 0)
        self.wrong = 0
        self.errors: dict[str, int] = {}

    async def viewer(self, number: int) -> None:
        """Visits, one after another."""
        # Not all in the same second, as they would come if they were started together.
        await asyncio.sleep(number / ARRIVALS)
        while True:
            try:
                await self._visit("rows" if number % ROWS_EVERY == 0 else "segments")
            except (ReplayError, OSError, InvalidHandshake) as error:
                self.count(error)
                await asyncio.sleep(1)

    def count(self, error: BaseException) -> None:
        """An error that nothing here has caused."""
        text = f"{type(error).__name__}: {error}"[:100]
        self.errors[text] = self.errors.get(text, 0) + 1

    async def _visit(self, encoding: str) -> None:
        chance = self._random
        self.done["visits"] += 1
        async with connect(self._url, encoding=encoding, fields=["x"]) as client:
            viewer = Viewer(client, self._truth)
            watching = asyncio.create_task(viewer.watch())
            try:
                await viewer.play(chance.randrange(self._truth.frame_count - 5000))
                leaves = time.monotonic() + chance.uniform(60, 240)
                while time.monotonic() < leaves:
                    await asyncio.sleep(chance.uniform(3, 15))
                    await self._act(viewer)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                self.wrong += viewer.wrong
                self.done["frames"] += viewer.frames

    async def _act(self, viewer: Viewer) -> None:
        chance = self._random.random()
        if chance < 0.6:
            self.done["seeks"] += 1
            await viewer.client.seek(frame=self._random.randrange(self._truth.frame_count - 5000))
        elif chance < 0.75:
            self.done["joins"] += 1
            await viewer.client.join(f"room-{self._random.randrange(ROOMS)}")
        elif chance < 0.9:
            await viewer.client.leave()
        else:
            await viewer.client.set_speed(self._random.choice((1.0, 2.0, 4.0)))


async def _seek_ms(service: Service, frames: int) -> float:
    """Median time from a seek to its first frames, of a viewer who has just come."""
    took = []
    async with connect(service.websocket(SLUG), fields=["x"]) as client:
        for i in range(PROBES):
            began = time.monotonic()
            await client.seek(frame=(i * 7919 + int(began)) % frames)
            await anext(client)
            took.append(1000 * (time.monotonic() - began))
    return percentile(took, 50)


async def _sample(service: Service, frames: int, series: Sequence[Series]) -> None:
    workers = service.workers()
    memory, descriptors, threads, seek = series
    seek_ms = await _seek_ms(service, frames)
    memory.values.append(service.memory() / 1e6)
    descriptors.values.append(sum(p.num_fds() for p in workers))
    threads.values.append(sum(p.num_threads() for p in workers))
    seek.values.append(seek_ms)


async def _import_on(imports: Imports, ends: list[str]) -> None:
    """Import the same session again and again, every twenty seconds or so."""
    while True:
        await imports.ask()
        ends.append((await imports.wait(*ENDED))["state"])
        await asyncio.sleep(15)


async def run(minutes: float, viewers: int, document: Path | None = None) -> int:
    """Soak, print, write the samples beside the benchmarks'.

    document: where the outcome and the plot go as well. Returns: 1 if something grows.
    """
    series = _series()
    times: list[float] = []
    ends: list[str] = []
    with tempfile.TemporaryDirectory(prefix="replay-soak-") as folder:
        stage = Stage(False, Path(folder))
        async with importing(stage, table_source(stage.fresh("sources")), workers=2) as imports:
            service = imports.service
            truth = Truth(stage.recording(service))
            crowd = Crowd(service, truth, viewers)
            tasks = [asyncio.create_task(crowd.viewer(i)) for i in range(viewers)]
            tasks.append(asyncio.create_task(_import_on(imports, ends)))
            # The crowd comes in within the first seconds: that is no growth of anything.
            await asyncio.sleep(viewers / ARRIVALS + SAMPLE_SECONDS)
            began = time.monotonic()
            try:
                while (at := time.monotonic() - began) < 60 * minutes:
                    try:
                        await _sample(service, truth.frame_count - 5000, series)
                    except (ReplayError, OSError, InvalidHandshake) as error:
                        crowd.count(error)
                    else:
                        times.append(at)
                        print(_line(at, series, crowd), flush=True)
                    await asyncio.sleep(max(0.0, SAMPLE_SECONDS - time.monotonic() + began + at))
            finally:
                for task in tasks:
                    if task.done() and not task.cancelled() and (ended := task.exception()):
                        crowd.count(ended)
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    return _report(times, series, crowd, ends, document)


def _line(at: float, series: Sequence[Series], crowd: Crowd) -> str:
    now = ", ".join(f"{s.name} {s.values[-1]:.0f} {s.unit}".rstrip() for s in series)
    return f"{at:6.0f} s  {now}; {crowd.done['seeks']} seeks, {crowd.done['visits']} visits"


def _report(
    times: list[float],
    series: list[Series],
    crowd: Crowd,
    ends: list[str],
    document: Path | None,
) -> int:
    broken = [f"{s.name} grows" for s in series if s.grows(times)]
    if crowd.wrong:
        broken.append(f"{crowd.wrong} wrong frames")
    if crowd.errors:
        broken.append(f"errors: {crowd.errors}")
    if ends.count("done") != len(ends):
        broken.append(f"{len(ends) - ends.count('done')} of {len(ends)} imports failed")
    done = ", ".join(f"{count:,} {what}" for what, count in crowd.done.items())
    did = f"{times[-1] / 60:.0f} minutes, {crowd.size} viewers: {done}, {len(ends)} imports."
    print(did)
    print("\n".join(s.words(times) for s in series))
    for text in broken:
        print(f"broken: {text}")
    name = time.strftime("soak-%Y%m%d-%H%M%S")
    RESULTS.mkdir(exist_ok=True)
    _write_samples(RESULTS / name, times, series)
    _write_summary(RESULTS / f"{name}.json", times, series, crowd, ends, broken)
    drawn = panels(
        [
            Panel(s.name, s.unit, times, s.values, s.fitted(times).start, s.fitted(times).slope)
            for s in series
        ]
    )
    (RESULTS / f"{name}.svg").write_text(drawn)
    if document is not None:
        PLOT.write_text(drawn)
        slopes = "\n".join(f"- {s.words(times)}" for s in series)
        shown = f"![Memory, descriptors, threads and the time of a seek]({PLOT_LINK})"
        put(document, NAME, f"{did}\n\n{slopes}\n\n{shown}")
    print(f"written to {(RESULTS / name).relative_to(ROOT)}.csv, .json and .svg")
    return 1 if broken else 0


def _write_samples(path: Path, times: Sequence[float], series: Sequence[Series]) -> None:
    with path.with_suffix(".csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["seconds", *(f"{s.name} {s.unit}".strip() for s in series)])
        table.writerows(
            [f"{t:.1f}", *(f"{s.values[i]:.3f}" for s in series)] for i, t in enumerate(times)
        )


def _write_summary(
    path: Path,
    times: Sequence[float],
    series: Sequence[Series],
    crowd: Crowd,
    ends: Sequence[str],
    broken: Sequence[str],
) -> None:
    summary = {
        "machine": machine(),
        "viewers": crowd.size,
        "seconds": times[-1],
        "done": {**crowd.done, "imports": len(ends)},
        "slopes": {s.name: {"unit": s.unit, **asdict(s.fitted(times))} for s in series},
        "broken": list(broken),
    }
    path.write_text(json.dumps(summary, indent=1) + "\n")
