"""REST for API tokens: made, listed and revoked by whoever they belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import AwareDatetime, Field

from ..access import Action, Scope, Visitor, decide
from ..credentials import make_token
from ..models import ApiToken
from .errors import ApiError, ErrorOut
from .visitors import require, visitor_of

router = Router(tags=["tokens"])
ERRORS = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}
_NEEDED = {Scope.IMPORT: Action.IMPORT, Scope.INGEST: Action.INGEST, Scope.OPERATE: Action.OBSERVE}
"""What its owner must be allowed to do for a scope to mean anything."""


class TokenIn(Schema):
    """A token to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires: AwareDatetime | None = Field(None, description="Left out: never.")
    owner: Annotated[str, Field(max_length=150, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="User name; only with one of API_TOKENS, and needed there."
    )


class TokenOut(Schema):
    """A token, without its secret."""

    id: int
    name: str
    prefix: str = Field(description="How it begins, after replay_.")
    scopes: list[str]
    created: datetime
    last_used: datetime | None = Field(description="Exact to a minute.")
    expires: datetime | None
    revoked: datetime | None


class NewTokenOut(TokenOut):
    """A token that was just made."""

    token: str = Field(description="Shown this once.")


class TokensOut(Schema):
    """All tokens of whoever asks."""

    tokens: list[TokenOut]


@router.get(
    "tokens",
    response={200: TokensOut, **ERRORS},
    operation_id="list_tokens",
    summary="Your API tokens",
)
async def list_tokens(request: HttpRequest, response: HttpResponse) -> TokensOut:
    """Newest first, revoked ones included."""
    visitor = await _admit(request, response)
    rows = ApiToken.objects.filter(owner=visitor.user).order_by("-created_at", "-pk")
    return TokensOut(tokens=[TokenOut(**_shown(row)) async for row in rows])


@router.post(
    "tokens",
    response={201: NewTokenOut, **ERRORS},
    operation_id="make_token",
    summary="Make an API token",
    openapi_extra={"security": [{"token": []}, {"login": []}]},
)
async def make(
    request: HttpRequest, response: HttpResponse, wanted: TokenIn
) -> Status[NewTokenOut]:
    """It acts as its owner, within its scopes. One of API_TOKENS may make some for any user."""
    visitor = await _admit(request, response)
    owner = await _owner(visitor, wanted.owner)
    for scope in wanted.scopes:
        if visitor.user is not None and scope in _NEEDED:
            decision = decide(visitor, _NEEDED[scope])
            if not decision.allowed:
                raise ApiError(403, f"Scope {scope.value}: {decision.reason}.")
    if wanted.expires is not None and wanted.expires <= timezone.now():
        raise ApiError(422, "expires: expected a time to come.")
    row, text = await sync_to_async(make_token)(owner, wanted.name, wanted.scopes, wanted.expires)
    return Status(201, NewTokenOut(**_shown(row), token=text))


@router.delete(
    "tokens/{int:token_id}",
    response={204: None, **ERRORS},
    operation_id="revoke_token",
    summary="Revoke an API token",
    openapi_extra={"security": [{"token": []}, {"login": []}]},
)
async def revoke(request: HttpRequest, response: HttpResponse, token_id: int) -> Status[None]:
    """What it opened ends within five seconds."""
    visitor = await _admit(request, response)
    rows = ApiToken.objects.filter(pk=token_id) if token_id < 2**63 else ApiToken.objects.none()
    if visitor.user is not None:
        rows = rows.filter(owner=visitor.user)
    row = await rows.afirst()
    if row is None:
        raise ApiError(404, f"You have no token {token_id}; /api/tokens lists them.")
    if row.revoked_at is None:
        await ApiToken.objects.filter(pk=row.pk).aupdate(revoked_at=timezone.now())
    return Status(204, None)


async def _admit(request: HttpRequest, response: HttpResponse) -> Visitor:
    visitor = await visitor_of(request)
    require(visitor, request, Action.TOKENS)
    response["Cache-Control"] = "private, no-store"
    return visitor


async def _owner(visitor: Visitor, name: str | None) -> object:
    """Raises: ApiError 403, 422."""
    users = get_user_model().objects.filter(is_active=True)
    if visitor.user is not None:
        owner = await users.filter(pk=visitor.user).afirst()
        if name is not None and (owner is None or owner.get_username() != name):
            raise ApiError(403, "owner: a login makes tokens of its own only; leave it out.")
    elif name is None:
        raise ApiError(422, "owner: API_TOKENS belong to nobody; name the user who will own it.")
    else:
        owner = await users.filter(**{get_user_model().USERNAME_FIELD: name}).afirst()
    if owner is None:
        raise ApiError(422, f"owner: there is no active user {name!r}.")
    return owner


def _shown(row: ApiToken) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "created": row.created_at,
        "last_used": row.last_used_at,
        "expires": row.expires_at,
        "revoked": row.revoked_at,
    }
