"""Importers by name and by content, and those that other packages add."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from sessions_app.importers.options import ImportOptions
from sessions_app.importers.registry import OURS, guess, importer_named, importers, run_importer
from sessions_app.importers.result import ImportSourceError
from sessions_app.models import Session

from .conftest import ROOT
from .openf1_folder import RaceFolder

EXAMPLE = ROOT / "docs" / "examples" / "importer"
PINGS = "0 a 0 0\n0 b 5 5\n1 a 10 0\nwhat\n1 b 5 6\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example of docs/importing.md."""
    source = tmp_path_factory.mktemp("source") / "importer"
    shutil.copytree(EXAMPLE, source)
    folder = tmp_path_factory.mktemp("site")
    command = (
        "install --quiet --no-deps --no-index --no-build-isolation --disable-pip-version-check"
    )
    subprocess.run(
        [sys.executable, "-m", "pip", *command.split(), "--target", str(folder), str(source)],
        check=True,
    )
    return folder


@pytest.fixture
def example(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))


def add_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, code: str
) -> None:
    """Install a package with one entry point, as pip would leave it."""
    (folder / f"{module}.py").write_text(code)
    about = folder / f"{module}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        f"[replayproject.importers]\n{name} = {module}:IMPORTER\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


def refusal(source: Path, options: ImportOptions | None = None, name: str = "") -> str:
    with pytest.raises(ImportSourceError) as caught:
        run_importer(name, source, options or ImportOptions())
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_all_of_ours_can_be_loaded() -> None:
    for point in OURS:
        assert importer_named(point.name).name == point.name


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("example")
def test_the_example_of_the_documentation_imports_a_session(tmp_path: Path, settings) -> None:
    settings.RECORDINGS_DIR = tmp_path
    (tmp_path / "harbour.pings").write_text(PINGS)
    call_command("import_session", str(tmp_path / "harbour.pings"))
    session = Session.objects.get(slug="harbour")
    assert session.source == "pings:harbour.pings"
    assert [e.code for e in session.entities.all()] == ["a", "b"]
    assert session.report["findings"][0]["examples"][0] == {
        "file": "harbour.pings",
        "row": 4,
        "found": "what",
    }


@pytest.mark.usefixtures("example")
def test_an_importer_of_others_stands_beside_ours() -> None:
    assert {point.name for point in OURS} < set(importers())
    assert importer_named("pings").description == "text files of positions"


def test_a_package_cannot_take_the_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package(tmp_path, monkeypatch, "openf1", "other_openf1", "IMPORTER = 1\n")
    assert importers()["openf1"].value == "sessions_app.importers.openf1:IMPORTER"


def test_a_package_that_is_broken_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package(tmp_path, monkeypatch, "broken", "broken_one", "1 / 0\n")
    add_package(tmp_path, monkeypatch, "lacking", "lacking_one", "import no_such_package\n")
    add_package(tmp_path, monkeypatch, "empty", "empty_one", "IMPORTER = 5\n")
    assert "broken cannot be loaded" in refusal(tmp_path, name="broken")
    assert "lacking needs the package no_such_package" in refusal(tmp_path, name="lacking")
    assert "empty_one:IMPORTER is 5: expected an Importer" in refusal(tmp_path, name="empty")
    assert guess(RaceFolder().write(tmp_path / "race"), ImportOptions()) == "openf1"


def test_a_format_is_recognised_by_its_content(tmp_path: Path) -> None:
    table = tmp_path / "play.csv"
    table.write_text("t,who,x,y\n0,a,1,2\n")
    assert guess(table, ImportOptions(mapping=tmp_path / "m.yaml")) == "table"
    assert guess(RaceFolder().write(tmp_path / "race"), ImportOptions()) == "openf1"


def test_what_is_not_recognised_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt: no format is recognised: expected one of" in refusal(tmp_path / "notes.txt")
    assert "no such file or folder" in refusal(tmp_path / "nothing")
    assert "no importer is called 'morse': expected one of" in refusal(tmp_path, name="morse")


def test_what_may_be_several_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from sessions_app.importers.importer import Importer\n"
        "IMPORTER = Importer('greedy', '', None, lambda source, options: True)\n"
    )
    add_package(tmp_path, monkeypatch, "greedy", "greedy_one", code)
    folder = RaceFolder().write(tmp_path / "race")
    assert "this may be greedy or openf1: expected the format to be named" in refusal(folder)


def test_a_session_is_fetched_only_by_an_importer_that_can() -> None:
    with pytest.raises(ImportSourceError, match="importer table reads files: expected a file"):
        run_importer("table", None, ImportOptions(year=2024))


def test_words_that_are_no_format_and_source() -> None:
    with pytest.raises(CommandError, match="'c' found: expected a format and a source"):
        call_command("import_session", "a", "b", "c")
    with pytest.raises(CommandError, match="no name for the session: expected --slug"):
        call_command("import_session", "table")
