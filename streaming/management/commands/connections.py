"""`manage.py connections`: the live connections as a table in the terminal, like top."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streaming.admin.live_list import FIGURES, Column, columns
from streaming.monitoring.board import BoardError, RedisReader
from streaming.monitoring.reader import Page, Reader, Row, Selection
from streaming.redis.clients import RedisClients

STYLES = {
    "healthy": "green",
    "hidden": "dim",
    "stalled loop": "bold red",
    "starved": "bold red",
    "flooding": "bold red",
}
NO_REDIS = (
    "REDIS_URL is not set: workers without Redis keep their statistics to themselves. Set "
    "REDIS_URL to the server that they use, or look at /admin/streaming/liveconnection/."
)

BY_IMPORTANCE = (
    "connection", "verdict", "fps", "frames", "user", "session", "status", "dropped", "drops",
    "rtt", "frame", "age", "worker", "speed", "byte_rate", "bytes", "pending", "interval_max",
    "address", "credit", "p99", "message_rate", "messages", "interval_min", "generation",
)  # fmt: skip
"""Names of columns: who it is and how it goes, then why, then the rest. A sparkline is no text."""

LONG_CELLS = 20
"""What clients and sessions are called is cut off here, or one name would take the line."""
SHORT_ID = 8
"""Characters of a connection's id, as in the admin's list."""
_PADDING = 2


class Command(BaseCommand):
    help = (
        "Shows the live connections of all workers, refreshed every second, until Ctrl-C. Columns "
        "that do not fit into the terminal are left out, the least important first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        shown = sorted(column.name for column in columns(FIGURES[0]))
        parser.add_argument("--sort", default="age", choices=shown)
        parser.add_argument("--ascending", action="store_true")
        parser.add_argument("--verdict", help="only those with this verdict")
        parser.add_argument("--session", help="only those of this session")
        parser.add_argument("--lines", type=int, default=30)
        parser.add_argument("--totals", action="store_true", help="totals instead of rates")
        parser.add_argument("--once", action="store_true", help="print once and end")
        parser.add_argument(
            "--wide",
            action="store_true",
            help="with --once: all columns and whole names, however wide the terminal is",
        )

    def handle(self, **options: Any) -> None:
        if options["wide"] and not options["once"]:
            raise CommandError("--wide needs --once: a screen that is refreshed cannot be scrolled")
        if not settings.REDIS_URL:
            raise CommandError(NO_REDIS)
        figures = FIGURES[options["totals"]]
        fields = {column.name: column.field for column in columns(figures)}
        filters = {n: options[n] for n in ("verdict", "session") if options[n]}
        selection = Selection(
            filters=filters,
            sort=fields[options["sort"]],
            descending=not options["ascending"],
            per_page=options["lines"],
        )
        reader = Reader(RedisReader(RedisClients(settings.REDIS_URL)))
        console = Console()

        def screen() -> Group:
            page, workers = reader.page(selection), reader.snapshot().workers
            return listing(page, workers, figures, None if options["wide"] else console.width)

        try:
            if options["once"]:
                shown = screen()
                if options["wide"]:
                    console.width = max(console.width, console.measure(shown).maximum)
                with console.capture() as printed:
                    console.print(shown)
                self.stdout.write(printed.get())
                return
            with Live(screen(), console=console, auto_refresh=False, screen=True) as live:
                while True:
                    time.sleep(1)
                    live.update(screen(), refresh=True)
        except BoardError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            return


def listing(
    page: Page, workers: Sequence[dict[str, Any]], figures: str, width: int | None
) -> Group:
    """What the terminal shows.

    Args:
        page: the connections.
        workers: what each worker has published of itself.
        figures: "rates" or "totals".
        width: of the terminal, in cells; None for all columns with whole texts.

    Returns:
        A summary, the table, and a line that names the columns that are left out.
    """
    lags = ", ".join(f"worker {w['name']}: {w['loop_recent_ms'][1]:.0f} ms" for w in workers)
    summary = Text(f"{page.found} of {page.total} connections, {len(workers)} workers")
    if lags:
        summary.append(f" (event loop lag: {lags})")
    if not page.rows:
        empty = "No connection matches the filters." if page.total else "No one is watching."
        return Group(summary, Text(empty))
    all_columns = [column for column in columns(figures) if column.name in BY_IMPORTANCE]
    texts = {
        column.name: [_text(column, row, whole=width is None) for row in page.rows]
        for column in all_columns
    }
    shown = all_columns if width is None else _fitting(all_columns, texts, width)
    table = Table(box=None, padding=(0, _PADDING, 0, 0), pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(
            Text(column.heading), justify="right" if column.numeric else "left", no_wrap=True
        )
    for at, row in enumerate(page.rows):
        style = STYLES.get(row["verdict"], "yellow")
        table.add_row(
            *(
                Text(texts[column.name][at], style if column.name == "verdict" else "")
                for column in shown
            )
        )
    parts: list[Text | Table] = [summary, Text(), table]
    left_out = [column.heading for column in all_columns if column not in shown]
    if left_out:
        hint = f"No room for: {', '.join(left_out)}. Widen the terminal, or use --once --wide."
        parts += [Text(), Text(hint, "dim")]
    return Group(*parts)


def _text(column: Column, row: Row, *, whole: bool) -> str:
    text = column.show(row)
    if whole:
        return text
    if column.name == "connection":
        return text[:SHORT_ID]
    if column.long and cell_len(text) > LONG_CELLS:
        return set_cell_size(text, LONG_CELLS - 1) + "…"
    return text


def _fitting(
    all_columns: Sequence[Column], texts: dict[str, list[str]], width: int
) -> list[Column]:
    """The most important columns that fit into `width` cells, in the order of `all_columns`."""
    taken = -_PADDING
    chosen: set[str] = set()
    for column in sorted(all_columns, key=lambda column: BY_IMPORTANCE.index(column.name)):
        needed = _PADDING + max(map(cell_len, [column.heading, *texts[column.name]]))
        # The first two always: without them the rest means nothing.
        if taken + needed > width and len(chosen) >= 2:
            break
        taken += needed
        chosen.add(column.name)
    return [column for column in all_columns if column.name in chosen]
