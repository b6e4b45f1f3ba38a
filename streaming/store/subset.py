"""Which fields and entities a viewer asked for, as a short string that can stand in a key.

"" means everything. Otherwise two bitmasks in hexadecimal, `fields.entities`, bit i for the i-th
field or entity of the recording's schema: "3.5" is the first two fields of entities 0 and 2. Such
a key needs no table of what it stands for: any worker can read it, and equal wishes are equal keys.
"""

from __future__ import annotations

from collections.abc import Iterable

from sessions_app.recording import InvalidColumns, Schema

EVERYTHING = ""


def subset_key(
    schema: Schema, fields: Iterable[str] | None = None, entities: Iterable[str] | None = None
) -> str:
    """The key of some fields and entities of `schema`; None means all of them.

    Raises: InvalidColumns naming the first unknown field or entity, or if none is left.
    """
    if fields is None and entities is None:
        return EVERYTHING
    wanted = schema.subset(fields, entities)
    if wanted.fields == schema.fields and wanted.entities == schema.entities:
        return EVERYTHING
    names, codes = {f.name for f in wanted.fields}, set(wanted.entities)
    field_mask = sum(1 << i for i, f in enumerate(schema.fields) if f.name in names)
    entity_mask = sum(1 << i for i, code in enumerate(schema.entities) if code in codes)
    return f"{field_mask:x}.{entity_mask:x}"


def subset_schema(schema: Schema, key: str) -> Schema:
    """The schema that `key` stands for. Raises: InvalidColumns if it is not a key of `schema`."""
    if key == EVERYTHING:
        return schema
    try:
        field_mask, entity_mask = (int(part, 16) for part in key.split("."))
    except ValueError as error:
        raise InvalidColumns(f"subset {key!r}: expected two hexadecimal masks, a.b") from error
    if field_mask >> len(schema.fields) or entity_mask >> len(schema.entities):
        raise InvalidColumns(f"subset {key!r}: the schema has fewer fields or entities")
    return schema.subset(
        [f.name for i, f in enumerate(schema.fields) if field_mask >> i & 1],
        [code for i, code in enumerate(schema.entities) if entity_mask >> i & 1],
    )
