"""The columns of the live connections list: what each shows, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..monitoring.reader import Row
from ..statistics.diagnosis import Verdict
from .charts import duration, size, sparkline
from .texts import VERDICTS

MS = 1e6


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `field` of a row sorts it, `show` renders it. `figures`: "rates", "totals", "".

    `long`: its texts are cut off where the table would get too wide.
    """

    name: str
    heading: str
    field: str
    show: Callable[[Row], str]
    numeric: bool = True
    figures: str = ""
    hint: str = ""
    long: bool = False

    @property
    def title(self) -> str:
        """The heading, as it begins a line."""
        return self.heading[0].upper() + self.heading[1:]


@dataclass(frozen=True, slots=True)
class Cell:
    """A rendered value. `kind` is a CSS class."""

    text: str
    kind: str
    title: str = ""
    spark: str = ""
    pill: bool = False


def _text(field: str) -> Callable[[Row], str]:
    return lambda row: str(row[field]) if row[field] not in (None, "") else "–"


def _number(field: str, form: str = ",.0f", unit: str = "") -> Callable[[Row], str]:
    def show(row: Row) -> str:
        value = row[field]
        return "–" if value is None else f"{value:{form}}{unit}"

    return show


def _ms(field: str) -> Callable[[Row], str]:
    return lambda row: duration(None if row[field] is None else row[field] * MS)


def _credit(row: Row) -> str:
    return "–" if row["window"] is None else f"{row['credit']} / {row['window']}"


def _fps(row: Row) -> str:
    return f"{row['delivered_fps']:.1f} / {row['target_fps']:.0f}"


def age_text(seconds: float) -> str:
    """How long something has lasted, as hours:minutes:seconds."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _age(row: Row) -> str:
    return age_text((row["as_of"] or time.time()) - row["opened_at"])


COLUMNS: tuple[Column, ...] = (
    Column("connection", "connection", "connection", _text("connection"), numeric=False),
    Column("verdict", "verdict", "verdict", _text("verdict"), numeric=False),
    Column("user", "user", "user", _text("user"), numeric=False, long=True),
    Column("address", "address", "address", _text("address"), numeric=False, long=True),
    Column("session", "session", "session", _text("session"), numeric=False, long=True),
    Column("worker", "worker", "worker", _text("worker")),
    Column("status", "state", "status", _text("status"), numeric=False),
    Column("frame", "playhead", "frame", _number("frame"), hint="frame that is played"),
    Column("speed", "speed", "speed", _number("speed", "g", "×"), hint="1× is real time"),
    Column("generation", "seek gen.", "generation", _number("generation"),
           hint="seek generation: rises with each jump of the playhead"),
    Column("fps", "frames/s", "delivered_fps", _fps, figures="rates",
           hint="frames a second: delivered / target"),
    Column("spark", "last minute", "delivered_fps", lambda row: "", numeric=False,
           hint="delivered frames a second"),
    Column("frames", "frames sent", "frames_out", _number("frames_out"), figures="totals"),
    Column("byte_rate", "sent", "bytes_out_rate", lambda r: size(r["bytes_out_rate"], "B/s"),
           figures="rates", hint="bytes a second to the client"),
    Column("bytes", "sent", "bytes_out", lambda r: size(r["bytes_out"]), figures="totals",
           hint="bytes to the client"),
    Column("message_rate", "received", "messages_in_rate", _number("messages_in_rate", ".1f", "/s"),
           figures="rates", hint="messages a second from the client"),
    Column("messages", "received", "messages_in", _number("messages_in"), figures="totals",
           hint="messages from the client"),
    Column("interval_min", "min interval", "interval_min_ms", _ms("interval_min_ms"),
           hint="shortest time between two sends"),
    Column("interval_max", "max interval", "interval_max_ms", _ms("interval_max_ms"),
           hint="longest time between two sends"),
    Column("p99", "callback p99", "callback_p99_us",
           lambda r: duration(r["callback_p99_us"] * 1000),
           hint="99 % of the calls of the slowest callback are shorter"),
    Column("dropped", "dropped", "dropped_percent", _number("dropped_percent", ".1f", " %"),
           figures="rates", hint="frames that were not sent because they would have been late"),
    Column("drops", "dropped", "dropped", _number("dropped"), figures="totals",
           hint="frames that were not sent because they would have been late"),
    Column("pending", "pending", "pending_bytes", lambda r: size(r["pending_bytes"]),
           hint="bytes that wait in the server's socket"),
    Column("credit", "credit", "credit", _credit,
           hint="messages that may be sent before the client acknowledges one / most of them"),
    Column("rtt", "round trip", "round_trip_ms", _ms("round_trip_ms"),
           hint="time until the client acknowledges a message"),
    Column("age", "connected", "opened_at", _age, hint="hours:minutes:seconds"),
)  # fmt: skip

FIGURES = ("rates", "totals")


def columns(figures: str) -> list[Column]:
    """The columns that are shown with rates, or with totals."""
    return [column for column in COLUMNS if column.figures in ("", figures)]


def cells(row: Row, shown: list[Column]) -> list[Cell]:
    """One row, rendered."""
    return [_cell(row, column) for column in shown]


def kind_of(verdict: str) -> str:
    """A verdict as the end of a CSS class."""
    return verdict.replace(" ", "-")


def _cell(row: Row, column: Column) -> Cell:
    if column.name == "spark":
        values: bytes = row["sparkline"]
        text = f"Frames a second over the last minute, now {values[-1] if values else 0}"
        return Cell("", "spark", text, sparkline(values, row["target_fps"]))
    if column.name == "verdict":
        sentence = VERDICTS[Verdict(row["verdict"])]
        title = f"{sentence} {row['figures']}. {row['advice']}" if row["figures"] else sentence
        return Cell(row["verdict"], f"verdict verdict-{kind_of(row['verdict'])}", title, pill=True)
    text = column.show(row)
    # What clients and sessions are called may be long; the whole of it is in the title.
    return Cell(text, "numeric" if column.numeric else "text", text if column.long else "")
