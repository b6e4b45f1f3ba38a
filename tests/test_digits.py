"""Numbers of thousands of digits in an address, which Python refuses to read."""

from __future__ import annotations

import pytest
from django.test import Client

from .small_race import store_small_race

DIGITS = "9" * 5000


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "/?year={}",
        "/api/sessions?year={}",
        "/api/sessions?page={}",
        "/api/sessions/race/events?from={}",
        "/api/sessions/race/standings?frame={}",
        "/api/sessions/race/frames?stride={}",
        "/api/sessions/race/laps/VER/{}/telemetry",
        "/api/sessions/race/VERSION/segments/1/{}",
        "/api/sessions/race/VERSION/segments/{}/1",
        "/api/connections/{}",
    ],
)
@pytest.mark.parametrize("digits", [DIGITS, "9" * 30, "٣" * 4])
def test_is_answered(client: Client, address: str, digits: str) -> None:
    session = store_small_race("race")
    client.raise_request_exception = False
    answer = client.get(address.format(digits).replace("VERSION", session.version))
    assert answer.status_code < 500
