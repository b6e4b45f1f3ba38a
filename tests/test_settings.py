"""Settings fail loudly, and the README's table is true."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

from replayproject.error_pages import RedactingFilter
from replayproject.private_files import tighten

ROOT = Path(__file__).parent.parent
SETTINGS = ROOT / "replayproject" / "settings.py"


@dataclass
class Ended:
    """What became of reading the settings: some of them, or what a start would have printed."""

    returncode: int
    stdout: str
    stderr: str


def load_settings(
    tmp_path: Path, names: tuple[str, ...] = ("RECORDINGS_DIR",), /, **environ: str
) -> Ended:
    """Read the settings once more, as a module of its own: a process each would take a second."""
    with mock.patch.dict(os.environ, {"REPLAY_DATA_DIR": str(tmp_path), **environ}):
        try:
            read = runpy.run_path(str(SETTINGS), run_name="replayproject.settings_again")
        except ImproperlyConfigured:
            return Ended(1, "", traceback.format_exc())
    return Ended(0, " ".join(str(read[name]) for name in names), "")


def test_defaults_load(tmp_path: Path) -> None:
    done = load_settings(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "recordings")


def test_a_setting_may_be_read_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "redis_url"
    secret.write_text("redis://:p4ss@host/0\n")
    names = ("REDIS_URL", "DEBUG")
    done = load_settings(tmp_path, names, REDIS_URL_FILE=str(secret), DEBUG="1")
    assert done.stdout == "redis://:p4ss@host/0 True"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = load_settings(tmp_path, SECRET_KEY_FILE="/nowhere/key")
    assert done.returncode != 0
    assert "SECRET_KEY_FILE=/nowhere/key: No such file or directory: expected" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEBUG", "maybe", "expected 1 or 0"),
        ("FRAME_STORE_MB", "0", "expected a whole number 1 to"),
        ("FRAME_STORE_MB", "much", "expected a whole number 1 to"),
        ("IMPORT_MEMORY_MB", "100", "expected a whole number 2000 to"),
        ("MAX_CONNECTIONS", "-5", "expected a whole number 1 to"),
        ("REDIS_URL", "localhost:6379", "expected redis://"),
        ("REDIS_NEEDED", "maybe", "expected 1 or 0"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "expected addresses or networks"),
        ("LOG_LEVEL", "LOUD", "expected DEBUG, INFO"),
        ("PORT", "http", "expected a whole number 0 to 65535"),
        ("PORT", "65536", "expected a whole number 0 to 65535"),
        ("WORKERS", "0", "expected a whole number 1 to"),
        ("REPLAY_DATA_DIR", "/dev/null/var", "expected a folder to write to"),
    ],
)
def test_a_bad_value_stops_the_start_with_its_name(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    done = load_settings(tmp_path, **{name: value})
    assert done.returncode != 0
    assert f"{name}={value}: {expected}" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("IMPORT_SOURCES", "races=/srv/races,plays", "'plays' is not of the form name=folder"),
        ("CSRF_TRUSTED_ORIGINS", "example.org", "expected https://host, not 'example.org'"),
        ("DATABASE_URL", "oracel://me:secret@host/db", "expected for example postgres://"),
    ],
)
def test_a_bad_entry_stops_the_start_with_the_variable_s_name(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    done = load_settings(tmp_path, **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
    assert expected in done.stderr
    assert "secret@" not in done.stderr


def test_a_bad_value_is_said_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(tmp_path), "DEBUG": "maybe"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "manage.py: DEBUG=maybe: expected 1 or 0\n"


def test_a_relative_data_folder_is_below_the_folder_of_the_start(tmp_path: Path) -> None:
    environ = {**os.environ, "REPLAY_DATA_DIR": "data", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", "import replayproject.settings as s; print(s.DATA_DIR)"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "data")


def test_the_secret_key_is_kept_and_private(tmp_path: Path) -> None:
    load_settings(tmp_path)
    first = (tmp_path / "secret_key").read_text()
    load_settings(tmp_path)
    assert (tmp_path / "secret_key").read_text() == first
    assert len(first) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("REDIS_URL", "http://:geheim@cache", "REDIS_URL=http://:***@cache: expected"),
        ("REDIS_URL", "redis://:ge/heim@cache", "REDIS_URL=redis://***: expected"),
        ("DATABASE_URL", "postgres://u:ge/heim@host/db", "DATABASE_URL=postgres://***: expected"),
        ("EMAIL_URL", "mail://u:geheim@host", "EMAIL_URL=mail://u:***@host: expected smtp+tls://"),
        ("DATABASE_URL", "u:geheim@host", "DATABASE_URL=***: expected"),
    ],
)
def test_a_bad_address_is_named_without_its_password(
    tmp_path: Path, name: str, value: str, shown: str
) -> None:
    done = load_settings(tmp_path, **{name: value})
    assert done.returncode != 0
    assert shown in done.stderr
    assert "heim" not in done.stderr


def test_what_is_made_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert load_settings(folder).returncode == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "db.sqlite3").stat().st_mode & 0o777 == 0o600
    assert (folder / "secret_key").stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_version_made_is_tightened(tmp_path: Path) -> None:
    wide, group, missing = tmp_path / "wide", tmp_path / "group", tmp_path / "missing"
    for path, mode in ((wide, 0o644), (group, 0o640)):
        path.touch()
        path.chmod(mode)
    assert list(tighten([wide, group, missing])) == [wide]
    assert wide.stat().st_mode & 0o777 == 0o600
    assert group.stat().st_mode & 0o777 == 0o640


def test_error_pages_show_no_password_of_an_address() -> None:
    address = "redis://:geheim@cache"
    shown = RedactingFilter().cleanse_setting("HOSTS", {"hosts": [{"address": address}]})
    assert shown == {"hosts": [{"address": "redis://:***@cache"}]}


def test_the_readme_lists_exactly_the_variables_that_are_read() -> None:
    table = (ROOT / "README.md").read_text().split("## Settings")[1]
    listed = set(re.findall(r"`([A-Z][A-Z_]+)`", table))
    text = (ROOT / "replayproject" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', text))
    read |= set(
        re.findall(r'_(?:number|flag|folders|origins|database|oidc_issuer)\(\s*"([A-Z_]+)"', text)
    )
    assert listed == read


def test_only_the_settings_read_the_environment() -> None:
    """Others pass it on as a whole to their children, or say which settings Django is to use."""
    allowed = re.compile(r"\*\*os\.environ|setdefault\(\"DJANGO_SETTINGS_MODULE\"")
    # Runs in other people's programs, which have no settings of ours.
    elsewhere = ROOT / "streaming" / "live" / "producer.py"
    for room in ("replayproject", "sessions_app", "streaming"):
        for path in (ROOT / room).rglob("*.py"):
            if path == elsewhere:
                continue
            for line in path.read_text().splitlines():
                if re.search(r"os\.environ|getenv", line):
                    assert allowed.search(line), f"{path.relative_to(ROOT)}: {line.strip()}"
