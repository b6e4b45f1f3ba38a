"""A page in a real Firefox, driven through WebDriver BiDi, which Firefox speaks by itself."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .marks import needs_mark

START_SECONDS = 60
ANSWER_SECONDS = 90
LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


class FirefoxPage:
    """One open page. `problems`: whatever its console and scripts complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.problems: list[str] = []
        self.last_id = 0
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])
        [tab] = self.command("browsingContext.getTree")["contexts"]
        self.context: str = tab["context"]

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command. Returns: its result; log entries that come before it are kept.

        Raises: AssertionError if Firefox answers with an error.
        """
        self.last_id += 1
        self.socket.send(json.dumps({"id": self.last_id, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=ANSWER_SECONDS))
            if message.get("method") == "log.entryAdded":
                self._log(message["params"])
            elif message.get("id") == self.last_id:
                assert message["type"] == "success", message
                result: dict[str, Any] = message["result"]
                return result

    def _log(self, entry: dict[str, Any]) -> None:
        if entry["level"] in ("error", "warn"):
            self.problems.append(str(entry["text"]))

    def open(self, url: str) -> None:
        """Go to `url` and wait until it is loaded."""
        self.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression that is, or promises, JSON-able text or a number."""
        answer = self.command(
            "script.evaluate",
            expression=expression,
            target={"context": self.context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until `condition`, JavaScript about `r` (`window.__replay`), holds."""
        self.evaluate(
            f"""new Promise((resolve) => {{
              const check = () => {{
                const r = window.__replay;
                if (r && ({condition})) resolve(1);
                else setTimeout(check, 20);
              }};
              check();
            }})"""
        )


@contextmanager
def firefox_page(binary: str, profile: Path) -> Iterator[FirefoxPage]:
    """Start a Firefox with an empty profile in the folder `profile`; it is ended afterwards."""
    needs_mark("browser")
    process = subprocess.Popen(
        [binary, "--headless", "--remote-debugging-port", "0", "--profile", str(profile)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    address: list[str] = []
    settled = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if found := LISTENING.search(line):
                address.append(found[1])
                settled.set()
        settled.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        settled.wait(START_SECONDS)
        assert address, "Firefox did not start:\n" + "".join(lines)
        with connect(f"{address[0]}/session", max_size=None) as socket:
            yield FirefoxPage(socket)
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        reader.join()
