"""What is known of a live session by the records of its log, applied one after the other. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from sessions_app.importers.report import Report
from sessions_app.importers.result import EntityRecord, EventRecord, ImportResult
from sessions_app.recording import InvalidColumns

from .growing import GrowingRecording
from .layout import Layout
from .pictures import Pictures
from .records import About, Added, Came, Ended, Happened, Part, Record

SHORTEST_GAP = 1.0
"""Seconds without a frame that are told as a gap when the session is stored."""


class LiveState:
    """A live session as its log tells it.

    Attributes:
        about: the session; None before the first record.
        version: names what is cached of it now; "" before the first record.
        entities: in the order of the columns.
        events: in the order in which they came.
        growing: the frames of telemetry; None before the first record.
        pictures: of a session of pictures; None of telemetry.
        next_frame: after the last frame.
        first: number and time of the first frame, or None.
        last_time: of the last frame, Unix seconds, or None.
        gaps: (first frame, frames) of longer gaps.
        ended: why it is over, or None while it is not.
    """

    def __init__(self) -> None:
        self.about: About | None = None
        self.version = ""
        self.entities: list[EntityRecord] = []
        self.events: list[EventRecord] = []
        self.growing: GrowingRecording | None = None
        self.next_frame = 0
        self.first: tuple[int, float] | None = None
        self.last_time: float | None = None
        self.gaps: list[tuple[int, int]] = []
        self.ended: str | None = None
        self.pictures: Pictures | None = None
        self._layouts: dict[int, Layout] = {}

    def apply(self, record: Record) -> None:
        """Add what a record says. Raises: InvalidColumns for what does not fit the session."""
        match record:
            case Part():
                if self.about is None:
                    self._begin(record.about)
            case Came():
                self._frames(record)
            case Happened():
                self.events.append(record.event)
            case Added():
                self._add(record)
            case Ended():
                self.ended = record.reason

    @property
    def start_time(self) -> float | None:
        """Unix seconds of frame 0; None before the first frame."""
        if self.first is None or self.about is None:
            return None
        return self.first[1] - self.first[0] / self.about.frame_rate

    def _begin(self, about: About) -> None:
        self.about = about
        self.version = about.version
        self.entities = list(about.entities)
        if about.kind == "telemetry":
            self.growing = GrowingRecording(about.schema)
            self._layouts[len(self.entities)] = self.growing.layout
        else:
            self.pictures = Pictures(about.content_type)

    def _frames(self, record: Came) -> None:
        about, frames = self.about, record.frames
        if about is None:
            raise InvalidColumns("live log: frames before the head")
        frames = [frame for frame in frames if frame.number >= self.next_frame]
        if not frames:
            return
        missing = frames[0].number - self.next_frame
        if self.first is not None and missing >= SHORTEST_GAP * about.frame_rate:
            self.gaps.append((self.next_frame, missing))
        if self.first is None:
            self.first = (frames[0].number, frames[0].time)
        growing = self.growing
        if self.pictures is not None:
            self.pictures.append(frames)
            self.pictures.start_time = self.start_time
        if growing is not None:
            layout = self._layouts[record.entities or 0]
            rows = layout.rows(b"".join(frame.content for frame in frames))
            if layout is not growing.layout:
                rows = growing.layout.widened(rows, layout)
            growing.append([frame.number for frame in frames], rows)
        self.next_frame = frames[-1].number + 1
        self.last_time = frames[-1].time
        if growing is not None:
            growing.arrived = record.arrived
        if self.pictures is not None:
            self.pictures.arrived = record.arrived

    def _add(self, record: Added) -> None:
        if self.growing is None:
            raise InvalidColumns("live log: an entity of a session without telemetry")
        self.growing = self.growing.with_entity(record.entity.code)
        self.entities.append(record.entity)
        self.version = record.version
        self._layouts[len(self.entities)] = self.growing.layout

    def result(self) -> ImportResult:
        """The session as an import would bring it.

        Raises: InvalidColumns if there are no frames.
        """
        about, growing = self.about, self.growing
        if about is None or growing is None or not growing.frame_count:
            raise InvalidColumns("the live session has no frames")
        start = self.start_time
        live = {"reason": self.ended or "", "gaps": [list(gap) for gap in self.gaps]}
        return ImportResult(
            title=about.title,
            kind=about.session_kind,
            source="live",
            samples=growing.columns(0, growing.frame_count),
            entities=self.entities,
            geometry=about.geometry,
            events=sorted(
                (event for event in self.events if event.frame < growing.frame_count),
                key=lambda event: event.frame,
            ),
            start_time=None if start is None else datetime.fromtimestamp(start, UTC),
            metadata={**about.metadata, "live": live},
            report=Report(),
        )


def replayed(records: Iterable[Record]) -> LiveState:
    """The state after these records."""
    state = LiveState()
    for record in records:
        state.apply(record)
    return state


def version_with(version: str, code: str) -> str:
    """Names what is cached of a session after an entity was added: the same wherever it is
    worked out."""
    return hashlib.sha256(f"{version} {code}".encode()).hexdigest()[:16]
