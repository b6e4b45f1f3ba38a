"""The demo race: one valid race for every seed and length, and one that looks like racing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from sessions_app.demo import simulate
from sessions_app.demo.circuit import HALF_WIDTH, SECTORS, TURNS, build_circuit
from sessions_app.demo.physics import speed_limits
from sessions_app.demo.plan import draw_plan
from sessions_app.importers.result import ImportResult
from sessions_app.racing import FRAME_RATE, RACE_FIELDS, CarStatus, TrackStatus, Tyre
from sessions_app.recording import MISSING, encode_segments

CAR_LENGTH, CAR_WIDTH = 5.0, 1.9


@dataclass(frozen=True)
class Race:
    """A result with its fields as quantities, shape (frames, cars) or (frames,)."""

    result: ImportResult

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        values = self.result.columns.quantities(name)
        return values if values.shape[1] > 1 else values[:, 0]

    def column(self, code: str) -> int:
        return self.result.columns.schema.entities.index(code)

    def of_kind(self, kind: str) -> list[int]:
        return [e.frame for e in self.result.events if e.kind == kind]


@lru_cache(maxsize=8)
def race(minutes: float, seed: int) -> Race:
    return Race(simulate(minutes, seed))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((5, 3), id="5min-seed3"),
        pytest.param((5, 4), id="5min-seed4"),
        pytest.param((20, 1), id="20min-seed1", marks=pytest.mark.long),
    ],
)
def any_race(request: pytest.FixtureRequest) -> Race:
    return race(*request.param)


@pytest.fixture(scope="module")
def full_race() -> Race:
    """As long as a new user sees it."""
    return race(20, 1)


@pytest.mark.long
def test_it_works(full_race: Race) -> None:
    columns = full_race.result.columns
    assert columns.schema.fields == RACE_FIELDS
    assert columns.schema.frame_rate == FRAME_RATE
    assert len(columns.schema.entities) == 20
    assert len({e.team for e in full_race.result.entities}) == 10
    assert len({e.colour for e in full_race.result.entities}) == 10
    assert 18 * 60 < columns.duration < 22 * 60


def test_the_same_seed_gives_the_same_race() -> None:
    first, second = race(5, 3).result, simulate(5, seed=3)
    for name, samples in first.columns.values.items():
        np.testing.assert_array_equal(samples, second.columns.values[name], err_msg=name)
    assert first.events == second.events
    assert first.laps == second.laps
    assert first.stints == second.stints
    assert first.metadata == second.metadata


def test_another_seed_gives_another_race() -> None:
    assert race(5, 3).result.events != race(5, 4).result.events


@pytest.mark.parametrize("minutes", [0, 4.9, 181, float("nan")])
def test_a_length_out_of_range_is_refused(minutes: float) -> None:
    with pytest.raises(ValueError, match="expected 5 to 180"):
        simulate(minutes)


def test_no_car_breaks_the_laws_of_motion(any_race: Race) -> None:
    x, y = any_race["x"] / 10, any_race["y"] / 10
    step = np.hypot(np.diff(x, axis=0), np.diff(y, axis=0)) * FRAME_RATE
    assert step.max() < 105, "no teleport: metres a second"
    assert any_race["speed"].max() < 355
    assert any_race["speed"].min() >= 0
    # Over a fifth of a second, so that whole km/h do not count as jolts.
    change = (any_race["speed"][5:] - any_race["speed"][:-5]) / 3.6 * FRAME_RATE / 5
    assert change.min() > -52
    assert change.max() < 16


def test_speed_agrees_with_the_way_covered(any_race: Race) -> None:
    x, y = any_race["x"] / 10, any_race["y"] / 10
    second = int(FRAME_RATE)
    way = np.hypot(np.diff(x, axis=0), np.diff(y, axis=0))
    covered = np.add.reduceat(way, np.arange(0, len(way) - second, second), axis=0)[:-1]
    speed = np.add.reduceat(any_race["speed"], np.arange(0, len(way) - second, second), axis=0)
    driven = speed[:-1] / 3.6 / FRAME_RATE
    moving = driven > 10
    error = np.abs(covered[moving] / driven[moving] - 1)
    assert np.median(error) < 0.01
    assert np.percentile(error, 99.5) < 0.10


def test_no_two_cars_are_in_the_same_place(any_race: Race) -> None:
    circuit = build_circuit()
    progress = any_race["progress"][::5] * circuit.length
    x, y = any_race["x"][::5] / 10, any_race["y"][::5] / 10
    centre_x, centre_y = circuit.point(progress, np.zeros_like(progress))
    heading_x, heading_y = circuit.point(progress, np.ones_like(progress))
    offset = (x - centre_x) * (heading_x - centre_x) + (y - centre_y) * (heading_y - centre_y)
    for car in range(20):
        along = progress - progress[:, car : car + 1]
        along -= np.rint(along / circuit.length) * circuit.length
        across = offset - offset[:, car : car + 1]
        touching = (np.abs(along) < CAR_LENGTH) & (np.abs(across) < CAR_WIDTH)
        touching[:, car] = False
        frame, other = (int(v[0]) if len(v) else -1 for v in np.nonzero(touching))
        assert not touching.any(), f"cars {car} and {other} overlap at frame {frame * 5}"


def test_cars_stay_on_the_road(any_race: Race) -> None:
    """On the track within its edges; only failing cars and the pit lane lie beyond."""
    circuit = build_circuit()
    centre = circuit.point(
        any_race["progress"] * circuit.length, np.zeros_like(any_race["progress"])
    )
    away = np.hypot(any_race["x"] / 10 - centre[0], any_race["y"] / 10 - centre[1])
    status = any_race["status"]
    gone = (status == CarStatus.RETIRED).any(axis=0)
    racing = np.isin(status, [CarStatus.TRACK, CarStatus.GRID, CarStatus.FINISHED])
    assert away[racing & ~gone].max() < HALF_WIDTH - CAR_WIDTH / 4
    assert away[status == CarStatus.PIT].max() < 23


@pytest.mark.long
def test_gauges_agree_with_one_another(full_race: Race) -> None:
    speed, throttle, brake = full_race["speed"], full_race["throttle"], full_race["brake"]
    status = full_race["status"]
    running = np.isin(status, [CarStatus.TRACK, CarStatus.PIT])
    running &= ~(status == CarStatus.RETIRED).any(axis=0)
    assert set(np.unique(full_race["gear"])) == set(range(9))
    assert throttle.min() >= 0
    assert throttle.max() == 100
    assert set(np.unique(brake)) <= set(range(0, 101, 10))
    assert (full_race["rpm"][running] >= 4_000).all()
    assert full_race["rpm"].max() <= 12_500
    # The two pedals meet only while one is being left for the other.
    assert ((throttle > 30) & (brake > 30)).mean() < 0.002
    fast = full_race["gear"][running & (speed > 290)]
    assert fast.min() >= 7
    assert set(np.unique(full_race["drs"])) == {0, 8, 12}
    opened = full_race["drs"] == 12
    assert speed[opened].mean() > 250
    assert full_race["rain"][opened.any(axis=1)].max() == 0, "no open wing in the rain"


@pytest.mark.long
def test_a_lap_looks_like_a_lap(full_race: Race) -> None:
    """The winner's fastest lap has a hairpin, a long straight and hard braking."""
    laps = [lap for lap in full_race.result.laps if lap.duration and lap.number > 1]
    best = min(laps, key=lambda lap: lap.duration or np.inf)
    assert 80 < (best.duration or 0) < 92
    speed = full_race["speed"][best.start_frame : best.end_frame, full_race.column(best.entity)]
    assert 50 < speed.min() < 75
    assert 318 < speed.max() < 350
    sampled = speed[::12]
    slowest = (sampled[1:-1] < sampled[:-2]) & (sampled[1:-1] <= sampled[2:])
    assert 7 <= np.count_nonzero(slowest) <= len(TURNS), "corners"
    throttle = full_race["throttle"][best.start_frame : best.end_frame]
    assert 0.45 < (throttle[:, full_race.column(best.entity)] > 95).mean() < 0.8


def test_it_starts_from_a_staggered_grid(any_race: Race) -> None:
    start = any_race.result.metadata["race_start_frame"]
    assert start == 250
    assert (any_race["status"][:start] == CarStatus.GRID).all()
    assert (any_race["speed"][: start + 1] == 0).all()
    progress = any_race["progress"][0]
    assert (progress < 0).all()
    order = np.argsort(-progress)
    np.testing.assert_array_equal(any_race["position"][0][order], np.arange(1, 21))
    y = any_race["y"][0][order] / 10
    assert np.ptp(y[::2]) < 0.5
    assert np.ptp(y[1::2]) < 0.5
    assert abs(y[0] - y[1]) > 5


def test_positions_and_gaps_are_complete(any_race: Race) -> None:
    position = any_race["position"]
    np.testing.assert_array_equal(
        np.sort(position, axis=1), np.broadcast_to(np.arange(1, 21), position.shape)
    )
    gap, interval = any_race["gap_to_leader"], any_race["interval"]
    start = any_race.result.metadata["race_start_frame"]
    # Every ten frames, counted from the first one, and held in between.
    taken = slice(-(-start // 10) * 10, None, 10)
    assert (gap[taken][position[taken] == 1] == 0).all()
    assert np.nanmin(interval) >= 0
    assert np.nanmax(gap) < 200


def test_exactly_two_cars_retire(any_race: Race) -> None:
    status = any_race["status"]
    retired = np.flatnonzero((status == CarStatus.RETIRED).any(axis=0)).tolist()
    assert len(retired) == 2
    codes = {e.entity for e in any_race.result.events if e.kind == "retirement"}
    assert codes == {any_race.result.entities[car].code for car in retired}
    for car in retired:
        since = int(np.argmax(status[:, car] == CarStatus.RETIRED))
        assert (status[since:, car] == CarStatus.RETIRED).all(), "for good"
        assert np.ptp(any_race["x"][since + 5 :, car]) == 0
        assert (any_race["speed"][since + 5 :, car] == 0).all()
    assert set(any_race["position"][-1, retired]) == {19, 20}


@pytest.mark.long
def test_cars_overtake_on_the_track(full_race: Race) -> None:
    overtakes = [e for e in full_race.result.events if e.kind == "overtake"]
    assert len(overtakes) >= 20
    for e in overtakes:
        winner, loser = full_race.column(e.entity), full_race.column(e.value)
        before, after = full_race["position"][e.frame - 25], full_race["position"][e.frame + 25]
        assert before[winner] > before[loser]
        assert after[winner] < after[loser]
        lead = full_race["progress"][:, winner] - full_race["progress"][:, loser]
        assert lead[e.frame - 25] <= 0 <= lead[e.frame + 25], "by driving, not by rank alone"
        assert lead[e.frame - 25] < lead[e.frame + 25]
        soon = full_race["status"][e.frame : e.frame + 250, loser]
        assert not (soon == CarStatus.RETIRED).any(), "not of a car that is rolling out"


def test_every_stop_changes_tyres(any_race: Race) -> None:
    stops, tyre, age = any_race["pit_stops"], any_race["tyre"], any_race["tyre_age"]
    counted = 0
    for frame, car in zip(*np.nonzero(np.diff(stops, axis=0)), strict=True):
        counted += 1
        assert stops[frame + 1, car] == stops[frame, car] + 1
        assert tyre[frame + 13, car] != tyre[frame - 13, car]
        assert age[frame + 13, car] == 0
        assert any_race["status"][frame, car] == CarStatus.PIT
        assert any_race["speed"][frame - 5, car] == 0
    assert counted == len(any_race.of_kind("pit"))
    assert counted >= 8
    limit = any_race["speed"][any_race["status"] == CarStatus.PIT]
    assert np.mean(limit <= 81) > 0.75, "in the lane most of the time at its limit or below"


def test_rain_comes_and_cars_stop_for_it(any_race: Race) -> None:
    rain = any_race["rain"]
    assert rain[0] == 0
    assert rain[-1] == 1
    assert np.count_nonzero(np.diff(rain)) == 1
    begin = int(np.argmax(rain))
    wet = any_race["tyre"] >= Tyre.INTERMEDIATE
    assert not wet[:begin].any()
    assert wet[-1].sum() >= 6
    assert any_race["track_temperature"][-1] < any_race["track_temperature"][0] - 3
    assert any_race["humidity"][-1] > any_race["humidity"][0] + 10


@pytest.mark.long
def test_the_safety_car_bunches_the_field(full_race: Race) -> None:
    behind = full_race["track_status"] == TrackStatus.SAFETY_CAR
    first, last = int(np.argmax(behind)), len(behind) - 1 - int(np.argmax(behind[::-1]))
    assert behind[first : last + 1].all(), "once"
    assert last - first > 60 * FRAME_RATE

    def spread(frame: int) -> float:
        return float(np.nanmax(full_race["gap_to_leader"][frame]))

    assert spread(last) < 0.6 * spread(first)
    leading = full_race["speed"].copy()
    leading[full_race["position"] != 1] = np.nan
    assert np.nanmean(leading[first:last]) < 0.8 * np.nanmean(leading[1000 : first - 1000])
    overtakes = np.array(full_race.of_kind("overtake"))
    assert not ((overtakes > first) & (overtakes < last)).any()


@pytest.mark.long
def test_flags_and_messages_tell_the_race(full_race: Race) -> None:
    kinds = Counter(e.kind for e in full_race.result.events)
    assert set(kinds) == {
        "start",
        "flag",
        "safety_car",
        "race_control",
        "retirement",
        "overtake",
        "pit",
        "weather",
        "fastest_lap",
        "finish",
    }
    frames = [e.frame for e in full_race.result.events]
    assert frames == sorted(frames)
    assert max(frames) < full_race.result.columns.frame_count
    seen = set(np.unique(full_race["track_status"]))
    assert seen >= {
        TrackStatus.CLEAR,
        TrackStatus.YELLOW,
        TrackStatus.SAFETY_CAR,
        TrackStatus.CHEQUERED,
    }
    yellow = next(e for e in full_race.result.events if e.value == "YELLOW")
    assert yellow.sector in (1, 2, 3)


def test_the_winner_is_first_at_the_flag(any_race: Race) -> None:
    end = any_race.result.metadata["race_end_frame"]
    winner = next(e for e in any_race.result.events if e.kind == "finish")
    assert winner.value == "1"
    assert winner.frame == end
    column = any_race.column(winner.entity)
    assert (any_race["position"][end:, column] == 1).all()
    assert any_race["progress"][end, column] == pytest.approx(
        any_race.result.metadata["total_laps"], abs=2e-3
    )
    assert any_race["track_status"][end + 5] == TrackStatus.CHEQUERED
    finishers = [e.entity for e in any_race.result.events if e.kind == "finish"]
    assert len(finishers) == 18
    order = any_race["position"][-1]
    assert [int(order[any_race.column(code)]) for code in finishers] == list(range(1, 19))


def test_laps_add_up(any_race: Race) -> None:
    result = any_race.result
    total = result.metadata["total_laps"]
    for entity in result.entities:
        laps = [lap for lap in result.laps if lap.entity == entity.code]
        assert [lap.number for lap in laps] == list(range(1, len(laps) + 1))
        assert len(laps) <= total
        column = any_race.column(entity.code)
        for lap, following in zip(laps, [*laps[1:], None], strict=True):
            if lap.duration is None:
                assert following is None
                continue
            assert None not in lap.sectors
            assert sum(s or 0 for s in lap.sectors) == pytest.approx(lap.duration, abs=0.003)
            assert lap.start_frame is not None
            assert lap.end_frame is not None
            assert (lap.end_frame - lap.start_frame) / FRAME_RATE == pytest.approx(
                lap.duration, abs=0.05
            )
            if following is not None:
                assert following.start_frame == lap.end_frame
            shown = any_race["last_lap_time"][lap.end_frame + 1, column]
            assert shown == pytest.approx(lap.duration, abs=0.0011)
            assert any_race["sector3"][lap.end_frame + 1, column] == pytest.approx(
                lap.sectors[2], abs=0.0011
            )
            assert any_race["best_lap_time"][lap.end_frame + 1, column] <= shown


def test_stints_cover_every_lap_once(any_race: Race) -> None:
    result = any_race.result
    for entity in result.entities:
        stints = [s for s in result.stints if s.entity == entity.code]
        laps = max((lap.number for lap in result.laps if lap.entity == entity.code), default=1)
        assert [s.number for s in stints] == list(range(1, len(stints) + 1))
        covered = [n for s in stints for n in range(s.lap_start, s.lap_end + 1)]
        assert covered == list(range(1, laps + 1))
        column = any_race.column(entity.code)
        assert len(stints) == any_race["pit_stops"][-1, column] + 1
        for lap in (lap for lap in result.laps if lap.entity == entity.code):
            if lap.end_frame is None or lap.pit_in:
                continue
            stint = next(s for s in stints if s.lap_start <= lap.number <= s.lap_end)
            worn = Tyre(int(any_race["tyre"][lap.end_frame - 1, column]))
            assert worn.name == stint.compound


@pytest.mark.long
def test_nothing_is_missing_but_what_cannot_be_known(full_race: Race) -> None:
    always = {f.name for f in RACE_FIELDS} - {
        "gap_to_leader",
        "interval",
        "last_lap_time",
        "best_lap_time",
        "sector1",
        "sector2",
        "sector3",
    }
    for name in always:
        assert (full_race.result.columns.values[name] != MISSING).all(), name
    middle = full_race.result.columns.slice(8_000, 8_001)
    running = full_race["status"][8_000] == CarStatus.TRACK
    for name in ("gap_to_leader", "interval", "last_lap_time", "sector1"):
        assert (middle.values[name][0, running] != MISSING).all(), name


@pytest.mark.long
def test_a_frame_takes_at_most_eighty_bytes(full_race: Race) -> None:
    columns = full_race.result.columns
    size = sum(len(s) for s in encode_segments(columns, columns.schema.segment_frames))
    assert size / columns.frame_count <= 80


def test_the_circuit_is_closed_and_smooth() -> None:
    circuit = build_circuit()
    assert 4_500 < circuit.length < 6_000
    assert 12 <= len(TURNS) <= 16
    step = np.hypot(*(v - np.roll(v, 1) for v in (circuit.x, circuit.y)))
    assert step.min() > 0.98 * circuit.step
    assert step.max() < 1.02 * circuit.step
    turned = np.diff(np.unwrap(circuit.heading))
    assert np.abs(turned).max() < 0.06
    assert circuit.curvature.sum() * circuit.step == pytest.approx(-2 * np.pi, abs=0.01)
    limits = speed_limits(circuit)
    assert (np.diff(limits.table, axis=0) >= -1e-9).all(), "more grip is never slower"


@pytest.mark.long
def test_the_geometry_is_complete(full_race: Race) -> None:
    geometry = full_race.result.geometry
    assert geometry is not None
    assert geometry.unit == "dm"
    assert len(geometry.inner_edge) == len(geometry.outer_edge) == len(geometry.centre_line)
    assert [c.label for c in geometry.corners] == [str(n + 1) for n in range(len(TURNS))]
    assert len(geometry.drs_zones) == 2
    assert geometry.sectors == SECTORS
    x_min, y_min, x_max, y_max = geometry.bounds
    racing = full_race["status"] != CarStatus.RETIRED
    assert full_race["x"][racing].min() >= x_min
    assert full_race["x"][racing].max() <= x_max
    assert full_race["y"][racing].min() >= y_min
    assert full_race["y"][racing].max() <= y_max
    # The start line is where progress 0 is.
    assert geometry.centre_line[0] == pytest.approx(
        tuple(float(v[0]) * 10 for v in build_circuit().point(np.zeros(1), np.zeros(1))), abs=0.1
    )


def test_longer_races_stop_more_often() -> None:
    def stops(minutes: float) -> float:
        plan = draw_plan(minutes, np.random.default_rng(2))
        return float(np.median([len(laps) for laps in plan.stops]))

    assert stops(5) < stops(60)


@pytest.mark.long
def test_a_long_race_is_valid_too() -> None:
    """Longer races stop more often; everything else holds for them as well."""
    long = race(40, 2)
    assert 35 * 60 < long.result.columns.duration < 44 * 60
    test_exactly_two_cars_retire(long)
    test_every_stop_changes_tyres(long)
    test_the_winner_is_first_at_the_flag(long)
    test_no_two_cars_are_in_the_same_place(long)
    test_stints_cover_every_lap_once(long)
    assert np.median(long["pit_stops"][-1]) >= 3
