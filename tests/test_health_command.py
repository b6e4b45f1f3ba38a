"""`manage.py health` as a container's check runs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command


class Service(BaseHTTPRequestHandler):
    """Answers as /readyz does."""

    status = 200
    body: dict[str, object] = {}  # noqa: RUF012  set by the test

    def do_GET(self) -> None:
        assert self.path == "/readyz"
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps(self.body).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def service(settings: Any) -> Iterator[type[Service]]:
    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.HOST, settings.PORT = "0.0.0.0", server.server_port
    yield Service
    server.shutdown()
    thread.join()
    server.server_close()


def test_ready(service: type[Service]) -> None:
    service.status, service.body = 200, {"status": "ready"}
    out = StringIO()
    call_command("health", stdout=out)
    assert out.getvalue() == "ready\n"


def test_what_is_missing_is_said(service: type[Service]) -> None:
    service.status = 503
    service.body = {"status": "not ready", "missing": ["database: gone", "Redis: away"]}
    with pytest.raises(CommandError, match=r"^not ready\. database: gone\. Redis: away$"):
        call_command("health")


def test_nobody_answers(settings: Any) -> None:
    settings.HOST, settings.PORT = "127.0.0.1", 1
    with pytest.raises(CommandError, match=r"127\.0\.0\.1:1 does not answer: "):
        call_command("health")
