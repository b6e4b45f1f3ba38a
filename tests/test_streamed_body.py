"""A body that is left to the view: Django answers before it has come, and hears of its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.http import HttpRequest

from sessions_app.api.streamed_body import BodyCutOff, StreamedBodies, body_of

SCOPE = {"type": "http", "method": "POST", "path": "/big"}


class Wire:
    """ASGI's `receive` of a client; counts what was asked for."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.asked = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)


def part(data: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


GONE = {"type": "http.disconnect"}


async def handled(wire: Wire, view: Any, scope: dict[str, Any] = SCOPE) -> dict[str, Any]:
    """Run a view as Django would: the body that it sees first, then the view, then what it hears
    while it waits for the client to go. Returns: all three."""
    seen: dict[str, Any] = {}

    async def django(scope: dict[str, Any], receive: Any, _send: Any) -> None:
        seen["body"] = (await receive()).get("body")
        request: Any = HttpRequest()
        request.scope = scope
        try:
            seen["view"] = await view(request)
        except BodyCutOff:
            seen["view"] = "cut off"
        try:
            seen["end"] = (await asyncio.wait_for(receive(), 0.01))["type"]
        except TimeoutError:
            seen["end"] = "still there"

    await StreamedBodies(django, [("POST", "/big")])(scope, wire, None)
    return seen


async def read(request: HttpRequest) -> bytes:
    return b"".join([data async for data in body_of(request)])


async def test_the_view_takes_the_body() -> None:
    wire = Wire(part(b"one "), part(b"two"), part(b"", more=False))
    seen = await handled(wire, read)
    assert seen == {"body": b"", "view": b"one two", "end": "still there"}


async def test_what_nobody_takes_is_not_read() -> None:
    async def refuse(_request: HttpRequest) -> str:
        return "no"

    wire = Wire(part(b"one "), part(b"two", more=False))
    assert await handled(wire, refuse) == {"body": b"", "view": "no", "end": "still there"}
    assert wire.asked == 0


async def test_a_client_that_goes_is_heard_of_on_both_ways() -> None:
    seen = await handled(Wire(part(b"one "), GONE), read)
    assert seen == {"body": b"", "view": "cut off", "end": "http.disconnect"}
    seen = await handled(Wire(part(b"all", more=False), GONE), read)
    assert seen == {"body": b"", "view": b"all", "end": "http.disconnect"}


@pytest.mark.parametrize("change", [{"method": "GET"}, {"path": "/small"}])
async def test_other_requests_are_left_alone(change: dict[str, str]) -> None:
    async def nothing(request: Any) -> bool:
        return "replay.body" in request.scope

    seen = await handled(Wire(part(b"small", more=False)), nothing, {**SCOPE, **change})
    assert (seen["body"], seen["view"]) == (b"small", False)
