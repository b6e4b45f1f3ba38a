"""`manage.py doctor`: is everything as the service needs it, and if not, what to do?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from replayproject.doctor import Level, checks, run


class Command(BaseCommand):
    help = (
        "Checks the database, Redis, versions, permissions, disk, clocks, limits and recordings, "
        "and says what to do. Ends with 1 if something is wrong, else with 0."
    )
    # What they would stop at is what is asked about.
    requires_system_checks: list[str] = []  # noqa: RUF012  as Django declares it

    def handle(self, **options: Any) -> None:
        """Print a line for each finding, and one more for what to do."""
        problems = 0
        for finding in run(checks()):
            problems += finding.level is Level.PROBLEM
            self.stdout.write(f"{finding.level.value:<8} {finding.about:<15} {finding.found}")
            if finding.to_do:
                self.stdout.write(f"{'':<24} → {finding.to_do}")
        if problems:
            self.stdout.flush()
            sys.exit(1)
