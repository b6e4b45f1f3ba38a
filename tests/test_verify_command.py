"""`manage.py verify_recording`: every damaged file is named, with what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from sessions_app.models import Session
from sessions_app.storing import store_result

from .samples import small_race

pytestmark = pytest.mark.django_db


@pytest.fixture
def paths(settings: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    settings.RECORDINGS_DIR = tmp_path  # type: ignore[attr-defined]
    slugs = ("cut", "flipped", "foreign", "gone", "whole")
    for slug in slugs:
        store_result(small_race(4.0, cars=2), slug=slug)
    return {slug: Session.objects.get(slug=slug).recording_path for slug in slugs}


def test_all_names_each_damaged_file_and_what_is_wrong(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify_recording", "--all")
    assert capsys.readouterr().out.count("intact") == 5
    store_result(small_race(4.0, cars=3), slug="other")
    content = paths["whole"].read_bytes()
    paths["cut"].write_bytes(content[:-500])
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    paths["flipped"].write_bytes(flipped)
    paths["foreign"].write_bytes(Session.objects.get(slug="other").recording_path.read_bytes())
    paths["gone"].unlink()
    with pytest.raises(CommandError, match=r": cut, flipped, foreign, gone$") as e:
        call_command("verify_recording", "--all")
    assert e.value.returncode == 1
    said = capsys.readouterr()
    assert said.out.count("intact") == 2
    lines = {line.split(":")[0]: line for line in said.err.splitlines()}
    assert sorted(lines) == ["cut", "flipped", "foreign", "gone"]
    assert all(str(paths[slug]) in line for slug, line in lines.items())
    assert "ends early" in lines["cut"]
    assert "checksum does not match" in lines["flipped"]
    assert "holds version" in lines["foreign"]
    assert "No such file" in lines["gone"]


def test_one_by_its_slug_or_its_file(
    paths: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify_recording", "whole")
    call_command("verify_recording", str(paths["whole"]))
    assert capsys.readouterr().out.count("intact") == 2
    paths["whole"].write_bytes(b"")
    with pytest.raises(CommandError, match="too short"):
        call_command("verify_recording", "whole")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "which recording"),
        (["whole", "--all"], "neither a recording"),
        (["nothing"], "neither a session"),
    ],
)
def test_a_wrong_call_says_what_is_expected(arguments: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        call_command("verify_recording", *arguments)
