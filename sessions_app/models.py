"""Session metadata and geometry. Frames are not here: they live in the recording file."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from .access import SessionFacts, Visibility

SLUG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$"


class Session(models.Model):
    """One recording (or a live one in the making) that can be watched."""

    class State(models.TextChoices):
        PENDING = "pending", "waiting for its import"
        IMPORTING = "importing", "being imported"
        READY = "ready", "ready"
        FAILED = "failed", "import failed"
        LIVE = "live", "live"

    class Access(models.TextChoices):
        PUBLIC = Visibility.PUBLIC.value, "everyone"
        UNLISTED = Visibility.UNLISTED.value, "whoever has the address"
        LOGIN = Visibility.LOGIN.value, "whoever is logged in"
        PRIVATE = Visibility.PRIVATE.value, "owner, groups and staff"

    slug = models.CharField(
        max_length=80,
        unique=True,
        validators=[RegexValidator(SLUG_PATTERN, "Letters, digits, - and _ only.")],
        help_text="Names the session in addresses, for example austria-2024.",
    )
    title = models.CharField(max_length=200)
    kind = models.CharField(
        max_length=20, default="other", db_index=True, help_text="race, qualifying, play, regatta…"
    )
    state = models.CharField(
        max_length=10, choices=State.choices, default=State.PENDING, db_index=True
    )
    access = models.CharField(
        max_length=10, choices=Access.choices, default=Access.PUBLIC, help_text="Who may watch."
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="replay_sessions",
        help_text="May watch, change and share it.",
    )
    groups = models.ManyToManyField(
        Group, blank=True, related_name="replay_sessions", help_text="Whose members may watch."
    )
    progress = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="Of the import, 0 to 100.",
    )
    message = models.CharField(
        max_length=500, blank=True, help_text="What the import is doing, or why it failed."
    )
    year = models.PositiveSmallIntegerField(null=True, blank=True, db_index=True)
    round = models.PositiveSmallIntegerField(null=True, blank=True)
    start_time = models.DateTimeField(null=True, blank=True, help_text="Of frame 0.")
    frame_rate = models.FloatField(default=25.0, help_text="Frames a second.")
    frame_count = models.PositiveIntegerField(default=0)
    version = models.CharField(
        max_length=64, blank=True, help_text="Content hash of the recording; names cached things."
    )
    recording = models.CharField(
        max_length=255, blank=True, help_text="File name below the recordings folder."
    )
    source = models.CharField(max_length=255, blank=True, help_text="Where it was imported from.")
    pinned = models.BooleanField(default=False, help_text="Stays, however old it is.")
    metadata = models.JSONField(default=dict, blank=True)
    report = models.JSONField(
        default=dict, blank=True, help_text="What its import left out and why; empty if none was."
    )
    live = models.JSONField(
        default=dict,
        blank=True,
        help_text="While it is live: fields of its frames, or the content type of its pictures.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-start_time", "slug")
        constraints = (
            models.CheckConstraint(
                condition=Q(progress__gte=0, progress__lte=100), name="session_progress_percent"
            ),
            models.CheckConstraint(
                condition=Q(frame_rate__gt=0), name="session_frame_rate_positive"
            ),
            models.CheckConstraint(
                condition=~Q(state="ready") | (Q(frame_count__gt=0) & ~Q(version="")),
                name="session_ready_has_recording",
                violation_error_message="A ready session has frames and a version.",
            ),
        )

    def __str__(self) -> str:
        return self.title or self.slug

    @property
    def recording_path(self) -> Path:
        """Where the recording file is (or will be)."""
        return Path(settings.RECORDINGS_DIR) / (self.recording or f"{self.slug}.mcap")

    @property
    def kind_label(self) -> str:
        """The kind in words: "Sprint qualifying"."""
        return self.kind.replace("_", " ").capitalize()

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frame_count / self.frame_rate

    def facts(self) -> SessionFacts:
        """What the rule of access needs to know. Blocks where not everybody may watch."""
        groups: frozenset[int] = frozenset()
        if self.access not in (self.Access.PUBLIC, self.Access.UNLISTED):
            groups = frozenset(self.groups.values_list("pk", flat=True))
        return SessionFacts(self.slug, self.access, self.owner_id, groups)

    @property
    def loading(self) -> bool:
        """Whether the frames are still to come."""
        return self.state in (self.State.PENDING, self.State.IMPORTING)


class Entity(models.Model):
    """Who or what moves in a session, in the order of the recording's columns."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="entities")
    index = models.PositiveIntegerField(help_text="Column in the recording, from 0.")
    code = models.CharField(max_length=40, help_text="Short and unique, for example VER.")
    name = models.CharField(max_length=120, blank=True)
    number = models.CharField(max_length=10, blank=True)
    team = models.CharField(max_length=120, blank=True)
    colour = models.CharField(
        max_length=7, blank=True, validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", "#rrggbb")]
    )
    kind = models.CharField(max_length=20, blank=True, help_text="car, player, ball, boat…")
    attributes = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "entities"
        ordering = ("session", "index")
        constraints = (
            models.UniqueConstraint(fields=("session", "index"), name="entity_index_once"),
            models.UniqueConstraint(fields=("session", "code"), name="entity_code_once"),
        )

    def __str__(self) -> str:
        return self.code


class Geometry(models.Model):
    """The ground of a session: a circuit, a field, a map. Coordinates are those of x and y."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="geometry")
    kind = models.CharField(max_length=20, help_text="circuit, field or map")
    unit = models.CharField(max_length=10, help_text="Of every coordinate, for example dm.")
    x_min = models.FloatField()
    y_min = models.FloatField()
    x_max = models.FloatField()
    y_max = models.FloatField()
    rotation = models.FloatField(default=0, help_text="Degrees, counter-clockwise, as broadcast.")
    length = models.FloatField(null=True, blank=True, help_text="Of a lap, in metres.")
    shapes = models.JSONField(
        default=dict,
        blank=True,
        help_text="centre_line, inner_edge, outer_edge, pit_lane, sectors, drs_zones, corners…",
    )

    class Meta:
        verbose_name_plural = "geometries"
        constraints = (
            models.CheckConstraint(
                condition=Q(x_max__gte=F("x_min")) & Q(y_max__gte=F("y_min")),
                name="geometry_bounds_ordered",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.session}"


class Event(models.Model):
    """Something that happened at a frame: a flag, a pit stop, a message of race control."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="events")
    frame = models.PositiveIntegerField()
    kind = models.CharField(max_length=30)
    message = models.CharField(max_length=500, blank=True)
    entity = models.CharField(max_length=40, blank=True, help_text="Code, where it concerns one.")
    value = models.CharField(max_length=60, blank=True, help_text="Flag colour and the like.")
    lap = models.PositiveSmallIntegerField(null=True, blank=True)
    sector = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("session", "frame", "id")
        indexes = (models.Index(fields=("session", "frame"), name="event_session_frame"),)

    def __str__(self) -> str:
        return f"{self.kind} at frame {self.frame}"


class Lap(models.Model):
    """One lap of one entity; times in seconds."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="laps")
    entity = models.ForeignKey(Entity, on_delete=models.CASCADE, related_name="laps")
    number = models.PositiveSmallIntegerField()
    start_frame = models.PositiveIntegerField(null=True, blank=True)
    end_frame = models.PositiveIntegerField(null=True, blank=True, help_text="Exclusive.")
    duration = models.FloatField(null=True, blank=True)
    sector1 = models.FloatField(null=True, blank=True)
    sector2 = models.FloatField(null=True, blank=True)
    sector3 = models.FloatField(null=True, blank=True)
    position = models.PositiveSmallIntegerField(null=True, blank=True)
    pit_in = models.BooleanField(default=False)
    pit_out = models.BooleanField(default=False)

    class Meta:
        ordering = ("session", "entity", "number")
        constraints = (
            models.UniqueConstraint(fields=("entity", "number"), name="lap_number_once"),
            models.CheckConstraint(
                condition=Q(start_frame__isnull=True)
                | Q(end_frame__isnull=True)
                | Q(end_frame__gte=F("start_frame")),
                name="lap_ends_after_start",
            ),
        )

    def __str__(self) -> str:
        return f"lap {self.number} of {self.entity}"


class Stint(models.Model):
    """Consecutive laps on one set of tyres; both ends inclusive."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="stints")
    entity = models.ForeignKey(Entity, on_delete=models.CASCADE, related_name="stints")
    number = models.PositiveSmallIntegerField()
    lap_start = models.PositiveSmallIntegerField()
    lap_end = models.PositiveSmallIntegerField()
    compound = models.CharField(max_length=20, blank=True)
    tyre_age_at_start = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("session", "entity", "number")
        constraints = (
            models.UniqueConstraint(fields=("entity", "number"), name="stint_number_once"),
            models.CheckConstraint(
                condition=Q(lap_end__gte=F("lap_start")), name="stint_ends_after_start"
            ),
        )

    def __str__(self) -> str:
        return f"stint {self.number} of {self.entity}"


class ImportJob(models.Model):
    """One attempt to import a session, kept so that its outcome can be read afterwards."""

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="import_jobs")
    importer = models.CharField(max_length=40)
    source = models.CharField(max_length=500)
    options = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    progress = models.FloatField(default=0)
    message = models.CharField(max_length=500, blank=True)
    error = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How often it was begun; more than once after its process was killed."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(progress__gte=0, progress__lte=100), name="import_job_progress_percent"
            ),
        )

    def __str__(self) -> str:
        return f"{self.importer} import of {self.session} ({self.state})"


class ApiToken(models.Model):
    """What a program shows to be let in. The token itself is not kept, only its hash.

    It never allows more than its owner may do.
    """

    name = models.CharField(max_length=100, help_text="What it is for.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    scopes = models.JSONField(default=list, help_text="Some of read, import, ingest, operate.")
    prefix = models.CharField(
        max_length=8, unique=True, editable=False, help_text="Names it; not secret."
    )
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the token.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class ShareLink(models.Model):
    """A link that lets whoever has it watch one session. Only its hash is kept."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="share_links")
    scope = models.CharField(max_length=10, choices=(("watch", "watch"),), default="watch")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"link {self.pk} to {self.session}"
