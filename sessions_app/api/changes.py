"""What becomes of a session after its import began: cancelled, tried again, changed, deleted."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest
from ninja import Router, Status

from .. import jobs
from ..access import Action
from ..f1_front_end import CACHE
from ..importers.text import cleaned
from ..models import Session
from ..storing import delete_session
from .errors import ApiError, ErrorOut
from .imports import import_answer
from .schemas import ClearedOut, ImportOut, SessionChange, SessionSettingsOut
from .visitors import facts_of, require, session_for, visitor_of

router = Router(tags=["sessions"])
ERRORS = dict.fromkeys((401, 403, 404, 409, 422), ErrorOut)
SECURITY: dict[str, Any] = {"security": [{"token": []}, {"login": []}]}


@router.post(
    "sessions/{slug:slug}/cancel",
    response={200: ImportOut, **ERRORS},
    operation_id="cancel_import",
    summary="Cancel a session's import",
    openapi_extra=SECURITY,
)
async def cancel(request: HttpRequest, slug: str) -> ImportOut:
    """Stops it within a second or two; a recording that was there before stays. 409 if no import
    waits or runs."""
    session = await session_for(request, slug, Action.EDIT)
    if not await sync_to_async(jobs.cancel)(session):
        raise ApiError(409, f"Session {slug!r} is not being imported.", code="nothing_to_cancel")
    await session.arefresh_from_db(fields=("state", "message"))
    return import_answer(session, None)


@router.post(
    "sessions/{slug:slug}/retry",
    response={202: ImportOut, **ERRORS},
    operation_id="retry_import",
    summary="Import a session again after a failure",
    openapi_extra=SECURITY,
)
async def retry(request: HttpRequest, slug: str) -> Status[ImportOut]:
    """From the same source, with the same options. 409 if the last import did not fail, or if its
    upload is not there any more."""
    session = await session_for(request, slug, Action.EDIT)
    try:
        job = await sync_to_async(jobs.retry)(session)
    except jobs.NothingToRetry as error:
        text = str(error)
        raise ApiError(409, f"{text[0].upper()}{text[1:]}.", code="nothing_to_retry") from error
    return Status(202, import_answer(job.session, job.pk))


async def change(request: HttpRequest, slug: str, wanted: SessionChange) -> SessionSettingsOut:
    """Its title, who may watch, and for staff its owner and groups."""
    session = await session_for(request, slug, Action.EDIT)
    if wanted.owner is not None or wanted.groups is not None:
        facts = await facts_of(session)
        require(await visitor_of(request), request, Action.ASSIGN, facts)
    return await sync_to_async(_change)(session.pk, wanted)


@transaction.atomic
def _change(pk: int, wanted: SessionChange) -> SessionSettingsOut:
    """Raises: ApiError 422, nothing changed."""
    session = Session.objects.select_for_update().get(pk=pk)
    if wanted.title is not None:
        session.title = cleaned(wanted.title, 200)
        if not session.title:
            raise ApiError(422, "title: expected at least one letter.")
    if wanted.access is not None:
        session.access = wanted.access
    if wanted.owner is not None:
        users = get_user_model().objects
        session.owner = users.filter(username=wanted.owner).first()
        if wanted.owner and session.owner is None:
            raise ApiError(422, f"owner: there is no user {cleaned(wanted.owner, 150)!r}.")
    session.save()
    if wanted.groups is not None:
        groups = list(Group.objects.filter(name__in=wanted.groups))
        missing = sorted({*wanted.groups} - {group.name for group in groups})
        if missing:
            raise ApiError(422, f"groups: there is no group {cleaned(missing[0], 150)!r}.")
        session.groups.set(groups)
    return SessionSettingsOut.model_validate(
        {
            "slug": session.slug,
            "title": session.title,
            "access": session.access,
            "owner": "" if session.owner is None else session.owner.get_username(),
            "groups": sorted(session.groups.values_list("name", flat=True)),
        }
    )


async def delete(request: HttpRequest, slug: str) -> Status[None] | Status[ClearedOut]:
    """With its recording, and the upload that it was made from. Whoever watches it is told so and
    closed within five seconds; an import of it stops. `cache`, where no session has that slug, is
    answered with 200 for the F1 replay app's front end: nothing is kept that could be stale."""
    if slug == CACHE and not await Session.objects.filter(slug=slug).aexists():
        return Status(200, ClearedOut())
    session = await session_for(request, slug, Action.DELETE)
    await sync_to_async(delete_session)(session)
    return Status(204, None)


def mount(router: Router) -> None:
    """Add what changes a session to the router that reads it: one path, one router."""
    path = "sessions/{slug:slug}"
    router.patch(
        path,
        response={200: SessionSettingsOut, **ERRORS},
        operation_id="change_session",
        summary="Change a session",
        openapi_extra=SECURITY,
    )(change)
    router.delete(
        path,
        response={204: None, 200: ClearedOut, **ERRORS},
        operation_id="delete_session",
        summary="Delete a session",
        openapi_extra=SECURITY,
    )(delete)
