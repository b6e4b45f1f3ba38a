"""What an importer is: the one type that a module of ours or a package of others offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .options import ImportOptions
from .result import ImportResult, Progress

Run = Callable[[Path, ImportOptions, Progress], ImportResult]
Fetch = Callable[[ImportOptions, Progress], ImportResult]
Recognises = Callable[[Path, ImportOptions], bool]


@dataclass(frozen=True, slots=True)
class Importer:
    """A source format, offered by an entry point of the group `replayproject.importers`.

    Attributes:
        name: as in `import_session NAME`: lower-case letters and digits.
        description: one line for the operator.
        run: reads a file or folder into one session; no database, no files written. Raises:
            ImportSourceError with one line that says what, where, and what would be right.
        recognises: whether a file or folder is of this format, by its content: a look at its
            beginning or its file names, not a whole read. It raises nothing for what it does not
            know but OSError and ImportSourceError, which count as no.
        fetch: reads the session that `options.year`, `circuit`, `round` and `session` name from a
            service; None if there is none.
    """

    name: str
    description: str
    run: Run
    recognises: Recognises
    fetch: Fetch | None = None
