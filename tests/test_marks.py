"""Marks say which tests need a server or a browser, so that `-m` can leave them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import marks
from .conftest import start_serving
from .firefox import firefox_page


def test_who_uses_such_a_fixture_is_marked(request: pytest.FixtureRequest) -> None:
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    for mark, fixtures in marks.FIXTURES.items():
        for item in items:
            if fixtures & set(item.fixturenames):
                assert item.get_closest_marker(mark), f"{item.nodeid}: expected {mark}"


def test_without_the_mark_no_server_starts(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="starts a server but is not marked"):
        start_serving(tmp_path)


def test_without_the_mark_no_browser_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="starts a browser but is not marked"),
        firefox_page("firefox", tmp_path),
    ):
        pass
