"""A database that is away: 503 with a time to come back, at once, and nothing asked meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, RequestFactory

from replayproject.database_away import REST_SECONDS, DatabaseAwayMiddleware
from sessions_app.models import Session


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_rests_for_a_second_after_a_failure() -> None:
    clock = Clock()
    asked: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        asked.append(request.path)
        return HttpResponse("there")

    site = DatabaseAwayMiddleware(view, clock)
    request = RequestFactory().get("/sessions/race/")
    assert site(request).status_code == 200
    answer = site.process_exception(request, OperationalError("database is locked"))
    assert answer is not None
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"locked" not in answer.content
    assert site(request).status_code == 503
    assert len(asked) == 1, "the database is left alone"
    assert site(RequestFactory().get("/livez")).status_code == 200
    clock.now += REST_SECONDS
    assert site(request).status_code == 200
    assert site.process_exception(request, ValueError("a bug")) is None
    assert site.process_exception(request, OperationalError("no such table: x")) is None
    assert site(request).status_code == 200, "a wrong query is one request's alone"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/sessions", "/api/sessions/race", "/"])
async def test_pages_and_the_api_say_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection refused")

    for name in ("filter", "all", "defer"):
        monkeypatch.setattr(Session.objects, name, away)
    answer = await AsyncClient().get(path)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    if path.startswith("/api/"):
        assert answer.json()["code"] == "database_away"
