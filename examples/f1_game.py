"""F1's game as a live source: its motion packets (UDP) become lines for `publish`.

    python examples/f1_game.py --port 20777 | replay publish game --rate 20

In the game: Telemetry Settings → UDP Telemetry on, UDP Format 2023, UDP Send Rate 20 Hz. Only the
motion packet of that format is read: positions and speeds of all cars. Source: EA's "Data Output
from F1 23", packet 0: a header of 29 bytes and 22 cars of 60 bytes, little-endian.
"""

from __future__ import annotations

import argparse
import json
import math
import socket
import struct
import time

FORMAT, MOTION = 2023, 0
HEADER = struct.Struct("<HBBBBBQfIIBB")
CAR = struct.Struct("<6f6h6f")
CARS = 22


def positions(packet: bytes) -> dict[str, dict[str, float]] | None:
    """The cars of a motion packet: x and y in metres, speed in km/h, heading in degrees.

    Returns:
        By code, CAR00 to CAR21, those that are on the track; None for any other packet.
    """
    if len(packet) != HEADER.size + CARS * CAR.size:
        return None
    form, _year, _major, _minor, _version, kind, *_rest = HEADER.unpack_from(packet)
    if form != FORMAT or kind != MOTION:
        return None
    cars = {}
    for index in range(CARS):
        x, _height, z, vx, vy, vz, *rest = CAR.unpack_from(packet, HEADER.size + index * CAR.size)
        if x == z == 0.0:
            # No car in that place.
            continue
        yaw = rest[-3]
        cars[f"CAR{index:02}"] = {
            "x": round(x, 2),
            "y": round(z, 2),
            "speed": round(3.6 * math.sqrt(vx * vx + vy * vy + vz * vz), 1),
            "heading": round(math.degrees(yaw) % 360.0, 1),
        }
    return cars


def main() -> None:
    parser = argparse.ArgumentParser(description="F1's game (UDP) → lines for `publish`.")
    parser.add_argument("--port", type=int, default=20_777)
    options = parser.parse_args()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("", options.port))
        while True:
            cars = positions(listening.recv(4096))
            if cars:
                print(json.dumps({"time": time.time(), "entities": cars}), flush=True)


if __name__ == "__main__":
    main()
