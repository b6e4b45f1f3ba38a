"""What the admin's pages say: verdicts and close codes in the words that people use."""

from __future__ import annotations

from ..playback.protocol import CloseCode
from ..statistics.diagnosis import Verdict

INTROS = {
    "change_list": "Viewers that are connected now, on all workers.",
    "closed": "The last 1,000 connections that closed, newest first.",
    "workers": "The server processes that serve viewers, and how busy each of them is.",
}

VERDICTS = {
    Verdict.HEALTHY: "This viewer gets its frames on time.",
    Verdict.STALLED_LOOP: "Frames come late because this worker was blocked.",
    Verdict.STARVED: "Frames come late because the server was slow to load them.",
    Verdict.FLOODING: "This client sends too many commands.",
    Verdict.HIDDEN: "This viewer looks at another tab.",
    Verdict.SLOW_CLIENT: "This viewer's connection or device is too slow for the frames.",
    Verdict.SILENT_CLIENT: "This client has stopped answering.",
    Verdict.SLOW_CALLBACK: "The server takes too long for one of this connection's callbacks.",
    Verdict.DEGRADING: "Frames come less and less often.",
}

CLOSE_CODES = {
    CloseCode.DONE: "finished",
    CloseCode.FAR_TOO_LARGE: "message far too large",
    CloseCode.FAILED: "server error",
    CloseCode.RESTARTING: "server is restarting",
    CloseCode.NOT_THIS_PROTOCOL: "protocol not supported",
    CloseCode.UNAUTHENTICATED: "not logged in",
    CloseCode.FORBIDDEN: "no permission",
    CloseCode.NO_SUCH_SESSION: "session not found",
    CloseCode.SLOW: "too slow, no acknowledgement",
    CloseCode.TOO_LARGE: "message too large",
    CloseCode.TOO_MANY: "too many messages or connections",
}

REFUSALS = {
    "connections": "Connections of one worker",
    "connections_per_address": "Connections of one address",
    "connections_per_session": "Connections to one session",
    "connections_per_user": "Connections of one user",
    "connections_per_token": "Connections of one token",
    "handshakes_per_address": "Handshakes of one address",
    "handshakes_per_login": "Handshakes of one login",
    "handshakes_per_token": "Handshakes of one token",
    "messages": "Messages of one viewer",
    "messages_per_address": "Messages of one address",
    "messages_per_user": "Messages of one user",
    "messages_per_token": "Messages of one token",
    "message_bytes": "Messages too large",
    "control_frames": "Pings and pongs of one viewer",
    "fragments": "Fragments of messages of one viewer",
    "requests_per_address": "Requests of one address",
    "requests_per_login": "Requests of one login",
    "requests_per_token": "Requests of one token",
    "bytes_per_address": "Downloads of one address",
    "bytes_per_login": "Downloads of one login",
    "bytes_per_token": "Downloads of one token",
    "upload_bytes": "Uploads of one address, user or token",
    "body_bytes": "Request bodies too large",
    "failed_logins": "Failed logins of one name or address",
}
"""The limits, by the names that `/metrics` has for them."""

ACTIONS = {
    "reset": "Reset statistics",
    "disconnect": "Disconnect…",
    "pause": "Pause playback",
    "keyframe": "Send a keyframe",
    "log_stats": "Write statistics to the log",
    "export": "Export as JSON",
}

ACTIONS_DONE = {
    "reset": "The statistics of {} were reset.",
    "disconnect": "{} disconnected.",
    "pause": "Playback of {} was paused.",
    "keyframe": "A keyframe was sent to {}.",
    "log_stats": "The statistics of {} were written to the log.",
}


def meaning_of(code: int) -> str:
    """What a close code means; "" for one that is not of the protocol, as 1006."""
    return next((text for known, text in CLOSE_CODES.items() if known == code), "")


def reason_of(reason: str, code: int) -> str:
    """Why a connection closed, from what its worker noted and the code that it closed with."""
    if reason == "client":
        return "Viewer left"
    if reason.startswith("server: "):
        return f"Server: {meaning_of(code) or reason.removeprefix('server: ')}"
    return reason


def close_code_choices() -> list[tuple[str, list[tuple[int, str]]]]:
    """Close codes for a select, in two groups: what the player does after each."""
    groups: dict[bool, list[tuple[int, str]]] = {False: [], True: []}
    for code, text in CLOSE_CODES.items():
        groups[code.retry].append((code.value, f"{code.value} – {text}"))
    return [
        ("The player stays disconnected", groups[False]),
        ("The player reconnects by itself", groups[True]),
    ]
