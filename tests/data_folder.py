"""A pytest plugin that gives each test process a data folder of its own.

It is named in pyproject.toml, not in conftest.py, because pytest-django reads the settings before
that. Tests never touch the data of a service that is run from the same checkout.
"""

from __future__ import annotations

import os
import tempfile

_data = tempfile.TemporaryDirectory(prefix="replay-tests-")
os.environ["REPLAY_DATA_DIR"] = _data.name
for _name in ("REDIS_URL", "DATABASE_URL", "PORT", "HOST", "WORKERS", "API_TOKENS"):
    os.environ.pop(_name, None)
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright's sync API runs a loop in our thread
