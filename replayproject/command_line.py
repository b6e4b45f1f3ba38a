"""The command `replay`, which is also manage.py: Django's command line with our settings."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command that `sys.argv` names.

    A bad setting ends it with status 1 and one line; `--traceback` shows where it was found.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "replayproject.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")
