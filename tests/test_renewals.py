"""Resume tokens of connections that last are replaced before they are too old."""

from __future__ import annotations

import asyncio

from streaming.connections.renewals import RENEW_SECONDS, TOGETHER, Renewals
from streaming.connections.resume import KEEP_SECONDS


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Holder:
    renewed = 0

    def renew_token(self) -> None:
        self.renewed += 1


async def test_a_token_is_renewed_again_and_again() -> None:
    clock = Clock()
    renewals, early, late = Renewals(clock), Holder(), Holder()
    renewals.add(early)
    clock.now += RENEW_SECONDS / 2
    renewals.add(late)
    for expected in ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2)):
        await renewals.renew_due()
        assert (early.renewed, late.renewed) == expected
        clock.now += RENEW_SECONDS / 2
    for holder in (early, late):
        renewals.remove(holder)


async def test_who_has_ended_is_left_alone() -> None:
    clock = Clock()
    renewals, holder = Renewals(clock), Holder()
    renewals.add(holder)
    renewals.remove(holder)
    renewals.remove(holder)
    clock.now += RENEW_SECONDS
    await renewals.renew_due()
    assert (holder.renewed, len(renewals)) == (0, 0)


async def test_who_ends_while_others_are_renewed_is_forgotten() -> None:
    clock = Clock()
    renewals = Renewals(clock)
    holders = [Holder() for _ in range(2 * TOGETHER)]
    for holder in holders:
        renewals.add(holder)
    clock.now += RENEW_SECONDS
    work = asyncio.create_task(renewals.renew_due())
    await asyncio.sleep(0)
    for holder in holders[TOGETHER - 1 : TOGETHER + 1]:
        renewals.remove(holder)
    await work
    assert len(renewals) == len(holders) - 2
    assert holders[TOGETHER].renewed == 0
    for holder in holders:
        renewals.remove(holder)


def test_a_token_outlives_several_renewals() -> None:
    assert KEEP_SECONDS >= 5 * RENEW_SECONDS
