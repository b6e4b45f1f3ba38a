"""The visitor who opens a WebSocket: by token, by login, or anonymous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.auth import get_user
from django.conf import settings

from sessions_app.visitors import ANONYMOUS, Visitor, bearer_of, program_of


async def visitor_of(scope: Mapping[str, Any]) -> Visitor:
    """Look up the visitor. A client without cookie and token costs no query.

    Args:
        scope: of the WebSocket, with Channels' `cookies` and `session`.

    Raises:
        UnknownToken: for a bearer token that is none of ours.
        DatabaseError: if the user has to be looked up and cannot be.
    """
    for name, value in scope.get("headers") or ():
        if name == b"authorization":
            token = bearer_of(value.decode("latin-1"))
            if token is not None:
                return program_of(token)
    if settings.SESSION_COOKIE_NAME not in (scope.get("cookies") or {}):
        return ANONYMOUS
    return await user_of_login(scope["session"])


async def user_of_login(login: Any) -> Visitor:
    """The user of a login session (Django's `SessionBase`), if it is still one.

    Raises: DatabaseError.
    """
    user = await get_user({"session": login})
    if not user.is_authenticated or not user.is_active:
        return ANONYMOUS
    return Visitor(
        authenticated=True,
        staff=user.is_staff,
        name=str(user),
        login=login.session_key or "",
    )
