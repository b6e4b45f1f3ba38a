"""Verdicts: one row for each rule, its limits, and the order of rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streaming.statistics.diagnosis import RULES, Evidence, Verdict, diagnose

V1 = Evidence(credit=8, window=8)
CASES = {
    Verdict.STALLED_LOOP: replace(
        V1, recent_interval_ms=45_000, loop_lag_max_ms=45_000, loop_lag_p99_ms=900
    ),
    Verdict.STARVED: replace(V1, recent_store_ms=400),
    Verdict.FLOODING: replace(V1, commands_per_s=150),
    Verdict.HIDDEN: replace(V1, hidden=True),
    Verdict.SILENT_CLIENT: replace(V1, credit=0, unacknowledged_s=12, recent_interval_ms=12_000),
    Verdict.SLOW_CLIENT: replace(V1, paused_share=0.6, pending_bytes=90_000, recent_drops=40),
    Verdict.SLOW_CALLBACK: replace(V1, callback="tick", callback_p99_ms=3, callback_calls=500),
    Verdict.DEGRADING: replace(V1, trend_ms=(40, 60, 100)),
}


def test_healthy_is_what_no_rule_holds_for() -> None:
    found = diagnose(V1)
    assert found.verdict is Verdict.HEALTHY
    assert found.also == ()


def test_every_verdict_has_a_rule_and_a_case() -> None:
    assert {rule.verdict for rule in RULES} == set(Verdict) - {Verdict.HEALTHY} == set(CASES)


@pytest.mark.parametrize("verdict", CASES)
def test_each_verdict_is_found_alone_with_its_figures(verdict: Verdict) -> None:
    found = diagnose(CASES[verdict])
    assert found.verdict is verdict
    assert found.also == ()
    assert found.advice.endswith(".")
    assert "{" not in found.figures


@pytest.mark.parametrize(
    ("verdict", "figure"),
    [
        (Verdict.STALLED_LOOP, "45000 ms"),
        (Verdict.STARVED, "400 ms"),
        (Verdict.FLOODING, "150"),
        (Verdict.SILENT_CLIENT, "12 s"),
        (Verdict.SLOW_CLIENT, "60%"),
        (Verdict.SLOW_CALLBACK, "3.0 ms"),
        (Verdict.DEGRADING, "100 ms"),
    ],
)
def test_figures_are_those_that_led_to_the_verdict(verdict: Verdict, figure: str) -> None:
    assert figure in diagnose(CASES[verdict]).figures


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(replace(V1, loop_lag_max_ms=400), id="lagged, but frames in time"),
        pytest.param(replace(V1, recent_interval_ms=60), id="a little late"),
        pytest.param(
            replace(CASES[Verdict.STALLED_LOOP], playing=False, credit=8), id="paused viewers"
        ),
        pytest.param(replace(V1, recent_store_ms=90), id="store just in time"),
        pytest.param(replace(V1, credit=7, unacknowledged_s=4), id="owes, but not for long"),
        pytest.param(
            replace(V1, callback="tick", callback_p99_ms=3, callback_calls=20), id="few calls"
        ),
        pytest.param(replace(V1, trend_ms=(40, 60, 50)), id="has recovered"),
        pytest.param(replace(V1, trend_ms=(0, 60, 100)), id="was not playing a minute ago"),
        pytest.param(replace(V1, trend_ms=(10, 15, 30)), id="burst at the start, now at its rate"),
        pytest.param(Evidence(), id="plain client that cannot acknowledge"),
    ],
)
def test_what_is_no_reason_to_worry(seen: Evidence) -> None:
    assert diagnose(seen).verdict is Verdict.HEALTHY


def test_a_stall_shows_as_an_excess_where_messages_are_long() -> None:
    seen = replace(V1, expected_interval_ms=4_000, recent_interval_ms=4_300, loop_lag_max_ms=300)
    assert diagnose(seen).verdict is Verdict.STALLED_LOOP


def test_bytes_that_wait_with_us_excuse_the_silence() -> None:
    seen = replace(CASES[Verdict.SILENT_CLIENT], pending_bytes=5_000, paused_share=0.9)
    assert diagnose(seen).verdict is Verdict.SLOW_CLIENT


def test_the_worker_is_blamed_before_the_viewer() -> None:
    seen = replace(CASES[Verdict.STALLED_LOOP], recent_drops=5, recent_store_ms=500, hidden=True)
    found = diagnose(seen)
    assert found.verdict is Verdict.STALLED_LOOP
    assert found.also == (Verdict.STARVED, Verdict.HIDDEN, Verdict.SLOW_CLIENT)


def test_a_hidden_tab_excuses_silence_and_slowness() -> None:
    seen = replace(CASES[Verdict.SILENT_CLIENT], hidden=True)
    assert diagnose(seen).verdict is Verdict.HIDDEN
