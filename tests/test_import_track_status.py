"""The track's status from race control's messages."""

from __future__ import annotations

import numpy as np

from sessions_app.importers.openf1.control import Message, track_status
from sessions_app.racing import TrackStatus


def test_the_chequered_flag_of_a_part_ends_with_the_next_part() -> None:
    said = [
        (10.0, "GREEN", "GREEN LIGHT - PIT EXIT OPEN"),
        (20.0, "CHEQUERED", "CHEQUERED FLAG"),
        (25.0, "CLEAR", "TRACK CLEAR"),
        (30.0, "GREEN", "GREEN LIGHT - PIT EXIT OPEN"),
    ]
    messages = [
        Message(time=time, text=text, kind="flag", flag=flag, driver=None, lap=None, sector=None)
        for time, flag, text in said
    ]
    shown = track_status(messages, np.array([15.0, 22.0, 27.0, 35.0]))
    assert [TrackStatus(status) for status in shown] == [
        TrackStatus.CLEAR,
        TrackStatus.CHEQUERED,
        TrackStatus.CHEQUERED,
        TrackStatus.CLEAR,
    ]
