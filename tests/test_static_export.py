"""Sessions as a folder of files: whole, relative, and the same to see as from the server."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from sessions_app.models import Session
from sessions_app.recording import decode_segment
from sessions_app.recording.file import Recording
from streaming.static_export.folder import MARK, STRIDES

from .small_race import store_small_race


@pytest.fixture
def race(db: None, settings: Any, tmp_path: Path) -> Session:
    settings.RECORDINGS_DIR = tmp_path / "recordings"
    settings.RECORDINGS_DIR.mkdir()
    return store_small_race("small")


def export(*arguments: object) -> str:
    out = StringIO()
    call_command("export_static", *map(str, arguments), stdout=out, stderr=out)
    return out.getvalue()


def test_it_works(race: Session, tmp_path: Path, client: Client) -> None:
    site = tmp_path / "site"
    assert "1 sessions" in export("small", site)
    folder = site / "sessions" / "small"
    for name in ("geometry", "events", "laps", "classification", "standings"):
        start = race.metadata.get("race_start_frame", 0)
        asked = f"standings?frame={start}" if name == "standings" else name
        answer = client.get(f"/api/sessions/small/{asked}")
        assert json.loads((folder / f"{name}.json").read_text()) == answer.json(), name
    welcome = json.loads((folder / "welcome.json").read_text())
    assert welcome["session"]["frame_count"] == race.frame_count
    assert welcome["strides"] == list(STRIDES)


def test_every_frame_is_in_the_segments_of_every_stride(race: Session, tmp_path: Path) -> None:
    export("small", tmp_path / "site")
    segments = tmp_path / "site" / "sessions" / "small" / race.version / "segments"
    with Recording(race.recording_path) as recording:
        for stride in STRIDES:
            files = sorted((segments / str(stride)).iterdir(), key=lambda path: int(path.name))
            decoded = [decode_segment(path.read_bytes(), recording.schema) for path in files]
            samples = [x for _, columns in decoded for x in columns.values["x"][:, 0].tolist()]
            whole = recording.columns(0, recording.frame_count).values["x"][::stride, 0]
            assert samples == whole.tolist()


def test_no_address_leaves_the_folder(race: Session, tmp_path: Path) -> None:
    site = tmp_path / "site"
    export("small", site)
    for page in (site / "index.html", site / "sessions" / "small" / "index.html"):
        addresses = re.findall(r'(?:href|src|action)="([^"]*)"', page.read_text())
        files = [address for address in addresses if not address.startswith(("#", "?"))]
        assert files
        for address in files:
            assert (page.parent / address).resolve().is_relative_to(site)
            assert (page.parent / address).is_file(), address


def test_texts_are_compressed_if_asked_for(race: Session, tmp_path: Path) -> None:
    site = tmp_path / "site"
    export("small", site, "--gzip")
    assert (site / "sessions" / "small" / "laps.json.gz").is_file()
    assert (site / "static" / "streaming" / "ui" / "player.js.gz").is_file()


def test_a_folder_that_was_exported_is_replaced(race: Session, tmp_path: Path) -> None:
    site = tmp_path / "site"
    export("small", site)
    (site / "sessions" / "old").mkdir()
    export("small", site)
    assert [path.name for path in (site / "sessions").iterdir()] == ["small"]


def test_a_folder_of_something_else_is_left_alone(race: Session, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "thesis.txt").write_text("mine")
    with pytest.raises(CommandError, match=f"not empty and has no {re.escape(MARK)}"):
        export("small", site)
    assert [path.name for path in site.iterdir()] == ["thesis.txt"]


def test_a_recording_that_cannot_be_read_leaves_nothing(race: Session, tmp_path: Path) -> None:
    site = tmp_path / "site"
    export("small", site)
    before = sorted(site.rglob("*"))
    with race.recording_path.open("r+b") as file:
        file.truncate(5_000)
    with pytest.raises(CommandError):
        export("small", site)
    assert sorted(site.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.mark.parametrize("state", [Session.State.IMPORTING, Session.State.LIVE])
def test_only_what_is_whole_is_exported(race: Session, tmp_path: Path, state: str) -> None:
    Session.objects.update(state=state)
    with pytest.raises(CommandError, match="expected ready"):
        export("small", tmp_path / "site")
    with pytest.raises(CommandError, match="there is no session absent"):
        export("absent", tmp_path / "site")


def test_who_exports_what_not_everybody_may_see_is_told(race: Session, tmp_path: Path) -> None:
    Session.objects.update(access=Session.Access.PRIVATE)
    assert "the folder asks nobody" in export("small", tmp_path / "site")
