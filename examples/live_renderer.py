"""A renderer as a live source: draws the demo race with Pillow, sends JPEG, follows its viewers.

    python examples/live_renderer.py http://127.0.0.1:8000 demo live-pictures --token TOKEN

Watch it in the player (/sessions/live-pictures/), as an image whose address is
/api/sessions/live-pictures/stream.mjpeg,
or with `curl -o picture.jpg http://127.0.0.1:8000/api/sessions/live-pictures/snapshot.jpg`.

Two threads: this one's event loop receives the race; the other draws what is newest, no more often
than the server suggests, at the quality that it suggests, and hands it to the producer, which never
waits. It needs Pillow (`pip install pillow`).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from streaming import live
from streaming.client import connect
from streaming.live.pressure import BEST_QUALITY, MOST_RATE

SIZE = (1280, 720)
MARGIN = 60
BACKGROUND, ROAD, TEXT = (14, 17, 22), (70, 78, 90), (230, 235, 240)


class Renderer:
    """Draws one session.

    Attributes:
        positions: by code (x, y), as they are now; replaced, never changed.
        clock: seconds from the start.
    """

    def __init__(self, geometry: Mapping[str, Any], colours: Mapping[str, str]) -> None:
        """
        Args:
            geometry: as REST shows it.
            colours: by code "#rrggbb".
        """
        bounds = geometry["bounds"]
        low, high = (bounds["x_min"], bounds["y_min"]), (bounds["x_max"], bounds["y_max"])
        self._low = low
        self._scale = min((SIZE[i] - 2 * MARGIN) / max(1.0, high[i] - low[i]) for i in (0, 1))
        self._colours = colours
        # In the middle of the picture.
        extent = [(high[i] - low[i]) * self._scale for i in (0, 1)]
        self._margin = [(SIZE[i] - extent[i]) / 2 for i in (0, 1)]
        self._ground = Image.new("RGB", SIZE, BACKGROUND)
        line = [self._place(point) for point in geometry["centre_line"]]
        if line:
            ImageDraw.Draw(self._ground).line([*line, line[0]], ROAD, 9, joint="curve")
        self.positions: Mapping[str, tuple[float, float]] = {}
        self.clock = 0.0

    def _place(self, point: Sequence[float]) -> tuple[float, float]:
        x, y = ((point[i] - self._low[i]) * self._scale + self._margin[i] for i in (0, 1))
        return x, SIZE[1] - y

    def draw(self, quality: int) -> bytes:
        """The present picture as JPEG."""
        picture = self._ground.copy()
        draw = ImageDraw.Draw(picture)
        for code, position in self.positions.items():
            x, y = self._place(position)
            draw.ellipse((x - 7, y - 7, x + 7, y + 7), self._colours.get(code) or TEXT)
            draw.text((x + 10, y - 6), code, TEXT)
        draw.text((20, 20), f"{self.clock:.2f} s · quality {quality}", TEXT)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        return out.getvalue()


def send(renderer: Renderer, producer: live.Producer, ended: threading.Event) -> None:
    """Draw and send until `ended`; runs in a thread of its own."""
    while not ended.is_set():
        suggested = producer.pressure.get("suggest", {})
        rate = min(suggested.get("rate", MOST_RATE), MOST_RATE)
        begun = time.monotonic()
        producer.publish(renderer.draw(suggested.get("quality", BEST_QUALITY)))
        ended.wait(max(0.0, 1.0 / rate - (time.monotonic() - begun)))


async def watch(url: str, slug: str, renderer: Renderer, speed: float) -> None:
    """Play the session and keep its newest positions, until its end."""
    address = url.replace("http", "ws", 1) + f"/ws/sessions/{slug}/"
    async with connect(address, encoding="rows", fields=["x", "y"]) as replay:
        await replay.play(speed)
        async for frames in replay:
            x, y = frames["x"][-1], frames["y"][-1]
            codes = replay.schema.entities
            renderer.positions = {
                code: (float(x[i]), float(y[i])) for i, code in enumerate(codes) if x[i] == x[i]
            }
            renderer.clock = frames.numbers[-1] / replay.schema.frame_rate
            if replay.state.status == "ended":
                return


def fetch(address: str) -> Any:
    """JSON from REST."""
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a session and send it as live pictures.")
    parser.add_argument("url", help="of the service, http://host:port")
    parser.add_argument("slug", help="of the session to be drawn")
    parser.add_argument("name", help="slug of the live session of pictures")
    parser.add_argument("--token", default="", help="with the scope ingest")
    parser.add_argument("--speed", type=float, default=1.0)
    options = parser.parse_args()
    about = fetch(f"{options.url}/api/sessions/{options.slug}")
    geometry = fetch(f"{options.url}/api/sessions/{options.slug}/geometry")
    colours = {entity["code"]: entity["colour"] for entity in about["entities"]}
    renderer = Renderer(geometry, colours)
    ended = threading.Event()
    with live.open(
        options.name,
        url=options.url,
        token=options.token,
        kind="media",
        content_type="image/jpeg",
        frame_rate=MOST_RATE,
        title=f"{about['title']} (pictures)",
    ) as producer:
        thread = threading.Thread(target=send, args=(renderer, producer, ended))
        thread.start()
        try:
            asyncio.run(watch(options.url, options.slug, renderer, options.speed))
        except KeyboardInterrupt:
            print("ending it")
        finally:
            ended.set()
            thread.join()


if __name__ == "__main__":
    main()
