"""Every error of the API as `{"code", "message"}` with the status that fits."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError
from pydantic import Field

from ..f1_front_end import refused_import

logger = logging.getLogger(__name__)

CODES: dict[int, str] = {
    400: "bad_request",
    401: "login_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many_requests",
    500: "internal_error",
    501: "not_available",
    503: "unavailable",
    507: "insufficient_storage",
}
"""The code of an error that has none of its own."""


REFUSED_BY = "refused_by"
"""Attribute of an answer: the name of the limit that was reached, for the figures."""


class ErrorOut(Schema):
    """What every error answers."""

    code: str = Field(description="For programs: not_found, login_required, invalid…")
    message: str = Field(description="For people: what was wrong and what would be right.")


class ApiError(Exception):
    """An answer other than success. status: HTTP; code: for programs; message: for people; limit:
    the name of the limit that refused it, or "".
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        limit: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or CODES.get(status, "error")
        self.message = message
        self.headers = dict(headers or {})
        self.limit = limit
        self.more: Mapping[str, Any] = {}
        """Fields of the answer beside these."""


def error_response(
    status: int,
    message: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """An error's answer; never kept by a cache. more: fields beside code and message."""
    about = {"code": code or CODES.get(status, "error"), "message": message}
    body = json.dumps({**about, **(more or {})})
    response = HttpResponse(body, status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def describe(problems: list[dict[str, Any]]) -> str:
    """The problems of a request as one line: where, what."""
    lines = []
    for problem in problems:
        place = ".".join(str(part) for part in problem.get("loc", ()))
        lines.append(f"{place}: {problem.get('msg', 'invalid')}" if place else problem["msg"])
    return "; ".join(lines)


def register(api: NinjaAPI) -> None:
    """Make `api` answer every error in our form."""

    def on_api_error(_: HttpRequest, error: ApiError) -> HttpResponse:
        answer = error_response(
            error.status, error.message, code=error.code, headers=error.headers, more=error.more
        )
        setattr(answer, REFUSED_BY, error.limit)
        return answer

    def on_not_found(_: HttpRequest, error: Http404) -> HttpResponse:
        return error_response(404, str(error) or "Nothing is here.")

    def on_http_error(_: HttpRequest, error: HttpError) -> HttpResponse:
        return error_response(error.status_code, error.message)

    def on_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        more = refused_import(request.method or "", request.path, request.body)
        return error_response(422, describe(error.errors), more=more)

    def on_bug(request: HttpRequest, error: Exception) -> HttpResponse:
        logger.error("%s %s failed", request.method, request.path, exc_info=error)
        return error_response(500, "The server failed at this request; its log says why.")

    def on_database_away(_: HttpRequest, error: Exception) -> HttpResponse:
        # For the site's middleware, which answers pages likewise.
        raise error

    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        ApiError: on_api_error,
        Http404: on_not_found,
        HttpError: on_http_error,
        ValidationError: on_invalid,
        OperationalError: on_database_away,
        InterfaceError: on_database_away,
        Exception: on_bug,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def phrase(status: int) -> str:
    """The standard words for a status, for answers that Django made without ours."""
    return HTTPStatus(status).phrase + "."
