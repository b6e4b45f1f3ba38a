"""The bodies of the REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field

from ..access import OLDER_NAMES
from .errors import ErrorOut

Percent = Annotated[float, Field(ge=0, le=100)]
Point = tuple[float, float]


class SessionOut(Schema):
    """One session, as in the list."""

    slug: str
    title: str
    kind: str = Field(description="race, qualifying, practice, sprint, play, regatta, flight…")
    state: Literal["pending", "importing", "ready", "failed", "live"]
    access: Literal["public", "unlisted", "login", "private"] = Field(
        description="Who may watch: everybody; whoever has the address; whoever is logged in; its "
        "owner, its groups and staff."
    )
    loading: bool = Field(description="Whether the frames are still to come.")
    progress: Percent
    message: str = Field(description="What the import is doing, or why it failed.")
    year: int | None
    round: int | None
    start_time: datetime | None = Field(description="Of frame 0.")
    duration: float = Field(description="Seconds.")
    frame_rate: float
    frame_count: int
    version: str = Field(description="Of the recording; empty until there is one.")
    entity_count: int


class SessionPage(Schema):
    """One page of sessions."""

    items: list[SessionOut]
    count: int = Field(description="Sessions on all pages.")
    page: int
    pages: int
    page_size: int


class FieldOut(Schema):
    """One recorded field: quantity = sample * scale."""

    name: str
    unit: str
    scale: float
    kind: Literal["cubic", "linear", "angle", "held"]
    scope: Literal["entity", "session"]
    labels: list[str] = Field(default=[], description="Names of the values 0, 1, 2… if it has any.")


class RecordingSchemaOut(Schema):
    """What each frame holds, in the order in which segments carry it."""

    fields: list[FieldOut]
    entities: list[str]
    frame_rate: float
    segment_frames: int


class EntityOut(Schema):
    """Who or what moves."""

    index: int
    code: str
    name: str
    number: str
    team: str
    colour: str = Field(description='"#rrggbb" or empty.')
    kind: str
    attributes: dict[str, Any]


class JobOut(Schema):
    """The latest import of a session. Only staff are told why it failed."""

    state: Literal["queued", "running", "done", "failed"]
    importer: str
    progress: Percent
    message: str
    error: str
    created_at: datetime
    finished_at: datetime | None


class SessionLinks(Schema):
    """Where the rest is. Versioned addresses never change their content."""

    page: str
    socket: str
    geometry: str
    events: str
    laps: str
    standings: str
    classification: str
    report: str
    frames: str
    segments: str | None = Field(description="Prefix of /<stride>/<index>.")
    recording: str | None


class SessionDetail(SessionOut):
    """Everything about one session but its geometry, events, laps and frames."""

    metadata: dict[str, Any]
    # "schema" itself is a method of pydantic's models.
    frame_schema: RecordingSchemaOut | None = Field(alias="schema")
    entities: list[EntityOut]
    job: JobOut | None
    links: SessionLinks


class CornerOut(Schema):
    """A numbered corner."""

    label: str
    x: float
    y: float
    angle: float
    fraction: float | None


class BoundsOut(Schema):
    """The smallest rectangle that holds everything."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class GeometryOut(Schema):
    """The ground of a session, in the unit of the fields x and y."""

    kind: str
    unit: str
    bounds: BoundsOut
    rotation: float = Field(description="Degrees counter-clockwise, as broadcast.")
    length: float | None = Field(description="Of a lap, in metres.")
    centre_line: list[Point]
    inner_edge: list[Point]
    outer_edge: list[Point]
    pit_lane: list[Point]
    lines: list[list[Point]]
    sectors: list[float] = Field(description="Fractions of the lap where sector 2, 3… begin.")
    marshal_sectors: list[float] = Field(
        description="Fractions where marshal sector 1, 2… begin, which events count by; the last "
        "one ends where the first begins."
    )
    drs_zones: list[Point] = Field(description="(from, to) as fractions of the lap.")
    corners: list[CornerOut]
    origin: Point | None = Field(description="(latitude, longitude) of (0, 0).")


class EventOut(Schema):
    """Something that happened. time: seconds from the start."""

    frame: int
    time: float
    kind: str
    message: str
    entity: str
    value: str
    lap: int | None
    sector: int | None


class EventsOut(Schema):
    """What happened, in order."""

    events: list[EventOut]


class LapOut(Schema):
    """One lap; times in seconds, end_frame exclusive."""

    entity: str
    number: int
    start_frame: int | None
    end_frame: int | None
    duration: float | None
    sector1: float | None
    sector2: float | None
    sector3: float | None
    position: int | None
    pit_in: bool
    pit_out: bool


class StintOut(Schema):
    """Laps on one set of tyres; both ends inclusive."""

    entity: str
    number: int
    lap_start: int
    lap_end: int
    compound: str
    tyre_age_at_start: int | None


class LapsOut(Schema):
    """Laps by entity and number, and stints."""

    laps: list[LapOut]
    stints: list[StintOut]


class PenaltyOut(Schema):
    """A time penalty as race control announced it."""

    seconds: int
    reason: str
    frame: int = Field(description="When it was announced.")
    served: str = Field(
        description='"announced", or "pit stop" if one followed; empty: added to the time.'
    )


class ClassifiedOut(Schema):
    """One entity's place in the end."""

    entity: str
    position: int
    road_position: int = Field(description="Without the stewards: where it ended on the road.")
    status: Literal["finished", "retired", "disqualified"]
    laps: int
    penalty_seconds: int = Field(description="Added to its time.")
    penalties: list[PenaltyOut]


class ClassificationOut(Schema):
    """The final order with penalties and disqualifications. Empty without a finish."""

    source: Literal["session_result", "race_control", ""] = Field(
        description="Official results, or the order on the road with race control's rulings."
    )
    order: list[ClassifiedOut]


class ExampleOut(Schema):
    """Where one of them was found. row: 1-based data row."""

    file: str
    row: int | None
    found: str


class FindingOut(Schema):
    """Everything of one kind that was not believed."""

    table: str
    column: str
    expected: str
    done: str = Field(description="row left out, value left out, file left out, value recovered…")
    count: int
    examples: list[ExampleOut] = Field(description="The first few; for staff only.")


class CoverageOut(Schema):
    """What was read of one table. first, last: of its times."""

    table: str
    files: int
    rows: int
    entities: int
    first: datetime | None
    last: datetime | None


class CrossingDifferenceOut(Schema):
    """A crossing of the line after which the recording has another order than the lap table."""

    entity: str
    lap: int = Field(description="That it ended.")
    place: int = Field(description="In the recording, among those that had not retired.")
    official: int = Field(description="By the times of crossing.")


class CrossingAgreementOut(Schema):
    """The order at each crossing of the line, compared with the lap table."""

    compared: int
    agreeing: int
    share: float | None
    differences: list[CrossingDifferenceOut] = Field(description="The first fifty.")


class OrderAgreementOut(Schema):
    """The order, compared with the official feed outside 2 s around its changes."""

    seconds: float
    car_seconds: float
    leader: float | None = Field(description="Share of the seconds.")
    cars: float | None = Field(description="Share of the car-seconds.")


class GapAgreementOut(Schema):
    """Gaps to the leader, compared with the official ones; seconds of difference."""

    rows: int
    median: float | None
    p99: float | None


class AgreementOut(Schema):
    """How far the standings agree with the source's official tables; null without such a table."""

    crossings: CrossingAgreementOut | None
    order: OrderAgreementOut | None
    gaps: GapAgreementOut | None


class ImportReportOut(Schema):
    """What an import left out, what it read and what is a guess."""

    rows_read: int
    rows_left_out: int
    values_left_out: int
    files_left_out: int
    records_left_out: int
    unseen_share: float | None = Field(description="Of all samples, 0 to 1.")
    agreement: AgreementOut | None = None
    estimated: list[str]
    missing_tables: list[str]
    tables: list[CoverageOut]
    findings: list[FindingOut]
    findings_not_listed: int = Field(description="Of kinds beyond the first hundred.")


class StandingOut(Schema):
    """One entity's place. gaps and lap times in seconds; what a recording lacks is null."""

    entity: str
    position: int | None
    status: str | None
    lap: int | None
    progress: float | None
    gap_to_leader: float | None
    interval: float | None
    tyre: str | None
    tyre_age: int | None
    pit_stops: int | None
    last_lap_time: float | None
    best_lap_time: float | None


class StandingsOut(Schema):
    """The order at one frame, first first."""

    frame: int
    time: float
    standings: list[StandingOut]


class TelemetryOut(Schema):
    """One lap over distance. Every list is as long as `distance`."""

    entity: str
    lap: int
    duration: float | None
    sectors: list[float | None]
    measured_by: Literal["progress", "speed", "path"] = Field(
        description="What distance was made from: the place on the centre line, or a sum."
    )
    length: float = Field(description="Metres driven.")
    distance: list[float] = Field(description="Metres from the lap's start, multiples of step.")
    time: list[float] = Field(description="Seconds since the lap's start.")
    channels: dict[str, list[float | None]] = Field(description="Field name to values in its unit.")
    units: dict[str, str]


class ComparedLapOut(Schema):
    """One of the laps that are compared, in the order in which they were asked for."""

    session: str = Field(description="The slug.")
    version: str
    title: str
    kind: str
    year: int | None
    entity: str = Field(description="The code.")
    name: str
    team: str
    colour: str
    lap: int
    duration: float | None = Field(description="Official, in seconds.")
    sectors: list[float | None]
    start_frame: int = Field(description="Of the lap in its session.")


class ComparisonOut(Schema):
    """Laps at common points. Every innermost list is as long as `axis`."""

    by: Literal["distance", "time"]
    step: float
    axis: list[float] = Field(
        description="Metres from the start line on the first lap's circuit, or seconds."
    )
    laps: list[ComparedLapOut]
    samples: dict[str, list[list[float | None]]] = Field(
        description="By field a list for each lap; also time (by distance) or distance (by time)."
    )
    units: dict[str, str]
    delta: list[list[float | None]] = Field(
        description="How far each lap is behind the first: seconds by distance, metres by time."
    )


Access = Annotated[
    Literal["public", "unlisted", "login", "private", "staff"] | None,
    Field(
        description="Who may watch. Left out: private for a new session, and a session that is "
        "there keeps its own. `staff` is an older name of private."
    ),
    AfterValidator(lambda value: OLDER_NAMES.get(value, value)),
]


class NamedImport(Schema):
    """Import from a source that the operator named in the setting IMPORT_SOURCES."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="A name in IMPORT_SOURCES, or name/entry for something in that folder.",
        ),
    ]
    slug: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$")] | None = None
    format: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9_-]{1,40}$",
                description="The importer's name; the format is recognised if left out.",
            ),
        ]
        | None
    ) = None
    strict: bool = Field(
        default=False, description="Refuse a source of which anything would be left out."
    )
    access: Access = None
    refresh: bool = False


class FastF1Import(Schema):
    """Import a Formula 1 session by its place in the calendar, through FastF1."""

    model_config = ConfigDict(extra="forbid")

    year: Annotated[int, Field(ge=1950, le=2100)]
    round_num: Annotated[int, Field(ge=1, le=40)]
    session_type: Literal["R", "Q", "S", "SQ", "SS", "FP1", "FP2", "FP3"] = "R"
    access: Access = None
    refresh: bool = False


class UploadImport(Schema):
    """Import what was uploaded."""

    model_config = ConfigDict(extra="forbid")

    upload: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="As POST uploads said.")]
    format: Annotated[
        Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")] | None,
        Field(description="Name of the importer; left out: told by the content."),
    ] = None
    slug: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$")] | None = None
    title: Annotated[str, Field(max_length=200)] = ""
    access: Access = None
    refresh: bool = False


class FetchImport(Schema):
    """Import a session from a server that has it, such as OpenF1's."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$", description="openf1.")]
    year: Annotated[int, Field(ge=1950, le=2100)]
    circuit: Annotated[
        str, Field(min_length=1, max_length=60, description="As people call it: monaco.")
    ]
    session: Annotated[
        str, Field(max_length=40, description="race, qualifying, practice 1… or R, Q, FP1…")
    ] = "race"
    slug: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$")] | None = None
    title: Annotated[str, Field(max_length=200)] = ""
    access: Access = None
    refresh: bool = False


class UploadOut(Schema):
    """A whole upload."""

    upload: str = Field(description="Names it in POST sessions.")
    name: str = Field(description="Of its one file, or of the folder of its files.")
    files: int
    bytes: int
    expires: datetime = Field(description="When it is removed, unless an import needs it.")


class SessionChange(Schema):
    """What of a session is to be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    access: Access = None
    owner: Annotated[
        Annotated[str, Field(max_length=150)] | None,
        Field(description="User name; empty for nobody. Staff only."),
    ] = None
    groups: Annotated[
        Annotated[list[Annotated[str, Field(max_length=150)]], Field(max_length=100)] | None,
        Field(description="Names of the groups whose members may watch. Staff only."),
    ] = None


class SessionSettingsOut(Schema):
    """What PATCH changes, as it is now."""

    slug: str
    title: str
    access: Literal["public", "unlisted", "login", "private"]
    owner: str = Field(description="User name, or empty.")
    groups: list[str]


class ClearedOut(Schema):
    """What is kept is named by its content, and never stale: there was nothing to clear."""

    cleared: int = 0


class ImportRefusedOut(ErrorOut):
    """Why no import has begun."""

    session_id: str = Field(
        "", description="The slug that it would have, where year, round and type were given."
    )


class ImportOut(Schema):
    """Answered at once; progress is in the session and on its socket."""

    session_id: str = Field(description="The slug.")
    state: Literal["pending", "importing", "ready", "failed", "live"]
    loading: bool
    job_id: int | None = Field(description="The import that this request started, if it did.")
