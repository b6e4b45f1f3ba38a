"""API tokens and share links: made, used, expired and revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from sessions_app.access import Action, Scope, SessionFacts, Visitor, decide
from sessions_app.credentials import MAX_AGE_SECONDS, Credentials, make_link, make_token
from sessions_app.models import ApiToken, Session, ShareLink
from sessions_app.visitors import UnknownToken
from streaming.connections.rights import RightsReview
from streaming.playback.protocol import CloseCode

pytestmark = pytest.mark.django_db

SLUG = "race"
WEEK = timedelta(days=7)


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def owner() -> Any:
    return get_user_model().objects.create_user("owner")


@pytest.fixture
def race(owner: Any) -> Session:
    return Session.objects.create(slug=SLUG, title="Race", access="private", owner=owner)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


class TestTokens:
    def test_it_acts_as_its_owner_within_its_scopes(self, client: Client, race: Session) -> None:
        _, text = make_token(race.owner, "t", [Scope.READ])
        assert client.get(f"/api/sessions/{SLUG}", headers=bearer(text)).status_code == 200
        links = client.get(f"/api/sessions/{SLUG}/links", headers=bearer(text))
        assert links.status_code == 403
        assert "import" in links.json()["message"]

    def test_only_its_hash_is_kept(self, owner: Any) -> None:
        token, text = make_token(owner, "t", [Scope.READ])
        assert text.split("_")[1] == token.prefix
        assert all(text.split("_", 2)[2] not in str(value) for value in vars(token).values())

    def test_a_revocation_counts_within_two_seconds(self, owner: Any, clock: Clock) -> None:
        credentials = Credentials(clock)
        token, text = make_token(owner, "t", [Scope.READ])
        assert credentials.program_now(text).token == token.pk
        ApiToken.objects.update(revoked_at=timezone.now())
        clock.now += MAX_AGE_SECONDS
        with pytest.raises(UnknownToken):
            credentials.program_now(text)

    def test_what_was_looked_up_costs_no_query(
        self, owner: Any, clock: Clock, django_assert_num_queries: Any
    ) -> None:
        credentials = Credentials(clock)
        _, text = make_token(owner, "t", [Scope.READ])
        credentials.program_now(text)
        with django_assert_num_queries(0):
            credentials.program_now(text)

    def test_guessing_costs_no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sessions_app.credentials.MAX_REMEMBERED", 3)
        credentials = Credentials()
        for number in range(10):
            with pytest.raises(UnknownToken):
                credentials.program_now(f"guess{number}")
        assert len(credentials._known) == 3

    @pytest.mark.parametrize("gone", ["expired", "locked out", "changed"])
    def test_it_is_unknown(self, owner: Any, gone: str) -> None:
        _, text = make_token(owner, "t", [Scope.READ])
        if gone == "expired":
            ApiToken.objects.update(expires_at=timezone.now())
        elif gone == "locked out":
            get_user_model().objects.update(is_active=False)
        else:
            text = text[:-1] + ("A" if text[-1] != "A" else "B")
        with pytest.raises(UnknownToken):
            Credentials().program_now(text)

    def test_its_last_use_is_written_once_a_minute(self, owner: Any) -> None:
        _, text = make_token(owner, "t", [Scope.READ])
        Credentials().program_now(text)
        first = ApiToken.objects.get().last_used_at
        assert first is not None
        Credentials().program_now(text)
        assert ApiToken.objects.get().last_used_at == first
        ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
        Credentials().program_now(text)
        assert ApiToken.objects.get().last_used_at >= first  # type: ignore[operator]

    def test_over_rest(self, client: Client, owner: Any) -> None:
        client.force_login(owner)
        wanted = {"name": "reader", "scopes": ["read"]}
        made = client.post("/api/tokens", wanted, content_type="application/json")
        assert made.status_code == 201, made.content
        assert made["Cache-Control"] == "private, no-store"
        body = made.json()
        assert Credentials().program_now(body.pop("token")).name == "owner"
        [listed] = client.get("/api/tokens").json()["tokens"]
        assert listed == {**body, "last_used": listed["last_used"]}
        assert client.delete(f"/api/tokens/{body['id']}").status_code == 204
        assert client.get("/api/tokens").json()["tokens"][0]["revoked"] is not None
        assert client.delete("/api/tokens/999").status_code == 404

    def test_scopes_that_the_owner_could_not_use_are_refused(
        self, client: Client, owner: Any
    ) -> None:
        client.force_login(owner)
        wanted = {"name": "t", "scopes": ["import"]}
        made = client.post("/api/tokens", wanted, content_type="application/json")
        assert made.status_code == 403

    def test_the_first_one_is_made_with_the_setting(
        self, client: Client, owner: Any, settings: Any
    ) -> None:
        settings.API_TOKENS = ["boot"]
        wanted = {"name": "t", "scopes": ["read"]}
        for extra, status in (({}, 422), ({"owner": "nobody"}, 422), ({"owner": "owner"}, 201)):
            made = client.post(
                "/api/tokens",
                {**wanted, **extra},
                content_type="application/json",
                headers=bearer("boot"),
            )
            assert made.status_code == status

    def test_the_admin_shows_it_once(self, client: Client) -> None:
        boss = get_user_model().objects.create_superuser("boss")
        client.force_login(boss)
        form = {"name": "t", "owner": boss.pk, "scopes": ["read", "import"]}
        page = client.post("/admin/sessions_app/apitoken/add/", form, follow=True)
        text = page.content.decode().split("not shown again: ")[1].split("<")[0].strip()
        assert Credentials().program_now(text).scopes == {Scope.READ, Scope.IMPORT}  # type: ignore[comparison-overlap]
        assert text not in client.get("/admin/sessions_app/apitoken/").content.decode()
        chosen = {"action": "revoke", "_selected_action": ApiToken.objects.get().pk}
        client.post("/admin/sessions_app/apitoken/", chosen)
        assert ApiToken.objects.get().revoked_at is not None


class TestLinks:
    def test_over_rest(self, client: Client, race: Session) -> None:
        path = f"/api/sessions/{SLUG}/links"
        owner = Client()
        owner.force_login(race.owner)  # type: ignore[arg-type]
        made = client_post(client, owner, path)
        link = made.pop("link")
        assert made["url"] == f"http://testserver/sessions/{SLUG}/?link={link}"
        answers = [
            client.get(f"/api/sessions/{SLUG}?link={text}").status_code
            for text in ("", link, link[:-1], "x.1.y")
        ]
        assert answers == [401, 200, 403, 403]
        assert owner_get(client, owner, path)[0]["last_used"] is not None
        request(client, owner, "delete", f"{path}/{made['id']}")
        assert owner_get(client, owner, path)[0]["revoked"] is not None

    def test_the_page_takes_it_out_of_the_address(self, client: Client, race: Session) -> None:
        _, link = make_link(race, timezone.now() + WEEK, None)
        page = client.get(f"/sessions/{SLUG}/?t=3&link={link}")
        assert (page.status_code, page["Location"]) == (302, f"/sessions/{SLUG}/?t=3")
        paths = {cookie["path"]: cookie for cookie in page.cookies.values()}
        assert set(paths) == {
            f"/sessions/{SLUG}/", f"/api/sessions/{SLUG}", f"/ws/sessions/{SLUG}",
        }  # fmt: skip
        assert all(c["httponly"] and c["samesite"] == "Lax" for c in paths.values())
        assert client.get(page["Location"]).status_code == 200
        assert client.get(f"/api/sessions/{SLUG}").status_code == 200

    def test_a_page_says_why_a_link_does_not_count(self, client: Client, race: Session) -> None:
        _, link = make_link(race, timezone.now() + WEEK, None)
        ShareLink.objects.update(revoked_at=timezone.now())
        page = client.get(f"/sessions/{SLUG}/?link={link}")
        assert page.status_code == 403
        assert "This link was revoked" in page.content.decode()

    def test_it_opens_one_session_and_only_to_watch(self, race: Session) -> None:
        row, link = make_link(race, timezone.now() + WEEK, None)
        visitor = Credentials().with_link_now(Visitor(), link)
        assert (visitor.link, visitor.linked) == (row.pk, SLUG)
        assert decide(visitor, Action.WATCH, race.facts()).allowed
        assert decide(visitor, Action.EDIT, race.facts()).status == 401
        assert decide(visitor, Action.WATCH, SessionFacts("other", "private")).status == 401

    def test_it_expires(self, race: Session) -> None:
        _, link = make_link(race, timezone.now() - WEEK, None)
        problem = Credentials().with_link_now(Visitor(), link).link_problem
        assert problem == "this link has expired"

    @pytest.mark.parametrize("days", [-1, 400])
    def test_when_it_may_expire(self, client: Client, race: Session, days: int) -> None:
        client.force_login(race.owner)  # type: ignore[arg-type]
        wanted = {"expires": (timezone.now() + timedelta(days=days)).isoformat()}
        path = f"/api/sessions/{SLUG}/links"
        assert client.post(path, wanted, content_type="application/json").status_code == 422


def request(client: Client, who: Client, method: str, path: str, body: Any = None) -> Any:
    """As `who` is logged in, by the client that has a worker."""
    worker: Any = {k: v for k, v in client.defaults.items() if k.startswith("replay.")}
    return getattr(who, method)(path, body, content_type="application/json", **worker)


def client_post(client: Client, who: Client, path: str) -> Any:
    answer = request(client, who, "post", path, {"scope": "watch"})
    assert answer.status_code == 201, answer.content
    return answer.json()


def owner_get(client: Client, who: Client, path: str) -> Any:
    worker: Any = {k: v for k, v in client.defaults.items() if k.startswith("replay.")}
    return who.get(path, **worker).json()["links"]


class Open:
    """An open connection, as far as its rights are concerned."""

    slug, version, action = SLUG, None, Action.WATCH

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.ended: tuple[CloseCode, str] | None = None

    def revoke(self, code: CloseCode, reason: str) -> None:
        self.ended = (code, reason)

    def replaced(self) -> None:
        raise AssertionError("nothing was imported again")


@pytest.mark.django_db(transaction=True)
async def test_what_a_revoked_token_or_link_opened_ends(race: Session) -> None:
    link, link_text = await _made(make_link, race, timezone.now() + WEEK, None)
    _, token_text = await _made(make_token, race.owner, "t", [Scope.READ])
    credentials = Credentials()
    by_link = Open(await credentials.with_link(Visitor(), link_text))
    by_token = Open(await credentials.program(token_text))
    review = RightsReview([by_link, by_token])
    await review.review()
    assert by_link.ended is by_token.ended is None
    await ShareLink.objects.filter(pk=link.pk).aupdate(revoked_at=timezone.now())
    await ApiToken.objects.aupdate(revoked_at=timezone.now())
    await review.review()
    assert by_link.ended == (CloseCode.FORBIDDEN, "this link was revoked")
    assert by_token.ended == (CloseCode.UNAUTHENTICATED, "this token was revoked or has expired")


async def _made(make: Any, *arguments: Any) -> Any:
    from asgiref.sync import sync_to_async

    return await sync_to_async(make)(*arguments)
