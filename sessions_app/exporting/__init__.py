"""Sessions as files of other formats. Pure: from an `ExportSource` to one file each.

`FORMATS` is the registry that the command and REST offer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from .source import ExportRefused, ExportSource, Progress

Write = Callable[[ExportSource, Path, Progress], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A format to export to.

    Attributes:
        name: as in `--format NAME`.
        description: one line for people.
        extension: of the file's name, with its dot.
        media_type: of the HTTP answer.
        writer: module of this package, and its function.
        usual_rate: moments a second that are exported unless another rate is asked for; None for
            every frame. Sources measure places 4 to 10 times a second; what is in between is drawn.
    """

    name: str
    description: str
    extension: str
    media_type: str
    writer: tuple[str, str]
    usual_rate: float | None = None

    def write(self, source: ExportSource, path: Path, progress: Progress) -> None:
        """Write a session to `path`.

        Args:
            source: the session.
            path: of the file; half a file is left there when this raises.
            progress: called with the fraction done, 0…1.

        Raises:
            ExportRefused: the session, or this installation, has not what the format needs.
            OSError: the file cannot be written.
        """
        module, function = self.writer
        try:
            # pyarrow is large, and a service that exports no tables need not have it.
            write = cast(Write, getattr(import_module(f"{__name__}.{module}"), function))
        except ModuleNotFoundError as error:
            if error.name != "pyarrow":
                raise
            raise ExportRefused(f"{self.name} needs pyarrow: pip install pyarrow") from error
        write(source, path, progress)


FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            "mcap",
            "MCAP with the JSON schemas of Foxglove, a channel per entity",
            ".mcap",
            "application/octet-stream",
            ("foxglove", "write_mcap"),
            usual_rate=5.0,
        ),
        Format(
            "parquet",
            "a table of all samples, which `import_session table` reads back",
            ".parquet",
            "application/vnd.apache.parquet",
            ("tables", "write_parquet"),
        ),
        Format(
            "csv",
            "the same table as text",
            ".csv",
            "text/csv; charset=utf-8",
            ("tables", "write_csv"),
            usual_rate=5.0,
        ),
        Format(
            "json",
            "one document with everything",
            ".json",
            "application/json",
            ("documents", "write_json"),
            usual_rate=5.0,
        ),
        Format(
            "geojson",
            "the ground and a line for each entity",
            ".geojson",
            "application/geo+json",
            ("documents", "write_geojson"),
            usual_rate=5.0,
        ),
    )
}

__all__ = ["FORMATS", "ExportRefused", "ExportSource", "Format", "Progress"]
