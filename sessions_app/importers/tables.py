"""Tables on disk (Parquet, CSV, TSV or JSON, gzipped or not) → numpy columns of known types.

Knows nothing of any sport. Every error names file, row and column and says what was expected.
"""

from __future__ import annotations

import enum
import gzip
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .result import ImportSourceError

NULLS = ("", "null", "None", "NaN", "nan", "NaT", "NA")
"""What stands for "no value" in text files, as written by pandas, JavaScript and people."""

FORMATS = (".parquet", ".csv", ".tsv", ".json")


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
) -> Table:
    """Read the named columns of one file; other columns are not even decoded.

    Raises: ImportSourceError for an unreadable file, a missing column, a row that does not fit
    the header, or a value of another type.
    """
    wanted = {**required, **(optional or {})}
    kind = format_of(path)
    if not path.is_file():
        raise ImportSourceError("no such file: expected a table", file=path)
    if not kind:
        raise ImportSourceError(f"unknown format: expected one of {', '.join(FORMATS)}", file=path)
    if kind == ".parquet":
        arrays = _read_parquet(path, wanted)
    elif kind == ".json":
        arrays = _read_json(path, wanted)
    else:
        arrays = _read_csv(path, wanted, delimiter or ("\t" if kind == ".tsv" else ","))
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


def column_names(path: Path, delimiter: str | None = None) -> list[str]:
    """The names of a table's columns, read without reading its rows (but for JSON)."""
    kind = format_of(path)
    if kind == ".parquet":
        try:
            return list(pq.ParquetFile(path).schema_arrow.names)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, "a Parquet file", error) from error
    if kind == ".json":
        return sorted({name for record in _records(path) for name in record})
    first = _text(path).split("\n", 1)[0].strip("\r\ufeff")
    separator = delimiter or ("\t" if kind == ".tsv" else ",")
    return [name.strip().strip('"') for name in first.split(separator)]


def _read_parquet(path: Path, wanted: Mapping[str, ColumnType]) -> dict[str, pa.Array]:
    try:
        file = pq.ParquetFile(_bytes(path) if path.suffix == ".gz" else path)
        names = [name for name in wanted if name in file.schema_arrow.names]
        table = file.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, "a Parquet file", error) from error
    return {name: table[name].combine_chunks() for name in names}


def _read_csv(path: Path, wanted: Mapping[str, ColumnType], delimiter: str) -> dict[str, pa.Array]:
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    data = bytes(_bytes(path).read())
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ImportSourceError(
            f"byte 0x{data[error.start]:02x} found: expected UTF-8 text",
            file=path,
            row=data.count(b"\n", 0, error.start) or None,
        ) from error
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
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
    except (pa.ArrowException, OSError) as error:
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
    present = set(column_names(path, delimiter))
    return {name: table[name].combine_chunks() for name in wanted if name in present}


def _read_json(path: Path, wanted: Mapping[str, ColumnType]) -> dict[str, pa.Array]:
    records = _records(path)
    present = {name for record in records for name in record}
    arrays = {}
    for name, kind in wanted.items():
        if name not in present:
            continue
        values = [record.get(name) for record in records]
        if kind is ColumnType.TEXT or kind is ColumnType.TIME:
            values = [None if v is None else str(v) for v in values]
            arrays[name] = pa.array(values, pa.string())
            continue
        try:
            arrays[name] = pa.array(values, pa.bool_() if kind is ColumnType.FLAG else pa.float64())
        except (pa.ArrowException, TypeError):
            arrays[name] = pa.array([None if v is None else str(v) for v in values], pa.string())
    return arrays


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(_text(path))
    except json.JSONDecodeError as error:
        found = "the file is empty" if error.pos == 0 and not _text(path).strip() else str(error)
        raise ImportSourceError(f"{found}: expected a JSON list of records", file=path) from error
    if not isinstance(data, list):
        raise ImportSourceError(
            f"a JSON {type(data).__name__} found: expected a list of records", file=path
        )
    for i, record in enumerate(data, 1):
        if not isinstance(record, dict):
            raise ImportSourceError(f"{record!r} found: expected a record", file=path, row=i)
    return data


def _convert(array: pa.Array, kind: ColumnType, path: Path, name: str) -> NDArray[Any]:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind is ColumnType.TIME:
        return _times(array, path, name)
    if kind is ColumnType.TEXT:
        text = pc.fill_null(pc.cast(array, pa.string()), "")
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
                    f"{found!r} found: expected {kind.value}", file=path, row=row + 1, column=name
                ) from error
        raise ImportSourceError(
            f"a column of {array.type} found: expected {kind.value}", file=path, column=name
        ) from error


def _bytes(path: Path) -> pa.BufferReader:
    try:
        data = path.read_bytes()
        return pa.BufferReader(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(
            path, "a whole gzip file" if path.suffix == ".gz" else "", error
        ) from error


def _text(path: Path) -> str:
    try:
        return bytes(_bytes(path).read()).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(path, "UTF-8 text", error) from error


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
