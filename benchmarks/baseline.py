"""The 60 Hz loop and ours in one run, as a ratio; and the raw echo rate of our server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from streaming.playback.protocol import DEFAULT_LEAD

from .figures import Figure, middle_half, percentile
from .load import LoadProcess
from .processes import Service, cpu_seconds, module_serving, race_data, serving

VIEWERS = 20
ECHOERS = 20


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20)
    # Segments come in bursts, seven seconds in seven.
    seconds = 7 if quick else 14
    recording = next((data / "recordings").glob("*.mcap"))
    loop_cost, loop_rate, loop_bytes = _sixty_hertz(recording, seconds)
    yield Figure("baseline", "60 Hz loop: CPU a viewer", loop_cost, "% of a core", VIEWERS, seconds)
    yield Figure("baseline", "60 Hz loop: frames a viewer", loop_rate, "1/s", VIEWERS, seconds)
    yield Figure("baseline", "60 Hz loop: bytes a frame", loop_bytes, "B", VIEWERS, seconds)
    count = 200 if quick else 1000
    with serving(data) as service:
        ours, rate, size = _ours(service, count, seconds, "segments")
        rows, row_rate, _ = _ours(service, min(count, 200), seconds, "rows")
    yield Figure("baseline", "segments: CPU a viewer", ours, "% of a core", count, seconds)
    yield Figure("baseline", "segments: frames a viewer", rate, "1/s", count, seconds)
    yield Figure("baseline", "segments: bytes a frame", size, "B", count, seconds)
    yield Figure("baseline", "rows: CPU a viewer", rows, "% of a core", min(count, 200), seconds)
    per_frame = (loop_cost / loop_rate) / (ours / rate)
    yield Figure(
        "baseline",
        "60 Hz loop ÷ segments: CPU a delivered frame",
        per_frame,
        "times",
        count,
        seconds,
        spread=f"rows {(loop_cost / loop_rate) / (rows / row_rate):.1f} times",
    )
    yield from _echo(seconds)


def _sixty_hertz(recording: Path, seconds: float) -> tuple[float, float, float]:
    """(CPU % a viewer, frames a second and viewer, bytes a frame) of the loop."""
    with (
        module_serving("benchmarks.sixty_hertz", str(recording)) as service,
        LoadProcess(mode="plain", url=service.websocket("/ws"), count=VIEWERS) as load,
    ):
        return _cost(service, load, VIEWERS, seconds)


def _ours(
    service: Service, count: int, seconds: float, encoding: str
) -> tuple[float, float, float]:
    url = service.websocket("/ws/sessions/bench/")
    spec = {"mode": "viewers", "url": url, "count": count, "tail_frames": 25 * 120}
    with LoadProcess(**spec, hello={"encoding": encoding}) as load:
        time.sleep(DEFAULT_LEAD)
        return _cost(service, load, count, seconds)


def _cost(
    service: Service, load: LoadProcess, count: int, seconds: float
) -> tuple[float, float, float]:
    pids = service.workers + service.others
    load.measure()
    start, cpu = time.monotonic(), cpu_seconds(pids)
    time.sleep(seconds)
    cpu = cpu_seconds(pids) - cpu
    wall = time.monotonic() - start
    found = load.stop()
    frames = found["frames"]
    return 100 * cpu / wall / count, frames / found["seconds"] / count, found["bytes"] / frames


def _echo(seconds: float) -> Iterator[Figure]:
    with (
        module_serving("benchmarks.echo") as service,
        LoadProcess(mode="echo", url=service.websocket("/"), count=ECHOERS, size=2000) as load,
    ):
        load.measure()
        cpu = cpu_seconds(service.workers)
        time.sleep(seconds)
        cpu = cpu_seconds(service.workers) - cpu
        found = load.stop()
    answers = [1000 * a for a in found["answers"]]
    yield Figure(
        "baseline",
        "echo of 2 kB on the same server: rate",
        found["messages"] / found["seconds"],
        "1/s",
        ECHOERS,
        seconds,
        spread=f"round trip {middle_half(answers)} ms, p99 {percentile(answers, 99):.2f}",
    )
    yield Figure(
        "baseline",
        "echo of 2 kB on the same server: CPU",
        1e6 * cpu / found["messages"],
        "µs a message",
        ECHOERS,
        seconds,
    )
