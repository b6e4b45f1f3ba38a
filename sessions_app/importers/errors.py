"""Why a source is refused."""

from __future__ import annotations

from .text import cleaned


class ImportSourceError(Exception):
    """A source that cannot be imported. Its message is one line of at most 500 characters: file,
    row and column, what was found there, and what was expected. It may show paths and values of the
    source, and is therefore for staff and the log."""

    def __init__(
        self,
        problem: str,
        *,
        file: object = None,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        """row: 1-based data row (the header is not counted)."""
        self.problem, self.file, self.row, self.column = problem, file, row, column
        place = [] if file is None else [_end_of(str(file))]
        if row is not None:
            place.append(f"row {row}")
        if column is not None:
            place.append(f"column {cleaned(column, 60)}")
        super().__init__(cleaned(f"{', '.join(place)}: {problem}" if place else problem))


class SourceTooLarge(ImportSourceError):
    """A source that costs more than its import may: refused as a whole, not read in part."""


def _end_of(path: str, most: int = 200) -> str:
    """A long path's end, where the file's name is."""
    return path if len(path) <= most else f"…{path[1 - most :]}"
