"""The state of a room, and how commands change it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..playback.commands import Pause, Play, Seek, SetSpeed
from ..playback.playhead import Playhead
from ..playback.protocol import Action
from ..playback.timeline import Timeline

RoomCommand = Play | Pause | Seek | SetSpeed


@dataclass(frozen=True, slots=True)
class RoomState:
    """A timeline that several viewers share.

    Attributes:
        version: grows by one with each change, so that a stale message is recognised and a lost one
            is noticed.
        frame: of the playhead at time `at`; may lie between two frames.
        at: seconds of the rooms' common clock.
        speed: factor of real time, negative backwards.
        playing: whether time passes.
        seeks: number of seeks so far; when it changes, what viewers were sent is worthless.
        leader: id of the member whose command was the last, "" before the first.
        leader_name: the name of that member.
        last_action: the action of that command, "" before the first.
    """

    version: int
    frame: float
    at: float
    speed: float
    playing: bool
    seeks: int = 0
    leader: str = ""
    leader_name: str = ""
    last_action: str = ""

    @classmethod
    def of(cls, playhead: Playhead, at: float) -> RoomState:
        """A new room that begins where its first member is."""
        return cls(1, playhead.frame, at, playhead.speed, playhead.playing)

    @property
    def playhead(self) -> Playhead:
        return Playhead(self.frame, self.speed, self.playing)

    def after(
        self,
        command: RoomCommand,
        at: float,
        *,
        frame_count: int,
        frame_rate: float,
        target: float = 0.0,
        leader: str = "",
        leader_name: str = "",
    ) -> RoomState:
        """Return the state after `command`, its version one higher.

        Args:
            command: of a member.
            at: seconds of the rooms' common clock.
            frame_count: frames of the session now.
            frame_rate: frames a second.
            target: frame that a seek means, checked by the caller.
            leader: id of the member whose command it is.
            leader_name: the name of that member.
        """
        timeline = Timeline(frame_count, frame_rate, self.at)
        timeline.seek(self.frame, self.at)
        timeline.speed, timeline.playing = self.speed, self.playing
        at = max(at, self.at)
        seeks = self.seeks
        match command:
            case Play():
                if command.speed is not None:
                    timeline.set_speed(command.speed, at)
                timeline.play(at)
                action = Action.PLAY
            case Pause():
                timeline.pause(at)
                action = Action.PAUSE
            case SetSpeed():
                timeline.set_speed(command.speed, at)
                action = Action.SPEED
            case Seek():
                timeline.seek(target, at)
                seeks += 1
                action = Action.SEEK
        return replace(
            self,
            version=self.version + 1,
            frame=timeline.anchor_frame,
            at=at,
            speed=timeline.speed,
            playing=timeline.playing,
            seeks=seeks,
            leader=leader,
            leader_name=leader_name,
            last_action=action.value,
        )

    def as_dict(self) -> dict[str, Any]:
        """As it is stored and sent between workers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RoomState:
        """Inverse of `as_dict`. Raises: KeyError, TypeError, ValueError."""
        return cls(
            int(data["version"]),
            float(data["frame"]),
            float(data["at"]),
            float(data["speed"]),
            bool(data["playing"]),
            int(data["seeks"]),
            str(data["leader"]),
            str(data["leader_name"]),
            str(data["last_action"]),
        )
