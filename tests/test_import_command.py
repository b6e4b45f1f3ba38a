"""`manage.py import_session`: a session whole or not at all, errors in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from sessions_app.locks import SessionLock
from sessions_app.models import Session
from sessions_app.recording.file import Recording

from .openf1_folder import RaceFolder

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def recordings(tmp_path: Path, settings: settings) -> Path:  # type: ignore[valid-type]
    folder = tmp_path / "recordings"
    folder.mkdir()
    settings.RECORDINGS_DIR = folder  # type: ignore[attr-defined]
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return RaceFolder().write(tmp_path / "race")


def refusal(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("import_session", *arguments)
    assert caught.value.returncode == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_works(recordings: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("import_session", "openf1", str(source), "--slug", "race", "--title", "A race")
    session = Session.objects.get(slug="race")
    assert session.state == Session.State.READY
    assert session.title == "A race"
    with Recording(session.recording_path) as recording:
        assert recording.version == session.version
        assert recording.frame_count == session.frame_count
    assert session.entities.count() == 3
    assert session.laps.count() == 12
    assert session.metadata["total_laps"] == 4
    assert "race: A race, " in capsys.readouterr().out


def test_a_second_import_needs_to_be_told_to_replace(recordings: Path, source: Path) -> None:
    call_command("import_session", "openf1", str(source), "--slug", "race")
    first = Session.objects.get(slug="race")
    message = refusal("openf1", str(source), "--slug", "race")
    assert message == ("session 'race' is there already: choose another --slug, or --replace it")
    call_command("import_session", "openf1", str(source), "--slug", "race", "--replace")
    again = Session.objects.get(slug="race")
    assert again.pk == first.pk
    assert again.version == first.version
    assert len(list(recordings.iterdir())) == 1


def test_two_at_once_are_refused_in_one_line(recordings: Path, source: Path) -> None:
    with SessionLock("race"):
        message = refusal("openf1", str(source), "--slug", "race")
    assert message == (
        "session 'race' is being imported by another process: try again when that has ended"
    )
    assert not Session.objects.exists()
    assert not list(recordings.iterdir())


def test_a_failed_import_gives_way(recordings: Path, source: Path) -> None:
    Session.objects.create(slug="race", title="broken", state=Session.State.FAILED)
    call_command("import_session", "openf1", str(source), "--slug", "race")
    assert Session.objects.get(slug="race").state == Session.State.READY


def test_bad_input_leaves_nothing_behind(recordings: Path, source: Path) -> None:
    laps = source / "laps.csv"
    laps.write_text(laps.read_text().replace("40.4,", "quick,", 1))
    message = refusal("openf1", str(source), "--slug", "race", "--strict")
    assert message == (f"{laps}, row 1, column lap_duration: 'quick' found: expected a number")
    assert not Session.objects.exists()
    assert not list(recordings.iterdir())


def test_a_bad_value_is_left_out_and_reported(
    recordings: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laps = source / "laps.csv"
    laps.write_text(laps.read_text().replace("40.4,", "quick,", 1))
    call_command("import_session", "openf1", str(source), "--slug", "race")
    report = Session.objects.get(slug="race").report
    assert report["values_left_out"] == 1
    assert report["findings"] == [
        {
            "table": "laps",
            "column": "lap_duration",
            "expected": "a number",
            "done": "value left out",
            "count": 1,
            "examples": [{"file": "laps.csv", "row": 1, "found": "'quick'"}],
        }
    ]
    output = capsys.readouterr().out
    assert "laps lap_duration: 1 × value left out, expected a number" in output
    assert "laps.csv, row 1: 'quick' found" in output


def test_bad_input_leaves_what_was_there(recordings: Path, source: Path) -> None:
    call_command("import_session", "openf1", str(source), "--slug", "race")
    before = Session.objects.get(slug="race")
    (source / "laps.csv").write_text("broken")
    refusal("openf1", str(source), "--slug", "race", "--replace", "--strict")
    after = Session.objects.get(slug="race")
    assert after.version == before.version
    assert after.recording_path.is_file()


def test_a_slug_that_cannot_stand_in_an_address(recordings: Path, source: Path) -> None:
    assert refusal("openf1", str(source), "--slug", "a/b").startswith("--slug a/b: ")
    assert not Session.objects.exists()
    assert not list(recordings.iterdir())


def test_a_full_disk_leaves_nothing_behind(
    recordings: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left on device" in refusal("openf1", str(source), "--slug", "race")
    assert not Session.objects.exists()
    assert not list(recordings.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--lead", "-1"), "--lead -1: expected 0 or more seconds"),
        (("--rate", "0"), "--rate 0: expected more than 0, at most 1000"),
        (("--geometry", "nowhere.json"), "nowhere.json: no such file or folder"),
    ],
)
def test_options_out_of_range(
    recordings: Path, source: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert refusal("openf1", str(source), "--slug", "race", *arguments).startswith(expected)


@pytest.mark.long
def test_without_what_imports_need_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text(
        "raise ModuleNotFoundError('No module named pyarrow', name='pyarrow')"
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "import_session", "openf1", str(tmp_path), "--slug", "a"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "REPLAY_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "CommandError: importer openf1 needs the package pyarrow: pip install pyarrow\n"
    )


def test_a_table_with_its_mapping(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "time: {column: t, unit: s}\nentity: who\nfields: {x: x, y: y}\nrate: 10\n"
    )
    (tmp_path / "boats.csv").write_text("t,who,x,y\n0,a,0,0\n1,a,1,1\n")
    arguments = ("--slug", "boats", "--mapping", str(tmp_path / "m.yaml"))
    call_command("import_session", "table", str(tmp_path / "boats.csv"), *arguments)
    assert Session.objects.get(slug="boats").frame_count == 11
