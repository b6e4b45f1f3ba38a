"""REST for operators: who sends live sessions, and ending it."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from sessions_app.access import Action
from sessions_app.api.errors import ApiError, ErrorOut
from sessions_app.api.visitors import require, visitor_of

from ..monitoring.board import BoardError
from ..worker import worker_of

router = Router(tags=["producers"])

ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 503: ErrorOut}


class ProducerOut(Schema):
    """One live session that is being sent."""

    id: str = Field(description="Slug of the session: one producer sends it.")
    worker: str = Field(description="That writes it and holds its lease.")
    address: str
    user: str
    since: float = Field(description="Unix time.")
    frames: int = Field(description="Accepted since then.")
    refused: int
    rate: float = Field(description="Frames accepted in the last second.")
    next_frame: int
    disk_lag: float = Field(description="Seconds that the last frames waited for the disk.")
    waiting_bytes: int = Field(description="That the disk has not taken yet.")
    pressure: dict[str, object] = Field(description="As the producer was told last.")
    verdict: str
    figures: str
    advice: str


class ProducersOut(Schema):
    """All producers, of all workers."""

    producers: list[ProducerOut]


class StoppedOut(Schema):
    """What was done."""

    id: str
    done: str


@router.get(
    "producers",
    response={200: ProducersOut, **ERRORS},
    operation_id="list_producers",
    summary="Who sends live sessions",
)
async def list_producers(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """Figures and a verdict in words for each, at most two seconds old."""
    require(await visitor_of(request), request, Action.OBSERVE)
    response["Cache-Control"] = "no-store"
    return {"producers": await _producers(request)}


@router.post(
    "producers/{slug:slug}/stop",
    response={200: StoppedOut, **ERRORS},
    operation_id="stop_producer",
    summary="End a producer's connection",
)
async def stop_producer(request: HttpRequest, response: HttpResponse, slug: str) -> dict[str, str]:
    """It is closed with 4409, so it does not come back by itself; the session stays live."""
    require(await visitor_of(request), request, Action.OPERATE)
    response["Cache-Control"] = "no-store"
    worker = worker_of(request)
    if not await worker.live.stop(slug) and not any(
        producer["id"] == slug for producer in await _producers(request)
    ):
        raise ApiError(404, f"There is no producer of {slug!r}; /api/producers lists them.")
    return {"id": slug, "done": "stop"}


async def _producers(request: HttpRequest) -> list[dict[str, Any]]:
    """Raises: ApiError 503."""
    reader = worker_of(request).reader
    try:
        snapshot = await sync_to_async(reader.snapshot, thread_sensitive=False)()
    except BoardError as error:
        raise ApiError(503, f"The figures cannot be read: {error}.") from error
    return [
        {**producer, "worker": worker["worker"]}
        for worker in snapshot.workers
        for producer in worker.get("producers", ())
    ]
