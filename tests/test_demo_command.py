"""`manage.py demo` stores one playable session, and only when asked to."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from sessions_app.models import Session
from sessions_app.recording.integrity import verify_recording

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "RECORDINGS_DIR", tmp_path)


@pytest.mark.long
def test_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("demo", minutes=5, seed=3, slug="short")
    session = Session.objects.get(slug="short")
    assert session.state == Session.State.READY
    assert session.entities.count() == 20
    assert session.events.count() > 20
    assert session.geometry.kind == "circuit"
    found = verify_recording(session.recording_path)
    assert found.frame_count == session.frame_count
    assert found.bytes_per_frame <= 80
    assert "short" in capsys.readouterr().out

    # A second time: refused, skipped or replaced, as one asks for.
    with pytest.raises(CommandError, match="--replace"):
        call_command("demo", minutes=5, slug="short")
    call_command("demo", minutes=5, seed=4, slug="short", if_missing=True)
    assert Session.objects.get(slug="short").version == session.version
    call_command("demo", minutes=5, seed=4, slug="short", replace=True)
    assert Session.objects.get(slug="short").version != session.version


def test_a_bad_length_stores_nothing() -> None:
    with pytest.raises(CommandError, match="expected 5 to 180"):
        call_command("demo", minutes=1)
    assert not Session.objects.exists()
