"""The live connections in the admin: who may see them, what they show, what they can be told."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from streaming.admin.texts import (
    CLOSE_CODES,
    REFUSALS,
    VERDICTS,
    close_code_choices,
    meaning_of,
    reason_of,
)
from streaming.monitoring import board as sharing
from streaming.monitoring import reader as reading
from streaming.monitoring.board import BoardError
from streaming.playback.protocol import CloseCode
from streaming.statistics.diagnosis import Verdict
from streaming.worker import WORKER, Worker

from .conftest import ROOT

pytestmark = pytest.mark.django_db

LIST = reverse("admin:streaming_liveconnection_changelist")
CLOSED = reverse("admin:streaming_liveconnection_closed")
WORKERS = reverse("admin:streaming_liveconnection_workers")
PAGES = (LIST, CLOSED, WORKERS, f"{LIST}viewer1/change/")


class Running:
    """A worker whose event loop runs in a thread of its own, as in a server."""

    def __init__(self) -> None:
        self.worker = Worker(name="host:1")
        self.registry = self.worker.registry
        self.board = self.registry.board
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.commands: list[tuple[str, dict[str, Any]]] = []

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def open(self, name: str, **about: Any) -> None:
        async def do() -> None:
            statistics = self.registry.open(name, **about)
            statistics.status = "playing"
            statistics.on_command = lambda name, **args: self.commands.append((name, args))
            await self.registry.publish()

        self.run(do())

    def close(self, name: str, reason: str, code: int) -> None:
        async def do() -> None:
            self.registry.close(name, reason, code)
            await self.registry.publish()

        self.run(do())

    def client(self) -> Client:
        extra: Any = {WORKER: self.worker}
        return Client(**extra)

    def stop(self) -> None:
        self.run(self.registry.stop())
        self.run(self.worker.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    running = Running()
    monkeypatch.setattr(reading, "CACHE_S", 0.0)
    # It publishes when a test opens or closes something, however long that was ago.
    monkeypatch.setattr(sharing, "EXPIRE_S", 600)
    monkeypatch.setattr(sharing, "ANSWER_S", 60.0)
    running.open("viewer1", session="demo", user="ann", address="10.0.0.1")
    running.open("viewer2", session="other", user="", address="10.0.0.2")
    yield running
    running.stop()


def staff(worker: Running, *permissions: str) -> Client:
    user = User.objects.create_user("ops", is_staff=True)
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(codename=name))
    client = worker.client()
    client.force_login(user)
    return client


@pytest.fixture
def root(worker: Running) -> Client:
    client = worker.client()
    client.force_login(User.objects.create_superuser("root"))
    return client


# -- who ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_anonymous_visitors_are_sent_to_the_login(page: str, worker: Running) -> None:
    answer = worker.client().get(page)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("page", PAGES)
def test_staff_without_the_permission_see_nothing(page: str, worker: Running) -> None:
    assert staff(worker).get(page).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_staff_with_the_view_permission_see_every_page(page: str, worker: Running) -> None:
    assert staff(worker, "view_liveconnection").get(page).status_code == 200


def test_users_who_are_neither_staff_nor_operators_see_nothing(worker: Running) -> None:
    client = worker.client()
    client.force_login(User.objects.create_user("guest"))
    assert client.get(LIST).status_code == 302


def test_an_operator_sees_and_acts_on_connections_and_on_nothing_else(worker: Running) -> None:
    operators = import_module("sessions_app.migrations.0006_operators")
    operators.make_operators(apps, None)
    operators.make_operators(apps, None)
    group = Group.objects.get(name="Operators")
    assert group.permissions.count() == 2
    User.objects.create_user("opal", password="right").groups.add(group)
    client = worker.client()
    data = {"username": "opal", "password": "right"}
    assert client.post("/admin/login/?next=/admin/", data).status_code == 302
    index = client.get("/admin/").content
    assert LIST.encode() in index
    assert b"/admin/auth/" not in index
    assert b"/admin/sessions_app/" not in index
    client.post(LIST, {"action": "pause", "_selected_action": "viewer1"})
    assert worker.commands == [("pause", {})]


def test_a_group_that_has_the_name_already_gets_no_rights() -> None:
    operators = import_module("sessions_app.migrations.0006_operators")
    Group.objects.filter(name="Operators").delete()
    group = Group.objects.create(name="Operators")
    operators.make_operators(apps, None)
    assert group.permissions.count() == 0


def test_seeing_is_not_acting(worker: Running) -> None:
    client = staff(worker, "view_liveconnection")
    assert b'value="disconnect"' not in client.get(LIST).content
    answer = client.post(LIST, {"action": "reset", "_selected_action": "viewer1"})
    assert answer.status_code == 403
    assert worker.commands == []


def test_the_index_leads_to_the_list(root: Client, worker: Running) -> None:
    assert LIST.encode() in root.get("/admin/").content


def test_a_form_from_elsewhere_is_refused(worker: Running) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    answer = client.post(LIST, {"action": "pause", "_selected_action": "viewer1"})
    assert answer.status_code == 403
    assert worker.commands == []


def test_the_workers_page_says_which_limits_were_reached(root: Client, worker: Running) -> None:
    assert b"No limit was reached" in root.get(WORKERS).content
    for limit in REFUSALS:
        worker.registry.refused(limit)
    worker.registry.refused("failed_logins")
    worker.run(worker.registry.publish())
    page = " ".join(root.get(WORKERS).content.decode().split())
    assert "<dt>Failed logins of one name or address</dt><dd>2</dd>" in page
    assert all(f"<dt>{text}</dt>" in page for text in REFUSALS.values())


def test_every_limit_is_documented_by_its_name() -> None:
    table = (ROOT / "docs" / "security.md").read_text().split("## Limits and defaults")[1]
    rows = [row for row in table.split("## Headers")[0].splitlines() if row.startswith("| ")]
    named = re.findall(r"`([a-z_]+)`", " ".join(row.rsplit("|", 2)[1] for row in rows[1:]))
    assert sorted(named) == sorted(REFUSALS)


# -- what ---------------------------------------------------------------------------------------


def names(content: bytes) -> list[str]:
    return [n for n in ("viewer1", "viewer2") if f'data-id="{n}"'.encode() in content]


def test_search_and_filters_narrow_the_list(root: Client, worker: Running) -> None:
    assert names(root.get(LIST).content) == ["viewer1", "viewer2"]
    assert names(root.get(LIST, {"q": "ann"}).content) == ["viewer1"]
    assert names(root.get(LIST, {"session": "other"}).content) == ["viewer2"]
    assert names(root.get(LIST, {"verdict": "starved"}).content) == []
    assert names(root.get(LIST, {"status": "playing", "worker": "1"}).content) != []


def test_every_column_sorts(root: Client, worker: Running) -> None:
    for figures in ("rates", "totals"):
        content = root.get(LIST, {"figures": figures}).content.decode()
        links = [part.split('"')[0] for part in content.split('href="?')[1:] if "o=" in part]
        assert len(links) >= 20
        for link in links:
            assert root.get(f"{LIST}?{link.replace('&amp;', '&')}").status_code == 200
    ascending = root.get(LIST, {"o": "address"}).content
    descending = root.get(LIST, {"o": "-address"}).content
    assert ascending.index(b'data-id="viewer1"') < ascending.index(b'data-id="viewer2"')
    assert descending.index(b'data-id="viewer2"') < descending.index(b'data-id="viewer1"')
    assert b'aria-sort="descending"' in descending


def test_nonsense_in_the_address_is_harmless(root: Client, worker: Running) -> None:
    for query in ("o=colour", "p=-3", "p=99999999999", "figures=x", "o=-", "p=²"):
        assert root.get(f"{LIST}?{query}").status_code == 200


def test_names_from_clients_are_escaped(root: Client, worker: Running) -> None:
    worker.open("viewer3", session="demo", user="<script>alert(1)</script>")
    for page in (LIST, f"{LIST}viewer3/change/"):
        assert b"<script>alert" not in root.get(page).content


def test_pages_hold_no_inline_script_or_style(root: Client, worker: Running) -> None:
    for page in PAGES:
        content = root.get(page).content.decode()
        assert "<script>" not in content
        assert "<style" not in content
        assert ' style="' not in content
        assert " onclick=" not in content


@pytest.mark.parametrize("page", PAGES)
def test_a_fragment_is_a_part_of_its_page(page: str, root: Client, worker: Running) -> None:
    fragment = root.get(page, {"fragment": "1"}).content.decode()
    assert "<html" not in fragment
    assert "live-tabs" not in fragment
    whole = root.get(page).content.decode()
    assert '<div id="live">' in whole
    # Figures differ from one second to the next; the elements do not.
    elements = re.findall(r"<[a-z]+", fragment)
    assert len(elements) > 20
    assert " ".join(elements) in " ".join(re.findall(r"<[a-z]+", whole))


def test_empty_pages_say_why(root: Client, worker: Running) -> None:
    assert "No connection has closed yet." in root.get(CLOSED).content.decode()
    assert "No closed connection matches" in root.get(CLOSED, {"q": "x"}).content.decode()
    filtered = root.get(LIST, {"q": "nothing like this"}).content.decode()
    assert "No connection matches your search and filters." in filtered
    for viewer in ("viewer1", "viewer2"):
        worker.close(viewer, "went away", 1000)
    assert "No one is watching." in root.get(LIST).content.decode()


def test_every_verdict_and_close_code_has_words() -> None:
    assert set(VERDICTS) == set(Verdict)
    assert set(CLOSE_CODES) == set(CloseCode)
    offered = {code: text for _, codes in close_code_choices() for code, text in codes}
    assert set(offered) == set(CloseCode)
    assert offered[CloseCode.UNAUTHENTICATED] == "4401 – not logged in"
    assert meaning_of(1006) == ""
    assert reason_of("server: not yours", CloseCode.FORBIDDEN) == "Server: no permission"
    assert reason_of("client", 1005) == "Viewer left"


def test_detail_shows_every_callback(root: Client, worker: Running) -> None:
    content = root.get(f"{LIST}viewer1/change/").content.decode()
    for text in ("connect", "disconnect", "receive", "writable", "tick", "seek → first frame"):
        assert text in content
    assert "&quot;address&quot;: &quot;10.0.0.1&quot;" in content


def test_workers_page_shows_hit_rates_whatever_was_counted(root: Client, worker: Running) -> None:
    worker.registry.store_statistics = lambda: {
        "memory": {"hits": 9, "misses": 1, "bytes": 2_500_000},
        "redis": {"available": True, "misses": 3},
    }
    worker.run(worker.registry.publish())
    content = root.get(WORKERS).content.decode()
    assert "90.0%" in content
    assert "0.0%" in content
    assert "2.5 MB" in content


def test_closed_connections_stay_visible(root: Client, worker: Running) -> None:
    worker.close("viewer1", "went away", 4408)
    content = root.get(CLOSED).content.decode()
    assert "went away" in content
    assert "4408" in content
    for address in (f"{LIST}closed/viewer1/", f"{LIST}viewer1/change/"):
        closed = root.get(address).content.decode()
        assert "went away, code 4408." in closed
        assert 'value="disconnect"' not in closed
    assert names(root.get(LIST).content) == ["viewer2"]
    assert "went away" not in root.get(CLOSED, {"q": "nobody"}).content.decode()


def test_an_unknown_connection_is_not_found(root: Client, worker: Running) -> None:
    assert root.get(f"{LIST}nobody/change/").status_code == 404


def test_a_board_that_is_gone_is_said(
    root: Client, worker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(**_: bool) -> None:
        raise BoardError("Redis at unix:///x: gone")

    monkeypatch.setattr(worker.board, "read", lost)
    monkeypatch.setattr(worker.board, "closed", lost)
    for page in PAGES:
        assert "Redis at unix:///x: gone" in root.get(page).content.decode()
    text = worker.client().get("/metrics").content.decode()
    assert text.startswith("# Only of the worker that answered: Redis at unix:///x: gone\n")
    assert "replay_statistics_complete 0.0" in text
    assert 'replay_connections{worker="1"} 2.0' in text


# -- actions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["pause", "keyframe"])
def test_actions_reach_each_selected_connection(action: str, root: Client, worker: Running) -> None:
    chosen = {"action": action, "_selected_action": ["viewer1", "viewer2"]}
    answer = root.post(LIST, chosen, follow=True)
    assert worker.commands == [(action, {}), (action, {})]
    assert "2 connections" in answer.content.decode()


def test_reset_begins_anew(root: Client, worker: Running) -> None:
    statistics = worker.registry.get("viewer1")
    assert statistics is not None
    statistics.frames_out = 99
    root.post(LIST, {"action": "reset", "_selected_action": "viewer1"})
    assert statistics.frames_out == 0


def test_disconnect_asks_for_code_and_reason_first(root: Client, worker: Running) -> None:
    chosen = {"action": "disconnect", "_selected_action": "viewer1"}
    asked = root.post(LIST, chosen)
    assert b'name="code"' in asked.content
    assert b"Disconnect connection viewer1?" in asked.content
    assert worker.commands == []
    wrong = root.post(LIST, {**chosen, "code": "77", "reason": ""})
    assert b"errorlist" in wrong.content
    assert worker.commands == []
    root.post(LIST, {**chosen, "code": "4429", "reason": "too much"})
    assert worker.commands == [("disconnect", {"code": 4429, "reason": "too much"})]


def test_export_is_json_of_the_selected(root: Client, worker: Running) -> None:
    answer = root.post(LIST, {"action": "export", "_selected_action": ["viewer1", "nobody"]})
    viewer, nobody = json.loads(answer.content)
    assert viewer["about"]["user"] == "ann"
    assert "not open" in nobody["error"]


def test_an_action_on_one_that_has_gone_says_so(root: Client, worker: Running) -> None:
    answer = root.post(LIST, {"action": "pause", "_selected_action": "nobody"}, follow=True)
    assert "nobody is not open" in answer.content.decode()


def test_no_action_and_no_selection_are_pointed_out(root: Client, worker: Running) -> None:
    answer = root.post(LIST, {"action": "", "_selected_action": "viewer1"}, follow=True)
    assert "No action selected" in answer.content.decode()
    answer = root.post(LIST, {"action": "pause"}, follow=True)
    assert "Select one or more" in answer.content.decode()


# -- elsewhere ----------------------------------------------------------------------------------


def test_rest_is_for_staff(worker: Running) -> None:
    for path in ("", "/report", "/viewer1"):
        assert worker.client().get(f"/api/connections{path}").status_code == 401
    user = User.objects.create_user("guest")
    client = worker.client()
    client.force_login(user)
    assert client.get("/api/connections").status_code == 403
    assert client.post("/api/connections/viewer1/reset").status_code == 403


def test_rest_lists_and_reports(root: Client, worker: Running) -> None:
    page = root.get("/api/connections", {"session": "demo"}).json()
    assert [row["connection"] for row in page["connections"]] == ["viewer1"]
    assert (page["found"], page["total"]) == (1, 2)
    report = root.get("/api/connections/report").json()
    assert report["connections"] == 2
    assert report["workers"][0]["connections"] == 2
    assert root.get("/api/connections/nobody").status_code == 404
    assert root.get("/api/connections", {"sort": "colour"}).status_code == 422


@pytest.mark.parametrize(
    ("token", "request_headers", "address", "status"),
    [
        ("", {}, "127.0.0.1", 200),
        ("", {}, "::1", 200),
        ("", {}, "::ffff:127.0.0.1", 200),
        ("", {}, "10.0.0.7", 401),
        ("", {}, "", 401),
        ("", {"X-Forwarded-For": "10.0.0.7"}, "127.0.0.1", 401),
        ("", {"Forwarded": "for=10.0.0.7"}, "127.0.0.1", 401),
        ("", {"Authorization": "Bearer wrong"}, "127.0.0.1", 401),
        ("", {"Authorization": "Bearer "}, "10.0.0.7", 401),
        ("", {"Authorization": "Bearer of-an-api"}, "10.0.0.7", 200),
        ("scrape", {}, "127.0.0.1", 401),
        ("scrape", {"Authorization": "Bearer scrape"}, "10.0.0.7", 200),
        ("scrape", {"Authorization": "Bearer scrap"}, "10.0.0.7", 401),
    ],
)
def test_metrics_are_not_for_everyone(
    worker: Running,
    settings: Any,
    token: str,
    request_headers: dict[str, str],
    address: str,
    status: int,
) -> None:
    settings.METRICS_TOKEN = token
    settings.API_TOKENS = ["of-an-api"]
    client = worker.client()
    answer = client.get("/metrics", headers=request_headers, REMOTE_ADDR=address)
    assert answer.status_code == status


def test_staff_read_metrics_from_anywhere(root: Client, worker: Running) -> None:
    assert root.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 200


def test_metrics_have_one_series_a_worker(worker: Running) -> None:
    text = worker.client().get("/metrics").content.decode()
    assert "replay_statistics_complete 1.0" in text
    assert 'replay_connections{worker="1"} 2.0' in text
    assert "viewer1" not in text
    assert "# TYPE replay_callback_seconds histogram" in text
