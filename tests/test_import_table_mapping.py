"""Any table with a mapping: fields, units, rates, angles, gaps, maps, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError
from sessions_app.importers.table import import_table

ROOT = Path(__file__).parent.parent
NFL = ROOT / "docs" / "examples" / "nfl-play.yaml"

SIMPLE = """
time: {column: t, unit: s}
entity: who
rate: 10
fields:
  x: {column: x, unit: m}
  y: {column: y, unit: m}
"""


def imported(
    folder: Path, mapping: str, rows: str, name: str = "play.csv", *, strict: bool = False
) -> ImportResult:
    (folder / "mapping.yaml").write_text(mapping)
    (folder / name).write_text(rows)
    options = ImportOptions(mapping=folder / "mapping.yaml", strict=strict)
    return import_table(folder / name, options)


def refusal(
    folder: Path, mapping: str, rows: str = "t,who,x,y\n0,a,1,2\n", *, strict: bool = True
) -> str:
    with pytest.raises(ImportSourceError) as caught:
        imported(folder, mapping, rows, strict=strict)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_it_works(tmp_path: Path) -> None:
    result = imported(tmp_path, SIMPLE, "t,who,x,y\n0,b,0,5\n0,a,9,9\n1,b,10,5\n1,a,9,9\n")
    assert [e.code for e in result.entities] == ["b", "a"]
    assert result.columns.frame_count == 11
    assert result.columns.schema.frame_rate == 10
    assert result.columns.quantities("x")[:, 0] == pytest.approx(np.arange(11.0))
    assert result.geometry is not None
    assert result.geometry.bounds[0] < 0 < 10 < result.geometry.bounds[2]
    assert result.start_time is None


def test_parquet_tsv_and_gzip_say_the_same(tmp_path: Path) -> None:
    rows = {"t": [0.0, 0.5, 1.0], "who": ["a"] * 3, "x": [1.0, 2.0, 3.0], "y": [0.0] * 3}
    text = "t\twho\tx\ty\n0\ta\t1\t0\n0.5\ta\t2\t0\n1\ta\t3\t0\n"
    (tmp_path / "m.yaml").write_text(SIMPLE)
    pq.write_table(pa.table(rows), tmp_path / "p.parquet")
    (tmp_path / "p.tsv").write_text(text)
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(text.encode()))
    x = [
        import_table(tmp_path / n, ImportOptions(mapping=tmp_path / "m.yaml")).columns.values["x"]
        for n in ("p.parquet", "p.tsv", "p.tsv.gz")
    ]
    assert (x[0] == x[1]).all()
    assert (x[1] == x[2]).all()


def test_iso_times_give_the_start(tmp_path: Path) -> None:
    mapping = SIMPLE.replace("{column: t, unit: s}", "t").replace("rate: 10\n", "")
    rows = "t,who,x,y\n2024-05-01T10:00:00Z,a,0,0\n2024-05-01 10:00:00.200+00:00,a,2,0\n"
    result = imported(tmp_path, mapping, rows)
    assert result.start_time is not None
    assert result.start_time.isoformat() == "2024-05-01T10:00:00+00:00"
    assert result.columns.schema.frame_rate == 5.0
    assert result.year == 2024


def test_a_column_of_frame_numbers(tmp_path: Path) -> None:
    mapping = SIMPLE.replace("{column: t, unit: s}", "{column: t, rate: 20}")
    result = imported(tmp_path, mapping, "t,who,x,y\n100,a,0,0\n120,a,10,0\n")
    assert result.columns.duration == pytest.approx(1.1)


def test_angles_turn_the_shorter_way(tmp_path: Path) -> None:
    mapping = SIMPLE + "  heading: {column: h, unit: °, kind: angle}\n"
    result = imported(tmp_path, mapping, "t,who,x,y,h\n0,a,0,0,350\n1,a,0,0,10\n")
    heading = result.columns.quantities("heading")[:, 0]
    assert heading[5] % 360 == pytest.approx(0.0)
    assert heading[2] == pytest.approx(354.0)


def test_held_values_are_not_interpolated(tmp_path: Path) -> None:
    mapping = SIMPLE + "  gear: {column: g, kind: held, scale: 1}\n"
    result = imported(tmp_path, mapping, "t,who,x,y,g\n0,a,0,0,3\n1,a,0,0,5\n")
    assert result.columns.quantities("gear")[:, 0].tolist() == [3.0] * 10 + [5.0]


def test_an_entity_comes_and_goes_and_gaps_stay_open(tmp_path: Path) -> None:
    rows = ["t,who,x,y"] + [f"{t / 2},a,{t},0" for t in range(41)]
    rows += [f"{t / 2},b,{t},0" for t in (*range(10, 15), *range(25, 30))]
    result = imported(tmp_path, SIMPLE, "\n".join(rows))
    seen = ~np.isnan(result.columns.quantities("x")[:, 1])
    time = np.arange(result.columns.frame_count) / 10
    expected = ((time >= 5) & (time <= 7)) | ((time >= 12.5) & (time <= 14.5))
    assert (seen == expected).all()


def test_a_value_that_is_not_there_is_missing(tmp_path: Path) -> None:
    mapping = SIMPLE + "  speed: s\n"
    result = imported(tmp_path, mapping, "t,who,x,y,s\n0,a,0,0,\n1,a,1,0,\n0,b,0,0,2\n1,b,0,0,2\n")
    assert np.isnan(result.columns.quantities("speed")[:, 0]).all()
    assert (result.columns.quantities("speed")[:, 1] == 2).all()


def test_degrees_become_metres(tmp_path: Path) -> None:
    mapping = """
time: {column: t, unit: s}
entity: who
rate: 1
geometry: {latitude: lat, longitude: lon}
"""
    rows = "t,who,lat,lon\n0,a,47.0,8.0\n1,a,47.001,8.001\n2,a,47.002,8.002\n"
    result = imported(tmp_path, mapping, rows)
    x, y = (result.columns.quantities(n)[:, 0] for n in ("x", "y"))
    assert np.diff(y) == pytest.approx([111.2, 111.2], abs=0.2)
    assert np.diff(x) == pytest.approx([75.8, 75.8], abs=0.2)
    assert result.geometry is not None
    assert result.geometry.kind == "map"
    assert result.geometry.origin == pytest.approx((47.001, 8.001))


def test_events_once_per_frame(tmp_path: Path) -> None:
    rows = "t,who,x,y,e\n0,a,0,0,\n0.5,a,0,0,snap\n1,a,0,0,\n0.5,b,0,0,snap\n1,b,0,0,catch\n"
    result = imported(tmp_path, SIMPLE + "\nevents: e\n", rows)
    assert [(e.frame, e.value) for e in result.events] == [(5, "snap"), (10, "catch")]


def test_the_sample_mapping_is_ten_lines() -> None:
    assert len(NFL.read_text().splitlines()) <= 10


@pytest.mark.realdata
@pytest.mark.parametrize("index", [0, 1, 2])
def test_real_plays(realdata: Path, index: int) -> None:
    plays = sorted((realdata / "nfl").glob("*.tsv.gz"))
    if len(plays) <= index:
        pytest.skip(f"no play {index} at {realdata / 'nfl'}")
    result = import_table(plays[index], ImportOptions(mapping=NFL))
    assert len(result.entities) == 23
    assert result.columns.schema.frame_rate == 10.0
    assert 30 * 10 - 5 <= result.columns.frame_count <= 64 * 10
    ball = [e.code for e in result.entities].index("ball")
    assert np.isnan(result.columns.quantities("direction")[:, ball]).all()
    assert not np.isnan(result.columns.quantities("x")[:, ball]).all()
    assert "ball_snap" in {e.value for e in result.events}
    assert result.geometry is not None
    assert result.geometry.bounds == (0.0, 0.0, 120.0, 53.3)
    with gzip.open(plays[index], "rt") as stream:
        names = stream.readline().rstrip("\n").split("\t")
        row = dict(zip(names, stream.readline().rstrip("\n").split("\t"), strict=True))
    who = [e.code for e in result.entities].index(row["displayName"])
    assert result.start_time is not None
    first = np.datetime64(row["time"]) - np.datetime64(result.start_time.replace(tzinfo=None))
    frame = round(first / np.timedelta64(100, "ms"))
    assert result.columns.quantities("x")[frame, who] == pytest.approx(float(row["x"]), abs=0.01)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ("", "expected keys and values"),
        ("[1", "expected YAML"),
        (SIMPLE + "fps: 3\n", "key fps: unknown: expected one of"),
        (SIMPLE.replace("entity: who\n", ""), "key entity: missing"),
        (SIMPLE.replace("rate: 10", "rate: -1"), "key rate: -1 found: expected a number above 0"),
        (SIMPLE.replace("unit: s}", "unit: h}"), "key time.unit: 'h' found: expected one of s,"),
        (SIMPLE.replace("  y: {column: y, unit: m}\n", ""), "key fields.y: missing"),
        (SIMPLE + "  Bad-Name: q\n", "key fields.Bad-Name"),
        (SIMPLE + "  q: {column: q, kind: wavy}\n", "key fields.q.kind: 'wavy' found: expected"),
        (SIMPLE + "geometry: {bounds: [1, 2]}\n", "key geometry.bounds: [1, 2] found: expected 4"),
        (SIMPLE + "geometry: {latitude: a}\n", "key geometry: expected latitude and longitude"),
    ],
)
def test_a_mapping_that_makes_no_sense(tmp_path: Path, mapping: str, expected: str) -> None:
    message = refusal(tmp_path, mapping)
    assert "mapping.yaml: " in message
    assert expected in message


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("t,who,x\n0,a,1\n", "play.csv, column y: no such column: expected"),
        ("t,who,x,y\n0,a,1,2\n1,a,one,2\n", "play.csv, row 2, column x: 'one' found"),
        ("t,who,x,y\nnoon,a,1,2\n", "play.csv, row 1, column t: 'noon' found: expected a number"),
        ("t,who,x,y\n0,,1,2\n", "play.csv, row 1, column who: no value found"),
        ("t,who,x,y\n0,a,1e30,2\n", "1e+30 of a found: expected at most"),
        ("t,who,x,y\n0,a,1\n", "play.csv, row 1, column 4: 3 values found: expected 4"),
        ("t,who,x,y\n0,a,inf,2\n", "play.csv, row 1, column x: inf found: expected a finite"),
        ("t,who,x,y\n,a,1,2\n", "play.csv, column t: no value in any row"),
        ("t,who,x,y\n", "play.csv: no rows: expected at least one"),
        ("", "play.csv: "),
        ("t,who,x,y\n0,a,1,2\n99999999999,a,1,2\n", "is the unit of time right?"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path: Path, rows: str, expected: str) -> None:
    assert expected in refusal(tmp_path, SIMPLE, rows)


GOOD = "".join(f"{t / 10},{who},{t},5\n" for t in range(20) for who in "ab")
"""Rows of two entities over two seconds."""


@pytest.mark.parametrize(
    ("rows", "column", "done", "row"),
    [
        ("1,a,one,2\n", "x", "value left out", 41),
        ("noon,a,1,2\n", "t", "value left out", 41),
        ("1,,1,2\n", "who", "row left out", 41),
        ("1,\x07a,1,2\n", "who", "row left out", 41),
        (f"1,{'a' * 41},1,2\n", "who", "row left out", 41),
        ("1,a,1\n", "", "row left out", 41),
        ("1,a,inf,2\n", "x", "value left out", 41),
        ("3e9,a,1,2\n", "", "row left out", None),
        ("1e300,a,1,2\n", "t", "row left out", 41),
        ("0.55,a,1e30,2\n", "x", "value left out", None),
        (",a,1,2\n", "t", "row left out", 41),
        ("1,a,1,2\n", "", "row left out", None),
    ],
)
def test_a_row_that_cannot_be_believed_is_left_out_and_listed(
    tmp_path: Path, rows: str, column: str, done: str, row: int | None
) -> None:
    result = imported(tmp_path, SIMPLE, "t,who,x,y\n" + GOOD + rows)
    assert [e.code for e in result.entities] == ["a", "b"]
    assert result.columns.frame_count == 20
    assert result.report is not None
    finding = result.report.as_dict()["findings"][0]
    assert (finding["column"], finding["done"], finding["count"]) == (column, done, 1)
    assert finding["examples"][0]["row"] == row


def test_a_column_that_is_missing_costs_its_field_only(tmp_path: Path) -> None:
    mapping = SIMPLE + "  speed: s\n"
    result = imported(tmp_path, mapping, "t,who,x,y\n" + GOOD)
    assert np.isnan(result.columns.quantities("speed")).all()
    assert result.report is not None
    [finding] = result.report.as_dict()["findings"]
    assert (finding["column"], finding["done"]) == ("s", "column left out")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("t,who,x\n0,a,1\n", "no position in any row"),
        ("who,x,y\na,1,2\n", "column t: no value in any row: expected times"),
        ("t,x,y\n0,1,2\n", "no row with a time and an entity"),
        ("t,who,x,y\n", "no rows: expected at least one"),
        ("", "play.csv: no rows (Empty CSV file found): expected at least one"),
    ],
)
def test_a_table_of_which_nothing_can_be_shown(tmp_path: Path, rows: str, expected: str) -> None:
    assert expected in refusal(tmp_path, SIMPLE, rows, strict=False)


def test_what_was_read_stands_in_the_report(tmp_path: Path) -> None:
    rows = [f"2024-05-01T10:00:0{t}Z,{who},1,2" for t in range(3) for who in "ab"]
    mapping = SIMPLE.replace("{column: t, unit: s}", "t")
    result = imported(tmp_path, mapping, "\n".join(["t,who,x,y", *rows[:-1]]))
    assert result.report is not None
    report = result.report.as_dict()
    [table] = report["tables"]
    assert (table["rows"], table["entities"]) == (5, 2)
    assert table["first"] == "2024-05-01T10:00:00+00:00"
    # b is not seen in the last of two seconds.
    assert report["unseen_share"] == 0.25


def test_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"t": t, "who": "a", "x": t, "y": 0}) for t in range(3)]
    lines[1:1] = ["", "[1, 2]", '{"t": 1']
    result = imported(tmp_path, SIMPLE, "\n".join(lines), "play.jsonl")
    assert result.columns.quantities("x")[::10, 0].tolist() == [0, 1, 2]
    assert result.report is not None
    [finding] = result.report.as_dict()["findings"]
    assert [e["row"] for e in finding["examples"]] == [3, 4]
    assert "play.jsonl, row 3: [1, 2] found: expected a JSON record" in refusal_of_lines(
        tmp_path, "\n".join(lines)
    )


def refusal_of_lines(folder: Path, text: str) -> str:
    with pytest.raises(ImportSourceError) as caught:
        imported(folder, SIMPLE, text, "play.jsonl", strict=True)
    return str(caught.value)


def test_a_broken_gzip_file(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(SIMPLE)
    (tmp_path / "play.csv.gz").write_bytes(gzip.compress(b"t,who,x,y\n0,a,1,2\n" * 50)[:-12])
    options = ImportOptions(mapping=tmp_path / "m.yaml", strict=True)
    with pytest.raises(ImportSourceError, match=r"play\.csv\.gz: .*: expected a whole gzip file"):
        import_table(tmp_path / "play.csv.gz", options)


def test_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match="expected --mapping"):
        import_table(tmp_path / "play.csv", ImportOptions())


def test_an_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(SIMPLE)
    (tmp_path / "play.xls").write_text("")
    options = ImportOptions(mapping=tmp_path / "m.yaml", strict=True)
    with pytest.raises(ImportSourceError, match=r"unknown format: expected one of \.parquet"):
        import_table(tmp_path / "play.xls", options)
