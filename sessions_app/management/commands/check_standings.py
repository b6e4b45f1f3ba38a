"""`manage.py check_standings SLUG [--against DIR]`: do the standings agree with the timing?"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError

from sessions_app.agreement import Agreement, lines
from sessions_app.importers.result import ImportSourceError
from sessions_app.models import Session
from sessions_app.recording import RecordingError
from sessions_app.standings_check import (
    NoStandings,
    agreement_with_laps,
    numbers_of,
    race_span,
    recorded_standings,
)
from sessions_app.storing import one_line

try:
    from sessions_app.importers.openf1.official import agreement_with_folder
except ModuleNotFoundError as error:
    # What only imports need is not installed with the service.
    if error.name != "pyarrow":
        raise
    agreement_with_folder = None  # type: ignore[assignment]


class Command(BaseCommand):
    help = (
        "Compares the order and the gaps of a race with what the timing says, per car and lap, "
        "and lists where they differ."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="of the session")
        parser.add_argument(
            "--against",
            type=Path,
            metavar="DIR",
            help="folder of OpenF1 tables: laps, position, intervals; else the session's own laps",
        )

    def handle(self, *, slug: str, against: Path | None, **_options: Any) -> None:
        session = Session.objects.filter(slug=slug).first()
        if session is None:
            raise CommandError(f"there is no session {slug!r}")
        try:
            standings = recorded_standings(session)
            if against is None:
                found = agreement_with_laps(session, standings)
            elif agreement_with_folder is None:
                raise CommandError("pyarrow is missing: pip install pyarrow")
            else:
                span = race_span(session, standings)
                found = agreement_with_folder(against, standings, numbers_of(session), *span)
        except (ImportSourceError, NoStandings, RecordingError, OSError) as error:
            raise CommandError(one_line(error)) from error
        what = "its own laps" if against is None else str(against)
        self.stdout.write(f"{slug}: standings compared with {what}")
        for line in (*lines(found.as_dict()), *_by_car(found), *_differences(found)):
            self.stdout.write(f"  {line}")


def _by_car(found: Agreement) -> list[str]:
    """One line a car: crossings, share of the time in the official place, median of the gaps."""
    part = found.crossings or found.order or found.gaps
    if part is None:
        return ["nothing could be compared"]
    result = []
    for index, code in enumerate(part.codes):
        words = []
        if (crossings := found.crossings) is not None:
            agreeing, compared = crossings.agreeing[index], crossings.compared[index]
            words.append(f"{agreeing} of {compared} crossings")
        if found.order is not None and not np.isnan(found.order.of_car[index]):
            words.append(f"{found.order.of_car[index]:.2%} of the time in the official place")
        if found.gaps is not None and not np.isnan(found.gaps.of_car[index]):
            words.append(f"gap {found.gaps.of_car[index]:.3f} s off (median)")
        result.append(f"{code}: {', '.join(words) or 'nothing to compare'}")
    return result


def _differences(found: Agreement) -> list[str]:
    if found.crossings is None:
        return []
    return [
        f"{d.entity}, lap {d.lap}: place {d.place}, by the timing {d.official}"
        for d in found.crossings.differences
    ]
