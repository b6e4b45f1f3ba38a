"""The recording file: whole or not there, damage named, a break survived."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from sessions_app.recording import (
    Columns,
    CorruptRecording,
    Field,
    FieldKind,
    InvalidColumns,
    Schema,
    TruncatedRecording,
    encode_segment,
)
from sessions_app.recording.file import (
    Recording,
    RecordingWriter,
    write_recording,
)
from sessions_app.recording.integrity import recover_recording, verify_recording


@pytest.fixture
def columns() -> Columns:
    rng = np.random.default_rng(3)
    schema = Schema(
        (Field("x", "dm", 1, FieldKind.CUBIC), Field("gear")), ("HAM", "VER", "LEC"), 25.0, 25
    )
    walk = np.cumsum(rng.integers(-30, 30, (260, 3)), axis=0)
    return Columns(
        schema,
        {"x": walk.astype(np.int32), "gear": rng.integers(0, 9, (260, 3)).astype(np.int32)},
    )


@pytest.fixture
def path(tmp_path: Path, columns: Columns) -> Path:
    path = tmp_path / "race.mcap"
    write_recording(path, columns, start_ns=10**18, metadata={"title": "Race"})
    return path


def test_it_works(path: Path, columns: Columns) -> None:
    with Recording(path) as recording:
        assert recording.schema == columns.schema
        assert (recording.frame_count, recording.segment_count) == (260, 11)
        assert recording.metadata == {"title": "Race"}
        found = recording.columns(20, 255)
        for name, samples in found.values.items():
            np.testing.assert_array_equal(samples, columns.values[name][20:255])


def test_the_version_names_the_content(path: Path, columns: Columns, tmp_path: Path) -> None:
    again = write_recording(tmp_path / "again.mcap", columns)
    values = {**columns.values, "gear": columns.values["gear"] + 1}
    other = write_recording(tmp_path / "other.mcap", Columns(columns.schema, values))
    with Recording(path) as recording:
        assert recording.version == again != other


def test_a_whole_file_verifies(path: Path) -> None:
    found = verify_recording(path)
    assert (found.frame_count, found.segment_count) == (260, 11)
    assert 0 < found.bytes_per_frame < 40


def test_public_readers_open_it(path: Path) -> None:
    with path.open("rb") as stream:
        reader = make_reader(stream)
        messages = list(reader.iter_messages())
        assert [m.sequence for _, _, m in messages] == list(range(11))
        assert {c.topic for _, c, _ in messages} == {"segments"}
        # a second of frames further, a second later
        assert messages[1][2].log_time - messages[0][2].log_time == 10**9
        summary = reader.get_summary()
        assert summary is not None
        assert len(summary.chunk_indexes) == 11  # one chunk a segment


@pytest.mark.parametrize("index", [-1, 11])
def test_a_segment_that_does_not_exist(path: Path, index: int) -> None:
    with Recording(path) as recording, pytest.raises(IndexError, match="has 11"):
        recording.segment(index)


def test_every_flipped_byte_of_a_segment_is_noticed(path: Path) -> None:
    with Recording(path) as recording:
        at = path.read_bytes().find(recording.segment(4))
        size = len(recording.segment(4))
    good = path.read_bytes()
    for offset in range(at, at + size, 5):
        bad = bytearray(good)
        bad[offset] ^= 0x40
        path.write_bytes(bad)
        with pytest.raises(CorruptRecording):
            verify_recording(path)
        with Recording(path) as recording:
            with pytest.raises(CorruptRecording, match="segment 4"):
                recording.segment(4)
            assert recording.segment(5)  # the others are still served


def test_a_flipped_byte_anywhere_is_never_served_as_good(path: Path, columns: Columns) -> None:
    """Whatever is damaged, what can still be read equals what was written."""
    good = path.read_bytes()
    with Recording(path) as recording:
        segments = [recording.segment(i) for i in range(recording.segment_count)]
    for offset in range(8, len(good) - 8, 23):
        bad = bytearray(good)
        bad[offset] ^= 0x01
        path.write_bytes(bad)
        try:
            with Recording(path) as recording:
                found = [recording.segment(i) for i in range(recording.segment_count)]
        except CorruptRecording:
            continue
        assert found == segments


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TruncatedRecording, match="ends early"):
        Recording(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 5000])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    with pytest.raises(CorruptRecording):
        Recording(path)


def test_the_whole_segments_before_a_break_are_recovered(
    path: Path, tmp_path: Path, columns: Columns
) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    target = tmp_path / "saved.mcap"
    found = recover_recording(path, target)
    assert 25 <= found.frame_count < 260
    assert found.frame_count % 25 == 0
    with Recording(target) as recording:
        saved = recording.columns(0, found.frame_count)
        np.testing.assert_array_equal(saved.values["x"], columns.values["x"][: found.frame_count])
        assert recording.metadata == {"title": "Race"}


def test_a_writer_that_was_killed_leaves_what_it_flushed(tmp_path: Path, columns: Columns) -> None:
    """A live recording: the partial file of a dead process gives its whole segments."""
    writer = RecordingWriter(tmp_path / "live.mcap", columns.schema)
    for i in range(4):
        writer.append(encode_segment(columns.slice(i * 25, i * 25 + 25), i * 25), 25)
    writer.flush()
    assert not (tmp_path / "live.mcap").exists()
    found = recover_recording(writer.partial_path, tmp_path / "live.mcap")
    assert found.frame_count == 100
    writer.abandon()


def test_nothing_to_recover_is_said(tmp_path: Path) -> None:
    path = tmp_path / "bad.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + b"\0" * 40)
    with pytest.raises(CorruptRecording, match="no whole segment"):
        recover_recording(path, tmp_path / "good.mcap")
    assert not (tmp_path / "good.mcap").exists()


def test_a_failed_write_leaves_nothing(
    tmp_path: Path, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def fail_later(_fraction: float) -> None:
        nonlocal calls
        calls += 1
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_recording(tmp_path / "race.mcap", columns, progress=fail_later)
    assert calls == 1
    assert list(tmp_path.iterdir()) == []


def test_a_rewrite_replaces_the_file_at_once(path: Path, columns: Columns) -> None:
    with Recording(path) as before:
        values = {**columns.values, "gear": columns.values["gear"] + 1}
        write_recording(path, Columns(columns.schema, values))
        assert before.segment(3)  # who has it open keeps it
        with Recording(path) as after:
            assert after.version != before.version


def test_only_the_last_segment_may_be_short(tmp_path: Path, columns: Columns) -> None:
    with RecordingWriter(tmp_path / "a.mcap", columns.schema) as writer:
        writer.append(encode_segment(columns.slice(0, 10), 0), 10)
        with pytest.raises(InvalidColumns, match="last segment"):
            writer.append(encode_segment(columns.slice(10, 20), 10), 10)
    assert list(tmp_path.iterdir()) == []
