"""Every key of the plain dialect, with its type, its range and whether it may be null.

The tables are docs/protocol.md, section 9, and hold for every motor race: for the sample with known
content, the simulated one and a real one, from the grid to the flag.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from .conftest import ROOT, RunningServer, start_serving
from .samples import RACE_SLUG
from .websocket_client import Wire, open_wire

pytestmark = pytest.mark.server

MOMENTS = 150
REAL_RACE = "openf1-2024-austria"


class Key(NamedTuple):
    """low, high: bounds, inclusive; words: the only texts; null: whether it may be nil."""

    type_: type
    low: float = -math.inf
    high: float = math.inf
    words: frozenset[str] | None = None
    null: bool = False

    def check(self, name: str, value: Any) -> None:
        if value is None:
            assert self.null, f"{name} is null"
            return
        good = int | float if self.type_ is float else self.type_
        assert isinstance(value, good), f"{name}: {value!r}"
        assert not isinstance(value, bool), f"{name}: {value!r}"
        if isinstance(value, int | float):
            assert math.isfinite(value), name
            assert self.low <= value <= self.high, f"{name}: {value!r}"
        if self.words is not None:
            assert value in self.words, f"{name}: {value!r}"


FRAME = {
    "frame_index": Key(int, 0),
    "t": Key(float, 0),
    "lap": Key(int, 0, 100),
    "drivers": Key(dict),
    "weather": Key(dict),
}
DRIVER = {
    "x": Key(float, -100_000, 100_000),  # 0.1 m
    "y": Key(float, -100_000, 100_000),
    "speed": Key(float, 0, 400),  # km/h
    "gear": Key(int, 0, 8),
    "lap": Key(int, 0, 100),
    "position": Key(int, 1, 20),
    "tyre": Key(int, 0, 4),
    "throttle": Key(float, 0, 100),
    "brake": Key(float, 0, 100),
    "drs": Key(int, 0, 14),
    "dist": Key(float, -7_000, 500_000),  # m
    "rel_dist": Key(float, 0, 1),
    "race_progress": Key(float, -1, 100),  # laps
    "gap_to_previous": Key(float, 0, 10_000),  # s
    "gap_to_leader": Key(float, 0, 10_000),
    "lap_time": Key(float, 15, 3_600, null=True),  # s
    "sector1": Key(float, 5, 3_600, null=True),
    "sector2": Key(float, 5, 3_600, null=True),
    "sector3": Key(float, 5, 3_600, null=True),
    "status": Key(str, words=frozenset(("grid", "track", "pit", "Retired", "finished")), null=True),
}
WEATHER = {
    "track_temp": Key(float, -20, 80),  # °C
    "air_temp": Key(float, -20, 60),
    "humidity": Key(float, 0, 100),  # %
    "wind_speed": Key(float, 0, 60),  # m/s
    "wind_direction": Key(float, 0, 360),
    "rain_state": Key(str, words=frozenset(("DRY", "RAINING"))),
}
METADATA = {
    "year": Key(int, 1950, 2100, null=True),
    "round": Key(int, 1, 40, null=True),
    "session_type": Key(str, words=frozenset("R")),
    "total_frames": Key(int, 1),
    "total_laps": Key(int, 1, 100),
    "driver_colors": Key(dict),
    "driver_numbers": Key(dict),
    "driver_teams": Key(dict),
    "track_geometry": Key(dict),
    "track_statuses": Key(list),
    "race_start_time": Key(float, 0, null=True),
    "error": Key(str, null=True),
}
GEOMETRY = {
    **{f"{line}_{axis}": Key(list) for line in ("centerline", "inner", "outer") for axis in "xy"},
    **{f"{axis}_{end}": Key(float) for axis in "xy" for end in ("min", "max")},
    "sector": Key(list, null=True),
}
TRACK_STATUS = {
    "status": Key(str, words=frozenset("2456")),
    "start_time": Key(float, 0),
    "end_time": Key(float, 0, null=True),
}
LOADING = {
    "loading_progress": {
        "type": Key(str),
        "progress": Key(float, 0, 100),
        "message": Key(str),
        "elapsed_seconds": Key(float, 0, 60),
    },
    "loading_complete": {
        "type": Key(str),
        "frames": Key(int, 1),
        "load_time_seconds": Key(float, 0, 60),
        "elapsed_seconds": Key(float, 0, 60),
        "metadata": Key(dict),
    },
}


def check(table: Mapping[str, Key], found: Mapping[str, Any]) -> None:
    """Exactly the table's keys, each as the table says."""
    assert set(found) == set(table)
    for name, key in table.items():
        key.check(name, found[name])


def manage(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(folder)},
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def races(
    sample_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], RunningServer]]:
    """A server that has the race of that name."""
    folder = tmp_path_factory.mktemp("races") / "data"
    shutil.copytree(sample_data, folder)
    manage(folder, "demo", "--minutes", "6")
    running = start_serving(folder, MESSAGES_PER_SECOND="100000")
    imported: set[str] = set()

    def get(race: str) -> RunningServer:
        if race == REAL_RACE and not imported:
            source = Path(os.environ.get("REPLAY_REALDATA", ROOT.parent / "shared" / "realdata"))
            if not (source / race).is_dir():
                pytest.skip(f"no real recordings at {source} (set REPLAY_REALDATA)")
            manage(folder, "import_session", "openf1", str(source / race), "--slug", race)
            imported.add(race)
        return running

    yield get
    running.stop()


@pytest.fixture(params=[RACE_SLUG, "demo", pytest.param(REAL_RACE, marks=pytest.mark.realdata)])
def address(request: pytest.FixtureRequest, races: Callable[[str], RunningServer]) -> str:
    race: str = request.param
    return races(race).websocket(f"/ws/replay/{race}")


async def row_at(wire: Wire, frame: int) -> dict[str, Any]:
    await wire.say("seek", frame=frame)
    found: dict[str, Any] = await wire.until(lambda m: m.get("frame_index") == frame)
    return found


async def test_loading_and_metadata(address: str) -> None:
    async with open_wire(address, subprotocol=None) as wire:
        complete = await wire.until_type("loading_complete")
        assert [m["type"] for m in wire.said] == ["loading_progress", "loading_complete"]
        for message in wire.said:
            check(LOADING[message["type"]], message)
        about = complete["metadata"]
        check(METADATA, about)
        assert about["total_frames"] == complete["frames"]
        assert about["error"] is None

        codes = set(about["driver_colors"])
        assert len(codes) == 20
        assert codes == set(about["driver_numbers"]) == set(about["driver_teams"])
        for colour in about["driver_colors"].values():
            assert len(colour) == 3
            assert all(type(part) is int and 0 <= part <= 255 for part in colour)
        for names in (about["driver_numbers"], about["driver_teams"]):
            assert all(isinstance(name, str) and name for name in names.values())

        track = about["track_geometry"]
        check(GEOMETRY, track)
        for axis in "xy":
            low, high = track[f"{axis}_min"], track[f"{axis}_max"]
            assert low < high
            for line in ("centerline", "inner", "outer"):
                points = track[f"{line}_{axis}"]
                assert len(points) == len(track["sector"]) > 100
                # The lines are rounded to 0.1, the bounds are not.
                inside = (low - 0.05 <= point <= high + 0.05 for point in points)
                assert all(isinstance(point, float) for point in points)
                assert all(inside)
        assert set(track["sector"]) == {1, 2, 3}
        assert track["sector"] == sorted(track["sector"])

        statuses = about["track_statuses"]
        for status in statuses:
            check(TRACK_STATUS, status)
        starts = [status["start_time"] for status in statuses]
        assert starts == sorted(starts)
        await wire.until(lambda m: m.get("frame_index") == 0)


async def test_every_key_of_every_frame(address: str) -> None:
    async with open_wire(address, subprotocol=None) as wire:
        complete = await wire.until_type("loading_complete")
        codes, frames = set(complete["metadata"]["driver_colors"]), complete["frames"]
        for frame in {*range(0, frames, frames // MOMENTS), frames - 1}:
            row = await row_at(wire, frame)
            check(FRAME, row)
            check(WEATHER, row["weather"])
            assert row["t"] == pytest.approx(frame / 25, abs=1e-6)
            drivers = row["drivers"]
            assert set(drivers) <= codes
            for driver in drivers.values():
                check(DRIVER, driver)
                lap_part = driver["race_progress"] % 1
                assert abs(driver["rel_dist"] - lap_part) < 2e-4 or driver["rel_dist"] in (0, 1)
            order = sorted(drivers.values(), key=lambda driver: driver["position"])
            assert [d["position"] for d in order] == list(range(1, len(order) + 1))
            leader = order[0]
            # Whoever has been passed since the line stands first until the next crossing of it.
            ahead = min(order, key=lambda driver: driver["gap_to_leader"])
            assert (ahead["gap_to_leader"], ahead["gap_to_previous"]) == (0, 0)
            assert row["lap"] == max(1, leader["lap"]) or row["lap"] == leader["lap"]
        assert not [m for m in wire.said if m["type"] == "error"]


@pytest.mark.parametrize(
    "address", ["demo", pytest.param(REAL_RACE, marks=pytest.mark.realdata)], indirect=True
)
async def test_the_units_agree_with_one_another(address: str) -> None:
    """Tenths of metres, metres, km/h and seconds all tell the same speed."""
    told: dict[str, list[float]] = defaultdict(list)
    async with open_wire(address, subprotocol=None) as wire:
        frames = (await wire.until_type("loading_complete"))["frames"]
        for frame in range(frames // 4, 3 * frames // 4, frames // 100):
            before, after = await row_at(wire, frame), await row_at(wire, frame + 10)
            seconds = after["t"] - before["t"]
            for code, then in before["drivers"].items():
                now = after["drivers"].get(code, then)
                if then["speed"] < 100 or now["status"] != "track":
                    continue
                expected = (then["speed"] + now["speed"]) / 2 / 3.6 * seconds
                moved = math.hypot(now["x"] - then["x"], now["y"] - then["y"]) / 10
                told["position"].append(moved / expected)
                told["dist"].append((now["dist"] - then["dist"]) / expected)
    for name in ("position", "dist"):
        assert len(told[name]) > 200
        assert np.median(told[name]) == pytest.approx(1, abs=0.03), name


@pytest.fixture
async def wire(races: Callable[[str], RunningServer]) -> Any:
    async with open_wire(
        races(RACE_SLUG).websocket(f"/ws/replay/{RACE_SLUG}"), subprotocol=None
    ) as opened:
        await opened.until_type("loading_complete")
        await opened.until(lambda m: m.get("frame_index") == 0)
        yield opened


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('{"action": "seek", "frame": NaN}', "not_json", "NaN"),
        ('{"action": "seek"}', "bad_value", "either frame"),
        ('{"action": "hello"}', "unknown_action", "replay.v1"),
        ('{"action": "live"}', "not_live", "finished recording"),
    ],
)
async def test_a_mistake_is_told_and_changes_nothing(
    wire: Wire, text: str, code: str, hint: str
) -> None:
    await wire.say("seek", frame=700)
    await wire.until(lambda m: m.get("frame_index") == 700)
    await wire.socket.send(text)
    error = await wire.until_type("error")
    assert error["code"] == code
    assert hint in error["message"]
    assert set(error) == {"type", "code", "message"}
    # Had it moved or played, a row would come before that of the next seek.
    await wire.say("seek", frame=701)
    assert [row["frame_index"] for row in [await wire.row()]] == [701]


async def test_each_action_does_what_it_says(wire: Wire) -> None:
    await wire.say("seek", frame=1000)
    assert (await wire.row())["frame_index"] == 1000
    await wire.say("seek", time=60.0)
    assert (await wire.row())["frame_index"] == 1500
    await wire.say("speed", speed=-2)
    await wire.say("play")
    back = [(await wire.row())["frame_index"] for _ in range(10)]
    # Another direction sends again from the playhead on.
    assert back[1:] == sorted(set(back[1:]), reverse=True)
    assert back[-1] < 1500
    await wire.say("play", speed=4)
    await wire.say("seek", frame=2000)
    await wire.until(lambda m: m.get("frame_index") == 2000)
    on = [(await wire.row())["frame_index"] for _ in range(10)]
    # Four times as fast: each fourth frame, so that there are still 25 in a second.
    assert all(number % 4 == 0 for number in on)
    assert on == sorted(set(on))
    await wire.say("pause")
    await wire.say("seek", frame=100)
    await wire.until(lambda m: m.get("frame_index") == 100)
    await wire.say("seek", frame=101)
    assert (await wire.row())["frame_index"] == 101, "paused, so nothing came between"


async def test_a_flood_while_playing_costs_a_row_each_at_most(wire: Wire) -> None:
    """A slider that is dragged: once per animation frame, forwards and back."""
    await wire.say("play", speed=1)
    wire.rows.clear()
    for step in range(300):
        await wire.say("seek", frame=abs(150 - step) * 10)
    await wire.say("pause")
    await wire.say("seek", frame=2999)
    await wire.until(lambda m: m.get("frame_index") == 2999)
    # A row that was due between two seeks may have been sent as well.
    assert len(wire.rows) <= 2 * 302
    await wire.say("seek", frame=5)
    assert (await wire.row())["frame_index"] == 5
