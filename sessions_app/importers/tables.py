"""Tables on disk (Parquet, CSV, TSV or JSON, gzipped or not) → numpy columns of known types.

Knows nothing of any sport. Every error names file, row and column and says what was expected.
"""

from __future__ import annotations

import codecs
import enum
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .bounds import MAX_FIELD, Allowance, open_regular
from .result import ImportSourceError
from .text import shown

NULLS = ("", "null", "None", "NaN", "nan", "NaT", "NA")
"""What stands for "no value" in text files, as written by pandas, JavaScript and people."""

FORMATS = (".parquet", ".csv", ".tsv", ".json")
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
    """Columns of equal length by name, and the file they came from."""

    path: Path
    columns: Mapping[str, NDArray[Any]]
    rows: int

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def where(self, keep: NDArray[Any]) -> Table:
        """The rows chosen by a mask or by their indices, in that order."""
        columns = {name: values[keep] for name, values in self.columns.items()}
        rows = int(keep.sum()) if keep.dtype == np.bool_ else len(keep)
        return Table(self.path, columns, rows)


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
) -> Table:
    """Read the named columns of one file; other columns are not even decoded.

    allowance: what the import may still take; None for the default bounds of one file.
    Raises: ImportSourceError for an unreadable file, a missing column, a row that does not fit
    the header, a value of another type, or what is beyond a bound.
    """
    allowance = allowance or Allowance()
    wanted = {**required, **(optional or {})}
    kind = format_of(path)
    if not kind:
        raise ImportSourceError(f"unknown format: expected one of {', '.join(FORMATS)}", file=path)
    try:
        if kind == ".parquet":
            arrays = _read_parquet(path, wanted, allowance)
        elif kind == ".json":
            arrays = _read_json(path, wanted, allowance)
        else:
            separator = delimiter or ("\t" if kind == ".tsv" else ",")
            arrays = _read_csv(path, wanted, separator, allowance)
    except FileNotFoundError as error:
        raise ImportSourceError("no such file: expected a table", file=path) from error
    except OSError as error:
        raise _unreadable(path, "a readable file", error) from error
    rows = len(next(iter(arrays.values()))) if arrays else 0
    # A JSON list without any record has no columns to miss.
    if rows or kind != ".json":
        for name in required:
            if name not in arrays:
                raise ImportSourceError(
                    f"no such column: expected {', '.join(required)}", file=path, column=name
                )
    columns = {name: _convert(arrays[name], wanted[name], path, name) for name in arrays}
    for name in required:
        columns.setdefault(name, _convert(pa.nulls(0, pa.string()), wanted[name], path, name))
    return Table(path, columns, rows)


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
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(path, "a Parquet file", error) from error


def _read_parquet(
    path: Path, wanted: Mapping[str, ColumnType], allowance: Allowance
) -> dict[str, pa.Array]:
    with _parquet_source(path, allowance) as source:
        file = pq.ParquetFile(source)
        about = file.metadata
        allowance.check_columns(path, about.num_columns)
        kinds = {f.name: f.type for f in file.schema_arrow if f.name in wanted}
        names = list(kinds)
        for name, kind in kinds.items():
            _check_parquet_type(path, name, kind, wanted[name])
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


def _check_parquet_type(path: Path, name: str, kind: pa.DataType, wanted: ColumnType) -> None:
    """Refuse columns of which one value may be of any size: lists, records, fixed-size bytes."""
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    good = (
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
    if not good:
        raise ImportSourceError(
            f"a column of {kind} found: expected {wanted.value}", file=path, column=name
        )


def _read_csv(
    path: Path, wanted: Mapping[str, ColumnType], delimiter: str, allowance: Allowance
) -> dict[str, pa.Array]:
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    data = _text_bytes(path, allowance)
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
    present = set(header)
    return {name: table[name].combine_chunks() for name in wanted if name in present}


def _text_bytes(path: Path, allowance: Allowance) -> bytearray:
    """A text file's bytes, which are UTF-8. Raises: ImportSourceError naming the row if not."""
    data = allowance.read(path)
    decoder = codecs.getincrementaldecoder("utf-8")()
    block = 1 << 20
    for start in range(0, len(data) or 1, block):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + block], final=start + block >= len(data))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            raise ImportSourceError(
                f"byte 0x{data[at]:02x} found: expected UTF-8 text",
                file=path,
                row=data.count(b"\n", 0, at) or None,
            ) from error
    return data


def _header(data: bytearray, separator: str) -> list[str]:
    end = data.find(b"\n")
    first = data[: len(data) if end < 0 else end].decode("utf-8").strip("\r\ufeff")
    return [name.strip().strip('"') for name in first.split(separator)]


def _read_json(
    path: Path, wanted: Mapping[str, ColumnType], allowance: Allowance
) -> dict[str, pa.Array]:
    records = _records(path, allowance)
    allowance.take_rows(path, len(records))
    present = {name for record in records for name in record}
    arrays = {}
    for name, kind in wanted.items():
        if name not in present:
            continue
        values = [record.get(name) for record in records]
        for row, value in enumerate(values, 1):
            if isinstance(value, list | dict):
                raise ImportSourceError(
                    f"{shown(value)} found: expected {kind.value}", file=path, row=row, column=name
                )
        if kind is ColumnType.TEXT or kind is ColumnType.TIME:
            arrays[name] = _json_texts(path, name, values)
            continue
        try:
            arrays[name] = pa.array(values, pa.bool_() if kind is ColumnType.FLAG else pa.float64())
        except MemoryError:
            raise
        except (pa.ArrowException, TypeError, OverflowError):
            arrays[name] = _json_texts(path, name, values)
    return arrays


def _json_texts(path: Path, name: str, values: list[Any]) -> pa.Array:
    """JSON has numbers of thousands of digits, and halves of characters that are no text."""
    for row, value in enumerate(values, 1):
        huge = isinstance(value, int) and value.bit_length() > 4096
        if huge or (isinstance(value, str) and not _encodes(value)):
            raise ImportSourceError(
                f"{shown(value)} found: expected a text", file=path, row=row, column=name
            )
    return pa.array([None if v is None else str(v) for v in values], pa.string())


def _encodes(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isprintable() else True


def _records(path: Path, allowance: Allowance) -> list[dict[str, Any]]:
    data = _text_bytes(path, allowance)
    if not data.strip():
        raise ImportSourceError("the file is empty: expected a JSON list of records", file=path)
    records = parsed_json(data, path, "a JSON list of records")
    if not isinstance(records, list):
        raise ImportSourceError(
            f"a JSON {type(records).__name__} found: expected a list of records", file=path
        )
    for i, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise ImportSourceError(f"{shown(record)} found: expected a record", file=path, row=i)
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


def _convert(array: pa.Array, kind: ColumnType, path: Path, name: str) -> NDArray[Any]:
    if pa.types.is_dictionary(array.type):
        return _convert_dictionary(array, kind, path, name)
    if kind is ColumnType.TIME:
        return _times(array, path, name)
    if kind is ColumnType.TEXT:
        text = pc.fill_null(_cast(array, pa.string(), kind, path, name), "")
        lengths = pc.utf8_length(text)
        if len(text) and pc.max(lengths).as_py() > MAX_FIELD:
            row = int(np.argmax(lengths.to_numpy(zero_copy_only=False) > MAX_FIELD))
            raise ImportSourceError(
                f"a text of {lengths[row].as_py():,} characters found: expected at most "
                f"{MAX_FIELD:,}",
                file=path,
                row=row + 1,
                column=name,
            )
        return np.array(text.to_pylist(), dtype=object)
    if kind is ColumnType.FLAG:
        if pa.types.is_string(array.type):
            array = pc.utf8_lower(array)
        flags = _cast(array, pa.bool_(), kind, path, name)
        return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
    if pa.types.is_string(array.type):
        array = pc.utf8_trim_whitespace(array)
    numbers = _cast(array, pa.float64(), kind, path, name)
    values = np.array(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise ImportSourceError(
            f"{values[infinite[0]]} found: expected a finite number",
            file=path,
            row=int(infinite[0]) + 1,
            column=name,
        )
    return values


def _convert_dictionary(
    array: pa.DictionaryArray, kind: ColumnType, path: Path, name: str
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
    try:
        return _convert(values, kind, path, name)[rank[place]]
    except ImportSourceError as error:
        row = None if error.row is None else int(first[order][error.row - 1]) + 1
        raise ImportSourceError(error.problem, file=path, row=row, column=name) from error


def _times(array: pa.Array, path: Path, name: str) -> NDArray[np.float64]:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        # Zone offsets are optional, and one column may mix whole seconds with fractions.
        array = pc.cast(array, pa.string())
        zoned = pc.match_substring_regex(array, r"(Z|[+-]\d\d:?\d\d)$")
        array = pc.if_else(zoned, array, pc.binary_join_element_wise(array, "Z", ""))
        array = _cast(array, pa.timestamp("ns", "UTC"), ColumnType.TIME, path, name)
    elif pa.types.is_timestamp(array.type):
        array = pc.cast(array, pa.timestamp("ns", array.type.tz))
    elif not pa.types.is_null(array.type):
        raise ImportSourceError(
            f"a column of {array.type} found: expected {ColumnType.TIME.value}",
            file=path,
            column=name,
        )
    nanoseconds = pc.cast(array, pa.int64())
    seconds = np.array(pc.cast(nanoseconds, pa.float64(), safe=False).to_numpy(False)) / 1e9
    seconds[np.asarray(pc.is_null(nanoseconds).to_numpy(False), dtype=np.bool_)] = np.nan
    return seconds


def _cast(
    array: pa.Array, target: pa.DataType, kind: ColumnType, path: Path, name: str
) -> pa.Array:
    try:
        return pc.cast(array, target)
    except pa.ArrowException as error:
        for row in range(len(array)):
            try:
                pc.cast(array.slice(row, 1), target)
            except pa.ArrowException:
                found = array[row].as_py()
                if isinstance(found, str) and kind is ColumnType.TIME:
                    found = re.sub("Z$", "", found)
                raise ImportSourceError(
                    f"{shown(found)} found: expected {kind.value}",
                    file=path,
                    row=row + 1,
                    column=name,
                ) from error
        raise ImportSourceError(
            f"a column of {array.type} found: expected {kind.value}", file=path, column=name
        ) from error


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
        filler: Any = {"f": np.nan, "b": False}.get(dtype.kind, "")
        columns[name] = np.concatenate(
            [t[name] if name in t else np.full(t.rows, filler, dtype=dtype) for t in tables]
        )
    return Table(path, columns, sum(t.rows for t in tables))
