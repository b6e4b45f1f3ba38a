"""Plain admin pages for what was recorded; live connections are in `streaming/admin/`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from .access import Scope
from .credentials import give_secret
from .importers.report import summary
from .models import (
    ApiToken,
    Entity,
    Event,
    Geometry,
    ImportJob,
    Lap,
    Session,
    ShareLink,
    Stint,
)
from .storing import delete_session


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
    list_filter = ("state", "kind", "year", "access", "pinned")
    search_fields = ("slug", "title", "source")
    readonly_fields = (
        "slug", "state", "progress", "message", "frame_rate", "frame_count", "version",
        "recording", "source", "start_time", "created_at", "updated_at", "import_report",
    )  # fmt: skip
    exclude = ("report",)
    autocomplete_fields = ("owner",)
    filter_horizontal = ("groups",)
    list_select_related = ("owner",)
    inlines = (EntityInline,)

    @admin.display(description="minutes", ordering="frame_count")
    def minutes(self, session: Session) -> str:
        return f"{session.duration / 60:.1f}"

    @admin.display(description="import report")
    def import_report(self, session: Session) -> str:
        lines = summary(session.report)
        return format_html("<pre>{}</pre>", "\n".join(lines)) if lines else "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Sessions come from imports: a row without a recording could not be played."""
        return False

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        delete_session(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        for session in queryset:
            delete_session(session)


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


@admin.action(description="Revoke")
def revoke(_admin: Any, _request: HttpRequest, queryset: QuerySet[Any]) -> None:
    """What they opened ends within five seconds."""
    queryset.filter(revoked_at=None).update(revoked_at=timezone.now())


class TokenForm(forms.ModelForm):
    """A new token."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
    )


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens are made here, shown once, and revoked. All but superusers see and make their own."""

    list_display = (
        "name", "prefix", "owner", "scopes", "created_at", "last_used_at", "expires_at",
        "revoked_at",
    )  # fmt: skip
    list_select_related = ("owner",)
    search_fields = ("name", "prefix")
    actions = (revoke,)
    fields = ("name", "owner", "scopes", "expires_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(owner=request.user.pk)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return super().get_form(
            request, obj, change, **(kwargs if change else {**kwargs, "form": TokenForm})
        )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A token acts as its owner: nobody makes one for somebody else."""
        if db_field.name == "owner" and not request.user.is_superuser:
            users = db_field.remote_field.model.objects
            kwargs["queryset"] = users.filter(pk=request.user.pk)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A token is revoked and made anew, never changed; the list has the action for it."""
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Made and shown, this once."""
        text = give_secret(obj)
        super().save_model(request, obj, form, change)
        messages.warning(request, f"Copy the token now, it is not shown again: {text}")


@admin.register(ShareLink)
class ShareLinkAdmin(admin.ModelAdmin):
    """Links are made on the player's page or over REST."""

    list_display = (
        "session", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    list_select_related = ("session", "created_by")
    search_fields = ("session__slug", "session__title")
    actions = (revoke,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only to revoke."""
        return obj is None and super().has_change_permission(request, obj)


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
