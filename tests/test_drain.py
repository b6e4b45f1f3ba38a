"""A worker's end: who is told when, and who is served until then."""

from __future__ import annotations

import pytest

from streaming.connections.open_connections import RETRY_AFTER, TURN_SECONDS, OpenConnections


class Viewer:
    """Goes as soon as it is told, if it reads at all."""

    address = "192.0.2.1"

    def __init__(self, connections: OpenConnections, *, reads: bool = True) -> None:
        self.connections = connections
        self.reads = reads
        self.told: list[float] = []
        connections.add(self)

    def restart(self, retry_after: float) -> None:
        self.told.append(retry_after)
        if self.reads:
            self.connections.remove(self)


@pytest.fixture
def connections() -> OpenConnections:
    return OpenConnections()


async def test_few_go_at_once(connections: OpenConnections) -> None:
    viewers = [Viewer(connections) for _ in range(5)]

    async def sleep(seconds: float) -> None:
        raise AssertionError("nobody has to wait for a turn")

    assert await connections.drain(5.0, 500, sleep=sleep) == 0
    assert connections.draining
    for viewer in viewers:
        assert len(viewer.told) == 1
        assert RETRY_AFTER[0] <= viewer.told[0] <= RETRY_AFTER[1]
    assert len({v.told[0] for v in viewers}) > 1, "all come back at the same moment"


async def test_many_go_in_turns_and_are_served_until_theirs(connections: OpenConnections) -> None:
    viewers = [Viewer(connections) for _ in range(1000)]
    still_served = []

    async def sleep(seconds: float) -> None:
        assert seconds == TURN_SECONDS
        still_served.append(sum(not v.told for v in viewers))

    assert await connections.drain(5.0, 1000, sleep=sleep) == 0
    assert still_served == list(range(950, 0, -50))
    assert all(len(v.told) == 1 for v in viewers)


async def test_those_that_do_not_read_are_not_waited_for(connections: OpenConnections) -> None:
    Viewer(connections)
    Viewer(connections, reads=False)
    assert await connections.drain(0.0, 500) == 1


async def test_nobody_there_is_no_wait(connections: OpenConnections) -> None:
    assert await connections.drain(5.0, 500) == 0
