"""Is everything as the service needs it? What `manage.py doctor` looks at, one function each.

A check says what it found and, where that is not right, what to do, in one sentence. It changes
nothing, and none waits for more than some seconds.
"""

from __future__ import annotations

import enum
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import redis
from django import get_version
from django.conf import settings
from django.core.mail import get_connection
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from sessions_app.models import Session
from streaming.redaction import redacted

from .backing import find_server

ANSWER_SECONDS = 5.0
PYTHONS = ((3, 11), (3, 13))
POSTGRES = 14
"""The oldest that Django 5.2 knows."""
REDIS = 6
"""The oldest that speaks RESP3, as our client does; Valkey calls itself 7.2."""
DISK_LOW, DISK_FULL = 5_000_000_000, 500_000_000
"""Bytes: a race as it is imported takes some 300 MB, its recording 10."""
CLOCK_SECONDS = 1.0
"""Links, tokens and logins end by the clock; workers' figures are shown by it."""


class Level(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """level; about: what was looked at; found: how it is; to_do: a sentence, "" if nothing."""

    level: Level
    about: str
    found: str
    to_do: str = ""


Check = Callable[[], Iterator[Finding]]


def checks() -> Sequence[Check]:
    """All checks, in the order in which they are shown."""
    return (python, folders, disk, database, cache, clock, limits, network, mail, oidc, recordings)


def run(all_of_them: Sequence[Check]) -> Iterator[Finding]:
    """The findings of all checks. One that fails itself is a problem, and does not end the rest."""
    for check in all_of_them:
        try:
            yield from check()
        except Exception as error:
            said = redacted(" ".join(str(error).split()))
            yield Finding(
                Level.PROBLEM,
                check.__name__,
                f"could not be looked at ({type(error).__name__}: {said})",
                "Mend what is named above first.",
            )


def python() -> Iterator[Finding]:
    """The interpreter and Django."""
    version = sys.version_info[:2]
    found = f"Python {version[0]}.{version[1]}, Django {get_version()}"
    if PYTHONS[0] <= version <= PYTHONS[1]:
        yield Finding(Level.OK, "versions", found)
    else:
        yield Finding(
            Level.WARNING, "versions", found, "Use Python 3.11 to 3.13, which are tested."
        )


def folders() -> Iterator[Finding]:
    """Whether the data folder can be written by us and read by nobody else."""
    data: Path = settings.DATA_DIR
    for folder in (data, settings.RECORDINGS_DIR):
        if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield Finding(
                Level.PROBLEM,
                "data folder",
                f"{folder} cannot be written by user {os.getuid()}",
                f"Give it to the service's user: chown -R {os.getuid()} {folder}",
            )
            return
    for path in (data / "secret_key", data / "db.sqlite3"):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(
                Level.PROBLEM,
                "data folder",
                f"{path} can be read by others",
                f"Take it from them: chmod 600 {path}",
            )
            return
    yield Finding(Level.OK, "data folder", f"{data} is ours")


def disk() -> Iterator[Finding]:
    """Room for recordings."""
    free = shutil.disk_usage(settings.DATA_DIR).free
    found = f"{free / 1e9:.1f} GB free"
    if free < DISK_FULL:
        yield Finding(
            Level.PROBLEM, "disk", found, "Delete sessions or add space: imports will fail."
        )
    elif free < DISK_LOW:
        yield Finding(Level.WARNING, "disk", found, "Delete sessions or add space soon.")
    else:
        yield Finding(Level.OK, "disk", found)


def database() -> Iterator[Finding]:
    """Whether it answers, is new enough, and has our tables."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        said = redacted(" ".join(str(error).split()))
        yield Finding(
            Level.PROBLEM,
            "database",
            f"does not answer: {said}",
            "Start it, or correct DATABASE_URL.",
        )
        return
    version = ".".join(map(str, connection.get_database_version()))
    found = f"{connection.display_name} {version}"
    if connection.vendor == "postgresql" and connection.get_database_version()[0] < POSTGRES:
        yield Finding(Level.PROBLEM, "database", found, f"Use PostgreSQL {POSTGRES} or newer.")
        return
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Finding(
            Level.PROBLEM,
            "database",
            f"{found}, {len(missing)} migrations not applied",
            "Start the service once, or run: manage.py migrate",
        )
    else:
        yield Finding(Level.OK, "database", found)


def cache() -> Iterator[Finding]:
    """Redis or Valkey, where one is named or needed."""
    if not settings.REDIS_URL:
        binary = find_server()
        if binary is not None:
            yield Finding(Level.OK, "Redis", f"none named; serve starts {binary}")
        elif settings.WORKERS > 1:
            yield Finding(
                Level.PROBLEM,
                "Redis",
                f"none, and WORKERS={settings.WORKERS}",
                "Install Valkey or set REDIS_URL: several workers need one.",
            )
        else:
            yield Finding(Level.OK, "Redis", "none, and one worker needs none")
        return
    try:
        with _redis() as client:
            about = {**client.info("server"), **client.info("memory")}
    except (redis.RedisError, OSError) as error:
        said = redacted(" ".join(str(error).split()))
        yield Finding(
            Level.PROBLEM, "Redis", f"does not answer: {said}", "Start it, or correct REDIS_URL."
        )
        return
    version = str(about["redis_version"])
    if int(version.split(".")[0]) < REDIS:
        yield Finding(Level.PROBLEM, "Redis", version, f"Use Redis {REDIS} or newer, or Valkey.")
    elif about.get("maxmemory") and about.get("maxmemory_policy") == "noeviction":
        yield Finding(
            Level.WARNING,
            "Redis",
            f"{version}, which refuses to write when its memory is full",
            "Set maxmemory-policy to volatile-lru: everything of ours may be forgotten.",
        )
    else:
        yield Finding(Level.OK, "Redis", version)


def clock() -> Iterator[Finding]:
    """Ours beside the other machines', and beside the time of what was written last."""
    ours = time.time()
    others: dict[str, float] = {}
    if settings.REDIS_URL:
        with _redis() as client:
            seconds, micros = client.time()
            others["Redis"] = seconds + micros / 1e6
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            others["the database"] = float(cursor.fetchone()[0])
    key = settings.DATA_DIR / "secret_key"
    if key.exists() and key.stat().st_mtime > ours + CLOCK_SECONDS:
        others[str(key)] = key.stat().st_mtime
    yield from compared(ours, others)


def compared(ours: float, others: dict[str, float]) -> Iterator[Finding]:
    """Clocks. others: name → Unix seconds, read right after ours."""
    for name, theirs in others.items():
        if abs(theirs - ours) > CLOCK_SECONDS:
            direction = "behind" if theirs > ours else "ahead of"
            yield Finding(
                Level.PROBLEM,
                "clock",
                f"{abs(theirs - ours):.1f} s {direction} {name}",
                "Have NTP (chrony, systemd-timesyncd) set the clocks of all machines.",
            )
            return
    yield Finding(Level.OK, "clock", "agrees with " + (", ".join(others) or "itself"))


def limits() -> Iterator[Finding]:
    """Open files, and memory for all workers."""
    fits, wanted = settings.MAX_CONNECTIONS, settings.MAX_CONNECTIONS_WANTED
    if fits < wanted:
        yield Finding(
            Level.WARNING,
            "open files",
            f"{settings.FILE_LIMIT} a process: room for {fits} of {wanted} viewers",
            f"Raise the limit (ulimit -n, LimitNOFILE=) to {wanted + 200}, or lower "
            "MAX_CONNECTIONS.",
        )
    else:
        yield Finding(Level.OK, "open files", f"{settings.FILE_LIMIT} a process")
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return
    stores = settings.FRAME_STORE_BYTES * settings.WORKERS
    found = f"{memory / 1e9:.1f} GB, {stores / 1e9:.1f} of it for frames"
    if stores * 2 > memory:
        yield Finding(
            Level.WARNING, "memory", found, "Lower FRAME_STORE_MB or WORKERS, or add memory."
        )
    else:
        yield Finding(Level.OK, "memory", found)


def network() -> Iterator[Finding]:
    """Settings that do not fit each other on a network."""
    wrong: list[tuple[str, str]] = []
    if settings.DEBUG:
        wrong.append(("DEBUG=1", "Set DEBUG=0: error pages show internals."))
    behind_tls = settings.SECURE_SSL_REDIRECT or settings.SESSION_COOKIE_SECURE
    if behind_tls and not settings.TRUSTED_PROXIES:
        wrong.append(
            (
                "TLS by a proxy that TRUSTED_PROXIES does not name",
                "Set TRUSTED_PROXIES to the proxy's address: else all viewers count as one.",
            )
        )
    if settings.HOST not in ("127.0.0.1", "::1", "localhost") and not behind_tls:
        wrong.append(
            (
                f"HOST={settings.HOST} without TLS",
                "Put a proxy with TLS in front and set SECURE_COOKIES=1: docs/security.md.",
            )
        )
    for found, to_do in wrong:
        yield Finding(Level.WARNING, "network", found, to_do)
    if not wrong:
        yield Finding(Level.OK, "network", f"serves on {settings.HOST}:{settings.PORT}")


def mail() -> Iterator[Finding]:
    """The mail server, where one is named."""
    if not settings.EMAIL_URL:
        return
    try:
        with get_connection():
            yield Finding(Level.OK, "mail", f"{settings.EMAIL_HOST} answers")
    except OSError as error:
        yield Finding(
            Level.PROBLEM,
            "mail",
            f"{settings.EMAIL_HOST}: {error}",
            "Correct EMAIL_URL, or leave it out: passwords are then not reset by mail.",
        )


def oidc() -> Iterator[Finding]:
    """The provider of logins, where one is named."""
    if not settings.OIDC_ISSUER:
        return
    address = f"{settings.OIDC_ISSUER}/.well-known/openid-configuration"
    try:
        with urlopen(address, timeout=ANSWER_SECONDS):
            yield Finding(Level.OK, "OpenID Connect", f"{settings.OIDC_ISSUER} answers")
    except OSError as error:
        yield Finding(
            Level.PROBLEM,
            "OpenID Connect",
            f"{address}: {error}",
            "Start the provider or correct OIDC_ISSUER; passwords work meanwhile.",
        )


def recordings() -> Iterator[Finding]:
    """Whether every session that can be watched has its file."""
    ready = Session.objects.filter(state=Session.State.READY).only("slug", "recording")
    gone = [session.slug for session in ready if not session.recording_path.is_file()]
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        yield Finding(
            Level.PROBLEM,
            "recordings",
            f"no file of {', '.join(sorted(gone)[:3])}{more}",
            "Restore the files from a backup, import the sessions again, or delete them.",
        )
    else:
        yield Finding(Level.OK, "recordings", f"{len(ready)} sessions have their files")


def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=None,
        decode_responses=True,
    )
