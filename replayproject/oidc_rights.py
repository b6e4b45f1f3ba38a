"""What a provider's claim says of a user's rights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Rights(NamedTuple):
    """What a login decides of a user; None: not decided by the provider."""

    staff: bool | None
    operator: bool | None


def rights_of(claims: Mapping[str, Any], claim: str, staff: str, operators: str) -> Rights:
    """What the claim says.

    Args:
        claims: of the user, as the provider sent them.
        claim: the name of one whose value is a text or a list of texts; `a.b` is `b` inside `a`.
        staff, operators: the text that makes staff, and operators; "" where it decides nothing.
    """
    found: Any = claims
    for part in claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    names = list(found) if isinstance(found, list | tuple) else [found]
    return Rights(
        staff in names if staff else None,
        operators in names if operators else None,
    )
