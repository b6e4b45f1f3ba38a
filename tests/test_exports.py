"""Exports of stored sessions: made once, kept within a bound, over REST and the command."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client

from sessions_app.exporting import ExportRefused
from sessions_app.exports import export_of, make_export
from sessions_app.models import Session
from streaming.api import exports
from streaming.store.export_makers import ExportMakers, TooManyExports
from streaming.worker import Worker

from .conftest import RunningServer
from .samples import PLAY_SLUG
from .small_race import store_small_race

URL = "/api/sessions/small/export"


def body_of(response: Any) -> bytes:
    async def all_of_it() -> bytes:
        return b"".join([chunk async for chunk in response.streaming_content])

    return async_to_sync(all_of_it)()


@pytest.fixture
def race(db: None, settings: Any, tmp_path: Path) -> Session:
    settings.EXPORTS_DIR = tmp_path / "exports"
    return store_small_race()


def test_an_export_is_made_once(race: Session) -> None:
    export = export_of(race, "geojson")
    make_export(export)
    made = export.path.stat()
    make_export(export)
    assert export.path.stat().st_ino == made.st_ino
    assert [p.name for p in export.path.parent.iterdir()] == [export.path.name]


def test_the_folder_keeps_what_was_used_last(race: Session, settings: Any) -> None:
    first, second = export_of(race, "geojson"), export_of(race, "geojson", 1.0)
    make_export(first)
    settings.EXPORTS_BYTES = first.path.stat().st_size
    make_export(second)
    assert not first.path.exists()
    assert second.path.exists()


def test_a_failed_export_leaves_its_reason_and_no_file(race: Session) -> None:
    export = export_of(race, "geojson")
    race.recording_path.write_bytes(b"x")
    with pytest.raises(Exception, match="small"):
        make_export(export)
    assert not export.path.exists()
    assert export.progress()[1] != ""
    assert not list(export.path.parent.glob("*.partial"))


def test_only_a_whole_recording_is_exported(race: Session) -> None:
    race.state = Session.State.IMPORTING
    with pytest.raises(ExportRefused, match="is importing: expected one that is ready"):
        export_of(race, "mcap")


def test_the_command_writes_a_file(
    race: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "race.json"
    call_command("export_session", "small", format="json", output=target, rate=1.0)
    assert json.loads(target.read_text())["session"] == "small"
    assert f"{target}: " in capsys.readouterr().out
    with pytest.raises(CommandError, match="rate 99: expected more than 0, at most 25"):
        call_command("export_session", "small", format="json", output=target, rate=99.0)
    with pytest.raises(CommandError, match="there is no session 'nowhere'"):
        call_command("export_session", "nowhere", format="json")


def test_rest_answers_with_the_file_and_its_parts(client: Client, race: Session) -> None:
    make_export(export_of(race, "geojson"))
    whole = client.get(URL, {"format": "geojson"})
    assert whole.status_code == 200
    body = body_of(whole)
    assert json.loads(body)["replay"]["session"] == "small"
    assert whole["Content-Type"] == "application/geo+json"
    assert "small-" in whole["Content-Disposition"]
    part = client.get(URL, {"format": "geojson"}, headers={"Range": "bytes=5-9"})
    assert (part.status_code, body_of(part)) == (206, body[5:10])
    same = client.get(URL, {"format": "geojson"}, headers={"If-None-Match": whole["ETag"]})
    assert same.status_code == 304
    behind = client.get(URL, {"format": "geojson"}, headers={"Range": "bytes=99999999-"})
    assert behind.status_code == 416


async def test_rest_says_how_far_an_export_has_come(
    transactional_db: None,
    settings: Any,
    tmp_path: Path,
    worker: Worker,
    async_client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.EXPORTS_DIR = tmp_path / "exports"
    race = await sync_to_async(store_small_race)()
    export = export_of(race, "json", 1.0)
    asked: list[Sequence[str]] = []

    async def half(arguments: Sequence[str]) -> None:
        asked.append(arguments)
        export.path.parent.mkdir(exist_ok=True)
        export.progress_path.write_text('{"progress": 0.5, "error": ""}')
        await asyncio.Event().wait()

    monkeypatch.setattr(exports, "WAIT_SECONDS", 0.05)
    worker.exports = ExportMakers(half)
    query = {"format": "json", "rate": "1"}
    making = await async_client.get(URL, query)
    assert making.status_code == 202
    assert making.json() == {"state": "making", "progress": 0.5, "format": "json"}
    assert making["Retry-After"] == "1"
    assert asked == [["small", "--format", "json", "--keep", "--rate", "1.0"]]

    async def whole(_arguments: Sequence[str]) -> None:
        await sync_to_async(make_export)(export)

    await worker.exports.close()
    monkeypatch.setattr(exports, "WAIT_SECONDS", 30.0)
    worker.exports = ExportMakers(whole)
    done = await async_client.get(URL, query)
    assert done.status_code == 200

    async def failing(_arguments: Sequence[str]) -> None:
        other.progress_path.write_text('{"progress": 0.1, "error": "the disk is full"}')

    other = export_of(race, "geojson")
    worker.exports = ExportMakers(failing)
    failed = await async_client.get(URL, {"format": "geojson"})
    assert failed.status_code == 422
    assert "the disk is full" in failed.json()["message"]


async def test_no_more_exports_are_made_at_once_than_can_be() -> None:
    never = asyncio.Event()

    async def waiting(_arguments: Sequence[str]) -> None:
        await never.wait()

    makers = ExportMakers(waiting)
    for name in "abcd":
        await makers.make(name, [], 0)
    # Whoever asks for one that is being made waits with the others.
    await makers.make("a", [], 0)
    with pytest.raises(TooManyExports):
        await makers.make("e", [], 0)
    await makers.close()


@pytest.mark.server
def test_the_service_makes_exports_in_a_process_of_its_own(server: RunningServer) -> None:
    url = f"{server.url}/api/sessions/{PLAY_SLUG}/export?format=geojson"
    status = 202
    for _ in range(60):
        with urllib.request.urlopen(url) as answer:
            status, body = answer.status, answer.read()
        if status == 200:
            break
    assert status == 200
    assert json.loads(body)["type"] == "FeatureCollection"
