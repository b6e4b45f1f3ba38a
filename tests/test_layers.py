"""Imports point downwards only, and the pure parts stay pure."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["replayproject", "streaming", "sessions_app"]  # top to bottom
FRAMEWORKS = {
    "django", "channels", "channels_redis", "daphne", "twisted", "autobahn", "asyncio", "socket",
    "redis", "ninja", "websockets", "threading",
}  # fmt: skip
PURE = [
    "sessions_app/recording",
    "sessions_app/standings.py",
    "sessions_app/racing.py",
    "streaming/playback",
    "streaming/rooms/state.py",
    "streaming/store/packing.py",
    "streaming/store/rows.py",
    "streaming/store/thinning.py",
    "streaming/callbacks/timing.py",
    "streaming/callbacks/diagnosis.py",
]


def python_files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    """Absolute names of what a file imports, relative imports resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                found.add(".".join([*base, node.module] if node.module else base))
            elif node.module:
                found.add(node.module)
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_downwards(layer: str) -> None:
    above = set(LAYERS[: LAYERS.index(layer)])
    files = python_files(layer)
    assert files
    for path in files:
        upward = {m for m in imported_modules(path) if m.split(".")[0] in above}
        assert not upward, f"{path.relative_to(ROOT)} imports {upward} from a layer above"


@pytest.mark.parametrize("place", PURE)
def test_the_core_knows_no_framework(place: str) -> None:
    files = python_files(place)
    assert files
    assert files[0].exists(), place
    for path in files:
        found = {m for m in imported_modules(path) if m.split(".")[0] in FRAMEWORKS}
        # one part may hand work to threads: writing a file deflates in several
        assert not found, f"{path.relative_to(ROOT)} imports {found}"


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_imports_the_tests(layer: str) -> None:
    for path in python_files(layer):
        odd = {m for m in imported_modules(path) if m.split(".")[0] in {"tests", "benchmarks"}}
        assert not odd, f"{path.relative_to(ROOT)} imports {odd}"
