"""Recorded streams of Formula 1's live timing."""

from .session import import_livetiming

__all__ = ["import_livetiming"]
