"""Five minutes of a connection in fixed memory."""

from __future__ import annotations

import pytest

from streaming.statistics.history import POINTS, SECOND, History, Sample

START = 5_000 * SECOND
MS = 1_000_000


def sample(frames: int = 0, drops: int = 0, **more: int) -> Sample:
    values = {"pending_bytes": 0, "interval_peak_ns": 40 * MS, "send_peak_ns": 20_000, **more}
    return Sample(frames=frames, drops=drops, **values)


def test_sparkline_has_one_value_a_second_newest_last() -> None:
    history = History()
    for second in range(71):
        frames = 25 * second if second <= 60 else 25 * 60 + 10 * (second - 60)
        history.add(sample(frames), START + second * SECOND)
    line = history.sparkline(START + 70 * SECOND)
    assert len(line) == POINTS
    assert set(line[-10:]) == {10}
    assert set(line[:50]) == {25}


def test_a_late_sampler_spreads_what_it_saw() -> None:
    history = History()
    history.add(sample(0), START)
    history.add(sample(250), START + 10 * SECOND)
    assert list(history.sparkline(START + 10 * SECOND)[-10:]) == [25] * 10


def test_sparkline_falls_to_zero_when_no_sample_comes() -> None:
    history = History()
    history.add(sample(0), START)
    history.add(sample(25), START + SECOND)
    line = history.sparkline(START + 6 * SECOND)
    assert list(line[-6:]) == [25, 0, 0, 0, 0, 0]
    assert not any(history.sparkline(START + 100 * SECOND))


def test_timeline_keeps_the_peaks_of_five_minutes() -> None:
    history = History()
    for second in range(400):
        peak_ns = 900 * MS if second == 350 else 40 * MS
        history.add(
            sample(25 * second, drops=second, interval_peak_ns=peak_ns), START + second * SECOND
        )
    points = history.timeline(START + 399 * SECOND)
    assert len(points) == POINTS
    assert max(point.interval_ms for point in points) == 900
    assert [p.interval_ms for p in points].index(900) == pytest.approx(POINTS - 10, abs=1)
    assert points[5].frames == 125
    assert points[5].drops == 5
    assert points[0].ended_s_ago == pytest.approx(295, abs=5)


def test_timeline_does_not_invent_a_past() -> None:
    history = History()
    assert history.timeline(START) == []
    history.add(sample(0), START)
    history.add(sample(25), START + SECOND)
    assert len(history.timeline(START + SECOND)) == 1


def test_recent_covers_the_last_seconds_only() -> None:
    history = History()
    history.add(sample(0), START)
    history.add(sample(25, drops=7, store_peak_ns=300 * MS), START + SECOND)
    assert history.recent(START + SECOND).drops == 7
    assert history.recent(START + SECOND).store_ms == 300
    for second in range(2, 21):
        history.add(sample(25 * second, drops=7), START + second * SECOND)
    recent = history.recent(START + 20 * SECOND)
    assert (recent.drops, recent.store_ms) == (0, 0)
    assert recent.frames_rate == pytest.approx(25)


@pytest.mark.parametrize("every_s", [0.7, 1.0, 1.3, 4.0, 15.0])
def test_the_recent_rate_is_exact_at_whatever_moment_and_rhythm(every_s: float) -> None:
    history = History()
    history.begin(START)
    for turn in range(1, 60):
        passed_s = turn * every_s
        now_ns = START + int(passed_s * SECOND)
        history.add(sample(int(1_000 * passed_s), commands=int(100 * passed_s)), now_ns)
        recent = history.recent(now_ns)
        assert recent.frames_rate == pytest.approx(1_000, rel=0.01), turn
        assert recent.commands_rate == pytest.approx(100, rel=0.05), turn


def test_trend_compares_the_thirds_of_the_last_minute() -> None:
    history = History()
    intervals_ns = count = 0
    for second in range(61):
        interval_ms = 40 if second < 21 else 60 if second < 41 else 100
        intervals_ns += 10 * interval_ms * MS
        count += 10
        history.add(
            sample(25 * second, intervals=count, intervals_ns=intervals_ns),
            START + second * SECOND,
        )
    assert history.trend_ms() == pytest.approx((40, 60, 100))


def test_reset_forgets() -> None:
    history = History()
    history.add(sample(0), START)
    history.add(sample(25), START + SECOND)
    history.reset()
    assert not any(history.sparkline(START + SECOND))
    assert history.timeline(START + SECOND) == []


def test_a_late_sampler_leaves_no_holes_in_the_timeline() -> None:
    history = History()
    history.begin(START)
    history.add(sample(125), START + 5 * SECOND)
    history.add(sample(625), START + 25 * SECOND)
    points = history.timeline(START + 25 * SECOND)
    assert [point.frames for point in points] == [125, 125, 125, 125, 125]
