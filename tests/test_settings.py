"""Settings fail loudly, and the README's table is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def load_settings(tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import replayproject.settings as s; print(s.RECORDINGS_DIR)"],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_defaults_load(tmp_path: Path) -> None:
    done = load_settings(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "recordings")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEBUG", "maybe", "expected 1 or 0"),
        ("FRAME_STORE_MB", "0", "expected a whole number 1 to"),
        ("FRAME_STORE_MB", "much", "expected a whole number 1 to"),
        ("MAX_CONNECTIONS", "-5", "expected a whole number 1 to"),
        ("REDIS_URL", "localhost:6379", "expected redis://"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "expected addresses or networks"),
        ("LOG_LEVEL", "LOUD", "expected DEBUG, INFO"),
    ],
)
def test_a_bad_value_stops_the_start_with_its_name(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    done = load_settings(tmp_path, **{name: value})
    assert done.returncode != 0
    assert f"{name}={value}: {expected}" in done.stderr


def test_the_secret_key_is_kept_and_private(tmp_path: Path) -> None:
    load_settings(tmp_path)
    first = (tmp_path / "secret_key").read_text()
    load_settings(tmp_path)
    assert (tmp_path / "secret_key").read_text() == first
    assert len(first) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


def test_the_readme_lists_exactly_the_variables_that_are_read() -> None:
    table = (ROOT / "README.md").read_text().split("## Settings")[1]
    listed = set(re.findall(r"`([A-Z][A-Z_]+)`", table))
    read: set[str] = set()
    for path in (ROOT / "replayproject").rglob("*.py"):
        text = path.read_text()
        read |= set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', text))
        read |= set(re.findall(r'(?:_number|_flag)\(\s*"([A-Z_]+)"', text))
        read |= set(re.findall(r'(?:environ\.get|_from_environment)\(\s*"([A-Z_]+)"', text))
    assert listed == read - {"PATH"}
