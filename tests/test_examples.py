"""The sources in `examples/`: what they read becomes lines for `publish`."""

from __future__ import annotations

import json
import struct

import pytest

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
