"""What the README shows works, and names the commands that CI runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT, RunningServer
from .samples import RACE_SLUG

README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(server: RunningServer) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, re.S)
    example = example.replace("ws://127.0.0.1:8000", server.websocket("")).replace(
        "/demo/", f"/{RACE_SLUG}/"
    )
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Small race ('C00', 'C01'")
    numbers = [int(line.split()[0]) for line in lines[1:]]
    assert numbers == sorted(numbers)
    assert numbers[0] <= 60 * 25 <= numbers[-1]


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("make check", "make test", "make faults", "make audit"):
        assert f"`{command}`" in README
        assert re.search(rf"^{command}\b", script, re.M)


def test_every_linked_document_is_there() -> None:
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if not link.startswith("http"):
                assert Path(document.parent / link).exists(), f"{document.name}: {link}"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_decisions_are_numbered_without_holes_and_in_one_form() -> None:
    records = sorted((ROOT / "docs" / "decisions").iterdir())
    for number, record in enumerate(records, 1):
        assert record.name.startswith(f"{number:04d}-"), f"{number:04d} is missing: {record.name}"
        text = record.read_text()
        assert re.match(rf"# {number:04d} [A-Z]", text), record.name
        paragraphs = re.findall(r"^\*\*(.+?)\*\*", text, re.M)
        assert paragraphs == ["What.", "Why.", "Measured.", "Turned down."], record.name
