"""Live connections in the admin: a changelist that is fed by the workers, not by a table."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from sessions_app.access import Action, decide
from sessions_app.visitors import visitor_of_user

from ..models import LiveConnection
from ..monitoring.board import BoardError
from ..monitoring.reader import FILTERS, NoSuchConnection, Page, Selection
from ..playback.protocol import CloseCode
from ..statistics.diagnosis import Verdict
from ..worker import worker_of
from .live_list import FIGURES, Cell, Column, cells, columns
from .live_reports import (
    CLOSED_HEADINGS,
    clock,
    closed_row,
    report_context,
    searched_text,
    worker_context,
)
from .texts import ACTIONS, ACTIONS_DONE, INTROS, close_code_choices, reason_of

PER_PAGE = 100
STALE_S = 3.0
"""Figures come once a second; after three that did not come the page says that it is not live."""

_READING_ACTIONS = frozenset({"export"})
_FRAGMENT = "fragment"
_TEMPLATES = "admin/streaming/liveconnection"


class DisconnectForm(forms.Form):
    """How to end a connection."""

    code = forms.TypedChoiceField(
        coerce=int,
        label="Close code",
        choices=close_code_choices,
        initial=CloseCode.DONE.value,
        help_text="Tells the player why, and whether it may reconnect by itself.",
    )
    reason = forms.CharField(
        max_length=100, required=False, help_text="Optional. Shown to the viewer."
    )


@admin.register(LiveConnection)
class LiveConnectionAdmin(admin.ModelAdmin):
    """List, detail, closed connections and workers; `view` to see them, `change` to act."""

    ordering: ClassVar[tuple[str, ...]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Viewers connect; operators do not make connections."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Disconnecting is an action."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The usual names, so that the admin's index and breadcrumbs find them."""
        wrap = self.admin_site.admin_view
        name = "streaming_liveconnection"
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("closed/", wrap(self.closed_view), name=f"{name}_closed"),
            path("closed/<str:object_id>/", wrap(self.closed_report_view), name=f"{name}_ended"),
            path("workers/", wrap(self.workers_view), name=f"{name}_workers"),
            path("<str:object_id>/change/", wrap(self.report_view), name=f"{name}_change"),
        ]

    # -- pages ----------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; POST runs an action on the selected connections."""
        self._require(request, Action.OBSERVE)
        if request.method == "POST":
            return self._act(request)
        figures = request.GET.get("figures", FIGURES[0])
        shown = columns(figures if figures in FIGURES else FIGURES[0])
        selection = _selection(request.GET, shown)
        page, problem = Page([], 0, 0, 1, 1, {}), ""
        try:
            page = worker_of(request).reader.page(selection)
        except BoardError as error:
            problem = str(error)
        context = {
            "title": "Live connections",
            "tab": "live",
            "rows": [_listed(row, shown) for row in page.rows],
            "headers": [_header(request.GET, column, selection) for column in shown],
            "page": page,
            "page_links": _page_links(request.GET, page),
            "facets": _facets(request.GET, page),
            "filtered": bool(selection.filters or selection.search),
            "query": selection.search,
            "kept": [(k, v) for k, v in request.GET.items() if k not in ("q", "p", _FRAGMENT)],
            "figures": figures,
            "figures_links": [(name, _query(request.GET, figures=name)) for name in FIGURES],
            "actions": ACTIONS,
            **_liveness([row["as_of"] for row in page.rows], problem),
            **(extra_context or {}),
        }
        return self._render(request, "change_list", context)

    def report_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One open connection; one that has closed meanwhile is shown as it ended."""
        self._require(request, Action.OBSERVE)
        try:
            report = worker_of(request).reader.report(object_id)
        except NoSuchConnection:
            return self.closed_report_view(request, object_id)
        except BoardError as error:
            context = {"title": f"Connection {object_id}", **_liveness([], str(error))}
            return self._render(request, "report", context)
        context = {
            "title": f"Connection {object_id}",
            "actions": ACTIONS,
            **report_context(report),
            **_liveness([time.time()], ""),
        }
        return self._render(request, "report", context)

    def closed_view(self, request: HttpRequest) -> HttpResponse:
        """The last 1,000 connections that ended."""
        self._require(request, Action.OBSERVE)
        reports, problem = [], ""
        try:
            reports = worker_of(request).reader.closed()
        except BoardError as error:
            problem = str(error)
        words = request.GET.get("q", "").lower().split()
        found = [r for r in reports if all(word in searched_text(r) for word in words)]
        pages = max(1, -(-len(found) // PER_PAGE))
        number = min(max(1, _integer(request.GET.get("p"), 1)), pages)
        rows = found[(number - 1) * PER_PAGE : number * PER_PAGE]
        page = Page(rows, len(found), len(reports), pages, number, {})
        context = {
            "title": "Closed connections",
            "tab": "closed",
            "page": page,
            "headings": CLOSED_HEADINGS,
            "rows": [closed_row(report) for report in rows],
            "page_links": _page_links(request.GET, page),
            "query": request.GET.get("q", ""),
            **_liveness([time.time()], problem),
        }
        return self._render(request, "closed", context)

    def closed_report_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The final statistics of a closed connection."""
        self._require(request, Action.OBSERVE)
        try:
            reports = worker_of(request).reader.closed()
        except BoardError as error:
            context = {"title": f"Connection {object_id}", **_liveness([], str(error))}
            return self._render(request, "report", context)
        for report in reports:
            if report["connection"] == object_id:
                context = {
                    "title": f"Connection {object_id} (closed)",
                    "live": False,
                    "ended": report,
                    "closed_at": clock(report["closed_at"]),
                    "reason": reason_of(report["reason"], report["code"]),
                    **report_context(report),
                }
                return self._render(request, "report", context)
        raise Http404(f"No connection {object_id} is open or among the last 1,000 closed.")

    def workers_view(self, request: HttpRequest) -> HttpResponse:
        """Every worker: event loop, CPU, memory, store, Redis."""
        self._require(request, Action.OBSERVE)
        workers, problem = [], ""
        try:
            workers = worker_of(request).reader.snapshot().workers
        except BoardError as error:
            problem = str(error)
        context = {
            "title": "Workers",
            "tab": "workers",
            "workers": [worker_context(worker) for worker in workers],
            **_liveness([worker["published_at"] for worker in workers], problem),
        }
        return self._render(request, "workers", context)

    # -- actions --------------------------------------------------------------------------------

    def _act(self, request: HttpRequest) -> HttpResponse:
        name = request.POST.get("action", "")
        chosen = request.POST.getlist("_selected_action")
        if name not in ACTIONS:
            messages.warning(request, "No action selected.")
            return HttpResponseRedirect(request.get_full_path())
        if not chosen:
            messages.warning(request, "Select one or more connections first.")
            return HttpResponseRedirect(request.get_full_path())
        if name in _READING_ACTIONS:
            return self._export(request, chosen)
        self._require(request, Action.OPERATE)
        args: dict[str, Any] = {}
        if name == "disconnect":
            form = DisconnectForm(request.POST if "code" in request.POST else None)
            if not form.is_valid():
                context = {
                    "title": f"Disconnect {_connections(len(chosen))}",
                    "form": form,
                    "chosen": chosen,
                    "live": False,
                }
                return self._render(request, "disconnect", context)
            args = form.cleaned_data
        done = 0
        for connection_id in chosen:
            try:
                worker_of(request).reader.command(connection_id, name, **args)
                done += 1
            except (NoSuchConnection, BoardError) as error:
                messages.error(request, str(error))
        if done:
            messages.success(request, ACTIONS_DONE[name].format(_connections(done)))
        return HttpResponseRedirect(request.get_full_path())

    def _export(self, request: HttpRequest, chosen: list[str]) -> HttpResponse:
        reports = []
        for connection_id in chosen:
            try:
                reports.append(worker_of(request).reader.report(connection_id))
            except (NoSuchConnection, BoardError) as error:
                reports.append({"connection": connection_id, "error": str(error)})
        response = HttpResponse(json.dumps(reports, indent=1), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="connections.json"'
        return response

    # -- rendering ------------------------------------------------------------------------------

    def _require(self, request: HttpRequest, action: Action) -> None:
        decision = decide(visitor_of_user(request.user), action)
        if not decision.allowed:
            raise PermissionDenied(decision.reason)

    def _render(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        """The page, or only what changes on it if the script of the page asks."""
        fragment = request.method == "GET" and _FRAGMENT in request.GET
        request.current_app = self.admin_site.name
        template = f"{_TEMPLATES}/{name}.html{'#live' * fragment}"
        everything = {
            **self.admin_site.each_context(request),
            # Two dozen columns need the width; breadcrumbs and tabs lead everywhere.
            "is_nav_sidebar_enabled": False,
            "opts": self.opts,
            "may_change": self.has_change_permission(request),
            "now": clock(time.time()),
            "intro": INTROS.get(name, ""),
            **context,
        }
        return TemplateResponse(request, template, everything)


def _selection(query: QueryDict, shown: list[Column]) -> Selection:
    order = query.get("o", "")
    fields = {column.name: column.field for column in shown}
    name = order.removeprefix("-")
    return Selection(
        search=query.get("q", ""),
        filters={name: value for name in FILTERS if (value := query.get(name))},
        sort=fields.get(name, "opened_at"),
        descending=order.startswith("-") if name in fields else True,
        page=_integer(query.get("p"), 1),
        per_page=PER_PAGE,
    )


def _query(query: QueryDict, **changes: str | None) -> str:
    """The query string with changes; None removes. Back to the first page, unless it is asked."""
    kept = {k: str(v) for k, v in query.items() if k not in (_FRAGMENT, "p")}
    for name, value in changes.items():
        kept.pop(name, None)
        if value is not None:
            kept[name] = value
    return "?" + urlencode(kept)


def _header(query: QueryDict, column: Column, selection: Selection) -> dict[str, Any]:
    order = query.get("o", "")
    sorted_by = order.removeprefix("-") == column.name
    descending = sorted_by and order.startswith("-")
    toggled = column.name if descending or not sorted_by else f"-{column.name}"
    return {
        "column": column,
        "url": _query(query, o=toggled),
        "sorted": ("descending" if descending else "ascending") if sorted_by else "",
        "unsorted_url": _query(query, o=None),
    }


def _page_links(query: QueryDict, page: Page) -> list[dict[str, Any]]:
    if page.pages == 1:
        return []
    near = {1, page.pages, *range(page.page - 2, page.page + 3)}
    numbers = sorted(number for number in near if 1 <= number <= page.pages)
    return [
        {"number": n, "url": _query(query, p=str(n)), "current": n == page.page} for n in numbers
    ]


def _facets(query: QueryDict, page: Page) -> list[dict[str, Any]]:
    titles = {"session": "Session", "worker": "Worker", "verdict": "Verdict", "status": "State"}
    facets = []
    for name, title in titles.items():
        counts = page.facets.get(name, {})
        chosen = query.get(name, "")
        choices: list[dict[str, Any]] = [
            {"text": "All", "url": _query(query, **{name: None}), "chosen": not chosen}
        ]
        values = [v.value for v in Verdict] if name == "verdict" else sorted({*counts, chosen})
        choices += [
            {
                "text": f"{value} ({counts.get(value, 0)})",
                "url": _query(query, **{name: value}),
                "chosen": value == chosen,
            }
            for value in values
            if value and (value == chosen or counts.get(value))
        ]
        facets.append({"name": name, "title": title, "choices": choices, "chosen": chosen or "all"})
    return facets


def _listed(row: dict[str, Any], shown: list[Column]) -> dict[str, Any]:
    first, *others = cells(row, shown)
    url = reverse("admin:streaming_liveconnection_change", args=[row["connection"]])
    cells_shown: list[Cell] = others
    return {"id": row["connection"], "url": url, "name": first.text, "cells": cells_shown}


def _liveness(published: list[float], problem: str) -> dict[str, Any]:
    """Whether the figures are fresh; `problem` is why they could not be read."""
    oldest_s = time.time() - min(published) if published else 0.0
    return {"problem": problem, "stale_s": round(oldest_s, 1) if oldest_s > STALE_S else None}


def _connections(count: int) -> str:
    return f"{count} connection{'s' * (count != 1)}"


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else default
