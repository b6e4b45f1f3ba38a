"""REST for live connections: for operators, by session cookie or token. Units are in the names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from sessions_app.access import Action
from sessions_app.api.errors import ApiError, ErrorOut
from sessions_app.api.visitors import require, visitor_of

from ..monitoring.board import BoardError
from ..monitoring.reader import NoSuchConnection as Missing
from ..monitoring.reader import Reader, Row, Selection
from ..monitoring.rows import COLUMNS
from ..playback.protocol import CloseCode
from ..worker import worker_of

router = Router(tags=["connections"])
ERRORS = {400: ErrorOut, 401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut, 503: ErrorOut}

T = TypeVar("T")
SortColumn = Literal[(*COLUMNS, "worker")]  # type: ignore[valid-type]


class ConnectionOut(Schema):
    """One open connection."""

    connection: str
    session: str
    user: str
    address: str
    encoding: str
    worker: str
    status: str
    frame: int
    speed: float
    generation: int
    target_fps: float
    delivered_fps: float = Field(description="Mean of the last ten seconds.")
    interval_min_ms: float | None
    interval_mean_ms: float | None
    interval_max_ms: float | None
    callback_p99_us: float = Field(description="Of the slowest callback.")
    dropped: int = Field(description="Frames that were too late to send.")
    dropped_percent: float
    pending_bytes: int
    credit: int | None
    window: int | None
    round_trip_ms: float | None
    buffer_s: float | None
    opened_at: float = Field(description="Unix time.")
    bytes_out: int
    bytes_out_rate: float
    frames_out: int
    messages_in: int
    messages_in_rate: float
    seeks: int
    hidden: bool
    verdict: str
    figures: str = Field(description="What led to the verdict; empty if healthy.")
    advice: str
    sparkline: list[int] = Field(description="Frames sent in each of the last 60 seconds.")
    as_of: float = Field(description="Unix time of these figures.")


class ConnectionsOut(Schema):
    """A page of connections."""

    connections: list[ConnectionOut]
    found: int
    total: int
    page: int
    pages: int


class WorkerOut(Schema):
    """One worker process; see docs/statistics.md."""

    worker: str
    name: str
    connections: int
    opened: int
    cpu: float = Field(description="Share of a core in the last second.")
    memory: int
    frames_rate: float
    publishing_share: float
    stalls: int
    loop_lag: dict[str, object] | None
    longest_stall: dict[str, object] | None
    store: dict[str, object] | None
    board: dict[str, object]
    totals: dict[str, object]


class ReportOut(Schema):
    """All workers and how many connections have which verdict."""

    workers: list[WorkerOut]
    connections: int
    verdicts: dict[str, int]
    closed: int = Field(description="Final reports that are kept.")


class DisconnectIn(Schema):
    """How to end it."""

    code: CloseCode = CloseCode.DONE
    reason: Annotated[str, Field(max_length=100)] = ""


class DoneOut(Schema):
    """What was done."""

    connection: str
    done: str


class ListQuery(Schema):
    """Which connections."""

    search: str = Field("", max_length=200)
    session: str | None = None
    worker: str | None = None
    verdict: str | None = None
    status: str | None = None
    sort: SortColumn = "opened_at"
    descending: bool = True
    page: int = Field(1, ge=1, le=1_000_000)
    per_page: int = Field(100, ge=1, le=1_000)


@router.get(
    "connections",
    response={200: ConnectionsOut, **ERRORS},
    operation_id="list_connections",
    summary="Open connections on all workers",
)
async def list_connections(
    request: HttpRequest, response: HttpResponse, query: Annotated[ListQuery, Query()]
) -> dict[str, Any]:
    """Filtered, sorted, paged; figures at most a few seconds old."""
    filters = {
        name: value
        for name in ("session", "worker", "verdict", "status")
        if (value := getattr(query, name)) is not None
    }
    selection = Selection(
        search=query.search,
        filters=filters,
        sort=query.sort,
        descending=query.descending,
        page=query.page,
        per_page=query.per_page,
    )
    page = await _read(request, response, Action.OBSERVE, lambda reader: reader.page(selection))
    return {
        "connections": [_listed(row) for row in page.rows],
        "found": page.found,
        "total": page.total,
        "page": page.page,
        "pages": page.pages,
    }


@router.get(
    "connections/report",
    response={200: ReportOut, **ERRORS},
    operation_id="get_connections_report",
    summary="All workers at a glance",
)
async def report(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """Totals, event loops, stores; verdicts counted."""
    snapshot, closed = await _read(
        request, response, Action.OBSERVE, lambda reader: (reader.snapshot(), reader.closed())
    )
    verdicts: dict[str, int] = {}
    for row in snapshot.rows:
        verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
    return {
        "workers": snapshot.workers,
        "connections": len(snapshot.rows),
        "verdicts": verdicts,
        "closed": len(closed),
    }


@router.get(
    "connections/{connection_id}",
    response={200: dict[str, object], **ERRORS},
    operation_id="get_connection",
    summary="Everything about one connection",
)
async def get_connection(
    request: HttpRequest, response: HttpResponse, connection_id: str
) -> dict[str, Any]:
    """All callbacks with percentiles and histograms, latencies, drops, five minutes of history."""
    return await _read(
        request, response, Action.OBSERVE, lambda reader: reader.report(connection_id)
    )


@router.post(
    "connections/{connection_id}/reset",
    response={200: DoneOut, **ERRORS},
    operation_id="reset_connection",
    summary="Begin its statistics anew",
)
async def reset(request: HttpRequest, response: HttpResponse, connection_id: str) -> dict[str, str]:
    """The next calls are warm-up again."""
    return await _command(request, response, connection_id, "reset")


@router.post(
    "connections/{connection_id}/disconnect",
    response={200: DoneOut, **ERRORS},
    operation_id="disconnect_connection",
    summary="Close it with a code and a reason",
)
async def disconnect(
    request: HttpRequest,
    response: HttpResponse,
    connection_id: str,
    how: DisconnectIn | None = None,
) -> dict[str, str]:
    """The viewer is told the reason; the code says whether it may come back."""
    how = how or DisconnectIn()
    args = {"code": int(how.code), "reason": how.reason}
    return await _command(request, response, connection_id, "disconnect", **args)


async def _command(
    request: HttpRequest, response: HttpResponse, connection_id: str, name: str, **args: Any
) -> dict[str, str]:
    await _read(
        request,
        response,
        Action.OPERATE,
        lambda reader: reader.command(connection_id, name, **args),
    )
    return {"connection": connection_id, "done": name}


async def _read(
    request: HttpRequest, response: HttpResponse, action: Action, read: Callable[[Reader], T]
) -> T:
    """What `read` finds, in a thread, for a visitor who may do that; kept by no cache.

    Raises:
        ApiError: 401 or 403; 404 for an unknown connection; 503 while the board is away.
    """
    require(await visitor_of(request), request, action)
    response["Cache-Control"] = "no-store"
    reader = worker_of(request).reader
    try:
        return await sync_to_async(read, thread_sensitive=False)(reader)
    except Missing as error:
        raise ApiError(404, f"{error}.") from error
    except BoardError as error:
        raise ApiError(503, f"The figures cannot be read: {error}.") from error


def _listed(row: Row) -> Row:
    return {**row, "sparkline": list(row["sparkline"])}
