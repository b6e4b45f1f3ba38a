"""The wheel: what is in it, and that it serves from an empty folder and has a client of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

from streaming.client import connect

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
SETTINGS = ("HOST", "PORT", "WORKERS", "REPLAY_DATA_DIR", "DJANGO_SETTINGS_MODULE", "PYTHONPATH")
ENVIRON = {name: value for name, value in os.environ.items() if name not in SETTINGS}


def names(requirements: Path) -> list[str]:
    """The lines of a requirements file that name a package."""
    lines = [line.partition("#")[0].strip() for line in requirements.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what a checkout holds, without the network, as `make build` does."""
    source = tmp_path_factory.mktemp("source")
    for room in ("replayproject", "sessions_app", "streaming"):
        shutil.copytree(
            ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, source)
    built = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = built.glob("*.whl")
    return path


def environment(folder: Path, wheel: Path) -> Path:
    """A virtual environment with the wheel and nothing else. Returns: its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install",
            "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel),
        ],
        check=True,
    )  # fmt: skip
    [site_packages] = folder.glob("lib/python*/site-packages")
    return site_packages


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, which borrows the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    site_packages = environment(folder, wheel)
    (site_packages / "borrowed.pth").write_text(f"{SITE_PACKAGES}\n")
    return folder / "bin"


@pytest.mark.long
def test_it_holds_every_file_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    def wanted(path: Path) -> bool:
        return path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts)

    expected = {
        str(path.relative_to(ROOT))
        for room in ("replayproject", "sessions_app", "streaming")
        for path in (ROOT / room).rglob("*")
        if wanted(path)
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected


@pytest.mark.long
def test_its_metadata_has_the_one_list_of_dependencies_and_the_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [metadata] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    text = archive.read(metadata).decode()
    required = re.findall(r"^Requires-Dist: ([^;\n]+)$", text, re.M)
    assert [re.split(r"[<>=]", r)[0] for r in required] == [
        re.split(r"[<>=]", r)[0] for r in names(ROOT / "requirements.txt")
    ]
    assert "\nLicense-Expression: MIT\n" in text
    licence = metadata.replace("METADATA", "licenses/LICENSE")
    assert archive.read(licence).decode() == (ROOT / "LICENSE").read_text()


def test_extras_agree_with_the_requirement_files() -> None:
    extras = PROJECT["optional-dependencies"]
    assert extras["import"] == names(ROOT / "requirements-import.txt")
    assert set(extras["client"]) < set(names(ROOT / "requirements.txt"))
    [postgres] = extras["postgres"]
    for other in ("docker-compose.yml", "Makefile"):
        assert f"'{postgres}'" in (ROOT / other).read_text(), other


def test_constraints_pin_versions_and_name_no_place_to_download_from() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    for line in lines[1:]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


async def first_frame(address: str) -> int:
    """The number of the first frame that a viewer of the demo race is sent."""
    url = address.replace("http://", "ws://") + "/ws/sessions/demo/"
    async with connect(url) as replay:
        return int((await anext(aiter(replay))).numbers[0])


@pytest.mark.server
@pytest.mark.timeout(600)  # it builds, installs, simulates and serves
def test_it_serves_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """Tables, a recording, pages and static files, with the data in ./var."""
    replay = str(installed / "replay")

    def run(*arguments: str) -> None:
        subprocess.run([replay, *arguments], cwd=tmp_path, env=ENVIRON, check=True)

    run("migrate", "--verbosity", "0")
    run("demo", "--minutes", "5", "--verbosity", "0")
    assert {path.name for path in tmp_path.iterdir()} == {"var"}
    assert list((tmp_path / "var" / "recordings").glob("demo.*.mcap"))
    process = subprocess.Popen(
        [replay, "serve", "--demo", "--port", "0"],
        cwd=tmp_path,
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if line.startswith("listening"):
                break
        assert output[-1].startswith("listening"), "".join(output)
        with httpx.Client(base_url=output[-1].split()[1], follow_redirects=True) as client:
            [session] = client.get("/api/sessions").json()["items"]
            assert (session["slug"], session["state"]) == ("demo", "ready")
            assert asyncio.run(first_frame(output[-1].split()[1])) == 0
            pages = ["/", "/sessions/demo/", "/admin/", "/api/docs"]
            for page in pages:
                answer = client.get(page)
                assert answer.status_code == 200, page
                linked = re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)
                assert linked, page
                for address in linked:
                    assert client.get(address).status_code == 200, address
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest.splitlines()[-1] == "stopped"


@pytest.mark.long
def test_its_client_needs_numpy_msgpack_and_websockets_only(wheel: Path, tmp_path: Path) -> None:
    """Their folders alone are borrowed, so that any other import would fail."""
    site_packages = environment(tmp_path / "client", wheel)
    extra = [re.split(r"[<>=]", r)[0] for r in PROJECT["optional-dependencies"]["client"]]
    for package in extra:
        for folder in (package, f"{package}.libs"):
            if (SITE_PACKAGES / folder).is_dir():
                (site_packages / folder).symlink_to(SITE_PACKAGES / folder)
    done = subprocess.run(
        [
            str(tmp_path / "client" / "bin" / "python"),
            "-c",
            "from streaming.client import connect; print(connect('ws://localhost/').encoding)",
        ],
        cwd=tmp_path,
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("segments\n", "")
