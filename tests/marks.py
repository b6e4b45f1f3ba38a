"""Which tests need a server or a browser: their marks, and that nothing of it starts without one.

A test that uses one of our fixtures for it is marked by that. Whoever starts a server or a browser
in another way calls `needs_mark`, which fails in a test that has not got the mark.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

FIXTURES = {
    "browser": {"chromium", "firefox"},
    "server": {"server", "pair", "start_server"},
}
"""Mark: fixtures that bring it."""

_running: list[pytest.Item] = []


def mark_by_fixtures(items: Iterable[pytest.Item]) -> None:
    """Add the marks that follow from the fixtures that a test uses, itself or through others."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        for mark, fixtures in FIXTURES.items():
            if used & fixtures:
                item.add_marker(mark)


def begins(item: pytest.Item) -> None:
    """`item` is what runs from now on."""
    _running[:] = [item]


def needs_mark(mark: str) -> None:
    """Raises: AssertionError if the test that runs is not marked so."""
    for item in _running:
        assert item.get_closest_marker(mark), (
            f"{item.nodeid} starts a {mark} but is not marked: "
            f"expected @pytest.mark.{mark}, or one of the fixtures {sorted(FIXTURES[mark])}"
        )
