"""Recorded frames: fields, columns, segments and the recording file.

Imports neither Django nor asyncio nor sockets. The specification is docs/recording-format.md.
"""

from .columns import Columns
from .errors import (
    ChangedRecording,
    CorruptRecording,
    InvalidColumns,
    RecordingError,
    TruncatedRecording,
    public_reason,
)
from .fields import MISSING, Field, FieldKind, Schema, Scope
from .segment import SegmentHeader, decode_segment, encode_segment, encode_segments

__all__ = [
    "MISSING",
    "ChangedRecording",
    "Columns",
    "CorruptRecording",
    "Field",
    "FieldKind",
    "InvalidColumns",
    "RecordingError",
    "Schema",
    "Scope",
    "SegmentHeader",
    "TruncatedRecording",
    "decode_segment",
    "encode_segment",
    "encode_segments",
    "public_reason",
]
