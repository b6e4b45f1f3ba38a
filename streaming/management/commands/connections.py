"""`manage.py connections`: the live connections as a table in the terminal, like top."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from streaming.admin.live_list import FIGURES, columns
from streaming.monitoring.board import BoardError, RedisReader
from streaming.monitoring.reader import Page, Reader, Selection
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


class Command(BaseCommand):
    help = "Shows the live connections of all workers, refreshed every second, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        shown = sorted(column.name for column in columns(FIGURES[0]))
        parser.add_argument("--sort", default="age", choices=shown)
        parser.add_argument("--ascending", action="store_true")
        parser.add_argument("--verdict", help="only those with this verdict")
        parser.add_argument("--session", help="only those of this session")
        parser.add_argument("--lines", type=int, default=30)
        parser.add_argument("--totals", action="store_true", help="totals instead of rates")
        parser.add_argument("--once", action="store_true", help="print once and end")

    def handle(self, **options: Any) -> None:
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
        try:
            if options["once"]:
                console = Console()
                with console.capture() as printed:
                    console.print(_table(reader, selection, figures))
                self.stdout.write(printed.get())
                return
            with Live(_table(reader, selection, figures), auto_refresh=False, screen=True) as live:
                while True:
                    time.sleep(1)
                    live.update(_table(reader, selection, figures), refresh=True)
        except BoardError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            return


def _table(reader: Reader, selection: Selection, figures: str) -> Table:
    page: Page = reader.page(selection)
    workers = reader.snapshot().workers
    lags = ", ".join(f"{w['name']}: {w['loop_recent_ms'][1]:.0f} ms" for w in workers)
    table = Table(
        title=f"{page.found} of {page.total} connections, {len(workers)} workers (loop lag {lags})",
        title_justify="left",
    )
    shown = [column for column in columns(figures) if column.name not in ("spark", "generation")]
    for column in shown:
        table.add_column(
            column.heading, justify="right" if column.numeric else "left", no_wrap=True
        )
    for row in page.rows:
        style = STYLES.get(row["verdict"], "yellow")
        table.add_row(
            *(
                f"[{style}]{row['verdict']}[/]" if column.name == "verdict" else column.show(row)
                for column in shown
            )
        )
    return table
