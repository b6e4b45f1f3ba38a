"""The recording file: whole or not there, damage named, a break survived."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from sessions_app.importers.bounds import bounded_memory
from sessions_app.recording import (
    ChangedRecording,
    Columns,
    CorruptRecording,
    Field,
    FieldKind,
    InvalidColumns,
    Schema,
    TruncatedRecording,
    encode_segment,
    file,
)
from sessions_app.recording.file import (
    Recording,
    RecordingWriter,
    write_recording,
)
from sessions_app.recording.integrity import recover_recording, verify_recording
from tests.effort import many


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


@pytest.mark.parametrize(
    "about",
    [
        {"schema": "[" * 10_000},
        {"schema": '{"fields": [7], "entities": [], "frame_rate": 1, "segment_frames": 1}'},
        {"schema": '{"fields": [{"name": "x"}], "entities": [[]], "frame_rate": 1}'},
        {"start_ns": "soon"},
        {"start_ns": "9" * 5000},
        {"metadata": "[1]"},
        {"metadata": "{"},
    ],
)
def test_sealed_metadata_that_says_nonsense(
    tmp_path: Path, columns: Columns, monkeypatch: pytest.MonkeyPatch, about: dict[str, str]
) -> None:
    """The checksum is right: somebody who knows the format wrote it."""
    sealed = file._sealed
    monkeypatch.setattr(file, "_sealed", lambda r: sealed({**r, **about} if "schema" in r else r))
    path = tmp_path / "made.mcap"
    write_recording(path, columns)
    monkeypatch.undo()
    with pytest.raises(CorruptRecording):
        Recording(path)
    with pytest.raises(CorruptRecording):
        recover_recording(path, tmp_path / "recovered.mcap")


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


@dataclass(frozen=True)
class Contents:
    """Everything that is served of a recording."""

    about: tuple[object, ...]
    segments: list[bytes]


def contents(path: Path) -> Contents:
    with Recording(path) as recording:
        return contents_of(recording)


def contents_of(recording: Recording) -> Contents:
    about = (recording.version, recording.schema, recording.frame_count, recording.start_ns)
    segments = [recording.segment(i) for i in range(recording.segment_count)]
    return Contents((*about, recording.metadata), segments)


def test_a_bit_flipped_anywhere_is_refused_or_changes_nothing(
    tmp_path: Path, columns: Columns
) -> None:
    """Every third byte of a small recording, before it is opened, so that no part is left out:
    header, metadata, chunks, message indexes, summary, footer, magic."""
    path = tmp_path / "small.mcap"
    write_recording(path, columns.slice(0, 60), start_ns=10**18, metadata={"title": "Race"})
    good = path.read_bytes()
    expected = contents(path)
    refused = 0
    for offset in range(0, len(good), 3):
        path.write_bytes(with_flipped_bit(good, offset, offset % 8))
        try:
            assert contents(path) == expected, offset
        except CorruptRecording:
            refused += 1
    assert refused > len(good) / 6


@settings(
    max_examples=many(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_flipped_after_everything_was_read_is_refused_or_changes_nothing(
    path: Path, place: float, bit: int
) -> None:
    """As a failing disk does it: the time of the last change stays."""
    good = path.read_bytes()
    with Recording(path) as recording:
        expected = contents_of(recording)
        overwrite(path, with_flipped_bit(good, int(place * len(good)), bit))
        for index, segment in enumerate(expected.segments):
            with suppress(CorruptRecording):
                assert recording.segment(index) == segment
    overwrite(path, good)


def test_a_bit_flipped_after_the_first_check_is_noticed(path: Path) -> None:
    good = path.read_bytes()
    with Recording(path) as recording:
        segment = recording.segment(4)
        overwrite(path, with_flipped_bit(good, good.find(segment) + 7, 3))
        with pytest.raises(CorruptRecording, match=r"segment 4, .* checksum"):
            recording.segment(4)
        assert recording.segment(5)
        overwrite(path, good)
        assert recording.segment(4) == segment


def with_flipped_bit(content: bytes, offset: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def overwrite(path: Path, content: bytes) -> None:
    """In place, and nothing but the content tells."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CUT_OFF = """
import os, sys
from pathlib import Path
from sessions_app.recording import ChangedRecording
from sessions_app.recording.file import Recording

path = Path(sys.argv[1])
recording = Recording(path)
recording.segment(0)
os.truncate(path, int(sys.argv[2]))
for index in range(recording.segment_count):
    try:
        recording.segment(index)
    except ChangedRecording:
        print("refused", index)
"""


@pytest.mark.parametrize("size", [0, 300])
def test_a_file_cut_off_while_it_is_open_ends_no_process(path: Path, size: int) -> None:
    """In a process of its own: reading a mapped file beyond its end is a signal, not an error."""
    command = [sys.executable, "-c", CUT_OFF, str(path), str(size)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [f"refused {i}" for i in range(11)]


def test_a_file_rewritten_in_place_while_it_is_open_is_refused(
    path: Path, columns: Columns, tmp_path: Path
) -> None:
    """Its chunks may lie where those of the file that was opened lay, with right checksums."""
    values = {**columns.values, "gear": columns.values["gear"][::-1].copy()}
    other = tmp_path / "other.mcap"
    write_recording(other, Columns(columns.schema, values))
    with Recording(path) as recording:
        assert recording.is_current
        path.write_bytes(other.read_bytes())
        assert not recording.is_current
        for index in range(11):
            with pytest.raises(ChangedRecording, match="written to"):
                recording.segment(index)
    with Recording(path) as recording:
        assert recording.segment(3)


def test_a_file_removed_while_it_is_open_stays_readable(path: Path) -> None:
    with Recording(path) as recording:
        expected = contents_of(recording)
        path.unlink()
        assert not recording.is_current
        assert contents_of(recording) == expected


def test_chunks_that_have_changed_places_are_refused(tmp_path: Path, columns: Columns) -> None:
    """Each is whole, but of another second than the index says."""
    path = tmp_path / "still.mcap"
    still = {name: np.full_like(values[:100], 7) for name, values in columns.values.items()}
    write_recording(path, Columns(columns.schema, still))
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    second, third = (
        slice(c.chunk_start_offset, c.chunk_start_offset + c.chunk_length)
        for c in summary.chunk_indexes[1:3]
    )
    content = bytearray(path.read_bytes())
    content[second], content[third] = content[third], content[second]
    path.write_bytes(content)
    with Recording(path) as recording:
        assert recording.segment(0)
        with pytest.raises(CorruptRecording, match="holds segment 2"):
            recording.segment(1)


def test_a_closed_recording_reads_nothing(path: Path) -> None:
    recording = Recording(path)
    recording.close()
    recording.close()
    with pytest.raises(ValueError, match="closed"):
        recording.segment(0)


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


def test_a_record_that_claims_more_than_the_file_is_a_break(path: Path, tmp_path: Path) -> None:
    """The length is not believed: reading as much would take the memory."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x06", 0, len(data) // 2)  # the opcode of a chunk
    while data[at + 5 : at + 9] != bytes(4):
        at = data.rindex(b"\x06", 0, at)
    data[at + 1 : at + 9] = (3_500_000_000).to_bytes(8, "little")
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(data)
    with bounded_memory(3_000_000_000):
        assert recover_recording(broken, tmp_path / "saved.mcap").frame_count >= 25
