"""POST sessions: import something in the background."""

from __future__ import annotations

import itertools
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Status

from ..access import Action, decide
from ..f1_front_end import SESSION_TYPES, session_id
from ..jobs import enqueue
from ..models import ImportJob, Session
from ..sources import (
    ImporterMissing,
    Source,
    UnknownSource,
    fetching_importers,
    find_source,
    require_importer,
    slug_of,
)
from ..uploads import UnknownUpload, find_upload
from .errors import ApiError, ErrorOut
from .schemas import (
    FastF1Import,
    FetchImport,
    ImportOut,
    ImportRefusedOut,
    NamedImport,
    UploadImport,
)
from .visitors import facts_of, require, require_for, visitor_of


async def import_session(
    request: HttpRequest, wanted: NamedImport | FastF1Import | UploadImport | FetchImport
) -> Status[ImportOut]:
    """Answers at once: 202 if an import has begun, 200 if the session is there already.

    Starting an import takes a login as staff or a token; being told of a session that is there
    takes neither. Progress is in the session, and on its socket. What is uploaded or fetched never
    counts for a session that is there: 409, unless that failed, or `refresh` is asked for.
    """
    if isinstance(wanted, UploadImport | FetchImport):
        return await _import_new(request, wanted)
    if not isinstance(wanted, FastF1Import):
        return await _import_named(request, wanted)
    try:
        return await _import_named(request, wanted)
    except ApiError as error:
        error.more = {"session_id": session_id(wanted.model_dump())}
        raise


async def _import_new(
    request: HttpRequest, wanted: UploadImport | FetchImport
) -> Status[ImportOut]:
    visitor = await visitor_of(request)
    require(visitor, request, Action.IMPORT)
    if isinstance(wanted, UploadImport):
        job = await sync_to_async(_enqueue_upload)(wanted, visitor.user)
    else:
        job = await sync_to_async(_enqueue_fetch)(wanted, visitor.user)
    return Status(202, import_answer(job.session, job.pk))


def _enqueue_upload(wanted: UploadImport, owner: int | None) -> ImportJob:
    """Raises: ApiError 409, 422."""
    try:
        upload = find_upload(wanted.upload)
    except UnknownUpload as error:
        raise ApiError(422, f"upload: {error}.", code="unknown_upload") from error
    name = upload.path.name
    return _enqueue_new(
        wanted, name, upload.source, wanted.format or "", {"title": wanted.title}, owner
    )


def _enqueue_fetch(wanted: FetchImport, owner: int | None) -> ImportJob:
    """Raises: ApiError 409, 501."""
    known = fetching_importers(settings.DOWNLOADS)
    if wanted.format not in known:
        expected = " or ".join(known) or "none"
        raise ApiError(
            501,
            f"format {wanted.format!r} fetches nothing here: expected {expected}.",
            code="importer_missing",
        )
    options = wanted.model_dump(include={"year", "circuit", "session", "title"})
    name = f"{wanted.circuit} {wanted.year} {wanted.session}"
    return _enqueue_new(wanted, name, "", wanted.format, options, owner)


def _enqueue_new(
    wanted: UploadImport | FetchImport,
    name: str,
    source: str,
    importer: str,
    options: dict[str, Any],
    owner: int | None,
) -> ImportJob:
    """A job for a session that is not there yet, or failed, or is to be imported again.

    Raises: ApiError 409, 501.
    """
    slug = wanted.slug or _free_slug(slug_of(name) or "upload")
    there = Session.objects.filter(slug=slug).first()
    if there is not None and there.state != Session.State.FAILED and not wanted.refresh:
        raise ApiError(
            409, f"Session {slug!r} is there already: choose another slug, or refresh it."
        )
    try:
        require_importer(importer)
    except ImporterMissing as error:
        raise ApiError(501, f"{error}.", code="importer_missing") from error
    job, is_new = enqueue(
        slug,
        title=wanted.title or name,
        importer=importer,
        source=source,
        options={key: value for key, value in options.items() if value},
        access=wanted.access,
        owner=owner,
    )
    if not is_new and job.source != source:
        raise ApiError(409, f"Session {slug!r} is being imported from something else.")
    return job


def _free_slug(wanted: str) -> str:
    """The slug, with a number behind it if there is such a session."""
    taken = set(
        Session.objects.filter(slug__startswith=wanted).exclude(state=Session.State.FAILED)
        .values_list("slug", flat=True)
    )  # fmt: skip
    if wanted not in taken:
        return wanted
    numbered = (f"{wanted[:75]}-{number}" for number in itertools.count(2))
    return next(slug for slug in numbered if slug not in taken)


async def _import_named(
    request: HttpRequest, wanted: NamedImport | FastF1Import
) -> Status[ImportOut]:
    if isinstance(wanted, FastF1Import):
        slug = session_id(wanted.model_dump())
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
        return Status(200, import_answer(session, None))
    require(visitor, request, Action.IMPORT)
    job = await sync_to_async(_enqueue)(slug, wanted, visitor.user)
    return Status(202, import_answer(job.session, job.pk))


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
                "kind": SESSION_TYPES[wanted.session_type],
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


def import_answer(session: Session, job_id: int | None) -> ImportOut:
    """What every operation on imports answers."""
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
            400: ErrorOut,
            **dict.fromkeys((401, 403, 409, 422, 501), ImportRefusedOut),
        },
        operation_id="import_session",
        summary="Import a session",
        openapi_extra={"security": [{}, {"token": []}, {"login": []}]},
    )(import_session)
