"""How often a client may send."""

from __future__ import annotations

from streaming.server.token_bucket import TokenBucket


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
