"""Partial updates of a topic, merged into what it said before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MAX_LIST = 10_000
"""Entries of one list; race control sends some hundreds."""


def merged(state: Any, change: Any) -> Any:
    """What a topic says after a change.

    Objects are merged key by key; the lists of a state are changed by objects such as {"1": …},
    whose keys are places in the list; `_deleted` names keys that go. A list replaces what was
    there. The change itself is not kept, so that later changes leave it as it is.
    """
    if isinstance(change, Mapping):
        if isinstance(state, list):
            for place, value in entries(change):
                while len(state) <= place:
                    state.append(None)
                state[place] = merged(state[place], value)
            return state
        result: dict[str, Any] = state if isinstance(state, dict) else {}
        for key, value in change.items():
            if key == "_deleted":
                for gone in value if isinstance(value, list) else ():
                    result.pop(gone, None)
            elif key != "_kf":
                result[key] = merged(result.get(key), value)
        return result
    if isinstance(change, list):
        return [merged(None, value) for value in change]
    return change


def entries(value: Any) -> Iterator[tuple[int, Any]]:
    """(place, value) of a list, whether it came as a list or as {"1": …}."""
    if isinstance(value, list):
        yield from enumerate(value[:MAX_LIST])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str) and key.isdecimal() and len(key) < 6 and int(key) < MAX_LIST:
                yield int(key), item
