"""Every worker's connections together: merged, filtered, sorted, paged; commands to any of them.

Blocks (it reads from a socket or waits for a worker), so it is for threads, not for event loops.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from ..statistics.diagnosis import Verdict
from .board import BoardError, BoardReader
from .rows import COLUMNS

Row = dict[str, Any]
"""`COLUMNS` by name, and `worker`, `worker_id`, `as_of` (Unix time of the figures)."""

CACHE_S = 0.4
# A row older than this is asked for anew before it is shown.
FRESH_S = 1.5
_SEARCHED = ("connection", "user", "address", "session")
FILTERS = ("session", "worker", "verdict", "status")


class NoSuchConnection(LookupError):
    """No worker has a connection of that name open."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to show. `filters`: column → value. `sort`: a column; `page` counts from 1."""

    search: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = "opened_at"
    descending: bool = True
    page: int = 1
    per_page: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """The selected rows of one page. `facets`: column → value → rows, before the filters."""

    rows: list[Row]
    found: int
    total: int
    pages: int
    page: int
    facets: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All workers that are alive, by their number, and all their connections."""

    workers: list[dict[str, Any]]
    rows: list[Row]


class Reader:
    """What every worker has published, read at most a few times a second."""

    def __init__(
        self,
        board: BoardReader,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            board: where workers publish.
            clock: monotonic seconds.
            wall: Unix time, seconds.
        """
        self._board = board
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._snapshot = Snapshot([], [])
        self._decoded: dict[tuple[str, bytes], tuple[bytes, list[Row]]] = {}

    def snapshot(self, *, now: bool = False, watching: bool = True) -> Snapshot:
        """All workers and their connections as last published.

        Args:
            now: read the board again, even if it was read within `CACHE_S` seconds.
            watching: connections are being shown, so workers are to keep their rows fresh.

        Returns:
            At most `CACHE_S` seconds old; shared, so do not change it.

        Raises:
            BoardError: the board cannot be reached.
        """
        with self._lock:
            if now or self._clock() - self._at > CACHE_S:
                self._snapshot = self._merge(self._board.read(watching=watching))
                self._at = self._clock()
            return self._snapshot

    def snapshot_of(self, worker_id: str, fields: Mapping[bytes, bytes]) -> Snapshot:
        """One worker's own figures, for when the board cannot be read."""
        with self._lock:
            return self._merge({worker_id: fields} if fields else {})

    def page(self, selection: Selection) -> Page:
        """One page, its rows no older than a second and a half. Raises: BoardError."""
        page = select(self.snapshot().rows, selection)
        stale: dict[str, list[str]] = {}
        for row in page.rows:
            if self._wall() - row["as_of"] > FRESH_S:
                stale.setdefault(row["worker_id"], []).append(row["connection"])
        for worker_id, connections in stale.items():
            try:
                fresh = self._board.ask(worker_id, {"rows": connections})
            except BoardError:
                # A stalled worker does not answer; its rows keep the time of their figures.
                continue
            by_name = {values[0]: values for values in fresh}
            for row in page.rows:
                if row["worker_id"] == worker_id and row["connection"] in by_name:
                    row.update(zip(COLUMNS, by_name[row["connection"]], strict=True))
                    row["as_of"] = self._wall()
        return page

    def closed(self) -> list[dict[str, Any]]:
        """Final reports of the last 1,000 closed connections, newest first. Raises: BoardError."""
        return [msgpack.unpackb(each, strict_map_key=False) for each in self._board.closed()]

    def report(self, connection_id: str) -> dict[str, Any]:
        """Everything about an open connection. Raises: NoSuchConnection, BoardError."""
        report: dict[str, Any] = self.command(connection_id, "report")
        return report

    def command(self, connection_id: str, name: str, **args: Any) -> Any:
        """Carry out an operator's command on the worker that has the connection.

        Args:
            connection_id: of an open connection.
            name: "report", "reset", "log_stats", "disconnect", "pause" or "keyframe".
            args: of the command; `disconnect` takes `code` and `reason`.

        Returns:
            The report, or True.

        Raises:
            NoSuchConnection: no worker has it open.
            BoardError: the worker does not answer.
        """
        request = {"name": name, "connection": connection_id, "args": args}
        refusal = f"connection {connection_id} is not open on any worker"
        for worker_id in self._workers_of(connection_id):
            try:
                return self._board.ask(worker_id, request)
            except LookupError as error:
                refusal = str(error)
        raise NoSuchConnection(refusal)

    def _workers_of(self, connection_id: str) -> list[str]:
        """The worker that has published the connection; all, if it is too young for that."""
        snapshot = self.snapshot()
        for row in snapshot.rows:
            if row["connection"] == connection_id:
                return [row["worker_id"]]
        return [worker["worker"] for worker in snapshot.workers]

    def _merge(self, found: Mapping[str, Mapping[bytes, bytes]]) -> Snapshot:
        workers, rows = [], []
        decoded: dict[tuple[str, bytes], tuple[bytes, list[Row]]] = {}
        for worker_id, fields in found.items():
            worker = msgpack.unpackb(fields[b"worker"], strict_map_key=False)
            worker["name"] = str(worker["board"]["number"] or worker_id)
            worker["stalled"] = (
                msgpack.unpackb(fields[b"stalled"]) if b"stalled" in fields else None
            )
            workers.append(worker)
            for name, packed in fields.items():
                if not name.startswith(b"b"):
                    continue
                before = self._decoded.get((worker_id, name))
                if before is None or before[0] != packed:
                    before = (packed, _rows(packed, worker))
                decoded[worker_id, name] = before
                if worker["stalled"]:
                    rows += [_stalled(row, worker["stalled"]) for row in before[1]]
                else:
                    rows += before[1]
        self._decoded = decoded
        workers.sort(key=lambda worker: (worker["board"]["number"], worker["worker"]))
        return Snapshot(workers, rows)


def select(rows: Iterable[Row], selection: Selection) -> Page:
    """Filter, sort and page. A page beyond the last is the last.

    Raises: ValueError for a column that rows do not have.
    """
    for name in (selection.sort, *selection.filters):
        if name not in COLUMNS and name not in ("worker", "worker_id", "as_of"):
            raise ValueError(f"no column {name!r}: expected one of {', '.join(COLUMNS)}, worker")
    everything = list(rows)
    words = selection.search.lower().split()
    searched = [row for row in everything if _matches(row, words)] if words else everything
    facets = {name: dict(Counter(str(row[name]) for row in searched)) for name in FILTERS}
    chosen = [
        row
        for row in searched
        if all(str(row[name]) == value for name, value in selection.filters.items())
    ]
    # Two stable sorts: equal rows stay in the order of their names, so that nothing jumps.
    chosen.sort(key=lambda row: str(row["connection"]))
    chosen.sort(key=lambda row: _sort_key(row[selection.sort]), reverse=selection.descending)
    pages = max(1, -(-len(chosen) // selection.per_page))
    page = min(max(1, selection.page), pages)
    start = (page - 1) * selection.per_page
    return Page(
        rows=[dict(row) for row in chosen[start : start + selection.per_page]],
        found=len(chosen),
        total=len(everything),
        pages=pages,
        page=page,
        facets=facets,
    )


def _rows(packed: bytes, worker: Mapping[str, Any]) -> list[Row]:
    as_of, rows = msgpack.unpackb(packed)
    columns = worker["columns"]
    extra = {"worker": worker["name"], "worker_id": worker["worker"], "as_of": as_of}
    return [{**dict(zip(columns, values, strict=True)), **extra} for values in rows]


def _stalled(row: Row, stalled: tuple[float, str]) -> Row:
    """A row of a worker whose loop stands still at this moment: it cannot say so itself."""
    if row["status"] not in ("playing", "live"):
        return row
    return {
        **row,
        "verdict": Verdict.STALLED_LOOP.value,
        "figures": f"the worker's event loop has stood still for {stalled[0]:.0f} s",
        "advice": "Read the stack on the workers page: it is what blocks the loop right now.",
        "delivered_fps": 0.0,
    }


def _matches(row: Row, words: list[str]) -> bool:
    text = " ".join(str(row[name]) for name in _SEARCHED).lower()
    return all(word in text for word in words)


def _sort_key(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, int | float) else (2, str(value).lower())
