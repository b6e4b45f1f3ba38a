"""Why is this viewer's picture bad? Figures in, a verdict in words out.

Pure: a table of rules over `Evidence`. The first rule that holds is the verdict, so the table is
ordered by who has to act: first what is wrong with the worker, then what the viewer does, last what
is only on its way to become bad. Whatever else holds is kept beside it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """The state of a connection, in one word or two."""

    HEALTHY = "healthy"
    STALLED_LOOP = "stalled loop"
    STARVED = "starved"
    FLOODING = "flooding"
    HIDDEN = "hidden"
    SLOW_CLIENT = "slow client"
    SILENT_CLIENT = "silent client"
    SLOW_CALLBACK = "slow callback"
    DEGRADING = "degrading"


# Not frozen: setting up a frozen one takes longer than the diagnosis.
@dataclass(slots=True)
class Evidence:
    """What is known of one connection and of its worker's event loop.

    `recent_…` covers the last five to ten seconds, `trend_ms` the mean interval between sends in
    each third of the last minute, oldest first (0 where nothing was sent). `credit` and `window`
    are None for a client that cannot acknowledge.
    """

    playing: bool = True
    hidden: bool = False
    expected_interval_ms: float = 40.0
    recent_interval_ms: float = 40.0
    recent_store_ms: float = 0.0
    recent_drops: int = 0
    paused_share: float = 0.0
    pending_bytes: int = 0
    credit: int | None = None
    window: int | None = None
    unacknowledged_s: float = 0.0
    loop_lag_p99_ms: float = 0.0
    loop_lag_max_ms: float = 0.0
    callback: str = ""
    callback_p99_ms: float = 0.0
    callback_outliers: int = 0
    callback_calls: int = 0
    commands_per_s: float = 0.0
    trend_ms: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a figure begins to be bad."""

    # Longer than any garbage collection that we have seen; visible as a jump of the picture.
    loop_stall_ms: float = 250.0
    loop_lag_p99_ms: float = 100.0
    # As long as an answer to a seek may take before `buffering` is shown.
    store_ms: float = 100.0
    paused_share: float = 0.2
    # A client owes an acknowledgement for a round trip and a decode; five seconds are many of them.
    silent_s: float = 5.0
    callback_ms: float = 1.0
    # With fewer calls the p99 is just the longest.
    callback_calls: int = 100
    # Faster than any hand or slider: a seek for each animation frame is 60.
    commands_per_s: float = 90.0
    growth: float = 1.5
    interval_factor: float = 2.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A verdict, the figures that led to it, and what to do, in one sentence each.

    `also`: other verdicts whose rule holds as well.
    """

    verdict: Verdict
    figures: str
    advice: str
    also: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """When a verdict holds; `figures` is a template over the evidence's fields."""

    verdict: Verdict
    holds: Callable[[Evidence, Thresholds], bool]
    figures: str
    advice: str


def _stalled(seen: Evidence, thresholds: Thresholds) -> bool:
    if not seen.playing:
        return False
    lagging = (
        seen.loop_lag_max_ms >= thresholds.loop_stall_ms
        or seen.loop_lag_p99_ms >= thresholds.loop_lag_p99_ms
    )
    late = seen.recent_interval_ms >= thresholds.interval_factor * seen.expected_interval_ms
    # Where a message carries a second of frames, a stall shows as an excess, not as a multiple.
    excess_ms = seen.recent_interval_ms - seen.expected_interval_ms
    return lagging and (late or excess_ms >= seen.loop_lag_max_ms / 2)


def _starved(seen: Evidence, thresholds: Thresholds) -> bool:
    return seen.recent_store_ms >= thresholds.store_ms


def _flooding(seen: Evidence, thresholds: Thresholds) -> bool:
    return seen.commands_per_s >= thresholds.commands_per_s


def _hidden(seen: Evidence, thresholds: Thresholds) -> bool:
    return seen.hidden


def _owes(seen: Evidence) -> bool:
    return seen.window is not None and seen.credit is not None and seen.credit < seen.window


def _silent(seen: Evidence, thresholds: Thresholds) -> bool:
    # While bytes wait in our own socket the client cannot have seen what it should acknowledge.
    reached = not seen.pending_bytes and seen.paused_share < thresholds.paused_share
    return _owes(seen) and reached and seen.unacknowledged_s >= thresholds.silent_s


def _slow_client(seen: Evidence, thresholds: Thresholds) -> bool:
    if seen.paused_share >= thresholds.paused_share or seen.recent_drops > 0:
        return True
    late = seen.recent_interval_ms >= thresholds.interval_factor * seen.expected_interval_ms
    answering = seen.unacknowledged_s < thresholds.silent_s
    return seen.playing and seen.credit == 0 and late and answering


def _slow_callback(seen: Evidence, thresholds: Thresholds) -> bool:
    return (
        seen.callback_calls >= thresholds.callback_calls
        and seen.callback_p99_ms > thresholds.callback_ms
    )


def _degrading(seen: Evidence, thresholds: Thresholds) -> bool:
    first, middle, last = seen.trend_ms
    if not (seen.playing and first > 0 and middle > 0):
        return False
    grows = first < middle < last and last >= thresholds.growth * first
    return grows and last > seen.expected_interval_ms


RULES: tuple[Rule, ...] = (
    Rule(
        Verdict.STALLED_LOOP,
        _stalled,
        "{0.recent_interval_ms:.0f} ms between two sends instead of {0.expected_interval_ms:.0f}, "
        "while the worker's event loop lagged up to {0.loop_lag_max_ms:.0f} ms "
        "(p99 {0.loop_lag_p99_ms:.0f} ms)",
        "Something blocks this worker's event loop: read the stack of its longest stall on the "
        "workers page and move that work to a thread.",
    ),
    Rule(
        Verdict.STARVED,
        _starved,
        "the frame store took up to {0.recent_store_ms:.0f} ms to answer",
        "Look at the store's hit rates and the Redis latency of this worker; give the frame store "
        "more memory, or find out why Redis or the disk is slow.",
    ),
    Rule(
        Verdict.FLOODING,
        _flooding,
        "{0.commands_per_s:.0f} messages a second beyond acknowledgements",
        "The client sends too many commands: disconnect it with 4429 if it is not one of ours, "
        "else let it send a seek only when the last one was answered.",
    ),
    Rule(
        Verdict.HIDDEN,
        _hidden,
        "the browser reported that its tab is hidden",
        "Nothing to do: frames flow again when the viewer looks at the tab.",
    ),
    Rule(
        Verdict.SILENT_CLIENT,
        _silent,
        "no acknowledgement for {0.unacknowledged_s:.0f} s, credit {0.credit} of {0.window}, "
        "nothing pending in our socket",
        "The bytes arrive but the client does not answer: its script hangs or is not ours; it is "
        "closed with 4408 when frames have waited for it for ACK_TIMEOUT, or disconnect it now.",
    ),
    Rule(
        Verdict.SLOW_CLIENT,
        _slow_client,
        "transport paused {0.paused_share:.0%} of the time, {0.pending_bytes} bytes pending, "
        "credit {0.credit} of {0.window}, {0.recent_drops} frames dropped, event loop fine "
        "(p99 {0.loop_lag_p99_ms:.0f} ms)",
        "The viewer's line or machine is too slow for this rate: suggest a lower speed or fewer "
        "fields; nothing to do on the server.",
    ),
    Rule(
        Verdict.SLOW_CALLBACK,
        _slow_callback,
        "p99 of {0.callback} is {0.callback_p99_ms:.1f} ms, {0.callback_outliers} of "
        "{0.callback_calls} calls took more than 0.1 ms",
        "Profile that callback: at 10,000 viewers on a worker a call has 0.1 ms.",
    ),
    Rule(
        Verdict.DEGRADING,
        _degrading,
        "mean interval between sends grew from {0.trend_ms[0]:.0f} over {0.trend_ms[1]:.0f} to "
        "{0.trend_ms[2]:.0f} ms within the last minute",
        "Compare with the worker's CPU, memory and number of connections over the same minute: "
        "what grows with it is the cause.",
    ),
)

_HEALTHY = (
    "{0.recent_interval_ms:.0f} ms between two sends at most, {0.expected_interval_ms:.0f} expected"
)


def diagnose(evidence: Evidence, thresholds: Thresholds = Thresholds()) -> Diagnosis:
    """The verdict on one connection.

    Args:
        evidence: the connection's figures now and in the last minute (`monitoring/rows.py`).
        thresholds: where a figure begins to be bad.

    Returns:
        The first rule of `RULES` that holds, with the figures that led to it; HEALTHY if none
        does. The other rules that hold are in `also`.
    """
    holding = [rule for rule in RULES if rule.holds(evidence, thresholds)]
    if not holding:
        return Diagnosis(Verdict.HEALTHY, _HEALTHY.format(evidence), "Nothing to do.")
    first, *others = holding
    return Diagnosis(
        first.verdict,
        first.figures.format(evidence),
        first.advice,
        tuple(rule.verdict for rule in others),
    )
