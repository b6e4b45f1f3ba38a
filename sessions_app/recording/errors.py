"""The errors of the recording layer: one base, one class per thing a caller can act on."""

from __future__ import annotations


class RecordingError(Exception):
    """Base of every error about a recording: catch this to report, a subclass to act."""


class InvalidColumns(RecordingError):
    """Columns that do not fit their schema: wrong shape, type, or range."""


class CorruptRecording(RecordingError):
    """A recording file or a segment whose bytes are damaged: checksum, length or structure."""


class TruncatedRecording(CorruptRecording):
    """A recording file that ends early, as a crash or a full disk leaves it; see `recover`."""


class ChangedRecording(CorruptRecording):
    """A recording file that was written to while it was open: open it again."""


def public_reason(error: Exception) -> str:
    """Return why a recording cannot be read, for viewers: without paths or byte positions."""
    if isinstance(error, TruncatedRecording):
        return "the recording's file ends early"
    if isinstance(error, ChangedRecording):
        return "the recording's file is being changed"
    if isinstance(error, CorruptRecording):
        return "the recording's file is damaged"
    if isinstance(error, FileNotFoundError):
        return "the recording's file is missing"
    return f"the recording's file cannot be read ({type(error).__name__})"
