"""An upload begins only while its address, user and token have bytes left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from ninja import NinjaAPI

from replayproject.refusals import count_refusals
from sessions_app.access import Visitor
from sessions_app.api.allowances import upload_allowance
from sessions_app.api.errors import ApiError, register
from sessions_app.api.kept import KEPT
from sessions_app.rates import ByteAllowance
from streaming.worker import WORKER, Worker

ANNA = Visitor(authenticated=True, staff=True, user=1)


class Service:
    """An hour's allowance of 3,600 bytes, and a clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        allowance = ByteAllowance(3600, 3600.0, clock=lambda: self.now)
        self.kept: Any = SimpleNamespace(uploads=allowance)

    def begin(self, visitor: Visitor, address: str, size: int = 0) -> Any:
        request = RequestFactory().post("/api/uploads", REMOTE_ADDR=address)
        request.META[KEPT] = self.kept
        return upload_allowance(request, visitor, size)


def test_the_next_upload_waits_for_what_it_needs() -> None:
    service = Service()
    spend = service.begin(ANNA, "192.0.2.1", 3000)
    for _ in range(3):
        spend(1000)
    with pytest.raises(ApiError) as refused:
        service.begin(ANNA, "192.0.2.2", 1600)
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "1000"}
    service.now += 1000
    service.begin(ANNA, "192.0.2.2", 1600)


@pytest.mark.parametrize(
    ("visitor", "address", "refused"),
    [
        (ANNA, "2001:db8::1", True),
        (Visitor(authenticated=True, user=2), "192.0.2.2", False),
        (Visitor(authenticated=True, user=2), "192.0.2.1", True),
        (Visitor(authenticated=True, user=2, token=9), "192.0.2.2", True),
    ],
)
def test_it_is_counted_for_address_user_and_token(
    visitor: Visitor, address: str, refused: bool
) -> None:
    service = Service()
    service.begin(ANNA, "192.0.2.1")(3600)
    service.begin(Visitor(authenticated=True, user=3, token=9), "192.0.2.3")(3600)
    if refused:
        with pytest.raises(ApiError):
            service.begin(visitor, address)
    else:
        service.begin(visitor, address)


def test_a_refused_upload_is_in_the_figures(worker: Worker) -> None:
    service = Service()
    service.begin(ANNA, "192.0.2.1")(9999)
    api = NinjaAPI(urls_namespace="uploads")
    register(api)

    def upload(request: Any) -> HttpResponse:
        try:
            service.begin(ANNA, "192.0.2.1")
        except ApiError as error:
            return api.on_exception(request, error)
        raise AssertionError("not refused")

    request = RequestFactory().post("/api/uploads", **{WORKER: worker})  # type: ignore[arg-type]
    answer = count_refusals(upload)(request)
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert worker.registry.report()["refused"] == {"upload_bytes": 1}
