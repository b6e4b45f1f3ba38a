"""`manage.py upgrade_recordings`: old files keep being served, and become smaller when asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from sessions_app.importers.result import ImportResult
from sessions_app.models import Session
from sessions_app.recording import encode_segments
from sessions_app.recording.file import Recording, RecordingWriter
from sessions_app.storing import store_result

from .samples import small_race

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(settings: pytest.FixtureRequest, tmp_path: Path) -> ImportResult:
    """A session whose file is of format 1, and one of the present format."""
    settings.RECORDINGS_DIR = tmp_path  # type: ignore[attr-defined]
    race = small_race(30.0, cars=3)
    store_result(race, slug="new")
    session = store_result(race, slug="old")
    columns = race.columns
    with RecordingWriter(session.recording_path, columns.schema, metadata={"a": 1}) as writer:
        for segment in encode_segments(columns, 25):
            writer.append(segment, min(25, columns.frame_count - writer.frame_count))
        Session.objects.filter(slug="old").update(version=writer.commit())
    return race


def test_an_old_file_is_rewritten_with_the_same_frames(
    old: ImportResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Session.objects.get(slug="old")
    call_command("verify_recording", "old")
    call_command("upgrade_recordings")
    said = capsys.readouterr().out
    assert "new: is of the present format" in said
    assert "old: rewritten" in said
    after = Session.objects.get(slug="old")
    assert after.version != before.version
    assert not before.recording_path.exists()
    with Recording(after.recording_path) as recording:
        assert (recording.version, recording.metadata) == (after.version, {"a": 1})
        assert recording.schema.segment_frames == 300
        found = recording.columns(0, recording.frame_count)
    for name, samples in old.columns.values.items():
        np.testing.assert_array_equal(found.values[name], samples, err_msg=name)
    call_command("upgrade_recordings", "old")
    assert "old: is of the present format" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.mcap"))) == 2


def test_a_damaged_file_stays_and_is_named(old: ImportResult) -> None:
    path = Session.objects.get(slug="old").recording_path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CommandError, match="not rewritten: old"):
        call_command("upgrade_recordings")
    assert path.exists()
    with pytest.raises(CommandError, match="'nobody': no session of that slug is ready"):
        call_command("upgrade_recordings", "nobody")
