"""Logging in at an OpenID Connect provider: a conversation with a small one on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from replayproject.oidc_rights import rights_of

from .conftest import RunningServer
from .oidc_provider import CLIENT, SECRET, Provider, provider
from .test_settings import load_settings

pytest.importorskip("allauth", reason="the extra oidc is not installed")


@pytest.fixture
def example() -> Iterator[Provider]:
    with provider() as running:
        yield running


def log_in(server: RunningServer, path: str = "/") -> tuple[httpx.Client, httpx.Response]:
    """A new browser goes through the login. Returns: it, and the page that it ends on."""
    client = httpx.Client(base_url=server.url, follow_redirects=True, timeout=60)
    return client, client.get("/login/oidc/", params={"next": path})


def rights(client: httpx.Client) -> tuple[bool, bool]:
    """Whether staff, whether operator."""
    index = client.get("/admin/", follow_redirects=False)
    seen = client.get("/api/connections").status_code == 200
    return index.status_code == 200 and not seen, seen


@pytest.mark.server
def test_a_login_at_the_provider(
    example: Provider, start_server: Callable[..., RunningServer]
) -> None:
    server = start_server(
        OIDC_ISSUER=example.url,
        OIDC_CLIENT_ID=CLIENT,
        OIDC_CLIENT_SECRET=SECRET,
        OIDC_NAME="Example",
        OIDC_STAFF="replay-staff",
        OIDC_OPERATORS="replay-operators",
        METRICS_TOKEN="metrics",
    )
    # Offered on the log-in page, with the way back.
    page = httpx.get(f"{server.url}/login/?next=/sessions/x/").text
    assert "Log in with Example" in page
    assert "/login/oidc/?next=%2Fsessions%2Fx%2F" in page

    # The first login makes a user without rights; a local user's mail address is not taken over.
    server.shell(
        "from django.contrib.auth.models import User; "
        "User.objects.create_user('anna', 'anna@example.org', 'x')"
    )
    example.claims = {
        "preferred_username": "anna", "email": "anna@example.org", "email_verified": True,
    }  # fmt: skip
    client, answer = log_in(server, "/?q=race")
    assert (answer.status_code, str(answer.url)) == (200, f"{server.url}/?q=race")
    assert "Log out" in answer.text
    assert example.asked["code_challenge_method"] == "S256"
    assert set(example.asked["scope"].split()) == {"openid", "profile", "email"}
    assert rights(client) == (False, False)

    # A claim gives rights to the same user, and takes them away again.
    for groups, found in (
        (["replay-operators"], (False, True)),
        (["replay-staff"], (True, False)),
        ([], (False, False)),
    ):
        example.claims["groups"] = groups
        client, _ = log_in(server)
        assert rights(client) == found, groups

    # What is not right is refused on a page of ours, and nobody is logged in.
    def refused(status: int, text: str) -> None:
        stranger, answer = log_in(server)
        assert (answer.status_code, text in answer.text) == (status, True), answer.text
        assert "Log out" not in stranger.get("/").text

    example.signs_with_known_key = False
    refused(401, "Example did not log you in")
    example.signs_with_known_key = True
    example.userinfo_subject = "s-2"
    refused(401, "Example did not log you in")
    example.userinfo_subject = ""
    forged = client.get("/login/oidc/callback/?code=x&state=forged")
    assert forged.status_code == 401
    assert client.get("/login/oidc/?process=connect").status_code == 404
    assert client.get("/login/elsewhere/").status_code == 404
    locked_out = server.shell(
        "from django.contrib.auth.models import User; "
        "print(User.objects.filter(email='anna@example.org').update(is_active=False))"
    )
    assert locked_out.split()[-1] == "2", "one here, one at the provider, however often"
    refused(403, "This user may not log in here")


@pytest.mark.server
def test_a_provider_that_is_away_is_said(start_server: Callable[..., RunningServer]) -> None:
    with provider() as gone:
        address = gone.url
    server = start_server(OIDC_ISSUER=address, OIDC_CLIENT_ID=CLIENT, OIDC_CLIENT_SECRET=SECRET)
    _, answer = log_in(server)
    assert answer.status_code == 503
    assert "cannot be reached" in answer.text


@pytest.mark.parametrize(
    ("claims", "staff", "operator"),
    [
        ({}, False, False),
        ({"groups": "staff"}, True, False),
        ({"groups": ["staff", "ops"]}, True, True),
        ({"groups": {"staff": True}}, False, False),
        ({"groups": None}, False, False),
        ({"groups": ["STAFF"]}, False, False),
    ],
)
def test_a_claim_says_who_is_what(claims: dict[str, Any], staff: bool, operator: bool) -> None:
    assert rights_of(claims, "groups", "staff", "ops") == (staff, operator)
    assert rights_of({"realm": claims}, "realm.groups", "staff", "ops") == (staff, operator)
    assert rights_of(claims, "groups", "", "") == (None, None)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OIDC_ISSUER": "id.example"}, "OIDC_ISSUER=id.example: expected https://"),
        ({"OIDC_ISSUER": "http://id.example"}, "OIDC_ISSUER=http://id.example: expected https://"),
        ({"OIDC_ISSUER": "https://id.example"}, "OIDC_ISSUER: expected OIDC_CLIENT_ID and"),
        ({"OIDC_CLIENT_ID": "replay"}, "OIDC_CLIENT_ID: expected OIDC_ISSUER with it"),
    ],
)
def test_half_a_configuration_stops_the_start(
    tmp_path: Any, environ: dict[str, str], said: str
) -> None:
    done = load_settings(tmp_path, **environ)
    assert done.returncode != 0
    assert said in done.stderr
