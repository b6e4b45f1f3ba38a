"""What workers tell one another of their rooms, over the channel layer.

A message may get lost: whoever relies on it also compares versions (see `hub.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..redis.clients import REDIS_ERRORS
from .state import RoomState


class RoomMessages:
    """One worker's ear and mouth.

    layer: a channel layer, or None for silence. heard: called with a room's key and its state as
    another worker has changed it. lost: called with the error when the layer cannot be reached.
    retry_seconds: before listening again after that.
    """

    def __init__(
        self,
        layer: Any,
        on_state: Callable[[str, RoomState], None],
        on_error: Callable[[Exception], None],
        *,
        retry_seconds: float,
    ) -> None:
        self._layer = layer
        self._on_state = on_state
        self._on_store_error = on_error
        self._retry_seconds = retry_seconds
        self._channel: str | None = None
        self._unsubscribed: set[str] = set()

    async def listen(self) -> None:
        """Until cancelled; returns at once without a layer."""
        if self._layer is None:
            return
        while True:
            try:
                message = await self._layer.receive(await self._own_channel())
            except REDIS_ERRORS as error:
                self._on_store_error(error)
                await asyncio.sleep(self._retry_seconds)
                continue
            self._on_state(message.get("key", ""), RoomState.from_dict(message["state"]))

    async def publish(self, key: str, state: RoomState) -> None:
        """Tell the others that have members in that room."""
        if self._layer is None:
            return
        message = {"type": "room.changed", "key": key, "state": state.as_dict()}
        try:
            await self._layer.group_send(f"replay.room.{key}", message)
        except REDIS_ERRORS as error:
            self._on_store_error(error)

    async def subscribe(self, key: str) -> None:
        """Hear of that room from now on."""
        if self._layer is not None:
            self._unsubscribed.add(key)
            try:
                await self._layer.group_add(f"replay.room.{key}", await self._own_channel())
                self._unsubscribed.discard(key)
            except REDIS_ERRORS as error:
                self._on_store_error(error)

    async def retry_subscriptions(self) -> None:
        """Subscribe where it failed: no library does that again."""
        for key in list(self._unsubscribed):
            await self.subscribe(key)

    async def unsubscribe(self, key: str) -> None:
        """Hear of it no more."""
        self._unsubscribed.discard(key)
        if self._layer is not None:
            try:
                await self._layer.group_discard(f"replay.room.{key}", await self._own_channel())
            except REDIS_ERRORS as error:
                self._on_store_error(error)

    async def _own_channel(self) -> str:
        if self._channel is None:
            self._channel = await self._layer.new_channel("replay.rooms")
        return self._channel
