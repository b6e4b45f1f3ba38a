"""`manage.py publish SLUG`: lines of JSON from standard input become a live session."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.credentials import ingest_ticket

from ...live.producer import Producer, ProducerError
from ...live.producer import open as open_live

_CUBIC = ("x", "y", "z", "progress")
_ANGLES = ("heading", "course", "bearing")


class Command(BaseCommand):
    help = (
        "Send a live session: one JSON object a line from standard input, such as "
        '{"time": 1700000000.0, "entities": {"A": {"x": 1, "y": 2}}}. Also {"event": {...}} and '
        '{"entity": {...}}. Fields and entities are those of the first line unless --schema.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="names the session in addresses")
        parser.add_argument("--title", default="", help="for viewers; the slug by default")
        parser.add_argument("--kind", default="", help="race, regatta… (other)")
        parser.add_argument("--rate", type=float, default=25.0, help="frames a second (25)")
        parser.add_argument("--access", help="public, unlisted, login or private (public)")
        parser.add_argument(
            "--schema", help='JSON: {"fields": [...], "entities": [...], "geometry": {...}}'
        )
        parser.add_argument("--take-over", action="store_true", help="end another producer")
        parser.add_argument("--keep-live", action="store_true", help="do not end the session")
        parser.add_argument("--url", default="", help="of the service (http://127.0.0.1:8000)")
        parser.add_argument(
            "--token", default="", help="with the scope ingest; not needed on the service's machine"
        )

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        """Send every line. Raises: CommandError in words."""
        lines = _objects(sys.stdin, self.stderr.write)
        first = next(lines, None)
        if first is None:
            raise CommandError("standard input: expected at least one JSON object")
        schema = _schema_of(options["schema"], first)
        try:
            producer = open_live(
                slug,
                url=options["url"],
                token=options["token"] or ingest_ticket,
                title=options["title"],
                session_kind=options["kind"],
                frame_rate=options["rate"],
                access=options["access"],
                take_over=options["take_over"],
                end=not options["keep_live"],
                **schema,
            )
        except ProducerError as error:
            raise CommandError(str(error)) from None
        sent = refused = 0
        codes = {entity["code"] for entity in schema["entities"]}
        with producer:
            for line in _and_first(first, lines):
                done, problem = _send(producer, line, codes)
                sent += done
                if problem:
                    refused += 1
                    self.stderr.write(problem)
                if producer.failure is not None:
                    break
        if producer.failure is not None:
            raise CommandError(f"{slug}: {producer.failure}")
        self.stdout.write(
            f"{slug}: {sent} frames sent, {refused} lines refused, "
            f"frame {producer.acknowledged} was the last on disk"
        )


def _objects(lines: Iterable[str], warn: Any) -> Any:
    """The JSON objects of lines; what is none is told and left out."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            warn(f"line {number}: not JSON ({error}): left out")
            continue
        if isinstance(found, dict):
            yield found
        else:
            warn(f"line {number}: expected a JSON object: left out")


def _and_first(first: Mapping[str, Any], rest: Iterable[Mapping[str, Any]]) -> Any:
    yield first
    yield from rest


def _schema_of(path: str | None, first: Mapping[str, Any]) -> dict[str, Any]:
    """fields, entities and geometry, from a file or from the first line."""
    if path is not None:
        try:
            with open(path) as stream:
                found = json.load(stream)
        except (OSError, ValueError) as error:
            raise CommandError(f"{path}: {error}") from None
        if not isinstance(found, dict) or not found.get("fields"):
            raise CommandError(f'{path}: expected {{"fields": [...], "entities": [...]}}')
        return {
            "fields": found["fields"],
            "entities": found.get("entities", []),
            "geometry": found.get("geometry"),
        }
    entities = first.get("entities") or {}
    names = sorted({name for values in entities.values() for name in values})
    session = sorted(first.get("session") or {})
    if not names and not session:
        raise CommandError('line 1: expected {"entities": {code: {field: value}}}, or --schema')
    fields = [{"name": name, "scale": 0.001, "kind": _kind_of(name)} for name in names]
    fields += [{"name": n, "scale": 0.001, "kind": "held", "scope": "session"} for n in session]
    return {"fields": fields, "entities": [{"code": code} for code in entities], "geometry": None}


def _kind_of(name: str) -> str:
    if name in _CUBIC:
        return "cubic"
    return "angle" if name in _ANGLES else "linear"


def _send(producer: Producer, line: Mapping[str, Any], codes: set[str]) -> tuple[int, str]:
    """Send a line. Returns: frames sent, and what was wrong or ""."""
    if "event" in line:
        event = dict(line["event"])
        producer.event(event.pop("kind", "event"), event.pop("message", ""), **event)
        return 0, ""
    if "entity" in line:
        entity = dict(line["entity"])
        codes.add(entity.get("code", ""))
        producer.entity(**entity)
        return 0, ""
    entities = line.get("entities") or {}
    for code in entities:
        if code not in codes:
            codes.add(code)
            producer.entity(code)
    values = {"entities": entities, "session": line.get("session") or {}}
    done = producer.publish(values, time=line.get("time"), frame=line.get("frame"))
    return int(done.outcome != "refused"), done.reason
