"""The page's pure modules, under node: codec, buffer, clock, interpolation, engine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_node_tests_pass() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH: the page's modules are then tested in the browser only")
    tests = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.mjs"))
    assert tests
    done = subprocess.run([node, "--test", *tests], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
