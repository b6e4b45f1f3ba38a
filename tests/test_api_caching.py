"""ETags, 304 without building a body, gzip, HEAD."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from sessions_app.api.caching import entity_tag, matches
from sessions_app.api.compression import accepts_gzip
from sessions_app.api.kept import Bodies
from sessions_app.models import Session

from .small_race import store_small_race

pytestmark = pytest.mark.django_db

BODIES = [
    "/api/sessions",
    "/api/sessions/small",
    "/api/sessions/small/geometry",
    "/api/sessions/small/events",
    "/api/sessions/small/laps",
    "/api/sessions/small/standings",
    "/api/sessions/small/laps/AAA/1/telemetry",
]


@pytest.fixture
def race() -> Session:
    return store_small_race()


@pytest.mark.parametrize("path", BODIES)
def test_unchanged_is_304_after_one_query(
    client: Client, race: Session, path: str, django_assert_num_queries
) -> None:
    first = client.get(path)
    assert first.status_code == 200
    with django_assert_num_queries(1):
        again = client.get(path, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again["ETag"] == first["ETag"]
    assert again["Cache-Control"] == first["Cache-Control"]
    assert "no-cache" in first["Cache-Control"]


@pytest.mark.parametrize("path", BODIES)
def test_changed_session_has_another_etag(client: Client, race: Session, path: str) -> None:
    before = client.get(path)["ETag"]
    race.title = "Another name"
    race.save()
    after = client.get(path, headers={"If-None-Match": before})
    assert after.status_code == 200
    assert after["ETag"] != before


def test_progress_of_an_import_changes_the_etag(client: Client, race: Session) -> None:
    before = client.get("/api/sessions/small")["ETag"]
    Session.objects.filter(pk=race.pk).update(progress=12, updated_at=timezone.now())
    assert client.get("/api/sessions/small")["ETag"] != before


def test_each_body_has_an_etag_of_its_own(client: Client, race: Session) -> None:
    queries = ["/api/sessions/small/events?kind=flag", "/api/sessions/small/laps?entity=AAA",
               "/api/sessions/small/standings?frame=3", "/api/sessions?kind=race",
               "/api/sessions/small/laps/AAA/1/telemetry?step=10"]  # fmt: skip
    tags = [client.get(path)["ETag"] for path in BODIES + queries]
    assert len(set(tags)) == len(tags)


def test_a_new_session_changes_the_list(client: Client, race: Session) -> None:
    before = client.get("/api/sessions")["ETag"]
    Session.objects.create(slug="new", title="New")
    assert client.get("/api/sessions")["ETag"] != before


def test_a_deleted_session_changes_the_list(client: Client, race: Session) -> None:
    old = Session.objects.create(slug="old", title="Old")
    Session.objects.filter(pk=old.pk).update(updated_at=race.created_at)
    before = client.get("/api/sessions")["ETag"]
    old.delete()
    assert client.get("/api/sessions")["ETag"] != before


def test_an_access_that_changed_is_not_answered_304(client: Client, race: Session) -> None:
    tag = client.get("/api/sessions/small/geometry")["ETag"]
    Session.objects.filter(pk=race.pk).update(access="private")
    response = client.get("/api/sessions/small/geometry", headers={"If-None-Match": tag})
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", W/"abc"', True),
        ("*", True),
        ('"abcd"', False),
        ("abc", False),
        ("", False),
    ],
)
def test_if_none_match(header: str, expected: bool) -> None:
    request = HttpRequest()
    request.META["HTTP_IF_NONE_MATCH"] = header
    assert matches(request, 'W/"abc"') is expected


def test_entity_tag_keeps_parts_apart() -> None:
    assert entity_tag("ab", "c") != entity_tag("a", "bc")


def test_text_is_gzipped_for_who_accepts_it(client: Client, race: Session) -> None:
    plain = client.get("/api/sessions/small/laps")
    packed = client.get("/api/sessions/small/laps", headers={"Accept-Encoding": "br, gzip"})
    assert not plain.has_header("Content-Encoding")
    assert packed["Content-Encoding"] == "gzip"
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content) / 3
    assert gzip.decompress(packed.content) == plain.content
    assert packed["ETag"] == plain["ETag"]
    for response in (plain, packed):
        assert "Accept-Encoding" in response["Vary"]


def test_small_bodies_are_left_alone(client: Client) -> None:
    response = client.get("/api/sessions", headers={"Accept-Encoding": "gzip"})
    assert not response.has_header("Content-Encoding")
    assert json.loads(response.content)["items"] == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("gzip;q=nonsense", False),
        ("", False),
    ],
)
def test_accept_encoding(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


def test_head_has_the_headers_of_get_and_no_body(client: Client, race: Session) -> None:
    got = client.get("/api/sessions/small/geometry")
    head = client.head("/api/sessions/small/geometry")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("ETag", "Content-Type", "Cache-Control"):
        assert head[name] == got[name]
    assert head["Content-Length"] == str(len(got.content))


@pytest.mark.parametrize("path", [p for p in BODIES if p != "/api/sessions"])
def test_a_body_is_built_once_for_all_who_ask(
    client: Client, race: Session, path: str, django_assert_num_queries
) -> None:
    first = client.get(path)
    with django_assert_num_queries(1):
        assert client.get(path).content == first.content


def test_kept_bodies_are_bounded_and_the_oldest_goes() -> None:
    bodies = Bodies(limit=100)
    for tag in "abc":
        bodies.put(tag, b"x" * 30, b"y" * 10)
        bodies.get("a")
    assert bodies.bytes == 80
    assert [bodies.get(tag) is not None for tag in "abc"] == [True, False, True]
    bodies.put("large", b"x" * 600_000, b"")
    assert bodies.get("large") is None


class TestEditedInTheAdmin:
    """What an operator corrects by hand must not be hidden by a cache."""

    @pytest.fixture(autouse=True)
    def operator(self, client: Client) -> None:
        client.force_login(User.objects.create_superuser("boss"))

    def test_changed_event(self, client: Client, race: Session) -> None:
        before = client.get("/api/sessions/small/events")
        event = race.events.get(kind="flag")
        form = {"session": race.pk, "frame": 300, "kind": "flag", "message": "corrected"}
        assert client.post(f"/admin/sessions_app/event/{event.pk}/change/", form).status_code == 302
        after = client.get("/api/sessions/small/events", headers={"If-None-Match": before["ETag"]})
        assert after.json()["events"][1]["message"] == "corrected"

    def test_deleted_events(self, client: Client, race: Session) -> None:
        before = client.get("/api/sessions/small/events")
        chosen: dict[str, Any] = {"action": "delete_selected", "post": "yes"}
        chosen["_selected_action"] = [e.pk for e in race.events.exclude(kind="start")]
        assert client.post("/admin/sessions_app/event/", chosen).status_code == 302
        after = client.get("/api/sessions/small/events", headers={"If-None-Match": before["ETag"]})
        assert [e["kind"] for e in after.json()["events"]] == ["start"]
