"""`manage.py doctor` finds what is wrong, says what to do, and ends with the right status."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.migrations.executor import MigrationExecutor

from replayproject import doctor
from replayproject.doctor import Finding, Level
from sessions_app.models import Session

OF: dict[str, Callable[[], Iterator[Finding]]] = {c.__name__: c for c in doctor.checks()}


@pytest.fixture(autouse=True)
def sound(settings: Any, tmp_path: Path) -> None:
    """A data folder of the test's own, and settings that nothing is wrong with."""
    settings.DATA_DIR = tmp_path
    settings.RECORDINGS_DIR = tmp_path / "recordings"
    settings.RECORDINGS_DIR.mkdir()
    settings.HOST, settings.DEBUG, settings.WORKERS = "127.0.0.1", False, 1
    settings.REDIS_URL = settings.EMAIL_URL = settings.OIDC_ISSUER = ""
    settings.TRUSTED_PROXIES, settings.SECURE_SSL_REDIRECT = [], False
    settings.MAX_CONNECTIONS = settings.MAX_CONNECTIONS_WANTED = 100
    settings.FRAME_STORE_BYTES = 1_000_000


def found(check: str) -> Finding:
    """What a check says, which finds one thing, and what to do if that is not right."""
    [finding] = OF[check]()
    assert (finding.level is Level.OK) == (finding.to_do == "")
    return finding


def doctored() -> tuple[int, str]:
    """The command's exit status and output."""
    out = io.StringIO()
    try:
        call_command("doctor", stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db
def test_nothing_is_wrong_with_a_new_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_FULL", 0)
    status, said = doctored()
    assert status == 0, said
    assert "problem" not in said
    for about in ("versions", "data folder", "disk", "database", "Redis", "clock", "open files"):
        assert about in said


@pytest.mark.django_db
def test_a_recording_that_is_gone_is_named(settings: Any) -> None:
    for slug in ("here", "gone"):
        Session.objects.create(
            slug=slug, title=slug, state="ready", recording=f"{slug}.mcap", version="v",
            frame_count=1,
        )  # fmt: skip
    (settings.RECORDINGS_DIR / "here.mcap").touch()
    finding = found("recordings")
    assert (finding.level, finding.found) == (Level.PROBLEM, "no file of gone")
    status, said = doctored()
    assert status == 1
    assert "→ Restore the files from a backup" in said


@pytest.mark.django_db
def test_tables_that_are_missing_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [1, 2])
    finding = found("database")
    assert finding.level is Level.PROBLEM
    assert "2 migrations not applied" in finding.found


def test_secrets_that_others_can_read_are_a_problem(settings: Any) -> None:
    key = settings.DATA_DIR / "secret_key"
    key.touch(mode=0o600)
    assert found("folders").level is Level.OK
    key.chmod(0o640)
    assert found("folders").to_do == f"Take it from them: chmod 600 {key}"


@pytest.mark.parametrize(
    ("free", "level"),
    [(400_000_000, Level.PROBLEM), (4_000_000_000, Level.WARNING), (10**10, Level.OK)],
)
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage())
    assert found("disk").level is level


def test_a_redis_that_is_away_or_missing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_server", lambda: None)
    assert found("cache").level is Level.OK
    settings.WORKERS = 2
    assert found("cache").level is Level.PROBLEM
    settings.REDIS_URL = f"unix://{settings.DATA_DIR}/nobody-listens"
    finding = found("cache")
    assert (finding.level, finding.found[:16]) == (Level.PROBLEM, "does not answer:")


@pytest.mark.server
def test_a_redis_that_answers(settings: Any, valkey: str) -> None:
    settings.REDIS_URL = valkey
    assert found("cache").level is Level.OK
    assert found("clock").found == "agrees with Redis"


@pytest.mark.parametrize(
    ("theirs", "level", "said"),
    [
        (1000.5, Level.OK, "agrees with Redis"),
        (1003.0, Level.PROBLEM, "3.0 s behind Redis"),
        (990.0, Level.PROBLEM, "10.0 s ahead of Redis"),
    ],
)
def test_clocks(theirs: float, level: Level, said: str) -> None:
    [finding] = doctor.compared(1000.0, {"Redis": theirs})
    assert (finding.level, finding.found) == (level, said)


def test_a_limit_of_open_files_that_is_too_low(settings: Any) -> None:
    settings.MAX_CONNECTIONS_WANTED = 5000
    first = next(OF["limits"]())
    assert first.level is Level.WARNING
    assert "ulimit -n, LimitNOFILE=) to 5200" in first.to_do


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEBUG", True, "Set DEBUG=0"),
        ("HOST", "0.0.0.0", "Put a proxy with TLS in front"),
        ("SECURE_SSL_REDIRECT", True, "Set TRUSTED_PROXIES"),
    ],
)
def test_settings_that_do_not_fit(settings: Any, name: str, value: Any, said: str) -> None:
    assert found("network").level is Level.OK
    setattr(settings, name, value)
    assert found("network").to_do.startswith(said)


def test_a_provider_and_a_mail_server_that_are_away(settings: Any) -> None:
    assert list(OF["oidc"]()) == list(OF["mail"]()) == []
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    assert found("oidc").level is Level.PROBLEM
    settings.EMAIL_URL, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp://x", "127.0.0.1", 1
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert found("mail").level is Level.PROBLEM


def test_a_check_that_fails_itself_does_not_end_the_rest() -> None:
    def broken() -> Iterator[Finding]:
        raise RuntimeError("redis://:geheim@cache is odd")
        yield

    def fine() -> Iterator[Finding]:
        yield Finding(Level.OK, "fine", "")

    first, second = doctor.run((broken, fine))
    assert (first.level, first.about) == (Level.PROBLEM, "broken")
    assert "geheim" not in first.found
    assert second.level is Level.OK
