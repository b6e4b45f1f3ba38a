"""Laps laid on each other: alignment by distance and by time, of laps worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sessions_app.comparing import (
    Circuit,
    LapToCompare,
    NotComparable,
    compare,
    require_one_circuit,
)
from sessions_app.recording import Columns, Field, FieldKind, Schema

RATE = 25.0
FIELDS = (
    Field("x", "dm", 1.0, FieldKind.CUBIC),
    Field("progress", "laps", 1e-6, FieldKind.CUBIC),
    Field("speed", "km/h", 0.1, FieldKind.LINEAR),
    Field("gear"),
)


def circuit(name: str = "one", length: float = 1000.0, east: float = 0.0, **more: str) -> Circuit:
    """Round, the start line in the east. east: metres that it lies aside."""
    radius = length / (2 * math.pi)
    points = [
        (10 * (east + radius * math.cos(a)), 10 * radius * math.sin(a))
        for a in np.linspace(0, 2 * math.pi, 90, endpoint=False)
    ]
    return Circuit(name, more.get("unit", "dm"), length, points)


def lap(seconds: float, on: Circuit | None = None, *, number: int = 2) -> LapToCompare:
    """One at a constant speed, a second before and after it; gear 1 until half of it, then 2."""
    on = on or circuit()
    before = round(RATE)
    frames = round(seconds * RATE)
    time = (np.arange(frames + 2 * before) - before) / RATE
    progress = number - 1 + time / seconds
    columns = Columns.from_quantities(
        Schema(FIELDS, ("A",), RATE, 25),
        {
            "x": (progress * 1000)[:, None],
            "progress": progress[:, None],
            "speed": np.full((len(time), 1), on.length / seconds * 3.6),
            "gear": np.where(progress % 1 < 0.5, 1.0, 2.0)[:, None],
        },
    )
    return LapToCompare(f"a lap of {seconds:g} s", columns, (before, before + frames + 1), on)


def test_by_distance_the_slower_lap_falls_behind_evenly() -> None:
    found = compare([lap(20), lap(22), lap(19)], "distance", 10.0, ["speed", "gear"])
    assert found.axis[:3].tolist() == [0, 10, 20]
    assert found.axis[-1] == 1000
    assert found.delta[0] == pytest.approx(np.zeros(101))
    assert found.delta[1] == pytest.approx(found.axis / 1000 * 2, abs=2e-3)
    assert found.delta[2] == pytest.approx(-found.axis / 1000, abs=2e-3)
    assert found.samples["time"][1][-1] == pytest.approx(22, abs=2e-3)
    assert found.samples["speed"][0] == pytest.approx(np.full(101, 180.0))
    # What is held is never between two gears.
    assert set(found.samples["gear"][0]) == {1.0, 2.0}
    assert found.units == {"speed": "km/h", "gear": "", "time": "s"}


def test_by_time_the_slower_lap_is_metres_behind() -> None:
    found = compare([lap(20), lap(25)], "time", 0.013, ["speed", "gear"])
    assert found.axis[-1] == pytest.approx(25, abs=0.013)
    at_ten = int(np.searchsorted(found.axis, 10))
    assert found.samples["distance"][0][at_ten] == pytest.approx(500, abs=1)
    assert found.delta[1][at_ten] == pytest.approx(100, abs=0.5)
    assert set(found.samples["gear"][1]) == {1.0, 2.0}
    # The first lap is over after 20 s.
    assert np.isnan(found.samples["distance"][0][-1])
    assert np.isnan(found.delta[1][-1])
    assert found.samples["speed"][1][-1] == pytest.approx(144)


def test_an_outline_that_is_drawn_longer_is_no_difference() -> None:
    longer = circuit("other", 1010.0)
    found = compare([lap(20), lap(20, longer)], "distance", 10.0, ["speed"])
    require_one_circuit([circuit(), longer])
    assert found.delta[1] == pytest.approx(np.zeros(101), abs=2e-3)


def test_a_channel_that_one_recording_lacks_is_missing_there() -> None:
    bare = lap(20)
    schema = bare.columns.schema.subset(fields=["progress", "speed"])
    without = LapToCompare("bare", bare.columns.subset(schema), bare.frames, bare.circuit)
    found = compare([lap(20), without], "distance", 10.0, ["gear"])
    assert np.isnan(found.samples["gear"][1]).all()


def test_places_of_another_unit_are_shown_in_the_first_laps_unit() -> None:
    metres = Circuit("metres", "m", 1000.0, [(x / 10, y / 10) for x, y in circuit().centre_line])
    require_one_circuit([circuit(), metres])
    found = compare([lap(20), lap(20, metres)], "distance", 10.0, ["x"])
    assert found.samples["x"][1] == pytest.approx(found.samples["x"][0] * 10)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (circuit("long", 1100.0), "one is on a circuit of 1,000 m and long on one of 1,100 m"),
        (circuit("away", east=400.0), "the circuits of one and away lie .* m apart"),
    ],
)
def test_other_circuits_are_refused(other: Circuit, reason: str) -> None:
    with pytest.raises(NotComparable, match=reason):
        require_one_circuit([circuit(), other])


def test_a_lap_without_a_place_on_the_circuit_is_refused() -> None:
    bare = lap(20)
    schema = bare.columns.schema.subset(fields=["speed"])
    without = LapToCompare("that one", bare.columns.subset(schema), bare.frames, bare.circuit)
    with pytest.raises(NotComparable, match="that one: its recording does not say where"):
        compare([lap(20), without], "distance", 10.0, ["speed"])


def test_too_many_points_are_refused() -> None:
    with pytest.raises(NotComparable, match="take a larger step"):
        compare([lap(20), lap(700)], "time", 0.02, ["speed"])
