"""The graceful end of a worker: each viewer gets `bye` with `retry_after`, then its socket closes.
The graceful end of a worker: each viewer gets `bye` with `retry_after`, then its socket closes."""

from __future__ import annotations

import logging

from .open_connections import OpenConnections

logger = logging.getLogger("streaming.connections.drain")

WITHIN_SECONDS = 8.0
"""Of the ten in which a process has to end."""

ARRIVALS_PER_SECOND = 200
"""At which viewers are asked to come back: a quarter of what a worker could accept, because it goes
on serving, and its neighbour's successor is starting on the same machine."""

MOST_SPREAD = 4.0
"""Seconds in which all get their `bye`, so that the last ones have as long again to close."""


async def drain(connections: OpenConnections, within: float = WITHIN_SECONDS) -> None:
    """Take no more viewers, send `bye` to one after another, close all with 1012.

    Call it on SIGTERM, before the server stops. Returns when all have gone or after `within` s.

    Args:
        connections: of the worker that ends.
        within: seconds after which those that did not go are waited for no longer.
    """
    count = len(connections)
    left = await connections.drain(within, max(ARRIVALS_PER_SECOND, count / MOST_SPREAD))
    logger.info("drained: %d viewers told to come back, %d did not go", count, left)
