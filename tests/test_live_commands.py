"""`manage.py publish` and `broadcast` against a running service, and what a producer may say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from streaming.live.commands import Start, parse_command
from streaming.live.wire import IngestError

from .conftest import ROOT, RunningServer
from .samples import PLAY_SLUG
from .test_live_sessions import until_ready


def run(server: RunningServer, *arguments: str, lines: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments, "--url", server.url],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(server.data_dir)},
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_lines_of_json_are_a_live_session(server: RunningServer) -> None:
    lines = [
        {"time": 100.0, "entities": {"A": {"x": 1, "y": 2}}},
        {"time": 100.1, "entities": {"A": {"x": 2, "y": 2}, "B": {"x": 0, "y": 0}}},
        {"event": {"kind": "start", "message": "off"}},
        {"time": 99.0, "entities": {}},
    ]
    text = "\n".join([*map(json.dumps, lines), "no json", "3"])
    done = run(server, "publish", "lines", "--rate", "10", "--title", "Lines", lines=text)
    assert done.returncode == 0, done.stderr
    assert "2 frames sent, 1 lines refused, frame 1 was the last on disk" in done.stdout
    assert "line 5: not JSON" in done.stderr
    assert "line 6: expected a JSON object" in done.stderr
    assert "runs backwards" in done.stderr
    found = await until_ready(server, "lines")
    assert (found["title"], found["schema"]["entities"]) == ("Lines", ["A", "B"])
    assert found["frame_count"] == 2


async def test_a_recording_is_sent_as_if_it_happened_now(server: RunningServer) -> None:
    done = run(server, "broadcast", PLAY_SLUG, "--as", "again", "--seconds", "1", "--rate", "4")
    assert done.returncode == 0, done.stderr
    found = await until_ready(server, "again")
    with_frames = json.loads(server.shell(_FRAMES).splitlines()[-1])
    assert with_frames["again"] == with_frames["first"]
    assert found["title"].endswith("(live)")
    refused = run(server, "broadcast", "nothing", "--as", "again")
    assert "no recording 'nothing'" in refused.stderr


_FRAMES = f"""
import json
from sessions_app.models import Session
from sessions_app.recording.file import Recording
def x(slug):
    with Recording(Session.objects.get(slug=slug).recording_path) as recording:
        count = min(recording.frame_count, 25)
        return {{n: v.tolist() for n, v in recording.columns(0, count).values.items()}}
a, b = x("again"), x("{PLAY_SLUG}")
count = len(next(iter(a.values())))
print(json.dumps({{"again": a, "first": {{n: v[:count] for n, v in b.items()}}}}))
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[]", "no JSON object"),
        ("{", "not JSON"),
        ({"action": "stat"}, "expected start, event, entity, end, ping"),
        ({"action": "start", "kind": "film"}, '"telemetry" or "media"'),
        ({"action": "start", "frame_rate": 1000}, "at most 240"),
        ({"action": "start", "frame_rate": True}, "at most 240"),
        ({"action": "start", "access": "all"}, "one of public, unlisted"),
        ({"action": "start", "fields": {}}, "a list of objects"),
        ({"action": "start", "fields": [{"name": 3}]}, "expected a text"),
        ('{"action": "start", "fields": [{"name": "x", "scale": Infinity}]}', "a finite scale"),
        ({"action": "start", "entities": [{}]}, "a text that names the entity"),
        ({"action": "start", "entities": [{"code": ""}]}, "1 to 40 characters"),
        ({"action": "start", "geometry": {"bounds": [1, 2]}}, "x_min, y_min, x_max and y_max"),
        ({"action": "start", "geometry": {"bounds": [0, 0, 1, 1], "lines": 3}}, "a list"),
        ({"action": "start", "title": "x" * 201}, "at most 200 characters"),
        ({"action": "start", "take_over": 1}, "true or false"),
        ({"action": "event", "kind": "x"}, "the number of a frame"),
        ({"action": "event", "frame": 1}, 'a text such as "flag"'),
        ({"action": "event", "frame": 1, "kind": "x", "lap": -1}, "0 to 32767"),
    ],
)
def test_what_is_wrong_is_said(said: Any, words: str) -> None:
    with pytest.raises(IngestError, match="expected") as caught:
        parse_command(said if isinstance(said, str) else json.dumps(said))
    assert words in caught.value.message


def test_geometry_is_as_rest_shows_it() -> None:
    bounds = {"x_min": 0, "y_min": 0, "x_max": 10, "y_max": 5}
    ground = {
        "kind": "map", "unit": "m", "bounds": bounds, "lines": [[[0, 0], [1, 1]]],
        "origin": [47.5, 11.0], "corners": [{"label": "1", "x": 1, "y": 2}], "length": None,
    }  # fmt: skip
    start = parse_command(json.dumps({"action": "start", "geometry": ground}))
    assert isinstance(start, Start)
    assert start.geometry is not None
    assert start.geometry.bounds == (0.0, 0.0, 10.0, 5.0)
    assert start.geometry.lines == (((0.0, 0.0), (1.0, 1.0)),)
    assert (start.geometry.origin, start.geometry.corners[0].y) == ((47.5, 11.0), 2.0)
