"""The members of a room, as the `room` message lists them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..playback.protocol import MessageType
from .state import RoomState

MAX_LISTED = 50
"""Names in one message, and of one worker in the store; a longer list would not be read."""


@dataclass(frozen=True, slots=True)
class Person:
    """A member as the others see it. id: of this stay in the room, and of nothing else.
    joined: seconds of the rooms' common clock."""

    id: str
    name: str
    joined: float


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in a room, on all workers. count: all of them; people: at most 50 of each worker, in
    the order in which they came."""

    count: int = 0
    people: tuple[Person, ...] = ()

    @classmethod
    def of(cls, count: int, people: Sequence[Person]) -> Roster:
        return cls(count, tuple(sorted(people, key=lambda p: (p.joined, p.id))))


def room_message(room: str, roster: Roster, state: RoomState | None, you: Person) -> dict[str, Any]:
    """The message `room` for one member."""
    people = list(roster.people[:MAX_LISTED])
    if you.id not in {person.id for person in people}:
        people = [*people[: MAX_LISTED - 1], you]
    led_by = None
    if state is not None and state.leader:
        led_by = {"id": state.leader, "name": state.leader_name, "action": state.last_action}
    return {
        "type": MessageType.ROOM.value,
        "room": room,
        "members": roster.count,
        "people": [{"id": person.id, "name": person.name} for person in people],
        "you": you.id,
        "led_by": led_by,
    }
