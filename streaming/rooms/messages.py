"""Messages between workers about changed rooms, over the channel layer.

A message may get lost, so the hub also compares versions with the store (see `hub.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..redis.clients import REDIS_ERRORS
from .state import RoomState


class RoomMessages:
    """Sends and receives one worker's messages about rooms.

    Args:
        layer: a channel layer; None sends and receives nothing.
        on_state: called with a room's key and its new state when another worker changed it.
        on_error: called with the error when the layer cannot be reached.
        retry_seconds: seconds before listening again after an error.
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
        """Receive messages until cancelled; returns at once without a layer."""
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
        """Send a room's new state to the other workers that have members in it."""
        if self._layer is None:
            return
        message = {"type": "room.changed", "key": key, "state": state.as_dict()}
        try:
            await self._layer.group_send(f"replay.room.{key}", message)
        except REDIS_ERRORS as error:
            self._on_store_error(error)

    async def subscribe(self, key: str) -> None:
        """Receive messages about that room from now on."""
        if self._layer is not None:
            self._unsubscribed.add(key)
            try:
                await self._layer.group_add(f"replay.room.{key}", await self._own_channel())
                self._unsubscribed.discard(key)
            except REDIS_ERRORS as error:
                self._on_store_error(error)

    async def retry_subscriptions(self) -> None:
        """Subscribe again where it failed: the channel layer does not retry."""
        for key in list(self._unsubscribed):
            await self.subscribe(key)

    async def unsubscribe(self, key: str) -> None:
        """Receive no more messages about that room."""
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
