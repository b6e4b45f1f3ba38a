"""`manage.py broadcast SLUG --as NEW`: a recording is sent as if it happened now."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.credentials import ingest_ticket
from sessions_app.models import Geometry, Session
from sessions_app.recording import Columns, RecordingError, Schema, Scope
from sessions_app.recording.file import Recording

from ...live.producer import Producer, ProducerError
from ...live.producer import open as open_live


class Command(BaseCommand):
    help = "Send a recording as a live session: for rehearsals, demonstrations and load tests."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="of the recording")
        parser.add_argument("--as", dest="name", required=True, help="slug of the live session")
        parser.add_argument("--rate", type=float, default=1.0, help="times real time (1)")
        parser.add_argument("--start", type=float, default=0.0, help="seconds into it (0)")
        parser.add_argument("--seconds", type=float, help="how long to send (to its end)")
        parser.add_argument("--loop", action="store_true", help="begin again at its end")
        parser.add_argument("--access", help="who may watch (as the recording)")
        parser.add_argument("--take-over", action="store_true", help="end another producer")
        parser.add_argument("--url", default="", help="of the service (http://127.0.0.1:8000)")
        parser.add_argument(
            "--token", default="", help="with the scope ingest; not needed on the service's machine"
        )

    def handle(self, *args: Any, slug: str, name: str, **options: Any) -> None:
        """Send it until its end, or until it is interrupted. Raises: CommandError in words."""
        session = Session.objects.filter(slug=slug, state=Session.State.READY).first()
        if session is None:
            raise CommandError(f"no recording {slug!r}: expected the slug of a ready session")
        if not 0 < options["rate"] <= 64:
            raise CommandError(f"--rate {options['rate']:g}: expected more than 0, at most 64")
        try:
            with Recording(session.recording_path) as recording:
                self._send(session, recording, name, options)
        except (RecordingError, OSError) as error:
            raise CommandError(f"{slug}: {error}") from error
        except ProducerError as error:
            raise CommandError(str(error)) from None

    def _send(self, session: Session, recording: Recording, name: str, options: Any) -> None:
        schema = recording.schema
        rate, speed = schema.frame_rate, options["rate"]
        first = round(options["start"] * rate)
        if not 0 <= first < recording.frame_count:
            raise CommandError(
                f"--start {options['start']:g}: the recording has {session.duration:g} s"
            )
        producer = open_live(
            name,
            url=options["url"],
            token=options["token"] or ingest_ticket,
            title=f"{session.title} (live)",
            session_kind=session.kind,
            frame_rate=rate * speed,
            fields=[field.as_dict() for field in schema.fields],
            entities=_entities(session),
            geometry=_geometry(session),
            access=options["access"] or session.access,
            take_over=options["take_over"],
            metadata=dict(session.metadata),
        )
        self.stdout.write(f"sending {session.slug} as {name}; Ctrl-C ends it")
        events = list(session.events.values())
        most = math.inf if options["seconds"] is None else round(options["seconds"] * rate)
        frames = _payloads(recording, first, recording.frame_count, loop=options["loop"])
        began, sent, at = time.monotonic(), 0, producer.acknowledged + 1
        with producer:
            try:
                for frame, payload in frames:
                    if producer.failure is not None or sent >= most:
                        break
                    due = began + sent / (rate * speed)
                    time.sleep(max(0.0, due - time.monotonic()))
                    producer.publish(payload, frame=at + sent)
                    _tell(producer, events, frame, at + sent)
                    sent += 1
            except KeyboardInterrupt:
                self.stdout.write("ending it")
        if producer.failure is not None:
            raise CommandError(f"{name}: {producer.failure}")
        self.stdout.write(f"{name}: {sent} frames sent")


def _payloads(
    recording: Recording, first: int, stop: int, *, loop: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(frame, payload) of one frame after the other; from frame 0 again at the end if `loop`."""
    size = recording.schema.segment_frames
    while True:
        for start in range(first - first % size, stop, size):
            columns = recording.columns(start, min(start + size, stop))
            for offset, payload in enumerate(payloads(columns)):
                if start + offset >= first:
                    yield start + offset, payload
        if not loop:
            return
        first = 0


def payloads(columns: Columns) -> Iterator[dict[str, Any]]:
    """Frames as producers send them; what is missing is left out."""
    schema: Schema = columns.schema
    values = {field.name: columns.quantities(field.name) for field in schema.fields}
    there = {name: ~np.isnan(array) for name, array in values.items()}
    entity_fields = [f.name for f in schema.fields if f.scope is Scope.ENTITY]
    session_fields = [f.name for f in schema.fields if f.scope is Scope.SESSION]
    for i in range(columns.frame_count):
        yield {
            "entities": {
                code: {n: float(values[n][i, e]) for n in entity_fields if there[n][i, e]}
                for e, code in enumerate(schema.entities)
            },
            "session": {n: float(values[n][i, 0]) for n in session_fields if there[n][i, 0]},
        }


def _tell(producer: Producer, events: Sequence[Mapping[str, Any]], frame: int, at: int) -> None:
    """Send the events of a frame of the recording. at: its frame in the live session."""
    for event in events:
        if event["frame"] == frame:
            told = {key: event[key] for key in ("entity", "value", "lap", "sector")}
            producer.event(event["kind"], event["message"], frame=at, **told)


def _entities(session: Session) -> list[dict[str, Any]]:
    names = ("code", "name", "number", "team", "colour", "kind", "attributes")
    return list(session.entities.order_by("index").values(*names))


def _geometry(session: Session) -> dict[str, Any] | None:
    """As REST shows it."""
    ground = Geometry.objects.filter(session=session).first()
    if ground is None:
        return None
    return {
        "kind": ground.kind,
        "unit": ground.unit,
        "bounds": [ground.x_min, ground.y_min, ground.x_max, ground.y_max],
        "rotation": ground.rotation,
        "length": ground.length,
        **ground.shapes,
    }
