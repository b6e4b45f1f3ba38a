"""A camera as a live source of pictures, with OpenCV (`pip install opencv-python`).

    python examples/webcam.py desk --token TOKEN

Rate and quality follow what the server suggests, which follows the slowest viewer.
"""

from __future__ import annotations

import argparse
import time

import cv2

from streaming import live
from streaming.live.pressure import BEST_QUALITY, MOST_RATE


def main() -> None:
    parser = argparse.ArgumentParser(description="Send a camera's pictures as a live session.")
    parser.add_argument("slug", help="of the live session")
    parser.add_argument("--url", default="", help="of the service")
    parser.add_argument("--token", default="", help="with the scope ingest")
    parser.add_argument("--camera", type=int, default=0)
    options = parser.parse_args()
    camera = cv2.VideoCapture(options.camera)
    if not camera.isOpened():
        parser.exit(1, f"camera {options.camera}: cannot be opened\n")
    with live.open(
        options.slug,
        url=options.url,
        token=options.token,
        kind="media",
        content_type="image/jpeg",
        frame_rate=MOST_RATE,
    ) as producer:
        while producer.failure is None:
            begun = time.monotonic()
            there, picture = camera.read()
            if not there:
                break
            suggested = producer.pressure.get("suggest", {})
            quality = suggested.get("quality", BEST_QUALITY)
            done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if done:
                producer.publish(jpeg.tobytes())
            rate = min(suggested.get("rate", MOST_RATE), MOST_RATE)
            time.sleep(max(0.0, 1.0 / rate - (time.monotonic() - begun)))


if __name__ == "__main__":
    main()
