"""Who may do what: one rule for REST, sockets, pages and the admin. No framework inside.

A `Visitor` is whoever asks, as far as the rule is concerned; `SessionFacts` is what the rule needs
to know of a session. `decide` is the rule. Whoever asks it turns the answer into what its own wire
knows: an HTTP status, a close code, a page.

1. What a visitor who has sent nothing may do, everybody may do.
2. A token never allows more than its owner may do, and only what its scopes name.
3. A share link allows to watch one session, and nothing else.
4. Staff may do everything with every session. Seeing and operating live connections are
   permissions of their own: not all staff have them, and operators who are no staff do.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Visibility(enum.StrEnum):
    """Who may watch a session. A value that is none of these is treated as `PRIVATE`."""

    PUBLIC = "public"
    """Everybody; it is listed."""
    UNLISTED = "unlisted"
    """Whoever has the address; it is in no list but those of its owner, its groups and staff."""
    LOGIN = "login"
    """Whoever is logged in; it is listed for them."""
    PRIVATE = "private"
    """Its owner, the members of its groups, staff, and whoever has a share link."""


OLDER_NAMES: Mapping[str, str] = {"staff": Visibility.PRIVATE.value}
"""Values that requests may still use, and what they mean."""


class Action(enum.StrEnum):
    """What a visitor wants to do."""

    WATCH = "watch"
    EXPORT = "export"
    LIST = "list"
    EDIT = "edit"
    ASSIGN = "assign"
    """Give it another owner, or other groups."""
    DELETE = "delete"
    INGEST = "ingest"
    IMPORT = "import"
    UPLOAD = "upload"
    OBSERVE = "observe"
    """See live connections and the workers' figures."""
    OPERATE = "operate"
    """Disconnect, pause and reset live connections."""
    TOKENS = "tokens"
    """Make, list and revoke tokens of one's own."""
    ADMIN = "admin"
    """Enter the admin; what is seen and changed there takes Django's permissions."""


class Scope(enum.StrEnum):
    """What an API token is for."""

    READ = "read"
    IMPORT = "import"
    INGEST = "ingest"
    OPERATE = "operate"


SCOPES: Mapping[Action, Scope | None] = {
    Action.WATCH: Scope.READ,
    Action.EXPORT: Scope.READ,
    Action.LIST: Scope.READ,
    Action.EDIT: Scope.IMPORT,
    Action.ASSIGN: Scope.IMPORT,
    Action.DELETE: Scope.IMPORT,
    Action.INGEST: Scope.INGEST,
    Action.IMPORT: Scope.IMPORT,
    Action.UPLOAD: Scope.IMPORT,
    Action.OBSERVE: Scope.OPERATE,
    Action.OPERATE: Scope.OPERATE,
    # A token that could make tokens could outlive its own revocation.
    Action.TOKENS: None,
    Action.ADMIN: None,
}
"""The scope that a token needs for an action; None: no scope is enough."""

_SEEING = frozenset({Action.WATCH, Action.EXPORT, Action.LIST})
_WATCHING = frozenset({Action.WATCH, Action.EXPORT})
"""Who may watch may export: all frames reach the watcher anyway."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who asks for something.

    Attributes:
        authenticated: is logged in, or has a token.
        staff: may see every session, and import.
        observer: may see live connections.
        operator: may operate them.
        by_cookie: a browser sent it along unasked, so that CSRF can happen.
        name: of the user, "" for others.
        login: key of the site's login session, "" for others.
        user: primary key of the user, or of the token's owner; None for others.
        groups: primary keys of the user's groups.
        scopes: of the token; None where no token limits what the user may do.
        token: primary key of the token, None for others.
        link: primary key of the share link that came along, None without one.
        linked: slug of the session that the link is for, "" without one.
        link_problem: why the link that came along does not count, or "".
    """

    authenticated: bool = False
    staff: bool = False
    observer: bool = False
    operator: bool = False
    by_cookie: bool = True
    name: str = ""
    login: str = ""
    user: int | None = None
    groups: frozenset[int] = frozenset()
    scopes: frozenset[Scope] | None = None
    token: int | None = None
    link: int | None = None
    linked: str = ""
    link_problem: str = ""


ANONYMOUS = Visitor()
PROGRAM = Visitor(authenticated=True, staff=True, observer=True, operator=True, by_cookie=False)
"""Whoever has one of API_TOKENS."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the rule needs to know of a session.

    Attributes:
        slug: of the session.
        visibility: one of `Visibility`.
        owner: primary key of the user who owns it, None if nobody does.
        groups: primary keys of the groups that may watch; may be empty where everybody may.
    """

    slug: str
    visibility: str
    owner: int | None = None
    groups: frozenset[int] = field(default=frozenset())


class Verdict(enum.IntEnum):
    """The kinds of answer, as HTTP statuses."""

    ALLOWED = 200
    LOGIN_REQUIRED = 401
    FORBIDDEN = 403


_CLOSE_CODES = {Verdict.ALLOWED: None, Verdict.LOGIN_REQUIRED: 4401, Verdict.FORBIDDEN: 4403}


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule's answer. reason: for people, without a full stop; "" where it is allowed."""

    verdict: Verdict
    reason: str = ""

    @property
    def allowed(self) -> bool:
        return self.verdict is Verdict.ALLOWED

    @property
    def status(self) -> int:
        """The HTTP status that says it: 200, 401 or 403."""
        return int(self.verdict)

    @property
    def close_code(self) -> int | None:
        """The WebSocket's close code that says it: 4401 or 4403; None where it is allowed."""
        return _CLOSE_CODES[self.verdict]


ALLOWED = Decision(Verdict.ALLOWED)


def decide(visitor: Visitor, action: Action, session: SessionFacts | None = None) -> Decision:
    """The rule.

    Args:
        visitor: whoever asks.
        action: what for.
        session: that it concerns; None for an action on no session that is there already.

    Raises:
        ValueError: if the action is one on a session, and none is given.
    """
    if session is not None and _everybody_may(action, session):
        return ALLOWED
    if session is not None and action in _WATCHING and visitor.linked == session.slug:
        return ALLOWED
    if action in _WATCHING and visitor.link_problem and not visitor.authenticated:
        return Decision(Verdict.FORBIDDEN, visitor.link_problem)
    if not visitor.authenticated:
        return Decision(Verdict.LOGIN_REQUIRED, f"log in to {_what(action, session)}")
    if visitor.scopes is not None:
        scope = SCOPES[action]
        if scope is None:
            return Decision(Verdict.FORBIDDEN, "no token is enough for this: log in")
        if scope not in visitor.scopes:
            return Decision(Verdict.FORBIDDEN, f"this token does not have the scope {scope.value}")
    if _may(visitor, action, session):
        return ALLOWED
    problem = visitor.link_problem if action in _WATCHING else ""
    return Decision(Verdict.FORBIDDEN, problem or _refusal(action))


def _everybody_may(action: Action, session: SessionFacts) -> bool:
    if action is Action.LIST:
        return session.visibility == Visibility.PUBLIC
    return action in _WATCHING and session.visibility in (Visibility.PUBLIC, Visibility.UNLISTED)


def _may(visitor: Visitor, action: Action, session: SessionFacts | None) -> bool:
    """Whether an authenticated visitor may, tokens' scopes aside."""
    if action is Action.TOKENS:
        return True
    if action is Action.OBSERVE:
        return visitor.observer
    if action is Action.OPERATE:
        return visitor.operator
    if action is Action.ADMIN:
        return visitor.staff or visitor.observer
    if visitor.staff:
        return True
    if action in (Action.IMPORT, Action.UPLOAD, Action.ASSIGN):
        return False
    if session is None:
        if action is Action.INGEST:
            return False
        raise ValueError(f"{action.value}: of which session? expected its facts")
    if visitor.user is not None and visitor.user == session.owner:
        return True
    if action in _SEEING:
        return session.visibility == Visibility.LOGIN or not visitor.groups.isdisjoint(
            session.groups
        )
    return False


def _what(action: Action, session: SessionFacts | None) -> str:
    """The end of "log in to …"."""
    if session is None:
        return {
            Action.IMPORT: "import sessions",
            Action.UPLOAD: "upload recordings",
            Action.OBSERVE: "see connections",
            Action.OPERATE: "operate connections",
            Action.TOKENS: "see or make tokens",
            Action.ADMIN: "enter the admin",
        }.get(action, action.value)
    return f"{action.value} this session"


def _refusal(action: Action) -> str:
    if action in _SEEING:
        return "this session is private"
    if action is Action.OBSERVE:
        return "seeing connections takes the permission to view live connections"
    if action is Action.OPERATE:
        return "operating connections takes the permission to change live connections"
    if action is Action.ASSIGN:
        return "only staff may give a session another owner or other groups"
    if action is Action.ADMIN:
        return "the admin is for staff and operators"
    if action in (Action.IMPORT, Action.UPLOAD, Action.INGEST):
        return f"only staff may {action.value} sessions"
    return f"only its owner and staff may {action.value} this session"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which sessions `decide` lets a visitor list, as a database can be asked for them.

    Attributes:
        everything: all of them.
        visibilities: those of these values.
        owner: those of this user too.
        groups: and those that one of these groups may watch.
    """

    everything: bool
    visibilities: tuple[str, ...]
    owner: int | None = None
    groups: frozenset[int] = frozenset()


def listing(visitor: Visitor) -> Listing:
    """What of a list a visitor sees; agrees with `decide(visitor, Action.LIST, …)`."""
    if not visitor.authenticated or (
        visitor.scopes is not None and Scope.READ not in visitor.scopes
    ):
        return Listing(False, (Visibility.PUBLIC.value,))
    if visitor.staff:
        return Listing(True, ())
    seen = (Visibility.PUBLIC.value, Visibility.LOGIN.value)
    return Listing(False, seen, visitor.user, visitor.groups)
