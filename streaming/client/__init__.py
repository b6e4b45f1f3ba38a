"""The Python client of the replay protocol: see `client.py`. It needs no Django."""

from .client import CommandRefused, ReplayClient, ReplayClosed, ReplayError, State, connect
from .decoding import Frames

__all__ = [
    "CommandRefused",
    "Frames",
    "ReplayClient",
    "ReplayClosed",
    "ReplayError",
    "State",
    "connect",
]
