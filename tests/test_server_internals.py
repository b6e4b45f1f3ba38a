"""What we use of other packages' insides is listed, and is where the list says."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

# Before anything else of Twisted: this decides on the reactor.
from streaming.server import daphne, http, transport  # isort: skip

from streaming.server.internals import INTERNALS, Internal

OURS = (
    daphne.ReplayServer,
    http.ReplayChannel,
    http.ReplayRequest,
    transport.ReplayWebSocket,
)
LISTED = {internal.name for internal in INTERNALS}
PRODUCER = {"pauseProducing", "resumeProducing", "stopProducing"}
"""Twisted's documented interface."""


def find(owner: str) -> Any:
    module, _, name = owner.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found


@cache
def source(found: type) -> str:
    """Of a class; of one that was made without `class` there is none."""
    try:
        return inspect.getsource(found)
    except OSError:
        return ""


def has(owner: Any, name: str) -> bool:
    """Whether an object has it, or sets it on itself somewhere in its classes."""
    if hasattr(owner, name):
        return True
    classes = owner.__mro__[:-1] if inspect.isclass(owner) else ()
    assignment = re.compile(rf"\bself\.{name}\b[^=\n(!<>]*=(?!=)")
    return any(assignment.search(source(found)) for found in classes)


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda i: f"{i.owner}.{i.name}")
def test_it_is_there(internal: Internal) -> None:
    assert has(find(internal.owner), internal.name), (
        f"{internal.owner} has no {internal.name} any more, which we need: {internal.use}"
    )


def test_what_is_not_there_is_noticed() -> None:
    for owner in {internal.owner for internal in INTERNALS}:
        assert not has(find(owner), "gone_with_the_next_version")


def test_it_is_listed_once() -> None:
    keys = [(internal.owner, internal.name) for internal in INTERNALS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("ours", OURS)
def test_whatever_we_replace_is_listed(ours: type) -> None:
    theirs = ours.__mro__[1:-1]
    replaced = {
        name
        for name in vars(ours)
        if not name.startswith("__") and any(name in vars(base) for base in theirs)
    }
    assert replaced - PRODUCER <= LISTED


@pytest.mark.parametrize("module", [daphne, http, transport])
def test_whatever_private_we_use_is_listed(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if re.match("_[a-zA-Z]", node.attr)}
    own = {name for ours in OURS for name in vars(ours)}
    own |= {
        node.attr
        for node in attributes
        if isinstance(node.ctx, ast.Store) and not any(has(o.__mro__[1], node.attr) for o in OURS)
    }
    assert used - own <= LISTED
