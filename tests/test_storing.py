"""A result is stored in the database and on disk together, or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError

from sessions_app import storing
from sessions_app.models import Entity, Session
from sessions_app.recording.file import Recording
from sessions_app.storing import SlugTaken, store_result

from .samples import small_play, small_race

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path, settings) -> Path:
    settings.RECORDINGS_DIR = tmp_path
    return tmp_path


def test_it_works(recordings: Path) -> None:
    session = store_result(small_race(30), slug="race")
    assert session.state == Session.State.READY
    assert session.frame_count == 750
    assert session.entities.count() == 20
    assert session.geometry.shapes["corners"][1]["label"] == "2"
    assert session.events.count() == 4
    assert session.stints.count() == 20
    with Recording(session.recording_path) as recording:
        assert recording.version == session.version
        assert recording.metadata["title"] == session.title


def test_a_taken_slug_is_refused_and_nothing_changes(recordings: Path) -> None:
    before = store_result(small_race(30), slug="race")
    with pytest.raises(SlugTaken, match="'race'"):
        store_result(small_play(), slug="race")
    assert Session.objects.get(slug="race").version == before.version
    assert len(list(recordings.iterdir())) == 1


def test_replacing_leaves_one_file_and_the_new_rows(recordings: Path) -> None:
    store_result(small_race(30), slug="race")
    after = store_result(small_play(), slug="race", replace=True)
    assert [p.name for p in recordings.iterdir()] == [after.recording]
    assert {e.code for e in Entity.objects.all()} == {"QB", "WR", "CB", "LB", "ball"}
    assert not after.laps.exists()


@pytest.mark.parametrize("slug", ["", "../race", "a b", "-x", "x" * 81, "ä"])
def test_a_slug_that_cannot_stand_in_an_address_is_refused(recordings: Path, slug: str) -> None:
    with pytest.raises(ValidationError):
        store_result(small_play(), slug=slug)
    assert list(recordings.iterdir()) == []


def test_a_full_disk_leaves_what_was_there(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store_result(small_race(30), slug="race")

    def no_space(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storing, "write_recording", no_space)
    with pytest.raises(OSError, match="No space"):
        store_result(small_play(), slug="race", replace=True)
    assert Session.objects.get(slug="race").version == before.version
    assert [p.name for p in recordings.iterdir()] == [before.recording]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_refuses_leaves_no_file(recordings: Path) -> None:
    result = small_race(60)
    twice = dataclasses.replace(result, laps=[result.laps[0], result.laps[0]])
    with pytest.raises(DatabaseError):
        store_result(twice, slug="race")
    assert not Session.objects.exists()
    assert list(recordings.iterdir()) == []


def test_entities_must_be_those_of_the_columns(recordings: Path) -> None:
    result = small_play()
    odd = dataclasses.replace(result, entities=list(result.entities)[::-1])
    with pytest.raises(ValidationError, match="order"):
        store_result(odd, slug="play")
    assert list(recordings.iterdir()) == []
