"""A live session of pictures in a running service: over the socket, as MJPEG, as a snapshot."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from streaming import live
from streaming.live.pictures import Pictures, size_of
from streaming.live.producing import Frame

from .conftest import RunningServer
from .samples import PLAY_SLUG
from .websocket_client import open_wire

# A start of image, and a frame header of 640 by 480.
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x01\xe0\x02\x80" + bytes(20)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\2\x80\0\0\1\xe0"


def test_the_size_of_a_picture() -> None:
    assert size_of(JPEG) == (640, 480)
    assert size_of(PNG) == (640, 480)
    for cut in range(len(PNG)):
        assert size_of(PNG[:cut]) is None
    for cut in range(11):
        assert size_of(JPEG[:cut]) is None


def test_only_the_newest_is_kept() -> None:
    pictures = Pictures("image/jpeg")
    pictures.append([Frame(3, 1.0, JPEG), Frame(4, 1.1, JPEG + b"4")])
    assert (pictures.newest, pictures.frame_count) == (Frame(4, 1.1, JPEG + b"4"), 5)


async def test_it_works(server: RunningServer) -> None:
    producer = await asyncio.to_thread(
        live.open, "pictures", url=server.url, token="test-token", kind="media",
        content_type="image/jpeg", frame_rate=30.0,
    )  # fmt: skip
    assert producer.publish(JPEG + b"0", frame=0).outcome == "accepted"
    assert await asyncio.to_thread(producer.wait_until_on_disk, 0)
    async with open_wire(server.websocket("/ws/sessions/pictures/"), acknowledge=False) as wire:
        await wire.say("hello")
        welcome = await wire.until_type("welcome")
        assert welcome["window"] == 2
        assert welcome["session"]["content_type"] == "image/jpeg"
        assert (welcome["session"]["width"], welcome["session"]["height"]) == (640, 480)
        data = await wire.until_data()
        assert (data[0], data[3], data[4], data[6]) == (3, 0, 1, JPEG + b"0")
        for number in (1, 2, 3):
            producer.publish(JPEG + b"%d" % number, frame=number)
            assert await asyncio.to_thread(producer.wait_until_on_disk, number)
        # One more is on its way; then nothing, until it is asked for: the newest, not the next.
        second = (await wire.until_data())[3]
        await wire.say("ack", seq=2)
        assert second == 3 or (await wire.until_data())[3] == 3
        assert (await wire.ask("seek", frame=0))["code"] == "bad_value"

    def look() -> None:
        address = f"{server.url}/api/sessions/pictures"
        with urllib.request.urlopen(f"{address}/snapshot.jpg") as answer:
            assert (answer.read(), answer.headers["X-Frame"]) == (JPEG + b"3", "3")
            assert answer.headers["Content-Type"] == "image/jpeg"
        with urllib.request.urlopen(f"{address}/stream.mjpeg?quality=50") as answer:
            assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
            part = b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: 32\r\n\r\n"
            assert answer.read(len(part) + 34) == part + JPEG + b"3\r\n"
            producer.publish(JPEG + b"4", frame=4)
            assert answer.read(len(part) + 34) == part + JPEG + b"4\r\n"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{server.url}/api/sessions/{PLAY_SLUG}/snapshot.jpg")

    await asyncio.to_thread(look)
    await asyncio.to_thread(producer.close)
