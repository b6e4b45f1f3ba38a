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
