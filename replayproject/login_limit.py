"""Guessing of passwords, slowed: so many failed logins a minute, then 429.

An attempt is counted before its password is checked, and taken back if it was right. Counting
failures afterwards, as ready-made packages do, lets through whatever was sent at once: a check
takes a third of a second, and all that arrive meanwhile find the count still low.

The counts are in Django's cache, which the workers share where there is Redis.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from redis.exceptions import RedisError

from sessions_app.api.errors import REFUSED_BY

logger = logging.getLogger("replayproject.login")

WINDOW_SECONDS = 60

FAILURES_PER_NAME = 5
"""A minute, of one user name from one address. Not of a name from everywhere: anybody could then
lock the operator out."""

FAILURES_PER_ADDRESS = 20
"""A minute, of one address whatever the names: every check costs CPU, also of names that are not
there. Four people behind one address may mistype five times each."""

LIMIT = "failed_logins"
"""Its name in `/metrics` and on the admin's page of workers."""

View = Callable[..., HttpResponseBase]


def limit_logins(view: View) -> View:
    """A login view that answers 429 with `Retry-After` when there were too many failures."""

    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        address = request.META.get("REMOTE_ADDR", "")
        limits = {
            _key(address, request.POST.get("username", "")): FAILURES_PER_NAME,
            _key(address): FAILURES_PER_ADDRESS,
        }
        if not _count(limits):
            logger.warning("too many failed logins from %s", address)
            refusal = HttpResponse(
                "Too many failed logins. Try again in a minute.\n",
                status=429,
                headers={"Retry-After": str(WINDOW_SECONDS)},
                content_type="text/plain; charset=utf-8",
            )
            setattr(refusal, REFUSED_BY, LIMIT)
            return refusal
        response = view(request, *args, **kwargs)
        if request.user.is_authenticated:
            _take_back(limits)
        return response

    return limited


def _key(*parts: str) -> str:
    """A cache key of any text."""
    return "login:" + hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _count(limits: dict[str, int]) -> bool:
    """Count an attempt. Returns: whether it is within all limits."""
    try:
        within = True
        for key, most in limits.items():
            cache.add(key, 0, WINDOW_SECONDS)
            try:
                within &= cache.incr(key) <= most
            except ValueError:
                # Its minute ended just now.
                cache.add(key, 1, WINDOW_SECONDS)
        return within
    except RedisError as error:
        # The operator must get in just then; passwords are still checked.
        logger.warning("failed logins are not counted: %s", type(error).__name__)
        return True


def _take_back(limits: dict[str, int]) -> None:
    """The attempt was none at guessing."""
    name, address = limits
    try:
        cache.delete(name)
        cache.decr(address)
    except (RedisError, ValueError):
        # Then the count ends with its minute.
        return
