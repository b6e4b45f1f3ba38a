"""The visitor who opens a WebSocket: by token, link or login, or anonymous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.conf import settings

from sessions_app.access import ANONYMOUS, Visitor
from sessions_app.credentials import Credentials, link_cookie
from sessions_app.visitors import bearer_of, visitor_of_user


async def visitor_of(scope: Mapping[str, Any], credentials: Credentials) -> Visitor:
    """Look up the visitor. A client without cookie, token and link costs no query.

    Args:
        scope: of the WebSocket, with Channels' `cookies` and `session`.
        credentials: who has which token or link.

    Raises:
        UnknownToken: for a bearer token that is none of ours.
        DatabaseError: if the user has to be looked up and cannot be.
    """
    cookies = scope.get("cookies") or {}
    query = parse_qs(scope.get("query_string") or b"", max_num_fields=20)
    link = query.get(b"link", [b""])[0].decode("latin-1") or cookies.get(link_cookie("ws"), "")
    for name, value in scope.get("headers") or ():
        if name == b"authorization":
            token = bearer_of(value.decode("latin-1"))
            if token is not None:
                return await credentials.with_link(await credentials.program(token), link)
    visitor = ANONYMOUS
    if settings.SESSION_COOKIE_NAME in cookies:
        visitor = await user_of_login(scope["session"])
    return await credentials.with_link(visitor, link)


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
