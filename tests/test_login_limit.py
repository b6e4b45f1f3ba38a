"""Guessing of passwords is slowed, also of guesses that come at once; logging in is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory

from replayproject.login_limit import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_NAME,
    WINDOW_SECONDS,
    limit_logins,
)

LOGIN = "/admin/login/"


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> Iterator[None]:
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    cache.clear()


def guess(name: str, password: str = "wrong", address: str = "192.0.2.1") -> Any:
    data = {"username": name, "password": password}
    return Client().post(LOGIN, data, REMOTE_ADDR=address)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("operator", password="right")


def test_the_sixth_guess_in_a_minute_is_429(operator: User) -> None:
    for _ in range(FAILURES_PER_NAME):
        assert guess("operator").status_code == 200
    refused = guess("operator", "right")
    assert refused.status_code == 429
    assert refused["Retry-After"] == str(WINDOW_SECONDS)
    assert b"Too many failed logins" in refused.content


def test_others_may_still_log_in(operator: User) -> None:
    for _ in range(FAILURES_PER_NAME + 1):
        guess("operator")
    assert guess("operator", "right", address="192.0.2.2").status_code == 302
    assert guess("somebody").status_code == 200


def post(check: Callable[[str], bool], name: str) -> int:
    """The status of an attempt, with a password check of the test's own."""

    def view(request: Any) -> HttpResponse:
        right = check(request.POST["username"])
        request.user = SimpleNamespace(is_authenticated=right)
        return HttpResponse()

    return limit_logins(view)(RequestFactory().post(LOGIN, {"username": name})).status_code


def test_names_are_not_to_be_had_by_the_dozen() -> None:
    statuses = [post(lambda _: False, f"name{i}") for i in range(FAILURES_PER_ADDRESS + 1)]
    assert statuses == [200] * FAILURES_PER_ADDRESS + [429]


def test_who_logs_in_is_not_counted() -> None:
    assert {post(lambda _: True, "operator") for _ in range(FAILURES_PER_ADDRESS + 5)} == {200}


def test_guesses_that_come_at_once_are_counted_too() -> None:
    """Each is checked for as long as it takes the last one to arrive."""
    count = FAILURES_PER_NAME * 3
    arrived = threading.Barrier(FAILURES_PER_NAME)

    def slow_check(_name: str) -> bool:
        arrived.wait(30)
        return False

    with ThreadPoolExecutor(count) as pool:
        statuses = sorted(pool.map(lambda _: post(slow_check, "operator"), range(count)))
    assert statuses == [200] * FAILURES_PER_NAME + [429] * (count - FAILURES_PER_NAME)


def test_without_its_cache_the_operator_gets_in(
    operator: User, settings: Any, tmp_path: Path
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"unix://{tmp_path}/nobody-listens",
        }
    }
    assert guess("operator", "right").status_code == 302
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
