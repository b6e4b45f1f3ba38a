"""The answers of `replay.v1` to `hello` and `ping`."""

from __future__ import annotations

import time
from typing import Any, Protocol

from sessions_app.recording import Field, Schema

from ...playback.commands import Hello, Ping
from ...playback.playhead import Playhead
from ...playback.protocol import SUBPROTOCOL, MessageType
from ...store.catalogue import SessionInfo
from ...store.source import PictureSource
from ..resume import issue_token


class About(Protocol):
    """A session, as far as a `welcome` tells of it: from the catalogue, or from the database."""

    @property
    def slug(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def frame_rate(self) -> float: ...


def recording_welcome(about: About, schema: Schema | None, frames: int) -> dict[str, Any]:
    """What of a `welcome` depends on the recording alone.

    Args:
        about: the session.
        schema: of what is sent; None while there are no frames.
        frames: how many there are now.
    """
    fields = None if schema is None else schema.as_dict()
    return {
        "type": MessageType.WELCOME.value,
        "session": {
            "slug": about.slug,
            "version": about.version,
            "title": about.title,
            "kind": about.kind,
            "state": about.state,
            "frame_rate": about.frame_rate,
            "frame_count": frames,
            "duration": round(frames / about.frame_rate, 6),
        },
        "schema": fields and {"fields": fields["fields"], "entities": fields["entities"]},
        "segment_frames": schema.segment_frames if schema is not None else 0,
    }


def welcome(
    connection_id: str,
    info: SessionInfo,
    hello: Hello,
    schema: Schema | None,
    playhead: Playhead,
    *,
    frames: int = 0,
    resumed: bool = False,
    pictures: PictureSource | None = None,
) -> dict[str, Any]:
    """The `welcome` message.

    Args:
        connection_id: names the connection in the token that resumes it.
        info: the session.
        hello: what the client asked for; it is granted.
        schema: of what the client is sent; None while there are no frames.
        playhead: where the viewer begins, and the room that it is in.
        frames: how many there are now.
        resumed: whether the playhead is where a connection before left it.
        pictures: of a session of pictures.
    """
    message: dict[str, Any] = {
        **recording_welcome(info, schema, frames),
        "protocol": SUBPROTOCOL,
        "encoding": hello.encoding.value,
        "window": hello.window,
        "lead": hello.lead,
        "max_fps": hello.max_fps or info.frame_rate,
        "generation": playhead.generation,
        "resumed": resumed,
        "resume": issue_token(connection_id, info.slug, playhead),
        "connection": connection_id,
    }
    if pictures is not None:
        message["session"]["content_type"] = pictures.content_type
        message["session"]["start_time"] = pictures.start_time
        message["session"]["width"], message["session"]["height"] = pictures.size or (None, None)
    if playhead.room is not None:
        message["room"] = playhead.room
    return message if hello.id is None else {**message, "id": hello.id}


def picture_schema(frame_rate: float) -> Schema:
    """The schema of a session of pictures: a picture a frame, and nothing to decode."""
    return Schema((Field("picture"),), (), frame_rate, 1)


def hello_summary(hello: Hello) -> dict[str, Any]:
    """A `hello` as operators may see it: all but the token that resumes."""
    return {
        "window": hello.window,
        "lead": hello.lead,
        "max_fps": hello.max_fps,
        "fields": hello.fields,
        "entities": hello.entities,
        "events": hello.events,
        "resume": hello.resume is not None,
    }


def pong(ping: Ping) -> dict[str, Any]:
    """The answer to `ping`."""
    message = {
        "type": MessageType.PONG.value,
        "t": ping.t,
        "server_time": round(time.time(), 6),
    }
    return message if ping.id is None else {**message, "id": ping.id}
