"""How often somebody may do something, and how many bytes that may be."""

from __future__ import annotations

import pytest

from sessions_app.rates import Buckets, ByteAllowance, TokenBucket


def test_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=8, burst=20, now=100.0)
    assert [bucket.take(100.0) for _ in range(21)] == [True] * 20 + [False]
    assert not bucket.take(100.12)
    assert bucket.take(100.125)
    assert not bucket.take(100.125)


def test_it_never_holds_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=10, burst=2, now=0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_being_refused_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1, now=0.0)
    assert bucket.take(0.0)
    assert not any(bucket.take(0.5) for _ in range(10))
    assert bucket.take(1.0)


def test_who_keeps_to_the_rate_is_never_refused() -> None:
    bucket = TokenBucket(rate=200, burst=400, now=0.0)
    assert all(bucket.take(i / 200) for i in range(10_000))


def test_who_has_not_come_for_longest_is_forgotten_first() -> None:
    buckets = Buckets(0.1, 1.0, most=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 0.5, 0.0)
    assert len(buckets) == 2
    assert buckets.take("a", 0.5, 0.0) > 0, "a was forgotten, and begins anew"
    assert buckets.take("b", 0.5, 0.0) == 0


class Uploads:
    """An allowance of 1,000 bytes in 100 seconds, and a clock that stands still."""

    def __init__(self, most: int = 1000) -> None:
        self.now = 50.0
        self.allowance = ByteAllowance(most, 100.0, clock=lambda: self.now)


def test_bytes_come_back_with_time() -> None:
    uploads = Uploads()
    assert uploads.allowance.wait(["a"], 1000) == 0.0
    assert uploads.allowance.spend(["a"], 700)
    assert uploads.allowance.wait(["a"], 300) == 0.0
    assert uploads.allowance.wait(["a"], 400) == pytest.approx(10.0)
    uploads.now += 10.0
    assert uploads.allowance.wait(["a"], 400) == 0.0
    assert uploads.allowance.wait(["b"], 1000) == 0.0


def test_what_was_begun_is_made_up_for_before_the_next() -> None:
    uploads = Uploads()
    assert not uploads.allowance.spend(["a"], 1500)
    assert uploads.allowance.wait(["a"]) == pytest.approx(50.1)
    assert uploads.allowance.wait(["a"], 10**9) == pytest.approx(150.0), "all of it, not more"


def test_bytes_are_counted_for_all_who_are_named() -> None:
    uploads = Uploads()
    uploads.allowance.spend(["address 192.0.2.1", "user 7"], 1000)
    for keys in (["user 7"], ["user 8", "address 192.0.2.1"]):
        assert uploads.allowance.wait(keys) > 0.0
    assert uploads.allowance.wait(["user 8"]) == 0.0


def test_an_allowance_of_nothing_is_no_limit() -> None:
    uploads = Uploads(most=0)
    assert uploads.allowance.spend(["a"], 10**12)
    assert uploads.allowance.wait(["a"], 10**12) == 0.0
