"""The admin's pages of live connections."""

from . import live_connections as _registers_its_pages  # noqa: F401
