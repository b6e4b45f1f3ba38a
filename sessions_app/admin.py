"""Plain admin pages for what was recorded; live connections are in `streaming/admin/`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from .models import Entity, Event, Geometry, ImportJob, Lap, Session, Stint
from .storing import delete_recording


class EntityInline(admin.TabularInline):
    model = Entity
    fields = ("index", "code", "number", "name", "team", "colour", "kind")
    readonly_fields = ("index", "code")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Entities are the recording's columns: an import makes them."""
        return False


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):
    list_display = (
        "title",
        "slug",
        "kind",
        "state",
        "progress",
        "year",
        "minutes",
        "access",
        "owner",
    )
    list_filter = ("state", "kind", "year", "access")
    search_fields = ("slug", "title", "source")
    readonly_fields = (
        "slug", "state", "progress", "message", "frame_rate", "frame_count", "version",
        "recording", "source", "start_time", "created_at", "updated_at",
    )  # fmt: skip
    autocomplete_fields = ("owner",)
    filter_horizontal = ("groups",)
    list_select_related = ("owner",)
    inlines = (EntityInline,)

    @admin.display(description="minutes", ordering="frame_count")
    def minutes(self, session: Session) -> str:
        return f"{session.duration / 60:.1f}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Sessions come from imports: a row without a recording could not be played."""
        return False

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        super().delete_model(request, obj)
        delete_recording(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        sessions = list(queryset)
        super().delete_queryset(request, queryset)
        for session in sessions:
            delete_recording(session)


class PartOfSessionAdmin(admin.ModelAdmin):
    """Rows that REST shows below a session: whatever changes them changes the session's ETag."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        _touch({obj.session_id})

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        _touch({obj.session_id})

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        touched = set(queryset.values_list("session_id", flat=True))
        super().delete_queryset(request, queryset)
        _touch(touched)


def _touch(sessions: set[int]) -> None:
    Session.objects.filter(pk__in=sessions).update(updated_at=timezone.now())


@admin.register(Entity)
class EntityAdmin(PartOfSessionAdmin):
    list_display = ("code", "session", "number", "name", "team", "kind")
    list_filter = ("kind", "session")
    list_select_related = ("session",)
    search_fields = ("code", "name", "team", "session__slug")
    readonly_fields = ("session", "index", "code")


@admin.register(Geometry)
class GeometryAdmin(PartOfSessionAdmin):
    list_display = ("session", "kind", "unit", "length", "rotation")
    list_filter = ("kind",)
    list_select_related = ("session",)
    search_fields = ("session__slug", "session__title")
    readonly_fields = ("session",)


@admin.register(Event)
class EventAdmin(PartOfSessionAdmin):
    list_display = ("frame", "session", "kind", "value", "entity", "lap", "message")
    list_filter = ("kind", "session")
    list_select_related = ("session",)
    search_fields = ("message", "entity", "session__slug")


@admin.register(Lap)
class LapAdmin(PartOfSessionAdmin):
    list_display = ("number", "entity", "session", "duration", "position", "pit_in", "pit_out")
    list_filter = ("session",)
    list_select_related = ("session", "entity")
    search_fields = ("entity__code", "session__slug")
    raw_id_fields = ("session", "entity")


@admin.register(Stint)
class StintAdmin(PartOfSessionAdmin):
    list_display = ("number", "entity", "session", "compound", "lap_start", "lap_end")
    list_filter = ("compound", "session")
    list_select_related = ("session", "entity")
    search_fields = ("entity__code", "session__slug")
    raw_id_fields = ("session", "entity")


@admin.register(ImportJob)
class ImportJobAdmin(admin.ModelAdmin):
    list_display = ("session", "importer", "state", "progress", "message", "created_at")
    list_filter = ("state", "importer")
    list_select_related = ("session",)
    search_fields = ("session__slug", "source", "error")
    readonly_fields = tuple(f.name for f in ImportJob._meta.fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are started over REST or the command line."""
        return False
