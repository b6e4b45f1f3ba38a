"""`manage.py health`: whether the service at HOST and PORT is ready; for a container's check."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from http.client import HTTPConnection, HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Addresses to listen at, and where somebody on the same machine reaches them."""


class Command(BaseCommand):
    help = "Asks the service at HOST and PORT whether it is ready. Status 0 if it is, else 1."
    requires_system_checks: list[str] = []  # noqa: RUF012  Django's name and type

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--timeout", type=float, default=4.0, help="seconds; default: 4")

    def handle(self, *, timeout: float, **options: Any) -> None:
        host, port = ANYWHERE.get(settings.HOST, settings.HOST), settings.PORT
        connection = HTTPConnection(host, port, timeout=timeout)
        try:
            # Not one of the hosts that viewers use, but one that is always allowed here.
            connection.request("GET", "/readyz", headers={"Host": settings.ALLOWED_HOSTS[0]})
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            raise CommandError(f"{host}:{port} does not answer: {error}") from error
        finally:
            connection.close()
        said = ". ".join([body["status"], *body.get("missing", [])])
        if answer.status != 200:
            raise CommandError(said)
        self.stdout.write(said)
