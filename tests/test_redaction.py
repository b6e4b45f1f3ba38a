"""No password in what is shown."""

from __future__ import annotations

import pytest

from streaming.redaction import redacted, shown


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://:geheim@cache:6379/0", "redis://:***@cache:6379/0"),
        ("rediss://replay:geheim@cache:6379/0", "rediss://replay:***@cache:6379/0"),
        ("redis://replay@cache", "redis://replay@cache"),
        ("redis://:ge@heim@cache", "redis://:***@cache"),
        ("unix://:geheim@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("unix:///run/redis.sock?db=1&password=geheim", "unix:///run/redis.sock?db=1&password=***"),
        ("redis://[::1]:6379?password=geheim&db=2", "redis://[::1]:6379?password=***&db=2"),
        ("postgres://replay:geheim@db/replay", "postgres://replay:***@db/replay"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, expected: str) -> None:
    assert shown(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        "redis://:ge/heim@cache:6379",
        "redis://:gehe#im@cache",
        "redis://:heim?ge@cache",
        "redis://:ge heim@cache",
        ":geheim@cache:6379",
        "redis:geheim@cache",
        "redis://:geheim/x@cache@other",
        "redis://:geheim@/x@cache",
        "redis://cache?password=ge@heim",
    ],
)
def test_of_a_malformed_address_only_the_scheme_is_shown(address: str) -> None:
    assert shown(address) in ("redis://***", "***")


def test_every_address_in_a_text_is_redacted() -> None:
    text = (
        "Redis at redis://:eins@a:1 and 'postgres://u:zwei@b/c': gone (mail me@example.org at 3:4)"
    )
    assert redacted(text) == (
        "Redis at redis://:***@a:1 and 'postgres://u:***@b/c': gone (mail me@example.org at 3:4)"
    )
