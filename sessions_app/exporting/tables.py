"""Tables with a row for each entity and moment: Parquet and CSV.

A Parquet file has the mapping of its columns in itself, so that `import_session table` reads it
without being told anything. Enumerations are texts, everything else is in the field's unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from ..recording import MISSING, Columns, Field, Scope
from .source import ExportSource, Progress, decimals

MAPPING_KEY = b"replay.mapping"
"""Of the file's metadata: the mapping of the columns, as docs/importing.md describes it."""
TIME, DATE, ENTITY = "time", "date", "entity"
_ABOUT = ("name", "number", "team", "colour", "kind")


def write_parquet(source: ExportSource, path: Path, progress: Progress) -> None:
    """One row for each entity and moment in which it has any value."""
    schema = _schema(source).with_metadata({MAPPING_KEY: mapping_of(source).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(source, schema, progress):
            writer.write_batch(batch)


def write_csv(source: ExportSource, path: Path, progress: Progress) -> None:
    """As `write_parquet`; a missing value is an empty field."""
    schema = _schema(source)
    with pa.OSFile(str(path), "wb") as stream, pa.csv.CSVWriter(stream, schema) as writer:
        for batch in _batches(source, schema, progress):
            writer.write_batch(batch)


def mapping_of(source: ExportSource) -> str:
    """The mapping with which the table importer makes the same samples again."""
    fields: dict[str, Any] = {}
    for f in source.schema.fields:
        about: dict[str, Any] = {
            "column": _column(f),
            "scale": float(f.scale),
            "kind": f.kind.value,
        }
        if f.unit:
            about["unit"] = f.unit
        if f.labels:
            about["labels"] = list(f.labels)
        if f.scope is Scope.SESSION:
            about["scope"] = f.scope.value
        fields[f.name] = about
    mapping: dict[str, Any] = {
        "title": source.title,
        "kind": source.kind,
        "time": {"column": TIME, "unit": "s"},
        "entity": {"column": ENTITY, **{name: f"{ENTITY}_{name}" for name in _ABOUT}},
        "rate": float(source.rate),
        # What is missing for one frame is missing: nothing is drawn across.
        "max_gap": 1.5 / source.rate,
        "fields": fields,
    }
    if source.start is not None:
        mapping["start"] = datetime.fromtimestamp(source.start, UTC).isoformat()
    if (ground := source.geometry) is not None:
        mapping["geometry"] = {
            "kind": ground.kind,
            "unit": ground.unit,
            "bounds": [float(v) for v in ground.bounds],
        }
    text: str = yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True)
    return text


def _column(field: Field) -> str:
    """A field that is called as one of the table's own columns gets another name."""
    taken = {TIME, DATE, ENTITY, *(f"{ENTITY}_{name}" for name in _ABOUT)}
    return f"value_{field.name}" if field.name in taken else field.name


def _schema(source: ExportSource) -> pa.Schema:
    text = pa.string()
    columns = [pa.field(TIME, pa.float64())]
    if source.start is not None:
        columns.append(pa.field(DATE, pa.timestamp("us", tz="UTC")))
    columns.append(pa.field(ENTITY, text))
    columns += [pa.field(f"{ENTITY}_{name}", text) for name in _ABOUT]
    for f in source.schema.fields:
        kind = text if f.labels else pa.int32() if f.scale == 1 else pa.float64()
        columns.append(pa.field(_column(f), kind))
    return pa.schema(columns)


def _batches(
    source: ExportSource, schema: pa.Schema, progress: Progress
) -> Iterator[pa.RecordBatch]:
    about = [
        pa.array([getattr(e, name) for e in source.entities], pa.string())
        for name in ("code", *_ABOUT)
    ]
    last = (source.frame_count - 1) // source.stride * source.stride
    for frames, columns in source.blocks(progress):
        entities = len(source.entities)
        # The first and the last moment are whole: they say how long the session is, and who is in
        # it, in which order.
        wanted = np.repeat(((frames == 0) | (frames == last))[:, None], entities, axis=1)
        for f in source.entity_fields:
            wanted |= columns.values[f.name] != MISSING
        row, entity = np.nonzero(wanted)
        index = pa.array(entity.astype(np.int32))
        arrays: list[pa.Array] = [pa.array(source.seconds(frames)[row])]
        if source.start is not None:
            microseconds = np.array([source.nanoseconds(int(f)) // 1000 for f in frames])
            arrays.append(pa.array(microseconds[row], pa.timestamp("us", tz="UTC")))
        arrays += [names.take(index) for names in about]
        arrays += [_values(f, columns, row, entity) for f in source.schema.fields]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _values(field: Field, columns: Columns, row: Any, entity: Any) -> pa.Array:
    samples = columns.values[field.name]
    own = samples[row, entity] if field.scope is Scope.ENTITY else samples[row, 0]
    missing = own == MISSING
    if field.labels:
        unknown = missing | (own < 0) | (own >= len(field.labels))
        index = pa.array(np.where(unknown, 0, own).astype(np.int32), mask=unknown)
        return pa.array(field.labels, pa.string()).take(index)
    if field.scale == 1:
        return pa.array(own, mask=missing)
    return pa.array(np.round(own * field.scale, decimals(field)), mask=missing)
