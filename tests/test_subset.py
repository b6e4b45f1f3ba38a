"""Subset keys: short, readable by any worker, equal for equal wishes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.recording import Field, InvalidColumns, Schema
from streaming.store.subset import subset_key, subset_schema

FIELDS = ("x", "y", "speed", "gear")
CODES = ("AAA", "BBB", "CCC")
SCHEMA = Schema(tuple(Field(name) for name in FIELDS), CODES)


def test_everything_is_the_empty_key() -> None:
    assert subset_key(SCHEMA) == ""
    assert subset_key(SCHEMA, FIELDS, reversed(CODES)) == ""
    assert subset_schema(SCHEMA, "") is SCHEMA


@given(st.sets(st.sampled_from(FIELDS), min_size=1), st.sets(st.sampled_from(CODES), min_size=1))
def test_a_key_stands_for_its_fields_and_entities(fields: set[str], codes: set[str]) -> None:
    schema = subset_schema(SCHEMA, subset_key(SCHEMA, fields, codes))
    assert [f.name for f in schema.fields] == [f for f in FIELDS if f in fields]
    assert list(schema.entities) == [c for c in CODES if c in codes]


def test_order_and_repetition_do_not_matter() -> None:
    assert subset_key(SCHEMA, ["y", "x", "y"]) == subset_key(SCHEMA, ["x", "y"])


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(InvalidColumns, match="unknown field 'z'"):
        subset_key(SCHEMA, ["x", "z"])


@pytest.mark.parametrize("key", ["1", "x.y", "ff.1", "1.ff", "-1.1"])
def test_a_key_of_something_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidColumns):
        subset_schema(SCHEMA, key)
