"""Independent viewers at 25 frames a second: what each costs the server."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator

from streaming.playback.protocol import DEFAULT_LEAD

from .figures import Figure, percentile
from .load import LoadProcess
from .processes import Service, cpu_seconds, race_data, resident_bytes, serving

LEAD_SECONDS = DEFAULT_LEAD
""" A viewer is sent seven seconds every seven: windows are multiples of that."""
HELD = "replay_store_bytes{"
CPU_GOAL, MEMORY_GOAL = 0.004, 50.0


def run(quick: bool) -> Iterator[Figure]:
    data = race_data(20 if quick else 120)
    sizes = [("segments", n) for n in ((100, 1000) if quick else (100, 1000, 10_000))]
    sizes += [("rows", n) for n in ((100,) if quick else (100, 1000))]
    for encoding, count in sizes:
        with serving(data, MESSAGES_PER_SECOND="200") as service:
            yield from measure(service, encoding, count, 7 if quick else 14)


def measure(service: Service, encoding: str, count: int, seconds: float) -> Iterator[Figure]:
    """Figures of `count` viewers with `encoding`, measured over `seconds`."""
    pids = service.workers + service.others
    url = service.websocket("/ws/sessions/bench/")
    _warm(url, encoding)
    before, cached_before = resident_bytes(service.workers), _cached_bytes(service)
    spec = {
        "mode": "viewers",
        "url": url,
        "count": count,
        "hello": {"encoding": encoding},
        "tail_frames": 25 * 120,
        "tolerance": 0.02 if encoding == "rows" else 0.0,
    }
    with LoadProcess(**spec) as load:
        # A whole lead has passed: what is sent now is sent because it was played.
        time.sleep(LEAD_SECONDS)
        memory = (resident_bytes(service.workers) - before) / count
        cached = (_cached_bytes(service) - cached_before) / count
        load.measure()
        start, cpu = time.monotonic(), cpu_seconds(pids)
        time.sleep(seconds)
        cpu = cpu_seconds(pids) - cpu
        seconds = time.monotonic() - start
        found = load.stop()
    name = f"{count:,} viewers, {encoding}"
    share = 100 * cpu / seconds / count
    frames = found["frames"] / found["seconds"] / count
    segments = encoding == "segments"

    def figure(what: str, value: float, unit: str, **more: object) -> Figure:
        return Figure("viewers", f"{name}: {what}", value, unit, count, seconds, **more)  # type: ignore[arg-type]

    yield figure(
        "server CPU a viewer",
        share,
        "% of a core",
        spread=f"whole server {100 * cpu / seconds:.1f} %",
        goal=f"≤ {CPU_GOAL}" if segments and count >= 1000 else "",
        met=share <= CPU_GOAL if segments and count >= 1000 else None,
    )
    yield figure(
        "memory a viewer",
        (memory - cached) / 1000,
        "kB",
        spread=f"and {cached / 1000:.1f} of cached frames",
        goal=f"≤ {MEMORY_GOAL:g}" if segments and count >= 1000 else "",
        met=(memory - cached) / 1000 <= MEMORY_GOAL if segments and count >= 1000 else None,
    )
    yield figure("bytes a viewer", found["bytes"] / found["seconds"] / count, "B/s")
    yield figure(
        "frames a viewer",
        frames,
        "1/s",
        goal="25" if segments else "",
        met=abs(frames - 25) < 1.0 if segments else None,
    )
    late = found["lateness"]
    yield figure(
        "lateness p99",
        1000 * percentile(late, 99),
        "ms",
        spread=f"p50 {1000 * percentile(late, 50):.2f}, max {1000 * max(late, default=0):.1f}",
    )
    yield figure(
        "underruns",
        found["late"] + found["lost"],
        f"of {found['messages']:,} messages",
        spread=f"{found['starved']} starved, {found['lost']} lost",
        goal="none starved" if segments else "",
        met=not found["starved"] and not found["lost"] if segments else None,
    )


def _cached_bytes(service: Service) -> float:
    """What the workers' frame stores hold, as they publish it once a second."""
    time.sleep(1.5)
    with urllib.request.urlopen(f"{service.url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    held = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(HELD)]
    if not held:
        raise RuntimeError(f"{service.url}/metrics says nothing of {HELD}")
    return sum(held)


def _warm(url: str, encoding: str) -> None:
    """One viewer first, so that code, files and pools are there before memory is looked at."""
    with LoadProcess(mode="viewers", url=url, count=20, hello={"encoding": encoding}, seed=7):
        pass
