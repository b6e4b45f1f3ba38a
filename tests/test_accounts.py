"""Logging in and out over the pages, and a forgotten password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.test import Client

from replayproject.login_limit import FAILURES_PER_NAME

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> Iterator[None]:
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_URL = "smtp://mail.example"
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", "anna@example.org", "right")


def log_in(client: Client, password: str = "right", **data: str) -> Any:
    return client.post("/login/", {"username": "anna", "password": password, **data})


def test_a_login_has_a_new_session_key_and_leads_back(anna: User, client: Client) -> None:
    session = client.session
    session["before"] = 1
    session.save()
    before = session.session_key
    answer = log_in(client, next="/sessions/race/")
    assert answer["Location"] == "/sessions/race/"
    assert client.session.session_key not in (None, before)
    assert b"Log out" in client.get("/").content
    assert client.post("/logout/")["Location"] == "/"
    assert b"Log in" in client.get("/").content


def test_it_leads_to_no_other_site(anna: User, client: Client) -> None:
    assert log_in(client, next="https://elsewhere.example/")["Location"] == "/"


def test_guesses_are_limited_here_too(anna: User) -> None:
    statuses = [log_in(Client(), "wrong").status_code for _ in range(FAILURES_PER_NAME + 1)]
    assert statuses == [200] * FAILURES_PER_NAME + [429]


def test_a_password_is_reset_once_by_mail(anna: User, client: Client) -> None:
    log_in(logged_in := Client())
    assert b"Forgot the password?" in client.get("/login/").content
    answer = client.post("/password/", {"email": "anna@example.org"}, follow=True)
    assert b"Look at your mail" in answer.content
    [letter] = mail.outbox
    [link] = re.findall(r"https?://testserver(/password/\S+)", str(letter.body))
    form = client.get(link, follow=True)
    new = {"new_password1": "a quite new one 7", "new_password2": "a quite new one 7"}
    answer = client.post(form.redirect_chain[-1][0], new, follow=True)
    assert b"The password is changed" in answer.content
    assert log_in(Client(), "a quite new one 7").status_code == 302
    assert b"Log in" in logged_in.get("/").content, "an old login must end"
    assert b"was used already" in Client().get(link).content


def test_it_is_not_told_which_addresses_are_known(client: Client) -> None:
    answer = client.post("/password/", {"email": "nobody@example.org"}, follow=True)
    assert b"Look at your mail" in answer.content
    assert mail.outbox == []


def test_without_mail_there_is_no_reset(client: Client, settings: Any) -> None:
    settings.EMAIL_URL = ""
    assert client.get("/password/").status_code == 404
    assert b"Forgot the password?" not in client.get("/login/").content
