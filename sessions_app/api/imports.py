"""POST sessions: import something in the background."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Status

from ..access import Action, decide
from ..jobs import enqueue
from ..models import ImportJob, Session
from ..sources import ImporterMissing, Source, UnknownSource, find_source, require_importer
from .errors import ApiError, ErrorOut
from .schemas import FastF1Import, ImportOut, NamedImport
from .visitors import facts_of, require, require_for, visitor_of

KINDS = {
    "R": "race",
    "S": "sprint",
    "Q": "qualifying",
    "SQ": "sprint_qualifying",
    "SS": "sprint_qualifying",
    "FP1": "practice",
    "FP2": "practice",
    "FP3": "practice",
}


async def import_session(
    request: HttpRequest, wanted: NamedImport | FastF1Import
) -> Status[ImportOut]:
    """Answers at once: 202 if an import has begun, 200 if the session is there already.

    Starting an import takes a login as staff or a token; being told of a session that is there
    takes neither. Progress is in the session, and on its socket.
    """
    if isinstance(wanted, FastF1Import):
        slug = f"{wanted.year}_{wanted.round_num}_{wanted.session_type}"
    elif wanted.slug is not None:
        slug = wanted.slug
    else:
        # Names of sources are shown to staff only; that a session exists is no secret.
        slug = Source(wanted.source, settings.RECORDINGS_DIR, "").slug
    session = await Session.objects.filter(slug=slug).afirst()
    visitor = await visitor_of(request)
    may_import = decide(visitor, Action.IMPORT).allowed
    failed = session is not None and session.state == Session.State.FAILED
    if session is not None and not wanted.refresh and not (failed and may_import):
        await require_for(request, await facts_of(session))
        return Status(200, _answer(session, None))
    require(visitor, request, Action.IMPORT)
    job = await sync_to_async(_enqueue)(slug, wanted, visitor.user)
    return Status(202, _answer(job.session, job.pk))


def _enqueue(slug: str, wanted: NamedImport | FastF1Import, owner: int | None) -> ImportJob:
    """Raises: ApiError 422, 501."""
    about: dict[str, Any]
    try:
        if isinstance(wanted, FastF1Import):
            require_importer("fastf1")
            about = {
                "title": f"{wanted.year}, round {wanted.round_num}, {wanted.session_type}",
                "importer": "fastf1",
                "source": "",  # the options name it
                "options": {
                    "year": wanted.year,
                    "round": wanted.round_num,
                    "session": wanted.session_type,
                },
                "year": wanted.year,
                "round_number": wanted.round_num,
                "kind": KINDS[wanted.session_type],
            }
        else:
            source = find_source(wanted.source, settings.IMPORT_SOURCES)
            importer = source.importer if wanted.format is None else wanted.format
            require_importer(importer)
            about = {
                "title": source.name,
                "importer": importer,
                "source": str(source.path),
                "options": {**source.options, **({"strict": True} if wanted.strict else {})},
            }
    except UnknownSource as error:
        raise ApiError(422, f"{error}.", code="unknown_source") from error
    except ImporterMissing as error:
        raise ApiError(501, f"{error}.", code="importer_missing") from error
    if not slug:
        raise ApiError(422, "This source's name makes no slug: give one as 'slug'.")
    job, _ = enqueue(slug, access=wanted.access, owner=owner, **about)
    return job


def _answer(session: Session, job_id: int | None) -> ImportOut:
    return ImportOut.model_validate(
        {
            "session_id": session.slug,
            "state": session.state,
            "loading": session.loading,
            "job_id": job_id,
        }
    )


def mount(router: Router) -> None:
    """Add the operation to the router that has the list: one path, one router."""
    router.post(
        "sessions",
        response={
            200: ImportOut,
            202: ImportOut,
            **dict.fromkeys((400, 401, 403, 422, 501), ErrorOut),
        },
        operation_id="import_session",
        summary="Import a session",
        openapi_extra={"security": [{}, {"token": []}, {"login": []}]},
    )(import_session)
