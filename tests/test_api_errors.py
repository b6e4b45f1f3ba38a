"""Errors below /api/: always {"code", "message"} with the status that fits."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from sessions_app.api import sessions as sessions_api
from sessions_app.models import Session

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/api/nothing", 404, "not_found"),
        ("get", "/api/", 404, "not_found"),
        ("get", "/api/sessions/no%20slug", 404, "not_found"),
        ("get", "/api/sessions/missing/geometry", 404, "not_found"),
        ("get", "/api/sessions?page=0", 422, "invalid"),
        ("get", "/api/sessions?page=two", 422, "invalid"),
        ("get", "/api/sessions?page_size=101", 422, "invalid"),
        ("get", "/api/sessions?state=odd", 422, "invalid"),
        ("get", "/api/sessions?text=%00", 422, "invalid"),
        ("get", "/api/sessions?year=99999999999999999999", 422, "invalid"),
        ("get", "/api/sessions/here/events?from=-1", 422, "invalid"),
        ("get", "/api/sessions/here/events?entity=%00", 422, "invalid"),
        ("get", "/api/sessions/here/standings?frame=1e9", 422, "invalid"),
        ("get", "/api/sessions/here/standings", 404, "not_found"),
        ("get", "/api/sessions/here/laps/%00/1/telemetry", 404, "not_found"),
        ("get", "/api/sessions/here/laps/VER/1/telemetry", 404, "not_found"),
        ("delete", "/api/sessions", 405, "method_not_allowed"),
        ("put", "/api/sessions/here", 405, "method_not_allowed"),
        ("post", "/api/sessions/here/geometry", 405, "method_not_allowed"),
    ],
)
def test_errors_have_code_and_message(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    Session.objects.create(slug="here", title="Here")
    response = getattr(client, method)(path)
    assert response.status_code == status
    assert response["Content-Type"].startswith("application/json")
    body = response.json()
    assert set(body) == {"code", "message"}
    assert body["code"] == code
    assert body["message"]


def test_method_not_allowed_says_what_is(client: Client) -> None:
    response = client.patch("/api/sessions/here/events")
    assert response["Allow"] == "GET"
    assert "GET" in response.json()["message"]


def test_message_names_the_parameter(client: Client) -> None:
    message = client.get("/api/sessions?page=two").json()["message"]
    assert "page" in message
    assert "integer" in message


def test_a_bug_is_500_in_json_and_in_the_log(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_filters: object) -> None:
        raise RuntimeError("the detail that only the log may show")

    monkeypatch.setattr(sessions_api, "_filtered", broken)
    with caplog.at_level(logging.ERROR, logger="sessions_app.api.errors"):
        response = client.get("/api/sessions")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "detail" not in response.json()["message"]
    assert "the detail that only the log may show" in caplog.text


def test_pages_keep_their_own_errors(client: Client) -> None:
    response = client.get("/no/such/page")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
