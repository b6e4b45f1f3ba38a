"""What reading a source may cost: bombs, links, pipes, and errors that stay short."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sessions_app.importers.bounds import (
    MAX_COLUMNS,
    MAX_DEPTH,
    Allowance,
    Bounds,
    bounded_memory,
    files_below,
    open_regular,
)
from sessions_app.importers.openf1 import import_openf1
from sessions_app.importers.openf1.folder import MAX_CARS, find_tables, read_car_table
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import EntityRecord, EventRecord, ImportSourceError
from sessions_app.importers.table import import_table
from sessions_app.importers.tables import ColumnType, Table, read_table
from sessions_app.importers.text import cleaned, shown

from .openf1_folder import RaceFolder
from .test_import_table_mapping import SIMPLE, refusal

ROOT = Path(__file__).parent.parent
NUMBERS = {"x": ColumnType.NUMBER}
TEXTS = {"x": ColumnType.TEXT}


def read(path: Path, bounds: Bounds, columns: dict[str, ColumnType] = NUMBERS) -> Table:
    return read_table(path, columns, allowance=Allowance(bounds))


def peak_of(what: Callable[[], object]) -> int:
    """Bytes that Python held at most while it ran."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def same_text(rows: int) -> pa.Array:
    """One long text in every row, kept once, as Parquet does it."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["a" * 9_000])


class TestUnpacking:
    def test_gzip_is_read_as_far_as_the_bound(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.csv.gz"
        path.write_bytes(gzip.compress(b"x\n" + b"1\n" * 15_000_000))

        def refused() -> None:
            with pytest.raises(ImportSourceError, match="unpacks to more than 2 MB"):
                read(path, Bounds(unpacked_bytes=2_000_000))

        assert peak_of(refused) < 10_000_000

    def test_plain_files_count_too(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(b"x\n" + b"1\n" * 1_000_000)
        (tmp_path / "a.json").write_bytes(b"[" + b" " * 2_000_000 + b"]")
        for name in ("a.csv", "a.json"):
            with pytest.raises(ImportSourceError, match=r"IMPORT_UNPACKED_MB"):
                read(tmp_path / name, Bounds(unpacked_bytes=1_000_000))

    def test_all_files_of_an_import_count_together(self, tmp_path: Path) -> None:
        RaceFolder().write(tmp_path, "csv")
        options = ImportOptions(bounds=Bounds(unpacked_bytes=20_000))
        with pytest.raises(ImportSourceError, match="unpacks to more than 0 MB"):
            import_openf1(tmp_path, options)

    def test_parquet_is_refused_by_its_footer(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.parquet"
        table = pa.table({"x": np.arange(1_000_000.0)})
        pq.write_table(table, path, compression="zstd", use_dictionary=False)
        with pytest.raises(ImportSourceError, match="unpacks to more than 4 MB"):
            read(path, Bounds(unpacked_bytes=4_000_000))
        pq.write_table(pa.table({"x": np.zeros(1_000_000)}), path)
        with pytest.raises(ImportSourceError, match="more than 900,000 rows"):
            read(path, Bounds(rows=900_000))

    def test_a_text_that_fills_a_parquet_column_is_kept_once(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.parquet"
        pq.write_table(pa.table({"x": same_text(100_000)}), path, store_schema=False)
        assert path.stat().st_size < 10_000
        before = pa.total_allocated_bytes()
        found: list[Table] = []
        assert peak_of(lambda: found.append(read(path, Bounds(), TEXTS))) < 10_000_000
        assert pa.total_allocated_bytes() - before < 10_000_000
        assert set(found[0]["x"]) == {"a" * 9_000}

    def test_such_a_text_is_no_entity(self, tmp_path: Path) -> None:
        zeros = np.zeros(100_000)
        rows = pa.table({"t": zeros, "who": same_text(100_000), "x": zeros, "y": zeros})
        pq.write_table(rows, tmp_path / "a.parquet", store_schema=False)
        (tmp_path / "m.yaml").write_text(SIMPLE)
        before = pa.default_memory_pool().max_memory()

        options = ImportOptions(mapping=tmp_path / "m.yaml", strict=True)

        def refused() -> None:
            with pytest.raises(ImportSourceError, match=r"column who: .* at most 40 characters"):
                import_table(tmp_path / "a.parquet", options)

        assert peak_of(refused) < 50_000_000
        assert pa.default_memory_pool().max_memory() - before < 50_000_000

    def test_parquet_values_that_may_be_of_any_size(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"x": [[1.0] * 10]}), path)
        with pytest.raises(ImportSourceError, match="column x: a column of list"):
            read(path, Bounds())

    def test_rows_of_parquet_texts_are_named(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"x": ["1", "2", None, "far", "1", "away"]}), path)
        with pytest.raises(ImportSourceError, match="row 4, column x: 'far' found"):
            read(path, Bounds())
        pq.write_table(pa.table({"x": ["1", "2", None, "2"]}), path)
        np.testing.assert_array_equal(read(path, Bounds())["x"], [1, 2, np.nan, 2])


class TestShape:
    def test_rows(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("x\n" + "1\n" * 11)
        (tmp_path / "a.json").write_text(json.dumps([{"x": 1}] * 11))
        for name in ("a.csv", "a.json"):
            with pytest.raises(ImportSourceError, match="more than 10 rows"):
                read(tmp_path / name, Bounds(rows=10))

    def test_columns(self, tmp_path: Path) -> None:
        names = [f"c{i}" for i in range(MAX_COLUMNS)] + ["x"]
        (tmp_path / "a.csv").write_text(",".join(names) + "\n")
        pq.write_table(pa.table({name: [1] for name in names}), tmp_path / "a.parquet")
        for name in ("a.csv", "a.parquet"):
            with pytest.raises(ImportSourceError, match="2,001 columns found"):
                read(tmp_path / name, Bounds())

    def test_a_long_value(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("x\nshort\n" + "a" * 10_001 + "\n")
        with pytest.raises(ImportSourceError, match="row 2, column x: a text of 10,001") as caught:
            read(tmp_path / "a.csv", Bounds(), TEXTS)
        assert len(str(caught.value)) <= 500

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            '[{"x": ' + "[" * 900 + "]" * 900 + "}]",
            '[{"x": ' + "9" * 5_000 + "}]",
            '[{"x": ' + "9" * 4_000 + "}]",
            '[{"x": "\\ud800"}]',
            '[{"x": {"y": 1}}]',
        ],
    )
    @pytest.mark.parametrize("columns", [NUMBERS, TEXTS])
    def test_json_that_is_no_table(
        self, tmp_path: Path, text: str, columns: dict[str, ColumnType]
    ) -> None:
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ImportSourceError, match=r"a\.json.*: expected") as caught:
            read(tmp_path / "a.json", Bounds(), columns)
        assert len(str(caught.value)) <= 500

    def test_numbers_of_cars(self, tmp_path: Path) -> None:
        rows = [f"2024-01-01T00:00:00Z,1,1,{i}" for i in range(MAX_CARS + 1)]
        (tmp_path / "location.csv").write_text("\n".join(["date,x,y,driver_number", *rows]))
        with pytest.raises(ImportSourceError, match="201 different numbers: expected at most 200"):
            read_car_table(find_tables(tmp_path), "location", {})

    def test_a_wrong_date_in_a_race(self, tmp_path: Path) -> None:
        race = RaceFolder()
        race.location[1][-1]["date"] = "2099-01-01T00:00:00+00:00"
        race.laps.clear()
        race.write(tmp_path, "csv")
        with pytest.raises(ImportSourceError, match="expected a time within 12 hours of most"):
            import_openf1(tmp_path, ImportOptions(strict=True))
        result = import_openf1(tmp_path, ImportOptions())
        assert result.columns.frame_count < 25 * 600
        assert result.report is not None
        assert result.report.as_dict()["rows_left_out"] == 1

    def test_frames_of_a_table(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, SIMPLE, "t,who,x,y\n0,a,1,2\n5e6,a,1,2\n")
        assert "is the unit of time right?" in message

    def test_many_entities_take_one_pass(self, tmp_path: Path) -> None:
        rows = "".join(f"{t},e{i},1,2\n" for t in (1, 0) for i in range(3000))
        (tmp_path / "m.yaml").write_text(SIMPLE)
        (tmp_path / "a.csv").write_text("t,who,x,y\n" + rows)
        result = import_table(tmp_path / "a.csv", ImportOptions(mapping=tmp_path / "m.yaml"))
        assert [e.code for e in result.entities] == [f"e{i}" for i in range(3000)]
        assert result.columns.frame_count == 11


class TestMapping:
    def test_aliases(self, tmp_path: Path) -> None:
        names = ["time", "kind", "rate", "max_gap", "delimiter", "events", "title"]
        bomb = "time: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
            f"{name}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]\n"
            for i, name in enumerate(names[1:], 1)
        )
        assert "line 2: alias *a0 found: expected the value itself" in refusal(tmp_path, bomb)

    @pytest.mark.parametrize(
        ("mapping", "expected"),
        [
            ("[" * 100 + "]" * 100, "nesting found: expected at most 16 levels"),
            ("a: " * 5_000, "expected YAML"),
            ("#" * 300_000, "more than 200,000 bytes"),
            ("title: !!python/object/new:os.system [ls]", "tag tag:yaml.org"),
            ("title: !!timestamp x", "tag tag:yaml.org"),
            ("title: 2024-99-99", "expected YAML"),
            ("rate: " + "9" * 5_000, "expected YAML"),
            (SIMPLE.replace("10", "9" * 4_000), "bits found: expected a number above 0"),
            (SIMPLE + "? 1\n: q\n", "1 found: expected a text as key"),
            (SIMPLE + "\ndelimiter: ab\n", "key delimiter: 'ab' found"),
            (SIMPLE + "\ngeometry: {bounds: [.nan, 0, 1, 1]}\n", "expected 4 numbers"),
            (SIMPLE + "\ngeometry: {bounds: [-.inf, 0, 1, 1]}\n", "expected 4 numbers"),
            (SIMPLE + "\ngeometry: {lines: 5}\n", "key geometry.lines: 5 found"),
            (SIMPLE + "\nkind: " + "k" * 21 + "\n", "expected at most 20 characters"),
        ],
    )
    def test_what_is_no_mapping(self, tmp_path: Path, mapping: str, expected: str) -> None:
        message = refusal(tmp_path, mapping)
        assert expected in message
        assert len(message) <= 500

    def test_an_outline_that_is_none(self, tmp_path: Path) -> None:
        RaceFolder().write(tmp_path / "race", "csv")
        outline = tmp_path / "outline.json"
        circle = {"x": list(range(20)), "y": list(range(20))}
        for wrong in (
            "[" * 100_000,
            json.dumps({**circle, "x": [float("nan"), *range(19)]}),
            json.dumps({**circle, "rotation": "north"}),
            json.dumps({**circle, "corners": [{"number": 1, "trackPosition": "xy"}]}),
            json.dumps({**circle, "corners": 7}),
        ):
            outline.write_text(wrong)
            with pytest.raises(ImportSourceError, match=r"outline\.json.*expected"):
                import_openf1(tmp_path / "race", ImportOptions(geometry=outline))


class TestPlaces:
    def test_links_are_refused(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "laps.csv").write_text("sentinel\n")
        for name, target in (("laps.csv", secret / "laps.csv"), ("more", secret)):
            folder = tmp_path / f"source-{name}"
            RaceFolder().write(folder, "csv")
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target)
            with pytest.raises(ImportSourceError, match="a symbolic link found") as caught:
                import_openf1(folder, ImportOptions())
            assert "sentinel" not in str(caught.value)

    def test_a_file_that_became_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real.csv").write_text("x\n1\n")
        (tmp_path / "a.csv").symlink_to(tmp_path / "real.csv")
        with pytest.raises(ImportSourceError, match=r"a\.csv: a symbolic link found: expected a f"):
            read(tmp_path / "a.csv", Bounds())

    def test_pipes_and_devices_are_refused_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "laps.csv")
        with pytest.raises(ImportSourceError, match="a pipe found"):
            find_tables(tmp_path)
        with pytest.raises(ImportSourceError, match="a pipe found"):
            read(tmp_path / "laps.csv", Bounds())
        (tmp_path / "laps.csv").unlink()
        os.mkfifo(tmp_path / "mapping.yaml")
        (tmp_path / "a.csv").write_text("t\n")
        with pytest.raises(ImportSourceError, match="a pipe found"):
            import_table(tmp_path / "a.csv", ImportOptions(mapping=tmp_path / "mapping.yaml"))
        with pytest.raises(ImportSourceError, match="a device found"):
            open_regular(Path("/dev/null"))

    def test_number_and_depth_of_files(self, tmp_path: Path) -> None:
        for number in range(5):
            (tmp_path / f"{number}.txt").touch()
        assert len(files_below(tmp_path, Bounds(files=5))) == 5
        with pytest.raises(ImportSourceError, match="more than 4 files"):
            files_below(tmp_path, Bounds(files=4))
        tmp_path.joinpath(*"abcdefghi"[: MAX_DEPTH + 1]).mkdir(parents=True)
        with pytest.raises(ImportSourceError, match="more than 8 folders within each other"):
            files_below(tmp_path, Bounds())


class TestMemory:
    def test_what_needs_more_memory_is_one_line(self) -> None:
        """In a process of its own: Python keeps what it was given once."""
        program = (
            "from sessions_app.importers.bounds import bounded_memory\n"
            "from sessions_app.importers.result import ImportSourceError\n"
            "try:\n"
            "    with bounded_memory(300_000_000):\n"
            "        bytearray(400_000_000)\n"
            "except ImportSourceError as error:\n"
            "    print(error)\n"
            "print(len(bytearray(400_000_000)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines() == [
            "the import needs more than 300 MB of memory: expected a smaller source "
            "(IMPORT_MEMORY_MB)",
            "400000000",
        ]

    def test_the_limit_is_taken_back(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_DATA)
        with bounded_memory(50_000_000_000):
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] > 50_000_000_000
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


class TestTexts:
    def test_errors_are_one_short_line(self) -> None:
        error = ImportSourceError(
            "a\nb\x1b[31m" + "c" * 1000, file="/data/" + "d" * 5000 + "/f.csv", column="e" * 500
        )
        assert len(str(error)) == 500
        assert str(error).isprintable()
        assert "/f.csv" in str(error)

    def test_values_in_errors_are_bounded(self) -> None:
        value: object = ["lol"] * 8
        for _ in range(20):
            value = [value] * 8
        for found in (value, "x" * 10**6, 10**10_000, {"a": value}, b"x" * 10**6):
            assert len(shown(found)) <= 200

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Max  Verstappen\n", "Max Verstappen"),
            ("Pérez · 胡 · 👨‍👩‍👧", "Pérez · 胡 · 👨‍👩‍👧"),
            ("\x1b[2J\x1b]0;owned\x07Max", "[2J]0;ownedMax"),
            ("a\u202egnp.exe\u200b\ud800\x85\u2028", "agnp.exe"),
            ("x" * 30, "x" * 19 + "…"),
        ],
    )
    def test_cleaned(self, text: str, expected: str) -> None:
        assert cleaned(text, 20) == expected

    def test_records_are_clean(self) -> None:
        entity = EntityRecord("VER", name="M\x1b[1m", team="t" * 500, colour="red;x", number="\n33")
        assert (entity.name, len(entity.team), entity.colour) == ("M[1m", 120, "")
        assert entity.number == "33"
        assert EventRecord(0, "flag", "RED\x1b]0;x\x07").message == "RED]0;x"
        for code in ("", "a\x1b", "a\u202e", "c" * 41):
            with pytest.raises(ImportSourceError, match="entity code"):
                EntityRecord(code)

    def test_a_code_of_a_table(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, SIMPLE, "t,who,x,y\n0,a,1,2\n0,b\x1b[1m,1,2\n")
        assert r"row 2, column who: 'b\x1b[1m' found: expected at most 40 characters" in message
