"""Who opens a WebSocket: whoever has a token, whoever is logged in, or nobody in particular."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.conf import settings

from sessions_app.access import ANONYMOUS, Visitor
from sessions_app.visitors import bearer_of, program_of, visitor_of_user


async def visitor_of(scope: Mapping[str, Any]) -> Visitor:
    """Find out who asks. A client without cookie and token costs no query.

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
    if not user.is_authenticated:
        return ANONYMOUS
    key = login.session_key or ""
    visitor: Visitor = await database_sync_to_async(visitor_of_user)(user, login=key)
    return visitor
