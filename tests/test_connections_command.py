"""`manage.py connections` at the widths that terminals have."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rich.cells import cell_len
from rich.console import Console

from streaming.admin.live_list import COLUMNS as SHOWN_COLUMNS
from streaming.admin.live_list import FIGURES, columns
from streaming.management.commands.connections import BY_IMPORTANCE, SHORT_ID, listing
from streaming.monitoring.reader import Page
from streaming.monitoring.rows import COLUMNS

WORKERS = [{"name": "1", "loop_recent_ms": (1.0, 2.0)}, {"name": "2", "loop_recent_ms": (1.0, 9.0)}]
NAME = "a-user-whose-name-does-not-end-where-names-should"


def row(name: str, **figures: Any) -> dict[str, Any]:
    values = {**dict.fromkeys(COLUMNS, 12_345), "worker": "1", "worker_id": "host:1"}
    texts = {"user": NAME, "session": "demo", "address": "127.0.0.1", "status": "playing"}
    known = {"connection": name, "verdict": "silent client", "as_of": 5_000.0, "opened_at": 100.0}
    return {**values, **texts, **known, "sparkline": b"", **figures}


def rendered(width: int | None, figures: str = "rates", rows: int = 3, total: int = 3) -> list[str]:
    connections = [row(f"0123456789abcde{number}") for number in range(rows)]
    page = Page(connections, rows, total, 1, 1, {})
    console = Console(file=io.StringIO(), width=width or 400)
    with console.capture() as captured:
        console.print(listing(page, WORKERS, figures, width))
    return captured.get().splitlines()


@pytest.mark.parametrize("figures", FIGURES)
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_what_is_shown_is_whole_and_what_is_not_is_named(width: int, figures: str) -> None:
    lines = rendered(width, figures)
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    heading = next(line for line in lines if line.startswith("connection"))
    cells = next(line for line in lines if line.startswith("01234567"))
    assert cells.split()[0] == "01234567"
    assert "silent client" in cells
    left_out = " ".join(" ".join(lines).partition("No room for: ")[2].split())
    for column in columns(figures):
        if column.name in BY_IMPORTANCE:
            assert column.heading in heading or column.heading in left_out, column.heading


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_still_says_who_and_how_it_goes(width: int) -> None:
    heading = next(line for line in rendered(width) if line.startswith("connection"))
    wanted = {60: ("verdict", "frames/s"), 80: ("verdict", "frames/s", "user", "session")}
    assert all(name in heading for name in wanted[width])


def test_a_wider_terminal_shows_more() -> None:
    shown = [len(rendered(width)[2].split()) for width in (60, 80, 120, 200)]
    assert shown == sorted(set(shown))


def test_wide_shows_every_column_and_whole_names() -> None:
    lines = rendered(None)
    assert "No room for" not in " ".join(lines)
    assert NAME in lines[3]
    assert "0123456789abcde0" in lines[3]
    assert len("0123456789abcde0") > SHORT_ID


def test_every_column_but_the_drawing_has_its_importance() -> None:
    assert {*BY_IMPORTANCE, "spark"} == {column.name for column in SHOWN_COLUMNS}
    assert len(BY_IMPORTANCE) == len(set(BY_IMPORTANCE))


@pytest.mark.parametrize(
    ("total", "text"), [(0, "No one is watching."), (3, "No connection matches the filters.")]
)
def test_an_empty_list_says_why(total: int, text: str) -> None:
    assert rendered(80, rows=0, total=total)[-1] == text


def test_wide_is_for_a_single_print() -> None:
    with pytest.raises(CommandError, match="--wide needs --once"):
        call_command("connections", "--wide")
