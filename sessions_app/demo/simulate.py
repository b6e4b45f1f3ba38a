"""A whole simulated race as one importable result."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ..importers.result import ImportResult, Progress, no_progress
from ..importers.samples import as_measured
from ..racing import FRAME_RATE
from .circuit import NAME, build_circuit
from .geometry import geometry_record
from .plan import draw_plan
from .race import Race
from .story import tell
from .teams import entities
from .telemetry import race_columns
from .timing import lap_records, lap_times, stint_records

DEFAULT_MINUTES = 20.0
DEFAULT_SEED = 1
FEED_FRAMES = 6
"""Frames between two samples of a car, as the feeds of real races have: 0.24 s."""
FEED_HELD = ("brake", "gear", "drs")
"""What such a feed gives with them."""
START_TIME = datetime(2026, 6, 21, 13, 0, tzinfo=UTC)
"""Of frame 0. Fixed, so that the same seed gives the same recording, byte for byte."""


def simulate(
    minutes: float = DEFAULT_MINUTES,
    seed: int = DEFAULT_SEED,
    progress: Progress = no_progress,
) -> ImportResult:
    """A complete race; the same for the same arguments.

    Args:
        minutes: about how long it lasts, 5 to 180.
        seed: of all that is left to chance.
        progress: called with the share that is done (0 to 1) and what comes next.

    Returns:
        What an importer returns: columns at 25 frames a second, 20 cars, events, laps, stints.

    Raises:
        ValueError: `minutes` is out of range.
    """
    rng = np.random.default_rng(seed)
    circuit = build_circuit()
    plan = draw_plan(minutes, rng)
    progress(0.0, "racing")
    trace = Race(circuit, plan, rng).run()
    progress(0.8, "timing")
    times = lap_times(trace, circuit.length)
    columns, position = race_columns(circuit, trace, times, rng)
    return ImportResult(
        title=f"Demo: {NAME} Grand Prix",
        kind="race",
        source=f"simulated, seed {seed}",
        samples=as_measured(columns, FEED_FRAMES, FEED_HELD),
        entities=entities(),
        geometry=geometry_record(circuit),
        events=tell(trace, times, position),
        laps=lap_records(trace, times, position, columns.frame_count - 1),
        stints=stint_records(trace, times),
        start_time=START_TIME,
        year=START_TIME.year,
        metadata={
            "circuit": NAME,
            "total_laps": plan.laps,
            "race_start_frame": round(trace.lights_out * FRAME_RATE),
            "race_end_frame": int(np.ceil(trace.finish_time.min() * FRAME_RATE)),
            "seed": seed,
        },
    )
