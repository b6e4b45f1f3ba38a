"""The log of a live session: what is on disk is read again, a torn tail is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessions_app.importers.result import EntityRecord, EventRecord
from sessions_app.recording import CorruptRecording
from streaming.live.layout import Layout
from streaming.live.log import LogReader, LogWriter, part_path, remove_log
from streaming.live.producing import Frame
from streaming.live.records import (
    Added,
    Came,
    Ended,
    Happened,
    Part,
    Record,
    decode,
    encode,
    framed,
    whole_records,
)
from streaming.live.state import LiveState, replayed, version_with

from .live_samples import about, payload, schema


def came(*numbers: int, codes: tuple[str, ...] = ("A", "B")) -> Came:
    layout = Layout(schema(*codes))
    frames = [Frame(n, 100.0 + n / 10, layout.row(payload(n))) for n in numbers]
    return Came(len(codes), frames, 100.0)


def append(writer: LogWriter, *records: Record) -> None:
    writer.append([encode(record) for record in records])


def read(folder: Path) -> LiveState:
    return replayed(record for record, _ in LogReader(folder, "regatta").read_new())


@pytest.mark.parametrize(
    "record",
    [
        Part(3, {1: 10, 2: 20}, about()),
        came(4, 5, 9),
        Happened(EventRecord(3, "flag", "red", value="red")),
        Added(EntityRecord("C", name="Third"), "abc"),
        Ended("over"),
    ],
)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert decode(encode(record)) == record


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(CorruptRecording, match="a newer version wrote it"):
        decode(b"\x91\xa3new")
    with pytest.raises(CorruptRecording, match="cannot be read"):
        decode(b"\x92\xa6frames\x01")


def test_a_torn_tail_ends_what_is_read() -> None:
    data = framed([b"one", b"two"])
    for cut in range(len(data)):
        whole = [content for content, _ in whole_records(data[:cut])]
        assert whole == [b"one", b"two"][: 0 if cut < 11 else 1]
    for at in range(11, len(data)):
        torn = bytearray(data)
        torn[at] ^= 0x40
        assert [content for content, _ in whole_records(bytes(torn))] == [b"one"]


def test_it_works(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, about(), LogReader(tmp_path, "regatta"))
    append(writer, came(0, 1), came(5))
    state = read(tmp_path)
    assert (state.next_frame, state.last_time, state.start_time) == (6, 100.5, 100.0)
    assert state.growing is not None
    x = state.growing.columns(0, 6).quantities("x")[:, 0]
    assert x.tolist()[:2] == [0.0, 1.0]
    # A gap is missing, not invented.
    assert [value != value for value in x] == [False, False, True, True, True, False]


def test_a_writer_that_comes_later_cuts_what_was_torn(tmp_path: Path) -> None:
    first = LogWriter(tmp_path, about(), LogReader(tmp_path, "regatta"))
    append(first, came(0, 1, 2))
    with part_path(tmp_path, "regatta", 1).open("ab") as torn:
        torn.write(framed([encode(came(3))])[:-1])
    reader = LogReader(tmp_path, "regatta")
    assert len(reader.read_new()) == 2
    second = LogWriter(tmp_path, about(), reader)
    append(second, came(3, 4))
    assert read(tmp_path).next_frame == 5


def test_a_writer_that_lost_its_right_cannot_harm(tmp_path: Path) -> None:
    first = LogWriter(tmp_path, about(), LogReader(tmp_path, "regatta"))
    append(first, came(0))
    reader = LogReader(tmp_path, "regatta")
    reader.read_new()
    second = LogWriter(tmp_path, about(), reader)
    append(second, came(1))
    append(first, came(1, 2, 3))
    state = read(tmp_path)
    assert state.next_frame == 2
    # Also for a reader that comes along record by record.
    assert [type(record) for record, _ in reader.read_new()] == [Part, Came]


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, about(), LogReader(tmp_path, "regatta"))
    reader = LogReader(tmp_path, "regatta")
    assert len(reader.read_new()) == 1
    assert reader.read_new() == []
    append(writer, came(0), came(1))
    assert len(reader.read_new()) == 2
    remove_log(tmp_path, "regatta")
    assert reader.read_new() == []


def test_an_entity_that_appears_was_missing_before(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, about("A"), LogReader(tmp_path, "regatta"))
    one = Layout(schema("A"))
    append(writer, Came(1, [Frame(n, 0.0, one.row({})) for n in range(12)], 0.0))
    append(writer, Added(EntityRecord("B"), version_with(about().version, "B")), came(12))
    state = read(tmp_path)
    assert state.version != about().version
    assert state.growing is not None
    x = state.growing.columns(9, 13).quantities("x")[:, 1]
    assert [value != value for value in x] == [True, True, True, False]
    # The segment that was whole before has the new entity too.
    assert state.growing.segment(0) != b""
    assert state.result().schema.entities == ("A", "B")


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(tmp_path, about(), LogReader(tmp_path, "regatta"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            append(writer, came(0))
    append(writer, came(0))
    assert read(tmp_path).next_frame == 1
