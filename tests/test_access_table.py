"""Every endpoint, page, admin page and socket × every kind of caller × every kind of session.

The endpoints come from the URL configuration: one that has no row below fails. What is expected is
written down here, in letters, and not worked out by the rule that is tested.

`+` let in (whatever it then answers) · `1` 401 or 4401 · `3` 403 or 4403 · `L` sent to the login.
A column is a kind of session, in the order of KINDS; endpoints without a session have one column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from channels.testing import WebsocketCommunicator
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest
from django.template.response import SimpleTemplateResponse
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from replayproject.api import api
from sessions_app.access import Action, Scope, SessionFacts, Visitor, decide, listing
from sessions_app.credentials import make_link, make_token
from sessions_app.models import ApiToken, Session, ShareLink
from sessions_app.visitors import listed
from streaming.live.wire import SUBPROTOCOL as INGEST_SUBPROTOCOL
from streaming.playback.protocol import SUBPROTOCOL
from streaming.routing import no_such_path, websocket_urlpatterns
from streaming.worker import WORKER, WithWorker, Worker

operators = import_module("sessions_app.migrations.0006_operators")

KINDS = ("public", "unlisted", "login", "private")
VERSION = "0123456789abcdef"

PEOPLE = ("user", "owner", "member", "staff", "observer", "operator", "superuser")
TOKENS = (
    "bootstrap", "unknown_token", "revoked_token", "read_token", "import_token", "ingest_token",
    "operate_token", "users_read_token",
)  # fmt: skip
LINKS = ("link", "revoked_link", "expired_link")
CALLERS = ("anonymous", *PEOPLE, *TOKENS, *LINKS)


def table(text: str) -> dict[str, str]:
    """caller → letters, one a column."""
    rows = dict(line.split(maxsplit=1) for line in text.strip().splitlines())
    expected = {caller: letters.replace(" ", "") for caller, letters in rows.items()}
    assert set(expected) == set(CALLERS)
    return expected


WATCH = table("""
    anonymous         + + 1 1
    user              + + + 3
    owner             + + + +
    member            + + + +
    staff             + + + +
    observer          + + + +
    operator          + + + 3
    superuser         + + + +
    bootstrap         + + + +
    unknown_token     + + 1 1
    revoked_token     + + 1 1
    read_token        + + + +
    import_token      + + 3 3
    ingest_token      + + 3 3
    operate_token     + + 3 3
    users_read_token  + + + 3
    link              + + + +
    revoked_link      + + 3 3
    expired_link      + + 3 3
""")
SOCKET = {**WATCH, "unknown_token": "1111", "revoked_token": "1111"}
"""A handshake with a wrong token is refused, whatever the session."""
PLAYER = {
    **{caller: letters.replace("1", "L") for caller, letters in WATCH.items()},
    # Pages know logins and links only.
    **dict.fromkeys(TOKENS, "++LL"),
}
EDIT = table("""
    anonymous         1 1 1 1
    user              3 3 3 3
    owner             + + + +
    member            3 3 3 3
    staff             + + + +
    observer          + + + +
    operator          3 3 3 3
    superuser         + + + +
    bootstrap         + + + +
    unknown_token     1 1 1 1
    revoked_token     1 1 1 1
    read_token        3 3 3 3
    import_token      + + + +
    ingest_token      3 3 3 3
    operate_token     3 3 3 3
    users_read_token  3 3 3 3
    link              1 1 1 1
    revoked_link      1 1 1 1
    expired_link      1 1 1 1
""")
INGEST = {**EDIT, "import_token": "3333", "ingest_token": "++++"}
OPEN = dict.fromkeys(CALLERS, "+")
LIST = {**OPEN, "unknown_token": "1", "revoked_token": "1"}
#        caller: import, tokens, observe, operate, metrics, admin, admin live pages, model pages
COLUMNS = table("""
    anonymous         1 1 1 1 1 L L L
    user              3 + 3 3 1 L L L
    owner             3 + 3 3 1 L L L
    member            3 + 3 3 1 L L L
    staff             + + 3 3 1 + 3 3
    observer          + + + 3 + + + 3
    operator          3 + + + + + + 3
    superuser         + + + + + + + +
    bootstrap         + + + + + L L L
    unknown_token     1 1 1 1 1 L L L
    revoked_token     1 1 1 1 1 L L L
    read_token        3 3 3 3 1 L L L
    import_token      + 3 3 3 1 L L L
    ingest_token      3 3 3 3 1 L L L
    operate_token     3 3 + + + L L L
    users_read_token  3 3 3 3 1 L L L
    link              1 1 1 1 1 L L L
    revoked_link      1 1 1 1 1 L L L
    expired_link      1 1 1 1 1 L L L
""")
IMPORT, MAKE_TOKENS, OBSERVE, OPERATE, METRICS, ADMIN, LIVE, MODEL = (
    {caller: letters[n] for caller, letters in COLUMNS.items()} for n in range(8)
)
NOBODY = {caller: letter.replace("+", "3") for caller, letter in ADMIN.items()}
"""Pages of the admin that refuse staff as well: what a table does not offer, for example adding."""

NAMED = {
    # A private session that is named by its place in the calendar: its link is none of ours.
    **{caller: letters[-1] for caller, letters in WATCH.items()},
    "owner": "3",
    "member": "3",
    "link": "1",
}
LAPS_OF_NOBODY = {"year": 2024, "round_num": 1, "driver_codes": [], "lap_numbers": []}

OPERATIONS: dict[str, tuple[dict[str, str], Any]] = {
    "list_sessions": (LIST, None),
    "import_session": (IMPORT, {"source": "nowhere/at-all", "slug": "new"}),
    "upload": (IMPORT, None),
    "change_session": (EDIT, {}),
    "cancel_import": (EDIT, None),
    "retry_import": (EDIT, None),
    "delete_session": (EDIT, None),
    "post_telemetry_laps": (NAMED, LAPS_OF_NOBODY),
    "post_telemetry_sectors": (NAMED, LAPS_OF_NOBODY),
    "get_session": (WATCH, None),
    "get_geometry": (WATCH, None),
    "get_events": (WATCH, None),
    "get_laps": (WATCH, None),
    "get_standings": (WATCH, None),
    "get_lap_telemetry": (WATCH, None),
    "get_report": (WATCH, None),
    "get_classification": (WATCH, None),
    "get_frames": (WATCH, None),
    "get_segment": (WATCH, None),
    "get_recording": (WATCH, None),
    "stream_pictures": (WATCH, None),
    "get_snapshot": (WATCH, None),
    "get_export": (WATCH, None),
    # Without laps; `test_api_compare` asks for those of a session that is not for everybody.
    "get_compare": (OPEN, None),
    "list_links": (EDIT, None),
    "make_link": (EDIT, {}),
    "revoke_link": (EDIT, None),
    "list_tokens": (MAKE_TOKENS, None),
    "make_token": (MAKE_TOKENS, {"name": "t", "scopes": ["read"]}),
    "revoke_token": (MAKE_TOKENS, None),
    "list_producers": (OBSERVE, None),
    "stop_producer": (OPERATE, None),
    "list_connections": (OBSERVE, None),
    "get_connections_report": (OBSERVE, None),
    "get_connection": (OBSERVE, None),
    "reset_connection": (OPERATE, None),
    "disconnect_connection": (OPERATE, {}),
}
PAGES = {
    "streaming:library": OPEN,
    "streaming:player": PLAYER,
    # It has no data of any session; REST gives them, or not.
    "streaming:compare": OPEN,
    "login": OPEN,
    "logout": OPEN,
    "password_reset": OPEN,
    "password_reset_done": OPEN,
    "password_reset_confirm": OPEN,
    "password_reset_complete": OPEN,
    "livez": OPEN,
    "readyz": OPEN,
    "metrics": METRICS,
    "api-1:openapi-json": OPEN,
    "api-1:openapi-view": OPEN,
    "api-1:api-root": OPEN,
    "admin/login/": OPEN,
    "admin:index": ADMIN,
    "admin:login": OPEN,
    "admin:logout": OPEN,
    "admin:password_change": ADMIN,
    "admin:password_change_done": ADMIN,
    "admin:autocomplete": NOBODY,
    "admin:jsi18n": ADMIN,
    "admin:view_on_site": ADMIN,
    "admin:app_list": ADMIN,
    "admin:": ADMIN,
}
NO_ADDING = {
    "sessions_app_session", "sessions_app_importjob", "sessions_app_sharelink",
    "django_tasks_database_dbtaskresult",
}  # fmt: skip
NO_DELETING = {"django_tasks_database_dbtaskresult"}
MODELS = {
    "auth_user", "auth_group", "sessions_app_session", "sessions_app_entity",
    "sessions_app_geometry", "sessions_app_event", "sessions_app_lap", "sessions_app_stint",
    "sessions_app_importjob", "sessions_app_apitoken", "sessions_app_sharelink",
    "django_tasks_database_dbtaskresult",
}  # fmt: skip
MODEL_PAGES = {"changelist", "add", "history", "delete", "change", "password_change"}
LIVE_PAGES = {"changelist", "closed", "ended", "workers", "change"}
LIVE_MODEL = "streaming_liveconnection"
SOCKETS = {
    r"^ws/sessions/(?P<slug>[^/]+)/?$": (SOCKET, (SUBPROTOCOL, "")),
    r"^ws/replay/(?P<slug>[^/]+)/?$": (SOCKET, (SUBPROTOCOL, "")),
    r"^ws/ingest/(?P<slug>[^/]+)/?$": (INGEST, (INGEST_SUBPROTOCOL,)),
}
"""Expected, and the subprotocols that are tried."""
VALUES: dict[str, object] = {
    "version": VERSION, "entity": "AAA", "lap": 1, "stride": 1, "index": 0, "token_id": 999_999,
    "link_id": 999_999, "connection_id": "none", "object_id": "999999", "id": "999999",
    "app_label": "sessions_app", "url": "nowhere", "uidb64": "x",
    "token": "x",
}  # fmt: skip


@cache
def operations() -> dict[str, tuple[str, str]]:
    """operationId → (method, path)."""
    paths = api.get_openapi_schema()["paths"]
    return {
        about["operationId"]: (method, path)
        for path, methods in paths.items()
        for method, about in methods.items()
    }


def walk(patterns: Any, names: str = "", path: str = "") -> Iterator[tuple[str, str]]:
    """(name with its namespaces, address) of every pattern that is not one of the API's."""
    for pattern in patterns:
        part = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            space = f"{names}{pattern.namespace}:" if pattern.namespace else names
            yield from walk(pattern.url_patterns, space, part)
        else:
            assert isinstance(pattern, URLPattern)
            yield (f"{names}{pattern.name or ''}" if names or pattern.name else part), part


DOCUMENTED = ("api-1:openapi-json", "api-1:openapi-view", "api-1:api-root")
ALL_PAGES = [
    (name, path)
    for name, path in walk(get_resolver().url_patterns)
    if not name.startswith("api-1:") or name in DOCUMENTED
]


def row_of(name: str) -> dict[str, str]:
    """What is expected of a page. Raises: KeyError for one that has no row."""
    if name in PAGES:
        return PAGES[name]
    model, _, page = name.removeprefix("admin:").rpartition("_")
    if name.startswith(f"admin:{LIVE_MODEL}_") and page in LIVE_PAGES:
        return LIVE
    if name == "admin:auth_user_password_change":
        return MODEL
    if not name.startswith("admin:") or model not in MODELS or page not in MODEL_PAGES:
        raise KeyError(f"{name}: say in this file who may see it")
    if page == "history":
        # Of what is not there the admin says so to all staff.
        return ADMIN
    if page == "add" and model in NO_ADDING:
        return NOBODY
    if page == "delete" and model in NO_DELETING:
        return NOBODY
    return MODEL


RENDERED_FOR = "superuser"


class RenderOnce(MiddlewareMixin):
    """Who may see a page is decided before it is rendered: it is rendered for one caller only."""

    def process_template_response(
        self, request: HttpRequest, response: SimpleTemplateResponse
    ) -> SimpleTemplateResponse:
        if request.headers["X-Caller"] != RENDERED_FOR:
            response.content = b""
        return response


class Callers:
    """Everybody who asks, made once for all tests."""

    def __init__(self, worker: Worker) -> None:
        now = timezone.now()
        group = Group.objects.create(name="club")
        self.users = {name: User.objects.create_user(name) for name in PEOPLE}
        for name in ("staff", "observer", "superuser"):
            self.users[name].is_staff = True
        self.users["superuser"].is_superuser = True
        for user in self.users.values():
            user.save()
        view = Permission.objects.get(codename="view_liveconnection")
        self.users["observer"].user_permissions.add(view)
        # Made by a migration; whatever emptied the database for another test has taken it away.
        operators.make_operators(apps, None)
        self.users["operator"].groups.add(Group.objects.get(name=operators.NAME))
        self.users["member"].groups.add(group)
        self.tokens = {"bootstrap": "boot", "unknown_token": "replay_00000000_x"}
        boss = self.users["superuser"]
        for scope in Scope:
            self.tokens[f"{scope.value}_token"] = make_token(boss, "t", [scope])[1]
        self.tokens["users_read_token"] = make_token(self.users["user"], "t", [Scope.READ])[1]
        revoked, self.tokens["revoked_token"] = make_token(boss, "t", list(Scope))
        ApiToken.objects.filter(pk=revoked.pk).update(revoked_at=now)
        self.links = {}
        for kind in KINDS:
            session = Session.objects.create(
                slug=kind, title=kind, access=kind, owner=self.users["owner"]
            )
            session.groups.add(group)
            revoked_link, text = make_link(session, now + timedelta(days=1), None)
            ShareLink.objects.filter(pk=revoked_link.pk).update(revoked_at=now)
            self.links["revoked_link", kind] = text
            self.links["link", kind] = make_link(session, now + timedelta(days=1), None)[1]
            self.links["expired_link", kind] = make_link(session, now - timedelta(days=1), None)[1]
        environ: Any = {WORKER: worker}
        self.clients = {name: Client(**environ) for name in CALLERS}
        for name, user in self.users.items():
            self.clients[name].force_login(user)

    def headers(self, caller: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[caller]}"} if caller in TOKENS else {}

    def query(self, caller: str, kind: str) -> str:
        return f"?link={self.links[caller, kind]}" if caller in LINKS else ""

    def ask(self, caller: str, method: str, path: str, body: Any, kind: str) -> str:
        """The letter of the answer."""
        response = self.clients[caller].generic(
            method.upper(),
            path + self.query(caller, kind),
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers={
                **self.headers(caller),
                "Sec-Fetch-Site": "same-origin",
                "X-Caller": caller,
            },
        )
        if response.status_code in (401, 403):
            return str(response.status_code)[-1]
        if response.status_code == 302 and response["Location"].startswith(
            ("/admin/login/", "/login/")
        ):
            return "L"
        assert b"There is no session" not in getattr(response, "content", b"")
        assert response.status_code < 500 or response.status_code == 503
        return "+"


@pytest.fixture(scope="module")
def everybody(django_db_setup: None, django_db_blocker: Any) -> Iterator[Callers]:
    middleware = [*settings.MIDDLEWARE, f"{__name__}.{RenderOnce.__name__}"]
    worker = Worker()
    with (
        django_db_blocker.unblock(),
        override_settings(API_TOKENS=["boot"], METRICS_TOKEN="for metrics", MIDDLEWARE=middleware),
        transaction.atomic(),
    ):
        yield Callers(worker)
        transaction.set_rollback(True)
    async_to_sync(worker.close)()


@pytest.fixture
def callers(everybody: Callers, db: None) -> Iterator[Callers]:
    """Everybody, logged in; what they do is undone after the test."""
    logins = {name: copy(client.cookies) for name, client in everybody.clients.items()}
    yield everybody
    for name, client in everybody.clients.items():
        client.cookies = logins[name]


def filled(path: str, kind: str) -> str:
    """An address with every parameter filled in."""
    path = path.replace("<path:", "<").replace("^", "").replace("$", "")
    # Of a model with a table: a missing one counts as a database that is away.
    content_type = ContentType.objects.get_for_model(Session).pk
    for name, value in {**VALUES, "content_type_id": content_type, "slug": kind}.items():
        for form in (
            f"{{{name}}}",
            f"<{name}>",
            f"<int:{name}>",
            f"<str:{name}>",
            f"<slug:{name}>",
        ):
            path = path.replace(form, str(value))
    if "(?P" in path:
        path = "admin/sessions_app/" if "app_label" in path else "admin/nowhere"
    assert "<" not in path, path
    assert "{" not in path, path
    return path if path.startswith("/") else f"/{path}"


def check(callers: Callers, row: dict[str, str], method: str, path: str, body: Any = None) -> None:
    """Ask as everybody and compare."""
    wrong = {}
    for caller, letters in row.items():
        for kind, letter in zip(KINDS if len(letters) > 1 else KINDS[-1:], letters, strict=True):
            wanted = body
            if caller == "bootstrap" and body is not None and "scopes" in body:
                wanted = {**body, "owner": "user"}
            with transaction.atomic():
                found = callers.ask(caller, method, filled(path, kind), wanted, kind)
                # What one deletes is there for the next.
                transaction.set_rollback(True)
            if found != letter:
                wrong[caller, kind] = f"{found} instead of {letter}"
    assert wrong == {}


@pytest.mark.parametrize("operation", sorted(operations()))
def test_operations(callers: Callers, operation: str) -> None:
    assert operation in OPERATIONS, "say in this file who may do it"
    row, body = OPERATIONS[operation]
    method, path = operations()[operation]
    if row is NAMED:
        Session.objects.create(slug="2024_1_R", title="Named", access="private")
    check(callers, row, method, path, body)


@pytest.mark.parametrize(("name", "path"), [p for p in ALL_PAGES if "admin:" not in p[0]])
def test_pages(callers: Callers, name: str, path: str) -> None:
    check(callers, row_of(name), "get", path)


def model_of(name: str) -> str:
    return next((m for m in (*MODELS, LIVE_MODEL) if f":{m}_" in name), "site")


ADMIN_PAGES = [page for page in ALL_PAGES if "admin:" in page[0]]


@pytest.mark.parametrize("model", sorted({model_of(name) for name, _ in ADMIN_PAGES}))
def test_admin_pages(callers: Callers, model: str) -> None:
    pages = [(n, p) for n, p in ADMIN_PAGES if model_of(n) == model and n != "admin:logout"]
    # Last, because it ends the logins.
    pages += [(n, p) for n, p in ADMIN_PAGES if model == "site" and n == "admin:logout"]
    for name, path in pages:
        row = row_of(name)
        if name == "admin:":
            # What redirects to the page with a slash, and what catches the rest.
            path = "admin/nowhere"
            if model != "site":
                row = ADMIN
        check(callers, row, "get", path)


@pytest.mark.parametrize("pattern", SOCKETS)
def test_sockets(callers: Callers, pattern: str) -> None:
    # From here the database is asked in this thread, which has everybody in its transaction.
    assert async_to_sync(wrong_answers)(callers, pattern) == {}


async def wrong_answers(callers: Callers, pattern: str) -> dict[tuple[str, str, bool], str]:
    worker = Worker()
    service = WithWorker(SessionMiddlewareStack(URLRouter(websocket_urlpatterns)), worker)
    wrong = {}
    expected, subprotocols = SOCKETS[pattern]
    for caller, letters in expected.items():
        for kind, letter in zip(KINDS, letters, strict=True):
            for name in subprotocols:
                offered = [name] if name else []
                path = "/" + pattern.strip("^$").replace("(?P<slug>[^/]+)/?", f"{kind}/")
                found = await knock(callers, service, caller, path, kind, offered)
                if found != letter:
                    wrong[caller, kind, bool(offered)] = f"{found} instead of {letter}"
    await worker.close()
    return wrong


async def knock(
    callers: Callers, service: Any, caller: str, path: str, kind: str, offered: list[str]
) -> str:
    """The letter of a socket's answer to `hello`."""
    headers = [(b"host", b"testserver")]
    headers += [(k.lower().encode(), v.encode()) for k, v in callers.headers(caller).items()]
    if caller in PEOPLE:
        cookie = callers.clients[caller].cookies["sessionid"].value
        headers.append((b"cookie", f"sessionid={cookie}".encode()))
    address = path + callers.query(caller, kind)
    client = WebsocketCommunicator(service, address, headers=headers, subprotocols=offered)
    assert (await client.connect(60))[0]
    if offered:
        action = "start" if offered == [INGEST_SUBPROTOCOL] else "hello"
        await client.send_json_to({"action": action})
    while True:
        message = await client.receive_output(60)
        if message["type"] == "websocket.close":
            assert message["code"] in (4401, 4403)
            await client.disconnect()
            return str(message["code"])[-1]
        if json.loads(message["text"])["type"] not in ("bye", "loading_error"):
            await client.disconnect()
            return "+"


def test_every_socket_is_walked() -> None:
    found = {p.pattern.regex.pattern for p in websocket_urlpatterns if p.callback != no_such_path}
    assert found == set(SOCKETS)


def test_every_model_of_the_admin_is_walked() -> None:
    registered = {f"{m._meta.app_label}_{m._meta.model_name}" for m in admin.site._registry}
    assert registered == {*MODELS, LIVE_MODEL}


def test_how_many_cells(capsys: pytest.CaptureFixture[str]) -> None:
    rest = sum(len(v) for row, _ in OPERATIONS.values() for v in row.values())
    pages = sum(len(v) for name, _ in ALL_PAGES for v in row_of(name).values())
    sockets = sum(
        len(names) * len(letters) for row, names in SOCKETS.values() for letters in row.values()
    )
    with capsys.disabled():
        print(f"\naccess table: {rest} REST + {pages} pages + {sockets} sockets", end=" ")
        print(f"= {rest + pages + sockets} cells, {len(CALLERS)} callers")
    assert set(OPERATIONS) == set(operations())
    assert min(rest, pages, sockets) > 0


def test_a_page_without_a_row_fails() -> None:
    with pytest.raises(KeyError):
        row_of("streaming:something_new")
    with pytest.raises(KeyError):
        row_of("admin:sessions_app_somethingnew_changelist")


@pytest.mark.django_db
@pytest.mark.parametrize("caller", ["anonymous", *PEOPLE])
def test_a_list_has_what_the_rule_says(callers: Callers, caller: str) -> None:
    """The rule as a query and the rule for one session agree."""
    from sessions_app.visitors import visitor_of_user

    user = callers.users.get(caller)
    visitor = Visitor() if user is None else visitor_of_user(User.objects.get(pk=user.pk))
    group = frozenset(Group.objects.filter(name="club").values_list("pk", flat=True))
    owner = callers.users["owner"].pk
    allowed = {
        kind
        for kind in KINDS
        if decide(visitor, Action.LIST, SessionFacts(kind, kind, owner, group)).allowed
    }
    found = Session.objects.filter(listed(listing(visitor))).values_list("slug", flat=True)
    assert set(found) == allowed
