"""What a deployment installs is locked: every requirement, one version, a hash, no address."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .conftest import ROOT

LOCK = ROOT / "requirements.lock"
LINE = re.compile(r"([a-z0-9-]+)==([A-Za-z0-9.+!]+) --hash=sha256:[0-9a-f]{64}")


def locked() -> dict[str, Version]:
    found = {}
    for line in LOCK.read_text().splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, f"expected name==version --hash=sha256:…, not {line!r}"
            found[match[1]] = Version(match[2])
    return found


def test_every_requirement_is_in_the_lock() -> None:
    versions = locked()
    lines = ["psycopg[binary]>=3.2"]
    for name in ("requirements.txt", "requirements-import.txt"):
        lines += (ROOT / name).read_text().splitlines()
    for line in lines:
        if line and not line.startswith(("#", "-r")):
            wanted = Requirement(line)
            version = versions.get(canonicalize_name(wanted.name))
            assert version is not None, f"{wanted.name} is not locked: run `make lock`"
            assert version in wanted.specifier, f"{line}: {version} is locked: run `make lock`"


def test_the_lock_has_the_versions_that_are_tested() -> None:
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines()[1:]:
        name, _, number = line.partition("==")
        pinned[canonicalize_name(name)] = Version(number)
    for name, version in locked().items():
        assert pinned.get(canonicalize_name(name)) == version, f"{name}: run `make lock`"


def run_lock(item: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    environment = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "lock.py")],
        input=json.dumps({"environment": environment, "install": [item]}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("hashed", [True, False])
def test_a_lock_names_hashes_and_no_place(hashed: bool) -> None:
    archive = {"hashes": {"sha256": "0" * 64}} if hashed else {}
    done = run_lock(
        {
            "metadata": {"name": "Some_Package", "version": "1.0"},
            "download_info": {"url": "https://mirror.example/some.whl", "archive_info": archive},
        }
    )
    if hashed:
        assert done.stdout.splitlines()[-1] == f"some-package==1.0 --hash=sha256:{'0' * 64}"
    else:
        assert "some-package: expected an archive with a sha256" in done.stderr
    assert "mirror.example" not in done.stdout


def audited(*dependencies: dict[str, Any], error: str = "") -> subprocess.CompletedProcess[str]:
    """What is said of an audit that answers with this, or ends with an error."""
    answer = "" if error else json.dumps({"dependencies": dependencies})
    command = [sys.executable, "-c", "import sys; print(sys.argv[1]); sys.exit(sys.argv[2])"]
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "audit.py"), *command, answer, error],
        capture_output=True,
        text=True,
        check=False,
    )


SOUND = {"name": "sound", "version": "1", "vulns": []}
WEAK = {"name": "weak", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "unknown is not there"}


def test_a_known_weakness_fails_the_audit() -> None:
    done = audited(SOUND, WEAK, UNKNOWN)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "not audited: unknown is not there",
        "weak 2: CVE-1, fixed in 2.1",
        "2 packages audited, 1 known weaknesses",
    ]
    assert audited(SOUND).returncode == 0


@pytest.mark.parametrize(
    ("dependencies", "error", "status", "said"),
    [
        ((UNKNOWN,), "", 0, "audit skipped: not one package was found. unknown is not there"),
        ((), "x.ConnectionError: no route", 0, "audit skipped: the database cannot be reached"),
        ((), "no such option", 1, "audit failed: no such option"),
    ],
)
def test_an_audit_that_did_not_happen_says_so(
    dependencies: tuple[dict[str, Any], ...], error: str, status: int, said: str
) -> None:
    done = audited(*dependencies, error=error)
    assert (done.returncode, done.stdout.startswith(said)) == (status, True), done.stdout
