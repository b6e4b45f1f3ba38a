"""What is wrong with a producer, in words, as `statistics/diagnosis.py` has it of viewers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STALLED_SECONDS = 3.0
STALLED_FRAMES = 10
"""Both: ten frames of a source that sends one a second are ten seconds."""

DISK_SECONDS = 0.2
"""Within which a frame is to be acknowledged."""

REFUSED_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """name: of the verdict; figures: what led to it; advice: what to do about it."""

    name: str
    figures: str = ""
    advice: str = ""


HEALTHY = Verdict("healthy")


def producer_verdict(
    *, frame_rate: float, silent: float, disk_lag: float, frames: int, refused: int
) -> Verdict:
    """The verdict on a producer.

    Args:
        frame_rate: frames a second of the session.
        silent: seconds since its last frame.
        disk_lag: seconds that its last frames waited for the disk.
        frames: accepted in the last second.
        refused: in the last second.
    """
    if disk_lag > DISK_SECONDS:
        return Verdict(
            "disk behind",
            f"frames wait {disk_lag:.1f} s for the disk",
            "viewers see them that much later: move the recordings folder to a faster disk",
        )
    if silent > STALLED_SECONDS and silent * frame_rate > STALLED_FRAMES:
        return Verdict(
            "producer stalled",
            f"no frame for {silent:.0f} s",
            "its connection is open and it sends nothing: look at the source",
        )
    if refused and refused / (refused + frames) > REFUSED_SHARE:
        return Verdict(
            "refusing",
            f"{refused} of {refused + frames} frames refused in a second",
            "the reasons are in what it was answered: `refused`, by frame",
        )
    return HEALTHY
