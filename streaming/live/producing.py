"""What becomes of the frames that a producer sends: checked, numbered, accepted or refused. Pure.

Messages and a clock go in; accepted frames and refusals come out. What holds, whatever comes in:

1. Accepted frames have growing numbers and times that do not run backwards.
2. Every frame that came in is either accepted or refused, with a reason in words.
3. Nothing is invented: a number that was left out is a gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack

from .layout import BadPayload, Layout
from .wire import MAX_AHEAD_SECONDS, MAX_FRAME, Limits, Refusal, RefusalCode

_MAGIC = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
}


class Frame(NamedTuple):
    """An accepted frame.

    Attributes:
        number: of the frame.
        time: Unix seconds, of the producer's clock, or of its arrival.
        content: a row of samples (`layout.py`), or a picture.
    """

    number: int
    time: float
    content: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message's frames."""

    frames: list[Frame] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Intake:
    """The frames of one session, from one producer after the other.

    Attributes:
        layout: of telemetry; None for pictures.
        content_type: of pictures.
        next_frame: the lowest number that is accepted.
        last_time: of the newest accepted frame, Unix seconds; None before the first.
        limits: what is accepted.
    """

    def __init__(
        self,
        *,
        frame_rate: float,
        layout: Layout | None,
        content_type: str = "",
        next_frame: int = 0,
        last_time: float | None = None,
        limits: Limits | None = None,
        now: float = 0.0,
    ) -> None:
        """
        Args:
            frame_rate: frames a second of the timeline.
            layout: of telemetry; None for pictures.
            content_type: of pictures.
            next_frame: after the last frame that is on disk.
            last_time: of that frame.
            limits: what is accepted.
            now: monotonic seconds.
        """
        self.layout = layout
        self.content_type = content_type
        self.next_frame = next_frame
        self.last_time = last_time
        self.limits = limits or Limits()
        self._frame_rate = frame_rate
        self._most = self.limits.frames_per_second * self.limits.burst_seconds
        self._allowed = self._most
        self._allowed_at = now

    def take(self, data: bytes, now: float, unix_now: float) -> Outcome:
        """Check one binary message.

        Args:
            data: msgpack: `[frame, time, payload]`, or a list of such arrays.
            now: monotonic seconds.
            unix_now: the time of a frame that brings none.
        """
        try:
            message = msgpack.unpackb(data)
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
            return _all_refused(None, RefusalCode.BAD_FRAME, f"not msgpack ({error!s:.80})")
        if not isinstance(message, list):
            return _all_refused(None, RefusalCode.BAD_FRAME, _EXPECTED)
        batch = message if message and isinstance(message[0], list) else [message]
        if len(batch) > self.limits.batch:
            reason = f"{len(batch)} frames in a message: expected at most {self.limits.batch}"
            return _all_refused(None, RefusalCode.TOO_LARGE, reason)
        outcome = Outcome()
        for item in batch:
            taken = self._take(item, now, unix_now)
            if isinstance(taken, Frame):
                outcome.frames.append(taken)
            else:
                outcome.refused.append(taken)
        return outcome

    def _take(self, item: Any, now: float, unix_now: float) -> Frame | Refusal:
        if not isinstance(item, list) or len(item) != 3:
            return Refusal(None, RefusalCode.BAD_FRAME, _EXPECTED)
        number, time, payload = item
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_FRAME:
            return Refusal(None, RefusalCode.BAD_FRAME, f"frame {number!r:.60}: {_EXPECTED}")
        if number < self.next_frame:
            reason = f"frame {number}: expected {self.next_frame} or later"
            return Refusal(number, RefusalCode.FRAME_BACKWARDS, reason)
        ahead = number - self.next_frame
        if ahead > MAX_AHEAD_SECONDS * self._frame_rate:
            reason = (
                f"frame {number}: more than {MAX_AHEAD_SECONDS / 3600:g} h after the last one, "
                f"expected {self.next_frame} or a little later"
            )
            return Refusal(number, RefusalCode.TOO_FAR, reason)
        if time is None:
            time = unix_now if self.last_time is None else max(unix_now, self.last_time)
        elif isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < 1e11:
            reason = f"time {time!r:.60}: expected Unix seconds, or nil"
            return Refusal(number, RefusalCode.BAD_VALUE, reason)
        if self.last_time is not None and time < self.last_time:
            reason = f"time {time:.3f}: runs backwards, expected {self.last_time:.3f} or later"
            return Refusal(number, RefusalCode.TIME_BACKWARDS, reason)
        if not self._allow(now):
            reason = f"more than {self.limits.frames_per_second:g} frames/s"
            return Refusal(number, RefusalCode.TOO_FAST, reason)
        try:
            content = self._content(payload)
        except BadPayload as error:
            return Refusal(number, error.code, f"frame {number}: {error}")
        self.next_frame = number + 1
        self.last_time = float(time)
        return Frame(number, float(time), content)

    def _content(self, payload: Any) -> bytes:
        if self.layout is not None:
            return self.layout.row(payload)
        if not isinstance(payload, bytes):
            raise BadPayload(RefusalCode.BAD_FRAME, "payload: expected the bytes of a picture")
        if len(payload) > self.limits.frame_bytes:
            raise BadPayload(
                RefusalCode.TOO_LARGE,
                f"picture of {len(payload):,} bytes: expected at most {self.limits.frame_bytes:,}",
            )
        if not payload.startswith(_MAGIC[self.content_type]):
            raise BadPayload(RefusalCode.BAD_VALUE, f"picture: not {self.content_type}")
        return payload

    def _allow(self, now: float) -> bool:
        passed = max(0.0, now - self._allowed_at)
        self._allowed_at = max(now, self._allowed_at)
        self._allowed = min(self._most, self._allowed + passed * self.limits.frames_per_second)
        if self._allowed < 1.0:
            return False
        self._allowed -= 1.0
        return True


_EXPECTED = "expected [frame, time, payload]"


def _all_refused(frame: int | None, code: RefusalCode, message: str) -> Outcome:
    return Outcome(refused=[Refusal(frame, code, message)])
