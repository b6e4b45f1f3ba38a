"""The OpenAPI document: kept in docs/, true of the server, and readable without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from replayproject.api import api
from sessions_app.models import Session
from streaming.worker import WORKER, Worker

from .effort import many
from .small_race import store_small_race

DOCUMENT = Path(__file__).parent.parent / "docs" / "openapi.json"
REFRESH = "manage.py export_openapi_schema --api replayproject.api.api --sorted --indent 1"


def test_document_is_that_of_the_code(tmp_path: Path) -> None:
    current = tmp_path / "openapi.json"
    call_command(
        "export_openapi_schema",
        api="replayproject.api.api",
        output=str(current),
        sort_keys=True,
        indent=1,
    )
    assert json.loads(DOCUMENT.read_text()) == json.loads(current.read_text()), (
        f"refresh it: {REFRESH} --output docs/openapi.json"
    )


def test_every_operation_is_named_once_and_explained() -> None:
    operations = [
        operation
        for path in api.get_openapi_schema()["paths"].values()
        for operation in path.values()
    ]
    names = [o["operationId"] for o in operations]
    assert len(set(names)) == len(names) >= 10
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_document_is_served(client: Client) -> None:
    assert client.get("/api/openapi.json").json() == json.loads(DOCUMENT.read_text())


def test_document_is_packed(client: Client) -> None:
    response = client.get("/api/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"


def test_page_needs_no_other_host_and_no_inline_script(client: Client) -> None:
    """It works offline and under the site's content security policy."""
    response = client.get("/api/docs")
    page = response.content.decode()
    assert response["Content-Security-Policy"]
    assert "//" not in page.replace("<!DOCTYPE", "")
    scripts = [part.partition(">")[0] for part in page.split("<script")[1:]]
    assert scripts
    for attributes in scripts:
        assert 'src="/static/' in attributes or 'type="application/json"' in attributes


class Service:
    """The service as a WSGI application, answered by a worker of the test's own."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.application = WSGIHandler()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ[WORKER] = self.worker
        return self.application(environ, start_response)


service = Service()
schema = schemathesis.openapi.from_wsgi("/api/openapi.json", service)
UNPACKED = {"Accept-Encoding": "identity"}
"""The in-process client does not unpack what it is sent."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def known(db: None) -> Session:
    return store_small_race()


@pytest.fixture(autouse=True)
def answering(worker: Worker) -> Iterator[None]:
    service.worker = worker
    # Not the one that was made before the tests began and finds static files.
    service.application = WSGIHandler()
    yield
    service.worker = None


OPERATIONS: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.label)
few_examples = examples(
    max_examples=many(4),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def answer(case: schemathesis.Case) -> None:
    """Ask, and check status, type and body against the document."""
    response = case.call_and_validate(checks=CHECKS, headers=UNPACKED)
    if response.status_code >= 400:
        assert set(response.json()) - {"session_id"} == {"code", "message"}


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@each_operation
def test_answers_are_as_documented(operation: Any, known: Session) -> None:
    """Whatever is asked of a session that exists: a documented status, type and body."""

    @few_examples
    @given(operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        if "slug" in case.path_parameters:
            case.path_parameters["slug"] = "small"
        if "version" in case.path_parameters:
            case.path_parameters["version"] = known.version
        answer(case)

    ask()


@each_operation
def test_anything_else_is_an_error_in_our_form(operation: Any, db: None) -> None:
    """Sessions that do not exist, under any name that can stand in an address."""
    few_examples(given(operation.as_strategy())(answer))()


def test_table_in_the_docs_lists_every_operation() -> None:
    table = (DOCUMENT.parent / "rest.md").read_text()
    documented = set(re.findall(r"^\| (GET|POST|PATCH|DELETE) `([^`]+)`", table, re.MULTILINE))
    existing = {
        (method.upper(), path.removeprefix("/api/"))
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method in operations
    }
    assert documented == existing
