"""One callback's durations and rhythm, and what a connection knows of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.statistics.connection import (
    SECOND,
    Callback,
    CallbackTimer,
    ConnectionStatistics,
    SilentTimer,
)
from streaming.statistics.histogram import Distribution, bucket_of, bucket_upper_ns, percentile_ns
from streaming.statistics.report import connection_report, log_lines

MS = 1_000_000
START = 1_000 * SECOND


def steady(timer: CallbackTimer, calls: int, interval_ns: int, duration_ns: int = 5_000) -> int:
    """Record calls at a steady rhythm. Returns: when the last one ended."""
    now_ns = START
    for _ in range(calls):
        now_ns += interval_ns
        timer.record(duration_ns, now_ns)
    return now_ns


def test_a_steady_callback_is_measured() -> None:
    timer = CallbackTimer()
    now_ns = steady(timer, 100, 40 * MS)
    report = timer.report(now_ns)
    assert report["count"] == 100
    assert report["mean_ns"] == report["min_ns"] == report["max_ns"] == 5_000
    assert report["interval_min_ns"] == report["interval_mean_ns"] == 40 * MS
    assert report["interval_max_ns"] == 40 * MS
    assert report["total_ns"] == 500_000


@given(st.integers(0, 1 << 40))
def test_a_duration_lies_below_the_upper_bound_of_its_bucket_and_not_far(nanoseconds: int) -> None:
    bucket = bucket_of(nanoseconds)
    if bucket == 255:
        return
    assert nanoseconds < bucket_upper_ns(bucket)
    assert bucket == 0 or nanoseconds >= bucket_upper_ns(bucket - 1)
    assert bucket_upper_ns(bucket) <= max(64, nanoseconds * 1.125 + 64)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300), st.sampled_from([500, 990, 999]))
def test_percentiles_are_at_most_an_eighth_above_the_truth(
    durations: list[int], thousandths: int
) -> None:
    timer = CallbackTimer(warm_up=0)
    for at, duration in enumerate(durations):
        timer.record(duration, START + at * MS)
    truth = sorted(durations)[max(1, -(-len(durations) * thousandths // 1000)) - 1]
    found = timer.percentile_ns(thousandths)
    assert found is not None
    assert truth < found <= max(64, truth * 1.125 + 64)


def test_the_inlined_bucket_is_the_same_as_the_function() -> None:
    for duration in (0, 63, 64, 511, 512, 1_000, 99_999, 10**9, 10**11, 1 << 45):
        timer = CallbackTimer()
        timer.record(duration, START)
        assert timer.buckets[bucket_of(duration)] == 1
        assert len(timer.buckets) <= 256


def test_warm_up_stays_out_of_the_extremes_but_counts() -> None:
    timer = CallbackTimer(warm_up=10)
    now_ns = START
    for call in range(10):
        now_ns += 500 * MS
        timer.record(50 * MS, now_ns)
        assert timer.report(now_ns)["max_ns"] is None, call
    for _ in range(5):
        now_ns += 40 * MS
        timer.record(1_000, now_ns)
    report = timer.report(now_ns)
    assert report["count"] == 15
    assert report["max_ns"] == 1_000
    assert report["interval_max_ns"] == 40 * MS
    timer.reset()
    timer.record(50 * MS, now_ns)
    assert timer.report(now_ns)["max_ns"] is None
    assert timer.report(now_ns)["warming_up"]


def test_rates_cover_one_ten_and_sixty_seconds() -> None:
    timer = CallbackTimer()
    now_ns = START
    for _ in range(60 * 10):  # a minute at 10 Hz
        now_ns += 100 * MS
        timer.record(1_000, now_ns)
    for _ in range(10 * 50):  # ten seconds at 50 Hz
        now_ns += 20 * MS
        timer.record(1_000, now_ns)
    now_ns += 1
    assert timer.rate(1, now_ns) == pytest.approx(50, abs=1)
    assert timer.rate(10, now_ns) == pytest.approx(50, rel=0.1)
    assert timer.rate(60, now_ns) == pytest.approx((50 * 10 + 10 * 50) / 60, rel=0.1)


def test_a_silent_minute_brings_every_rate_to_zero() -> None:
    timer = CallbackTimer()
    now_ns = steady(timer, 1_000, 20 * MS)
    later_ns = now_ns + 61 * SECOND
    assert [timer.rate(s, later_ns) for s in (1, 10, 60)] == [0, 0, 0]


def test_a_pause_is_not_an_interval() -> None:
    statistics = ConnectionStatistics("a", now_ns=START)
    statistics.status = "playing"
    now_ns = steady(statistics.writable, 50, 40 * MS)
    statistics.status = "paused"
    now_ns += 60 * SECOND
    statistics.status = "playing"
    statistics.writable.record(5_000, now_ns)
    assert statistics.writable.interval_max_ns == 40 * MS


def test_what_a_paused_viewer_is_told_is_no_interval() -> None:
    statistics = ConnectionStatistics("a", now_ns=START, warm_up=0)
    statistics.status = "playing"
    now_ns = START
    for _ in range(20):
        now_ns += 40 * MS
        statistics.sent(2_000, 1, now_ns - 5_000, now_ns)
    statistics.status = "paused"
    for _ in range(5):
        now_ns += 7 * SECOND
        statistics.sent(60, 0, now_ns - 5_000, now_ns)
    statistics.status = "playing"
    for _ in range(5):
        now_ns += 40 * MS
        statistics.sent(2_000, 1, now_ns - 5_000, now_ns)
    assert statistics.writable.count == 30
    assert statistics.writable.interval_count == 19 + 4
    assert statistics.writable.interval_max_ns == 40 * MS


def test_longest_interval_survives_the_sampling_of_peaks() -> None:
    timer = CallbackTimer()
    now_ns = steady(timer, 20, 40 * MS)
    timer.record(1_000, now_ns + 900 * MS)
    timer.interval_peak_ns = 0
    timer.record(1_000, now_ns + 940 * MS)
    assert timer.interval_max_ns == 900 * MS
    assert timer.interval_peak_ns == 40 * MS


def test_outliers_are_calls_over_a_tenth_of_a_millisecond() -> None:
    timer = CallbackTimer()
    now_ns = steady(timer, 100, 40 * MS, 20_000)
    for _ in range(7):
        timer.record(300_000, now_ns)
    assert timer.outliers() == 7


def test_a_timer_stays_small() -> None:
    timer = CallbackTimer()
    now_ns = START
    for exponent in range(50):
        now_ns += 40 * MS
        timer.record(1 << exponent, now_ns)
    assert len(timer.buckets) * timer.buckets.itemsize <= 1024


def test_the_log_has_one_block_a_callback_and_marks_the_key_metric() -> None:
    statistics = ConnectionStatistics("c7", now_ns=START, session="demo", address="10.0.0.1")
    statistics.status = "playing"
    now_ns = START
    for interval_ms in [40] * 30 + [45_000] + [40] * 3:
        now_ns += interval_ms * MS
        statistics.sent(100, 1, now_ns - 5_000, now_ns)
        statistics.received(10, now_ns - 2_000, now_ns)
    lines = log_lines(statistics)
    for callback in Callback:
        assert callback.value in lines
    writable = lines[lines.index("writable") :]
    assert writable[1] == "  total invocations: 34"
    assert writable[2] == "  average duration: 5000 ns"
    assert writable[3] == "  min interval: 40000000 ns (25.00 Hz)"
    assert writable[4].startswith("  max interval: 45000000000 ns (0.02 Hz)  <-- KEY METRIC")
    assert sum("KEY METRIC" in line for line in lines) == 1


def test_a_steady_writable_is_not_marked() -> None:
    statistics = ConnectionStatistics("c8", now_ns=START)
    now_ns = START
    for _ in range(30):
        now_ns += 2 * SECOND  # two seconds of frames in each message
        statistics.sent(4_000, 50, now_ns - 5_000, now_ns)
    assert not any("KEY METRIC" in line for line in log_lines(statistics))


def test_record_counts_by_name_and_refuses_others() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    statistics.record("receive", 1_000, START)
    assert statistics.receive.count == 1
    with pytest.raises(ValueError, match="paint"):
        statistics.record("paint", 1_000, START)


def test_drops_are_counted_by_reason() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    statistics.drop("no_credit", 5)
    statistics.drop("transport_paused", 2)
    statistics.drop("superseded", 30)
    assert statistics.dropped == {"no_credit": 5, "transport_paused": 2, "superseded": 30}
    assert statistics.late_drops == 7


def test_transport_pauses_are_counted_and_summed_up_to_now() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    statistics.paused(START)
    statistics.paused(START + SECOND)
    statistics.resumed(START + 2 * SECOND)
    statistics.resumed(START + 3 * SECOND)
    statistics.paused(START + 10 * SECOND)
    assert statistics.pauses == 2
    assert statistics.paused_for_ns(START + 11 * SECOND) == 3 * SECOND


def test_receive_to_first_send_is_measured_and_acknowledgements_are_not() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    statistics.window = 8
    statistics.received(20, START, START + 1_000)
    statistics.sent(100, 0, START + 3 * MS, START + 4 * MS)
    statistics.acknowledged(8, START + 5 * MS)
    statistics.received(20, START + 5 * MS, START + 5 * MS)
    statistics.sent(100, 1, START + 50 * MS, START + 50 * MS)
    assert statistics.answer.count == 1
    assert statistics.answer.max_ns == 4 * MS


def test_seek_to_first_frame_takes_the_last_seek_of_a_flood() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    for at in range(60):
        statistics.seek_started(START + at * 16 * MS)
    statistics.first_frame(START + 59 * 16 * MS + 7 * MS)
    statistics.first_frame(START + 2 * SECOND)
    assert statistics.seeks == 60
    assert (statistics.seek.count, statistics.seek.max_ns) == (1, 7 * MS)
    assert [event[1:] for event in statistics.events] == [["seek", "to frame 0", 60]]


def test_round_trip_follows_one_message_to_its_acknowledgement() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    statistics.window = 4
    statistics.sent(2_000, 25, START, START)
    statistics.sent(2_000, 25, START + 10 * MS, START + 10 * MS)
    statistics.acknowledged(3, START + 80 * MS)  # the first of the two
    assert (statistics.round_trips.count, statistics.round_trips.last_ns) == (1, 80 * MS)
    statistics.acknowledged(4, START + 90 * MS)
    assert statistics.round_trips.count == 1


def test_a_debt_of_acknowledgement_grows_until_it_is_paid() -> None:
    statistics = ConnectionStatistics("c", now_ns=START)
    statistics.window = statistics.credit = 4
    assert statistics.unacknowledged_for_ns(START + SECOND) == 0
    statistics.sent(2_000, 25, START, START)
    statistics.credit = 3
    assert statistics.unacknowledged_for_ns(START + 7 * SECOND) == 7 * SECOND
    statistics.acknowledged(4, START + 8 * SECOND)
    assert statistics.unacknowledged_for_ns(START + 9 * SECOND) == 0


def test_reset_begins_anew_but_keeps_what_the_viewer_does() -> None:
    statistics = ConnectionStatistics("c", now_ns=START, session="demo")
    statistics.status, statistics.frame, statistics.credit = "playing", 77, 3
    statistics.sent(2_000, 25, START, START)
    statistics.drop("no_credit", 3)
    statistics.reset(START + SECOND)
    report = connection_report(statistics, START + SECOND)
    assert report["frames_out"] == report["bytes_out"] == 0
    assert report["dropped"] == {}
    assert report["callbacks"]["writable"]["count"] == 0
    assert (report["status"], report["frame"], report["credit"]) == ("playing", 77, 3)
    assert report["about"] == {"session": "demo"}
    assert report["events"][-1]["kind"] == "reset"


def test_silent_timers_count_nothing() -> None:
    statistics = ConnectionStatistics("c", now_ns=START, silent=True)
    assert isinstance(statistics.writable, SilentTimer)
    statistics.sent(100, 1, START, START + 5)
    assert statistics.writable.count == 0
    assert statistics.frames_out == 1


def test_an_empty_distribution_has_no_figures() -> None:
    report = Distribution().report()
    assert report["count"] == 0
    assert report["p99_ns"] is None
    assert percentile_ns([], 0, 990) is None
