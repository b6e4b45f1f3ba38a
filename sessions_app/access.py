"""Who may watch a session: one rule for REST, sockets and pages. No framework inside."""

from __future__ import annotations

import enum


class Decision(enum.Enum):
    """Whether a visitor may watch a session, and if not, why."""

    ALLOWED = "allowed"
    LOGIN_REQUIRED = "login_required"
    FORBIDDEN = "forbidden"


def decide(access: str, *, authenticated: bool, staff: bool) -> Decision:
    """access: "public", "login" or "staff", as in `Session.Access`; anything else is for staff."""
    if access == "public" or staff:
        return Decision.ALLOWED
    if not authenticated:
        return Decision.LOGIN_REQUIRED
    return Decision.ALLOWED if access == "login" else Decision.FORBIDDEN


def visible_kinds(*, authenticated: bool, staff: bool) -> tuple[str, ...]:
    """The values of `access` whose sessions a visitor sees in a list."""
    return tuple(
        access
        for access in ("public", "login", "staff")
        if decide(access, authenticated=authenticated, staff=staff) is Decision.ALLOWED
    )
