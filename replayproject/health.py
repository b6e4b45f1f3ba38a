"""Is the process alive, and may it be sent viewers?

`/readyz` answers 503 where a start would be refused: without the database, and without Redis where
there is more than one worker (`REDIS_NEEDED`), for then rooms are split and who comes back to
another worker has lost its place. A single worker serves its viewers without Redis: 200, degraded.
Either way the answer says in words what is missing. Viewers who are connected go on watching.
"""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from streaming.redaction import redacted
from streaming.worker import worker_of

REDIS_SECONDS = 0.5
"""How long the answer of a Redis is waited for: one that is slower helps no viewer."""


async def livez(_request: HttpRequest) -> JsonResponse:
    """200 as long as the event loop answers."""
    return JsonResponse({"status": "alive"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if viewers can be served, else 503; `missing` says what is away and what that costs."""
    if worker_of(request).draining:
        return _answer("draining", ["this process is ending"], 503)
    fatal: list[str] = []
    bearable: list[str] = []
    if problem := _database_problem():
        fatal.append(f"database: {problem}. Sessions cannot be looked up")
    if problem := _redis_problem():
        (fatal if settings.REDIS_NEEDED else bearable).append(
            f"Redis: {problem}. Rooms, places of viewers who come back, and statistics are this "
            "worker's only"
        )
    if fatal:
        return _answer("not ready", fatal + bearable, 503)
    return _answer("degraded", bearable, 200) if bearable else _answer("ready", [], 200)


def _answer(status: str, missing: list[str], code: int) -> JsonResponse:
    body = {"status": status, **({"missing": missing} if missing else {})}
    response = JsonResponse(body, status=code)
    response["Cache-Control"] = "no-store"
    return response


def _database_problem() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return redacted(" ".join(str(error).split())).rstrip(".")
    return ""


def _redis_problem() -> str:
    if not settings.REDIS_URL:
        return ""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=REDIS_SECONDS,
            socket_timeout=REDIS_SECONDS,
            retry=None,
        ) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return redacted(" ".join(str(error).split())).rstrip(".")
    return ""
