"""Tables on disk (Parquet, CSV, TSV, JSON or JSON lines, gzipped or not) → numpy columns.

Knows nothing of any sport. Every error names file, row and column and says what was expected.
"""

from __future__ import annotations

import codecs
import enum
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .bounds import MAX_FIELD, Allowance, open_regular
from .errors import ImportSourceError, SourceTooLarge
from .report import MAX_EXAMPLES, Done, Report
from .text import shown

NULLS = ("", "null", "None", "NaN", "nan", "NaT", "NA")
"""What stands for "no value" in text files, as written by pandas, JavaScript and people."""

JSON_LINES = (".jsonl", ".ndjson")
FORMATS = (".parquet", ".csv", ".tsv", ".json", *JSON_LINES)
MAX_FOOTER = 8_000_000
"""Bytes of a Parquet file's footer: a hundred columns in a thousand parts need as much."""


class ColumnType(enum.Enum):
    """Kinds of value and the array that a column becomes.

    TIME: float64 seconds since 1970 (UTC), NaN for null; text must be ISO 8601.
    NUMBER: float64, NaN for null. TEXT: object array of str, "" for null. FLAG: bool, null False.
    """

    TIME = "an ISO 8601 time such as 2024-06-30T13:03:02.157+00:00"
    NUMBER = "a number"
    TEXT = "text"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length by name, and where each row came from.

    path: of the file, or of the first of several. numbers: each row's 1-based data row in its file,
    None for 1, 2, 3…. files, file_of: the files of joined tables and each row's index into them.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]
    rows: int
    name: str = ""
    numbers: NDArray[np.int32] | None = None
    files: tuple[Path, ...] = ()
    file_of: NDArray[np.int16] | None = None

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def where(self, keep: NDArray[Any]) -> Table:
        """The rows chosen by a mask or by their indices, in that order."""
        columns = {name: values[keep] for name, values in self.columns.items()}
        rows = int(keep.sum()) if keep.dtype == np.bool_ else len(keep)
        return replace(
            self,
            columns=columns,
            rows=rows,
            numbers=self._numbers()[keep],
            file_of=None if self.file_of is None else self.file_of[keep],
        )

    def with_columns(self, **columns: NDArray[Any]) -> Table:
        """The same rows with columns added or replaced."""
        return replace(self, columns={**self.columns, **columns})

    def _numbers(self) -> NDArray[np.int32]:
        if self.numbers is not None:
            return self.numbers
        return np.arange(1, self.rows + 1, dtype=np.int32)

    def place(self, row: int) -> tuple[Path, int]:
        """The file that a row (an index) came from, and its 1-based data row there."""
        path = self.path if self.file_of is None else self.files[self.file_of[row]]
        return path, row + 1 if self.numbers is None else int(self.numbers[row])

    def believed(
        self,
        report: Report,
        wrong: NDArray[np.bool_],
        column: str,
        expected: str,
        done: Done,
        *,
        known: bool = False,
    ) -> Table:
        """The table without the wrong rows (`Done.ROW`), or with no value where one is wrong
        (`Done.VALUE`); each is counted in the report.

        Raises: ImportSourceError for the first if the import is strict and it is not known.
        """
        at = np.flatnonzero(wrong)
        if not at.size:
            return self
        values = self.columns[column]
        for row in at[:MAX_EXAMPLES]:
            file, number = self.place(int(row))
            report.leave_out(
                done,
                expected,
                table=self.name,
                file=file,
                row=number,
                column=column,
                found=_shown_value(values[row]),
                known=known,
            )
        if at.size > MAX_EXAMPLES:
            report.leave_out(
                done,
                expected,
                table=self.name,
                column=column,
                count=int(at.size) - MAX_EXAMPLES,
                known=known,
            )
        if done is Done.ROW:
            return self.where(~wrong)
        if done is Done.RECOVERED:
            return self
        cleared = values.copy()
        cleared[at] = _FILLER[values.dtype.kind]
        return self.with_columns(**{column: cleared})


_FILLER: Mapping[str, Any] = {"f": np.nan, "b": False, "O": ""}
"""What stands for "no value", by the kind of array."""


def _shown_value(value: Any) -> str:
    """A cell of a converted column, for the report."""
    if isinstance(value, str):
        return shown(value) if value else "no value"
    return "no value" if np.isnan(value) else f"{value:.12g}"


def format_of(path: Path) -> str:
    """ ".csv" for "a.csv" and "a.csv.gz"; "" if it is none of `FORMATS`."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    return suffix if suffix in FORMATS else ""


def read_table(
    path: Path,
    required: Mapping[str, ColumnType],
    optional: Mapping[str, ColumnType] | None = None,
    *,
    delimiter: str | None = None,
    allowance: Allowance | None = None,
    report: Report | None = None,
    name: str = "",
) -> Table:
    """Read the named columns of one file; other columns are not even decoded.

    allowance: what the import may still take; None for the default bounds of one file. report:
    where what cannot be read is listed and left out; None for a strict one. name: of the table in
    the report.
    Returns: all required columns, null where they could not be read, and the optional ones that
    are there.
    Raises: SourceTooLarge beyond a bound. ImportSourceError, if strict, for an unreadable file, a
    missing column, a row that does not fit the header or a value of another type.
    """
    allowance = allowance or Allowance()
    report = report if report is not None else Report(strict=True)
    wanted = {**required, **(optional or {})}
    reading = _Reading(path, name or path.name, report)
    try:
        arrays = _read_file(reading, wanted, delimiter, allowance)
    except SourceTooLarge:
        raise
    except ImportSourceError as error:
        report.refuse_or_leave(error, reading.name, Done.FILE)
        arrays = {}
    rows = len(next(iter(arrays.values()))) if arrays else 0
    # A JSON list without any record has no columns to miss.
    if rows or format_of(path) not in (".json", *JSON_LINES):
        for missing in required:
            if missing not in arrays and not reading.lost(missing):
                wrong = ImportSourceError(
                    f"no such column: expected {', '.join(required)}", file=path, column=missing
                )
                report.refuse_or_leave(wrong, reading.name, Done.COLUMN)
    columns = {c: _convert(arrays[c], wanted[c], reading, c) for c in arrays}
    for missing in required:
        if missing not in columns:
            nothing = pa.nulls(rows, pa.string())
            columns[missing] = _convert(nothing, wanted[missing], reading, missing)
    return Table(path, columns, rows, reading.name, reading.numbers)


@dataclass(slots=True)
class _Reading:
    """One file while it is read. numbers: as in `Table`, where rows were left out."""

    path: Path
    name: str
    report: Report
    numbers: NDArray[np.int32] | None = None
    columns_lost: set[str] = dataclass_field(default_factory=set)

    def lost(self, column: str) -> bool:
        """Whether the column was there, and reported as not to be read."""
        return column in self.columns_lost

    def row(self, index: int) -> int:
        return index + 1 if self.numbers is None else int(self.numbers[index])

    def bad(
        self, done: Done, expected: str, column: str, row: int | None, found: object, count: int = 1
    ) -> None:
        """Leave something out, or refuse. row: 1-based."""
        if done is Done.COLUMN:
            self.columns_lost.add(column)
        self.report.leave_out(
            done,
            expected,
            table=self.name,
            file=self.path,
            row=row,
            column=column,
            found=found,
            count=count,
        )


def _read_file(
    reading: _Reading,
    wanted: Mapping[str, ColumnType],
    delimiter: str | None,
    allowance: Allowance,
) -> dict[str, pa.Array]:
    path = reading.path
    kind = format_of(path)
    if not kind:
        raise ImportSourceError(f"unknown format: expected one of {', '.join(FORMATS)}", file=path)
    try:
        if kind == ".parquet":
            return _read_parquet(reading, wanted, allowance)
        if kind == ".json" or kind in JSON_LINES:
            return _read_json(reading, wanted, allowance)
        separator = delimiter or ("\t" if kind == ".tsv" else ",")
        return _read_csv(reading, wanted, separator, allowance)
    except FileNotFoundError as error:
        raise ImportSourceError("no such file: expected a table", file=path) from error
    except OSError as error:
        raise _unreadable(path, "a readable file", error) from error


@contextmanager
def _parquet_source(path: Path, allowance: Allowance) -> Iterator[Any]:
    """The file, unpacked if it is gzipped, if its footer is of a usual size."""
    if path.suffix.lower() == ".gz":
        source: Any = pa.BufferReader(pa.py_buffer(allowance.read(path)))
        end = source.size()
    else:
        source = open_regular(path)
        end = source.seek(0, 2)
    with source:
        # The footer is unpacked as a whole, whatever it describes.
        source.seek(max(end - 8, 0))
        length = int.from_bytes(source.read(4), "little")
        if length > MAX_FOOTER and source.read(4) == b"PAR1":
            raise ImportSourceError(
                f"a footer of {length:,} bytes found: expected at most {MAX_FOOTER:,}", file=path
            )
        source.seek(0)
        try:
            yield source
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            # A KeyError is two columns of one name.
            raise _unreadable(path, "a Parquet file", error) from error


def embedded_text(path: Path, key: bytes, most: int) -> bytes | None:
    """What the metadata of a Parquet file says under a key; None for another file, or without it.

    Raises: ImportSourceError if the file cannot be read, or the text is longer than `most` bytes.
    """
    if format_of(path) != ".parquet":
        return None
    with _parquet_source(path, Allowance()) as source:
        metadata: Mapping[bytes, bytes] = pq.ParquetFile(source).metadata.metadata or {}
        text = metadata.get(key)
    if text is not None and len(text) > most:
        raise ImportSourceError(
            f"{len(text):,} bytes found under {key.decode()}: expected at most {most:,}", file=path
        )
    return text


def _read_parquet(
    reading: _Reading, wanted: Mapping[str, ColumnType], allowance: Allowance
) -> dict[str, pa.Array]:
    path = reading.path
    with _parquet_source(path, allowance) as source:
        file = pq.ParquetFile(source)
        about = file.metadata
        allowance.check_columns(path, about.num_columns)
        kinds = {f.name: f.type for f in file.schema_arrow if f.name in wanted}
        for name in [n for n, kind in kinds.items() if not _is_plain(kind)]:
            kind, expected = kinds.pop(name), wanted[name].value
            reading.bad(Done.COLUMN, expected, name, None, f"a column of {kind}")
        names = list(kinds)
        # Before anything is unpacked: what the footer promises. It may lie, so what comes counts.
        allowance.take_rows(path, max(about.num_rows, 0))
        chosen = [i for i in range(about.num_columns) if about.schema.column(i).path in kinds]
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        promised = sum(max(g.column(i).total_uncompressed_size, 0) for g in groups for i in chosen)
        allowance.take_bytes(path, promised)
        # As dictionaries, a text that is repeated in each row is kept once.
        texts = [name for name, kind in kinds.items() if _is_text(kind)]
        file = pq.ParquetFile(source, read_dictionary=texts)
        batches, rows, size = [], 0, 0
        for batch in file.iter_batches(batch_size=1 << 16, columns=names, use_threads=False):
            rows += len(batch)
            size += batch.nbytes
            if rows > about.num_rows:
                raise ImportSourceError(
                    f"row {rows:,} found: expected {about.num_rows:,} rows, as the footer says",
                    file=path,
                )
            if size > promised:
                allowance.take_bytes(path, size - promised)
                promised = size
            batches.append(batch)
        table = pa.Table.from_batches(batches) if batches else file.read(columns=names)
        return {name: table[name].combine_chunks() for name in names}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _is_plain(kind: pa.DataType) -> bool:
    """Whether every value is of a bounded size: no lists, records, fixed-size bytes."""
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        _is_text(values)
        or pa.types.is_large_string(values)
        or pa.types.is_integer(values)
        or pa.types.is_floating(values)
        or pa.types.is_boolean(values)
        or pa.types.is_timestamp(values)
        or pa.types.is_date(values)
        or pa.types.is_decimal(values)
        or pa.types.is_null(values)
    )


def _read_csv(
    reading: _Reading, wanted: Mapping[str, ColumnType], delimiter: str, allowance: Allowance
) -> dict[str, pa.Array]:
    path = reading.path
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error" if reading.report.strict else "skip"

    data = _text_bytes(reading, allowance)
    header = _header(data, delimiter)
    allowance.check_columns(path, len(header))
    # At most so many: a quoted value may hold line ends.
    allowance.take_rows(path, max(data.count(b"\n"), data.count(b"\r")))
    try:
        table = pacsv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            # One thread, because only then do rows that do not fit know their number.
            read_options=pacsv.ReadOptions(use_threads=False, block_size=1 << 24),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=refuse),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(wanted),
                include_missing_columns=True,
                column_types=dict.fromkeys(wanted, pa.string()),
                null_values=list(NULLS),
                strings_can_be_null=True,
            ),
        )
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if wrong:
            row = wrong[0]
            raise ImportSourceError(
                f"{row.actual_columns} values found: expected {row.expected_columns}, as many as "
                "the header has (a list without quotes?)",
                file=path,
                row=None if row.number is None else row.number - 1,
                column=str(min(row.actual_columns, row.expected_columns) + 1),
            ) from error
        raise _unreadable(path, "UTF-8 text with a header row", error) from error
    for row in wrong:
        reading.bad(
            Done.ROW,
            "as many values as the header has (a list without quotes?)",
            "",
            None if row.number is None else row.number - 1,
            f"{row.actual_columns} values in {row.expected_columns} columns",
        )
    skipped = [row.number - 1 for row in wrong if row.number is not None]
    if skipped:
        every = np.arange(1, table.num_rows + len(skipped) + 1, dtype=np.int32)
        numbers = np.setdiff1d(every, np.array(skipped, dtype=np.int32))
        reading.numbers = numbers[: table.num_rows]
    present = set(header)
    return {name: table[name].combine_chunks() for name in wanted if name in present}


def _text_bytes(reading: _Reading, allowance: Allowance) -> bytearray:
    """A text file's bytes, which are UTF-8; others are replaced, or refused naming the row."""
    data = allowance.read(reading.path)
    decoder = codecs.getincrementaldecoder("utf-8")()
    block = 1 << 20
    for start in range(0, len(data) or 1, block):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + block], final=start + block >= len(data))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            row = data.count(b"\n", 0, at) or None
            if reading.report.strict:
                raise ImportSourceError(
                    f"byte 0x{data[at]:02x} found: expected UTF-8 text", file=reading.path, row=row
                ) from error
            reading.bad(Done.VALUE, "UTF-8 text", "", row, f"byte 0x{data[at]:02x}")
            return bytearray(data.decode("utf-8", "replace").encode())
    return data


def _header(data: bytearray, separator: str) -> list[str]:
    end = data.find(b"\n")
    first = data[: len(data) if end < 0 else end].decode("utf-8").strip("\r\ufeff")
    return [name.strip().strip('"') for name in first.split(separator)]


def _read_json(
    reading: _Reading, wanted: Mapping[str, ColumnType], allowance: Allowance
) -> dict[str, pa.Array]:
    records = _records(reading, allowance)
    allowance.take_rows(reading.path, len(records))
    present = {name for record in records for name in record}
    arrays = {}
    for name, kind in wanted.items():
        if name not in present:
            continue
        values = [record.get(name) for record in records]
        for row, value in enumerate(values):
            if isinstance(value, list | dict):
                reading.bad(Done.VALUE, kind.value, name, reading.row(row), shown(value))
                values[row] = None
        if kind is ColumnType.TEXT or kind is ColumnType.TIME:
            arrays[name] = _json_texts(reading, name, values)
            continue
        try:
            arrays[name] = pa.array(values, pa.bool_() if kind is ColumnType.FLAG else pa.float64())
        except MemoryError:
            raise
        except (pa.ArrowException, TypeError, OverflowError):
            arrays[name] = _json_texts(reading, name, values)
    return arrays


def _json_texts(reading: _Reading, name: str, values: list[Any]) -> pa.Array:
    """JSON has numbers of thousands of digits, and halves of characters that are no text."""
    for row, value in enumerate(values):
        huge = isinstance(value, int) and value.bit_length() > 4096
        if huge or (isinstance(value, str) and not _encodes(value)):
            reading.bad(Done.VALUE, "a text", name, reading.row(row), shown(value))
            values[row] = None
    # JSON writes no value as null, people write it in words.
    return pa.array([None if v is None or v in NULLS else str(v) for v in values], pa.string())


def _encodes(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isprintable() else True


def _records(reading: _Reading, allowance: Allowance) -> list[dict[str, Any]]:
    path = reading.path
    data = _text_bytes(reading, allowance)
    if not data.strip():
        raise ImportSourceError("the file is empty: expected a JSON list of records", file=path)
    if format_of(path) in JSON_LINES:
        return _lines(reading, data)
    records = parsed_json(data, path, "a JSON list of records")
    if not isinstance(records, list):
        raise ImportSourceError(
            f"a JSON {type(records).__name__} found: expected a list of records", file=path
        )
    wrong = [i for i, record in enumerate(records) if not isinstance(record, dict)]
    for i in wrong:
        reading.bad(Done.ROW, "a record", "", i + 1, shown(records[i]))
    if wrong:
        good = np.setdiff1d(np.arange(len(records)), wrong).astype(np.int32)
        reading.numbers = good + np.int32(1)
        records = [records[i] for i in good]
    return records


def _lines(reading: _Reading, data: bytearray) -> list[dict[str, Any]]:
    """One record a line; empty lines count for nothing but the number of the next."""
    records, numbers = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = parsed_json(line, reading.path, "a JSON record")
        except ImportSourceError as error:
            found = error.problem.removesuffix(": expected a JSON record")
            reading.bad(Done.ROW, "a JSON record", "", number, found)
            continue
        if not isinstance(record, dict):
            reading.bad(Done.ROW, "a JSON record", "", number, shown(record))
            continue
        records.append(record)
        numbers.append(number)
    reading.numbers = np.array(numbers, dtype=np.int32)
    return records


def parsed_json(data: bytes | bytearray, path: Path, expected: str) -> Any:
    """JSON from outside. Raises: ImportSourceError, also for what is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ImportSourceError(
            f"lists or records nested too deeply: expected {expected}", file=path
        ) from error
    except ValueError as error:  # also a number of more digits than Python reads, and no UTF-8
        raise _unreadable(path, expected, error) from error


def _convert(array: pa.Array, kind: ColumnType, reading: _Reading, name: str) -> NDArray[Any]:
    if pa.types.is_dictionary(array.type):
        return _convert_dictionary(array, kind, reading, name)
    if kind is ColumnType.TIME:
        return _times(array, reading, name)
    if kind is ColumnType.TEXT:
        text = pc.fill_null(_cast(array, pa.string(), kind, reading, name), "")
        lengths = pc.utf8_length(text).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(lengths > MAX_FIELD):
            found = f"a text of {lengths[row]:,} characters"
            reading.bad(Done.VALUE, f"at most {MAX_FIELD:,}", name, reading.row(int(row)), found)
        if lengths.size and lengths.max() > MAX_FIELD:
            text = pc.if_else(pa.array(lengths > MAX_FIELD), "", text)
        return np.array(text.to_pylist(), dtype=object)
    if kind is ColumnType.FLAG:
        if pa.types.is_string(array.type):
            array = pc.utf8_lower(array)
        flags = _cast(array, pa.bool_(), kind, reading, name)
        return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
    if pa.types.is_string(array.type):
        array = pc.utf8_trim_whitespace(array)
    numbers = _cast(array, pa.float64(), kind, reading, name)
    values = np.array(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))
    for row in np.flatnonzero(np.isinf(values)):
        found = f"{values[row]}"
        reading.bad(Done.VALUE, "a finite number", name, reading.row(int(row)), found)
        values[row] = np.nan
    return values


def _convert_dictionary(
    array: pa.DictionaryArray, kind: ColumnType, reading: _Reading, name: str
) -> NDArray[Any]:
    """Each different value once, then by its place: a long text that fills a column stays one."""
    codes = np.asarray(pc.fill_null(array.indices, -1).to_numpy(zero_copy_only=False))
    used, first, place = np.unique(codes, return_index=True, return_inverse=True)
    # In the order of their first rows, so that the first that does not fit is the table's first.
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    known = pa.concat_arrays([pa.nulls(1, array.dictionary.type), array.dictionary])
    values = known.take(pa.array(used[order].astype(np.int64) + 1))
    # Of a value that does not fit, the first row that has it is named.
    once = replace(reading, numbers=(first[order] + 1).astype(np.int32))
    return _convert(values, kind, once, name)[rank[place]]


def _times(array: pa.Array, reading: _Reading, name: str) -> NDArray[np.float64]:
    target = pa.timestamp("ns", "UTC")
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        # Zone offsets are optional, and one column may mix whole seconds with fractions.
        array = pc.cast(array, pa.string())
        zoned = pc.match_substring_regex(array, r"(Z|[+-]\d\d:?\d\d)$")
        array = pc.if_else(zoned, array, pc.binary_join_element_wise(array, "Z", ""))
        array = _cast(array, target, ColumnType.TIME, reading, name)
    elif pa.types.is_timestamp(array.type):
        array = _cast(array, pa.timestamp("ns", array.type.tz), ColumnType.TIME, reading, name)
    elif not pa.types.is_null(array.type):
        reading.bad(Done.COLUMN, ColumnType.TIME.value, name, None, f"a column of {array.type}")
        array = pa.nulls(len(array), target)
    nanoseconds = pc.cast(array, pa.int64())
    seconds = np.array(pc.cast(nanoseconds, pa.float64(), safe=False).to_numpy(False)) / 1e9
    seconds[np.asarray(pc.is_null(nanoseconds).to_numpy(False), dtype=np.bool_)] = np.nan
    return seconds


_LIKELY: Mapping[pa.DataType, str] = {
    pa.float64(): r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
    pa.bool_(): r"^(true|false|0|1)$",
    pa.timestamp(
        "ns", "UTC"
    ): r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$",
}
"""What a text looks like that can be cast to a type; it still may not be one (month 13)."""


def _cast(
    array: pa.Array, target: pa.DataType, kind: ColumnType, reading: _Reading, name: str
) -> pa.Array:
    """The array as another type, null where a value does not fit."""
    try:
        return pc.cast(array, target)
    except pa.ArrowException:
        pass
    try:
        pc.cast(pa.nulls(1, array.type), target)
    except pa.ArrowException:
        reading.bad(Done.COLUMN, kind.value, name, None, f"a column of {array.type}")
        return pa.nulls(len(array), target)
    wrong = np.zeros(len(array), dtype=np.bool_)
    if pa.types.is_string(array.type) and target in _LIKELY:
        likely = pc.fill_null(pc.match_substring_regex(array, _LIKELY[target]), True)
        wrong = ~np.asarray(likely.to_numpy(zero_copy_only=False), dtype=np.bool_)
    probable = pc.if_else(pa.array(wrong), pa.scalar(None, array.type), array)
    wrong[_misfits(probable, target)] = True
    for row in np.flatnonzero(wrong):
        found = array[int(row)].as_py()
        if isinstance(found, str) and kind is ColumnType.TIME:
            found = re.sub("Z$", "", found)
        reading.bad(Done.VALUE, kind.value, name, reading.row(int(row)), shown(found))
    return pc.cast(pc.if_else(pa.array(wrong), pa.scalar(None, array.type), array), target)


def _misfits(array: pa.Array, target: pa.DataType) -> list[int]:
    """Indices of values that cannot be cast, found by halving."""
    found, waiting = [], [(0, len(array))]
    while waiting:
        first, last = waiting.pop()
        try:
            pc.cast(array.slice(first, last - first), target)
        except pa.ArrowException:
            if last - first == 1:
                found.append(first)
                continue
            middle = (first + last) // 2
            waiting += [(first, middle), (middle, last)]
    return found


def _unreadable(path: Path, expected: str, error: Exception) -> ImportSourceError:
    first_line = str(error).strip().split("\n", 1)[0]
    return ImportSourceError(f"{first_line}: expected {expected or 'a readable file'}", file=path)


def rows_of(tables: Sequence[Table], path: Path) -> Table:
    """Tables of the same kind, one after the other; a column that one lacks is null there."""
    if len(tables) == 1:
        return tables[0]
    names = sorted({name for table in tables for name in table.columns})
    columns: dict[str, NDArray[Any]] = {}
    for name in names:
        dtype = next(t[name].dtype for t in tables if name in t)
        filler = _FILLER[dtype.kind]
        columns[name] = np.concatenate(
            [t[name] if name in t else np.full(t.rows, filler, dtype=dtype) for t in tables]
        )
    return Table(
        path,
        columns,
        sum(t.rows for t in tables),
        tables[0].name,
        np.concatenate([t._numbers() for t in tables]),
        tuple(t.path for t in tables),
        np.repeat(np.arange(len(tables), dtype=np.int16), [t.rows for t in tables]),
    )
