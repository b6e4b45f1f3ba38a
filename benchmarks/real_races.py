"""Real races, imported by a process of its own into a folder that is removed: how long, how large.

They are recordings of others, kept beside the project (`REPLAY_REALDATA`, default
`../shared/realdata`); where they are missing, what needs them is left out and says so.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sessions_app.recording import encode_segments
from sessions_app.recording.file import Recording

from .processes import ROOT

RACES = {"Austria 2024": "openf1-2024-austria", "Bahrain 2024": "openf1-2024-bahrain"}

_FRAMES = 20_000


@dataclass(frozen=True, slots=True)
class Imported:
    """One import. wall, cpu: seconds of the whole command; peak: resident bytes; frames: of the
    recording; segment_bytes: of all its stride-1 segments; fields, entities: of its schema;
    frame_bytes: a frame where every one is stored, of `frames_measured` in the middle."""

    wall: float
    cpu: float
    peak: int
    frames: int
    segment_bytes: int
    fields: int
    entities: int
    frame_bytes: float
    frames_measured: int


def real_data() -> Path:
    """Where the real recordings are, if they are there."""
    return Path(os.environ.get("REPLAY_REALDATA", ROOT.parent / "shared" / "realdata"))


@functools.cache
def imported(race: str) -> Imported | None:
    """Import one of RACES, once a run; None, having said why, if it is not there."""
    source = real_data() / RACES[race]
    if not source.is_dir():
        print(f"{race}: skipped, no folder {source} (set REPLAY_REALDATA)", flush=True)
        return None
    with tempfile.TemporaryDirectory(prefix="replay-bench-") as folder:
        env = {**os.environ, "REPLAY_DATA_DIR": folder, "REDIS_URL": "", "LOG_LEVEL": "WARNING"}
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=env, check=True)
        begun = time.monotonic()
        geometry = real_data() / "circuit-geometry"
        process = subprocess.Popen(
            [*manage, "import_session", "openf1", str(source), "--slug", "race"]
            + (["--geometry", str(geometry)] if geometry.is_dir() else []),
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
        )
        # Of this one child: what the kernel knows of its processor time and its largest memory.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"importing {source} ended with status {process.returncode}")
        with Recording(next((Path(folder) / "recordings").glob("*.mcap"))) as recording:
            total = sum(len(recording.segment(i)) for i in range(recording.segment_count))
            schema = recording.schema
            middle = recording.frame_count // 2
            columns = recording.columns(middle, middle + _FRAMES)
            old = sum(map(len, encode_segments(columns, 50)))
            return Imported(
                wall,
                usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024,
                recording.frame_count,
                total,
                len(schema.fields),
                len(schema.entities),
                old / _FRAMES,
                _FRAMES,
            )
