"""What an import made of its source: what was left out and why, what was read, what is a guess.

A row or value that cannot be believed does not cost the recording. It is left out, counted and
listed here, and the report is kept with the session. A strict import refuses it instead.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..agreement import lines as agreement_lines
from .errors import ImportSourceError
from .text import cleaned

MAX_EXAMPLES = 5
"""Of one kind of finding: enough to see what it is."""
MAX_FINDINGS = 100
"""Different kinds of finding of one report; a source of noise has thousands."""
_FOUND = 80
"""Characters shown of what was found."""


class Done(enum.Enum):
    """What became of something that cannot be believed."""

    FILE = "file left out"
    COLUMN = "column left out"
    ROW = "row left out"
    VALUE = "value left out"
    RECOVERED = "value recovered"
    RECORD = "record left out"


@dataclass(frozen=True, slots=True)
class Example:
    """One of the findings of a kind. file: relative to the source; row: 1-based data row."""

    file: str
    row: int | None
    found: str


@dataclass(slots=True)
class Finding:
    """Everything of one kind. expected: what would have been right."""

    table: str
    column: str
    expected: str
    done: Done
    count: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class Coverage:
    """What was read of one kind of table. entities: that have any row; first, last: seconds since
    1970 of its times, NaN without any."""

    files: int = 0
    rows: int = 0
    entities: set[int] = field(default_factory=set)
    first: float = np.nan
    last: float = np.nan


class Report:
    """Collects while an importer reads; `as_dict` is what is stored and shown.

    Args:
        root: of the source; files are named relative to it.
        strict: refuse what would be left out, but for what a feed is known to contain.
    """

    def __init__(self, root: Path | None = None, *, strict: bool = False) -> None:
        self.root, self.strict = root, strict
        self.findings: dict[tuple[str, str, str, Done], Finding] = {}
        self.more = 0
        self.coverage: dict[str, Coverage] = {}
        self.missing: list[str] = []
        self.estimated: list[str] = []
        self.unseen_share: float | None = None
        self.agreement: dict[str, Any] | None = None

    def leave_out(
        self,
        done: Done,
        expected: str,
        *,
        table: str = "",
        file: Path | None = None,
        row: int | None = None,
        column: str = "",
        found: object = "nothing",
        count: int = 1,
        known: bool = False,
    ) -> None:
        """Count something that is not believed, and list it if it is among the first of its kind.

        found: as it is to be shown. count: how many this one stands for. known: a feed is known
        to contain it, so that a strict import takes it too.
        Raises: ImportSourceError if the import is strict and it is not known.
        """
        text = cleaned(str(found), _FOUND)
        if self.strict and not known:
            raise ImportSourceError(
                f"{text} found: expected {expected}", file=file, row=row, column=column or None
            )
        finding = self._finding(table, column, expected, done)
        if finding is None:
            self.more += count
            return
        finding.count += count
        if len(finding.examples) < MAX_EXAMPLES:
            finding.examples.append(Example(self._name(file), row, text))

    def refuse_or_leave(self, error: ImportSourceError, table: str, done: Done) -> None:
        """What an error says, left out. Raises: the error itself if the import is strict."""
        if self.strict:
            raise error
        found, _, expected = error.problem.rpartition(": expected ")
        self.leave_out(
            done,
            expected,
            table=table,
            file=None if error.file is None else Path(str(error.file)),
            row=error.row,
            column=error.column or "",
            found=found.removesuffix(" found"),
        )

    def _finding(self, table: str, column: str, expected: str, done: Done) -> Finding | None:
        key = (table, cleaned(column, 60), cleaned(expected, 200), done)
        found = self.findings.get(key)
        if found is None and len(self.findings) < MAX_FINDINGS:
            found = self.findings[key] = Finding(*key)
        return found

    def _name(self, file: Path | None) -> str:
        if file is None:
            return ""
        if self.root is not None and file.is_relative_to(self.root) and file != self.root:
            return cleaned(str(file.relative_to(self.root)), 200)
        return cleaned(file.name, 200)

    def read(
        self,
        table: str,
        times: NDArray[np.float64] | None,
        rows: int,
        entities: Sequence[float] | NDArray[np.float64] = (),
    ) -> None:
        """Count one file of a table. times: of its rows, seconds since 1970."""
        seen = self.coverage.setdefault(table, Coverage())
        seen.files += 1
        seen.rows += rows
        seen.entities.update(int(e) for e in entities)
        if times is not None and not np.isnan(times).all():
            seen.first = float(np.nanmin([seen.first, np.nanmin(times)]))
            seen.last = float(np.nanmax([seen.last, np.nanmax(times)]))

    def estimate(self, what: str) -> None:
        """Something that the source does not tell and that is a guess."""
        if what not in self.estimated:
            self.estimated.append(what)

    def left_out(self, *kinds: Done) -> int:
        """How many of these kinds of thing were left out."""
        return sum(f.count for f in self.findings.values() if f.done in kinds)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able. The most frequent findings come first."""
        return {
            "rows_read": sum(c.rows for c in self.coverage.values()),
            "rows_left_out": self.left_out(Done.ROW),
            "values_left_out": self.left_out(Done.VALUE, Done.COLUMN),
            "files_left_out": self.left_out(Done.FILE),
            "records_left_out": self.left_out(Done.RECORD),
            "unseen_share": self.unseen_share,
            "agreement": self.agreement,
            "estimated": list(self.estimated),
            "missing_tables": list(self.missing),
            "tables": [
                {
                    "table": name,
                    "files": c.files,
                    "rows": c.rows,
                    "entities": len(c.entities),
                    "first": _moment(c.first),
                    "last": _moment(c.last),
                }
                for name, c in sorted(self.coverage.items())
            ],
            "findings": [
                {
                    "table": f.table,
                    "column": f.column,
                    "expected": f.expected,
                    "done": f.done.value,
                    "count": f.count,
                    "examples": [
                        {"file": e.file, "row": e.row, "found": e.found} for e in f.examples
                    ],
                }
                for f in sorted(self.findings.values(), key=lambda f: -f.count)
            ],
            "findings_not_listed": self.more,
        }


def _moment(seconds: float) -> str | None:
    return None if np.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat()


def summary(report: dict[str, Any]) -> list[str]:
    """A stored report in lines for people: the command's output and the admin."""
    if not report:
        return []
    lines = [
        f"{report['rows_read']:,} rows read; left out: {report['rows_left_out']:,} rows, "
        f"{report['values_left_out']:,} values, {report['files_left_out']:,} files, "
        f"{report['records_left_out']:,} records"
    ]
    if report["unseen_share"] is not None:
        lines.append(f"not seen: {report['unseen_share']:.2%} of all samples")
    # Reports of older imports have none.
    lines += agreement_lines(report.get("agreement") or {})
    for table in report["tables"]:
        span = f", {table['first'][:19]} to {table['last'][:19]}" if table["first"] else ""
        lines.append(
            f"{table['table']}: {table['rows']:,} rows in {table['files']} files, "
            f"{table['entities']} entities{span}"
        )
    if report["missing_tables"]:
        lines.append(f"not in the source: {', '.join(report['missing_tables'])}")
    lines += [f"estimated: {what}" for what in report["estimated"]]
    for finding in report["findings"]:
        place = " ".join(p for p in (finding["table"], finding["column"]) if p)
        lines.append(
            f"{place}: {finding['count']:,} × {finding['done']}, expected {finding['expected']}"
        )
        for e in finding["examples"]:
            row = "" if e["row"] is None else f", row {e['row']}"
            lines.append(f"  {e['file']}{row}: {e['found']} found")
    if report["findings_not_listed"]:
        lines.append(f"and {report['findings_not_listed']:,} of other kinds")
    return lines
