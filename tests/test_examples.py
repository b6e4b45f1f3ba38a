"""The sources in `examples/`: what they read becomes lines for `publish`."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import pytest

from examples import f1_live_timing
from examples.f1_game import CARS, FORMAT, HEADER, positions
from examples.nmea import fix_of, lines_of

# From the NMEA 0183 description of RMC, as receivers' manuals print it.
RMC = "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A"


def test_a_sentence_of_a_receiver() -> None:
    fix = fix_of(RMC)
    assert fix is not None
    assert fix.time == 764_426_119.0
    assert (round(fix.latitude, 4), round(fix.longitude, 4)) == (48.1173, 11.5167)
    assert (round(fix.speed, 1), fix.course) == (41.5, 84.4)


def test_a_report_of_gpsd() -> None:
    report = {"class": "TPV", "time": "1994-03-23T12:35:19Z", "lat": -1.5, "lon": 2.0, "speed": 10}
    fix = fix_of(json.dumps(report))
    assert fix is not None
    assert (fix.time, fix.latitude, fix.speed) == (764_426_119.0, -1.5, 36.0)


def test_what_is_no_fix_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    north = RMC.replace("4807.038", "4808.038").partition("*")[0]
    damaged = RMC.replace("4807", "4907")
    lines = list(lines_of([RMC, "", damaged, "$GPGSA,A,3*36", '{"class": "SKY"}', north], "B"))
    assert "checksum 6A: expected 6B" in capsys.readouterr().err
    first, second = (json.loads(line)["entities"]["B"] for line in lines)
    assert (first["x"], first["y"]) == (0.0, 0.0)
    # A minute of arc is a nautical mile.
    assert (second["x"], round(second["y"])) == (0.0, 1855)


def motion_packet(x: float, z: float, speed: float) -> bytes:
    header = HEADER.pack(FORMAT, 23, 1, 0, 1, 0, 7, 1.5, 30, 30, 0, 255)
    car = struct.pack("<6f6h6f", x, 3.0, z, speed, 0, 0, *[0] * 6, 0, 0, 0, 1.5707964, 0, 0)
    return header + car + bytes(60 * (CARS - 1))


def test_a_motion_packet_of_the_game() -> None:
    packet = motion_packet(10.0, -20.0, 50.0)
    assert len(packet) == 1349
    assert positions(packet) == {"CAR00": {"x": 10.0, "y": -20.0, "speed": 180.0, "heading": 90.0}}
    assert positions(packet[:-1]) is None
    assert positions(b"\xe8\x07" + packet[2:]) is None


def signalr(topic: str, data: object, second: int) -> str:
    said = [topic, data, f"2024-05-18T13:59:{second:02}Z"]
    return json.dumps({"H": "Streaming", "M": "feed", "A": said})


def test_live_timing_of_formula_1(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(
        f1_live_timing.lines_of(
            [
                signalr("DriverList", {"44": {"Tla": "HAM"}}, 10),
                signalr("TimingData", {"Lines": {"44": {"Position": "2"}}}, 10),
                "{broken",
                signalr("TimingData", {"Lines": {"44": {"LastLapTime": {"Value": "1:30.5"}}}}, 11),
                signalr("RaceControlMessages", {"Messages": {"0": {"Message": "GO"}}}, 12),
            ],
            rate=1.0,
        )
    )
    assert "left out" in capsys.readouterr().err
    assert [line["entities"]["HAM"] for line in lines if "entities" in line] == [
        {"position": 2},
        {"position": 2, "last_lap_time": 90.5},
    ]
    assert lines[-1] == {"event": {"kind": "race_control", "message": "GO"}}


def test_a_real_recording_of_live_timing(realdata: Path) -> None:
    with gzip.open(realdata / "livetiming/signalr-baku-2025/cache.txt.gz", "rt") as source:
        lines = list(f1_live_timing.lines_of(source, rate=1.0))
    frames = [line for line in lines if "entities" in line]
    times = [frame["time"] for frame in frames]
    assert len(frames) > 3_000
    assert times == sorted(times)
    assert 15 < len(frames[-1]["entities"]) <= 20
    assert sum("event" in line for line in lines) > 50
