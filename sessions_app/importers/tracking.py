"""Matches as tracking systems record them, in whatever format kloppy reads: one adapter for all.

Formats whose files can be told apart by their content are recognised; for any other one that kloppy
has, a mapping names the loader, its files and its arguments.
"""

from __future__ import annotations

import importlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recording import Field, FieldKind
from .bounds import Allowance, files_below, head_of, is_regular
from .importer import Importer
from .options import ImportOptions
from .report import Report
from .result import (
    MAX_CODE,
    EntityRecord,
    EventRecord,
    GeometryRecord,
    ImportResult,
    ImportSourceError,
    Progress,
)
from .table.mapping import plain_yaml
from .text import cleaned, shown
from .tracks import Track, samples_of, track_of, usual_rate

LENGTH, WIDTH = 105.0, 68.0
"""Metres of a football pitch whose size the source does not tell: what UEFA prescribes."""
COLOURS = ("#d7263d", "#2e86de")
"""Of the home and the away team; no source tells their shirts."""
BALL_COLOUR = "#f2a900"
_LOADERS = re.compile(r"load(_tracking(_[a-z]+)?)?")
"""Of kloppy's functions; those that read open data from the network are none of these."""
_KEYS = ("provider", "loader", "files", "arguments")

Told = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Loader:
    """One of kloppy's loaders.

    Attributes:
        provider: a module of kloppy.
        function: in it.
        files: which file is which argument, told by its first characters.
        arguments: others of the function.
    """

    provider: str
    function: str
    files: Mapping[str, Told] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _has(*words: str) -> Told:
    return lambda head: all(word in head for word in words)


def _metrica(side: str) -> Told:
    return lambda head: (
        head.split("\n", 1)[0].strip().strip(",").startswith(side) and "Time [s]" in head
    )


RECOGNISED = (
    Loader(
        "metrica",
        "load_tracking_csv",
        {"home_data": _metrica("Home"), "away_data": _metrica("Away")},
    ),
    Loader(
        "metrica",
        "load_tracking_epts",
        {
            "meta_data": _has("<DataFormatSpecification", "<"),
            "raw_data": lambda head: bool(re.match(r"\d+:-?[\d.NaN]+,", head)),
        },
    ),
    Loader(
        "tracab",
        "load",
        {
            "meta_data": lambda head: "TracabMetaData" in head or "iFrameRateFps" in head,
            "raw_data": lambda head: bool(re.match(r"\d+:-?\d+,-?\d+,-?\d+,-?\d+,-?\d+", head)),
        },
    ),
    Loader(
        "secondspectrum",
        "load",
        {
            "meta_data": lambda head: (
                ('"pitchLength"' in head and '"fps"' in head) or "iFrameRateFps" in head
            ),
            "raw_data": _has('"frameIdx"', '"homePlayers"', '"xyz"'),
        },
    ),
    Loader(
        "skillcorner",
        "load",
        {
            "meta_data": _has('"home_team"', '"pitch_length"'),
            "raw_data": lambda head: (
                '"frame"' in head
                and '"period"' in head
                and ('"player_data"' in head or '"trackable_object"' in head or '"data"' in head)
            ),
        },
    ),
    Loader(
        "sportec",
        "load_tracking",
        {
            "meta_data": _has("<MatchInformation", "<PutDataRequest"),
            "raw_data": _has("<FrameSet", "<Positions"),
        },
    ),
)


def import_tracking(source: Path, options: ImportOptions, progress: Progress) -> ImportResult:
    """Read the files of one match.

    Args:
        source: a folder with the files, or one of them, whose folder is looked at.
        options: `mapping` may be a YAML file with `provider`, `loader`, `files`, `arguments`.
        progress: called with the fraction done.

    Raises: ImportSourceError if no format fits the files, or kloppy cannot read them;
        SourceTooLarge beyond a bound.
    """
    report = Report(source, strict=options.strict)
    folder = source if source.is_dir() else source.parent
    if options.mapping is not None:
        loader, files = _mapped(options.mapping, folder)
    else:
        loader, files = _recognised(source, options)
    progress(0.0, f"reading {loader.provider}")
    dataset = _loaded(loader, files, Allowance(options.bounds), source)
    progress(0.6, "following the players")
    length, width = _pitch(dataset, report)
    tracks, events = _tracks(dataset, length, width)
    if not tracks:
        raise ImportSourceError("no player with a position found: expected some", file=source)
    report.read("tracking", None, len(dataset.records), range(len(tracks)))
    used = {name for track in tracks for name in track.values}
    rate = options.frame_rate or min(float(dataset.metadata.frame_rate or usual_rate(tracks)), 25.0)
    samples, first = samples_of(
        tracks,
        [f for f in FIELDS if f.name in used],
        rate=rate,
        report=report,
        table="tracking",
    )
    date = dataset.metadata.date
    names = [team.name for team in dataset.metadata.teams if team.name]
    return ImportResult(
        title=options.title or (" – ".join(names) if len(names) == 2 else folder.name),
        kind="match",
        source=f"tracking:{loader.provider}:{source.name}",
        samples=samples,
        entities=[track.entity for track in tracks],
        geometry=GeometryRecord(
            kind="field",
            unit="m",
            bounds=(-length / 2, -width / 2, length / 2, width / 2),
            lines=pitch_lines(length, width),
        ),
        events=[
            EventRecord(
                min(max(round((time - first) * rate), 0), samples.frame_count - 1), kind, message
            )
            for time, kind, message in events
        ],
        start_time=date if date is not None and date.tzinfo is not None else None,
        year=options.year or (date.year if date is not None else None),
        round=options.round,
        metadata={"provider": loader.provider, "unseen_share": report.unseen_share},
        report=report,
    )


FIELDS = (
    Field("x", "m", 0.01, FieldKind.CUBIC),
    Field("y", "m", 0.01, FieldKind.CUBIC),
    Field("speed", "km/h", 0.1, FieldKind.LINEAR),
    Field("height", "m", 0.01, FieldKind.LINEAR),
)


def is_tracking(source: Path, options: ImportOptions) -> bool:
    """Whether the folder has the files of one of the formats that are recognised."""
    if options.mapping is not None:
        return False
    _recognised(source, options)
    return True


def _recognised(source: Path, options: ImportOptions) -> tuple[Loader, dict[str, Path]]:
    """The loader whose arguments each have just one file.

    Raises: ImportSourceError if none or several have.
    """
    folder = source if source.is_dir() else source.parent
    heads = {p: _text(head_of(p, 65_536)) for p in files_below(folder, options.bounds)}
    fits = []
    for loader in RECOGNISED:
        found = {
            name: [path for path, head in heads.items() if head and told(head)]
            for name, told in loader.files.items()
        }
        if all(len(paths) == 1 for paths in found.values()):
            fits.append((loader, {name: paths[0] for name, paths in found.items()}))
    if len(fits) != 1:
        known = ", ".join(dict.fromkeys(loader.provider for loader in RECOGNISED))
        found_text = " or ".join(loader.provider for loader, _ in fits) or "no format"
        raise ImportSourceError(
            f"{found_text} found: expected the files of one match of {known}, or --mapping",
            file=source,
        )
    return fits[0]


def _text(head: bytes) -> str:
    return head.decode("utf-8", "replace").removeprefix("\ufeff").lstrip()


def _mapped(path: Path, folder: Path) -> tuple[Loader, dict[str, Path]]:
    """What a mapping names. Raises: ImportSourceError naming the key that makes no sense."""
    data = plain_yaml(path)
    if not isinstance(data, dict) or set(data) - set(_KEYS) or "provider" not in data:
        raise ImportSourceError(
            f"{shown(data)} found: expected provider, loader, files and arguments", file=path
        )
    provider, function = str(data["provider"]), str(data.get("loader", "load"))
    files, arguments = data.get("files"), data.get("arguments") or {}
    if not re.fullmatch(r"[a-z]+", provider) or not _LOADERS.fullmatch(function):
        raise ImportSourceError(
            f"{shown(provider)} and {shown(function)} found: expected a provider and a loader of "
            "kloppy's",
            file=path,
        )
    if not isinstance(files, dict) or not files or not isinstance(arguments, dict):
        raise ImportSourceError("key files: expected a file for each argument", file=path)
    chosen = {}
    for name, entry in files.items():
        place = folder / str(entry)
        inside = place.parent.resolve().is_relative_to(folder.resolve())
        if not inside or not is_regular(place):
            raise ImportSourceError(
                f"key files.{cleaned(str(name), 40)}: {shown(entry)} found: expected a file of "
                "the source's folder",
                file=path,
            )
        chosen[str(name)] = place
    plain = {k: v for k, v in arguments.items() if isinstance(v, str | int | float | bool)}
    return Loader(provider, function, arguments=plain), chosen


def _loaded(loader: Loader, files: Mapping[str, Path], allowance: Allowance, source: Path) -> Any:
    """kloppy's TrackingDataset. Raises: ImportSourceError, whatever kloppy raises."""
    inputs = {}
    for name, path in files.items():
        data = bytes(allowance.read(path))
        if b"<!DOCTYPE" in data[:10_000] or b"<!ENTITY" in data[:100_000]:
            raise ImportSourceError("a document type found: expected XML without", file=path)
        inputs[name] = io.BytesIO(data)
    try:
        function = getattr(importlib.import_module(f"kloppy.{loader.provider}"), loader.function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ImportSourceError(
            f"kloppy has no {loader.provider}.{loader.function}: expected one of its loaders"
            " (pip install kloppy?)",
            file=source,
        ) from error
    # What it doubts it says to its logger; what it cannot read it raises as whatever it met.
    logging.getLogger("kloppy").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = function(**inputs, **loader.arguments)
    except MemoryError:
        raise
    except Exception as error:
        raise ImportSourceError(
            f"kloppy: {type(error).__name__}: {error}: expected the files of a match of "
            f"{loader.provider}",
            file=source,
        ) from error
    if not hasattr(dataset, "records") or not hasattr(dataset.metadata, "frame_rate"):
        raise ImportSourceError(
            f"{type(dataset).__name__} found: expected tracking data", file=source
        )
    return dataset


def _pitch(dataset: Any, report: Report) -> tuple[float, float]:
    """Length and width, metres."""
    about = dataset.metadata.pitch_dimensions
    length, width = (getattr(about, name, None) for name in ("pitch_length", "pitch_width"))
    if not length or not width:
        report.estimate(f"the pitch: {LENGTH:g} by {WIDTH:g} m")
    return float(length or LENGTH), float(width or WIDTH)


def _tracks(
    dataset: Any, length: float, width: float
) -> tuple[list[Track], list[tuple[float, str, str]]]:
    """Tracks of the ball and all players, in metres from the middle, and the beginnings of the
    periods, which follow each other without the breaks between them."""
    about = dataset.metadata
    x_dim, y_dim = about.pitch_dimensions.x_dim, about.pitch_dimensions.y_dim
    down = str(about.coordinate_system.vertical_orientation).endswith("TOP_TO_BOTTOM")
    rows: dict[Any, list[tuple[float, float, float, float, float]]] = {"ball": []}
    events: list[tuple[float, str, str]] = []
    offset, last, period = 0.0, 0.0, None
    step = 1.0 / float(about.frame_rate or 25.0)
    for frame in dataset.records:
        if frame.period.id != period:
            offset = last + step if period is not None else 0.0
            period = frame.period.id
            offset -= frame.timestamp.total_seconds()
            events.append((offset + frame.timestamp.total_seconds(), "start", f"period {period}"))
        last = time = offset + frame.timestamp.total_seconds()
        ball = frame.ball_coordinates
        if ball is not None:
            speed = frame.ball_speed
            rows["ball"].append(
                (time, ball.x, ball.y, _value(speed), _value(getattr(ball, "z", None)))
            )
        for player, data in frame.players_data.items():
            place = data.coordinates
            if place is not None:
                rows.setdefault(player, []).append(
                    (time, place.x, place.y, _value(data.speed), np.nan)
                )
    taken: set[str] = set()
    entities = {"ball": EntityRecord("ball", name="ball", colour=BALL_COLOUR, kind="ball")}
    for player in rows:
        if player != "ball":
            entities[player] = _entity(player, about.teams, taken)
    tracks = []
    for key in sorted(rows, key=lambda key: _place(key, about.teams)):
        if not rows[key]:
            continue
        times, x, y, speed, height = np.array(rows[key], dtype=np.float64).T
        values: dict[str, NDArray[np.float64]] = {
            "x": ((x - x_dim.min) / (x_dim.max - x_dim.min) - 0.5) * length,
            "y": ((y - y_dim.min) / (y_dim.max - y_dim.min) - 0.5) * (-width if down else width),
            "speed": speed * 3.6,
            "height": height,
        }
        known = {name: own for name, own in values.items() if not np.isnan(own).all()}
        tracks.append(track_of(entities[key], times, known))
    return [track for track in tracks if "x" in track.values], events


def _value(value: Any) -> float:
    return np.nan if value is None else float(value)


def _place(key: Any, teams: Sequence[Any]) -> tuple[int, int]:
    """The order of the entities: home, away, the ball last, which is drawn above all."""
    if key == "ball":
        return len(teams), 0
    number = key.jersey_no
    return (teams.index(key.team) if key.team in teams else len(teams)), int(number or 0)


def _entity(player: Any, teams: Sequence[Any], taken: set[str]) -> EntityRecord:
    """H7 and A10 for the players of both teams; a player without a number by another code."""
    side = teams.index(player.team) if player.team in teams else 0
    number = "" if player.jersey_no is None else str(player.jersey_no)
    wanted = (
        f"{'HA'[min(side, 1)]}{number}" if number else cleaned(str(player.player_id), MAX_CODE - 4)
    )
    code, copies = wanted or "player", 1
    while code in taken:
        copies += 1
        code = f"{wanted}-{copies}"
    taken.add(code)
    return EntityRecord(
        code,
        name=player.full_name or player.name or code,
        number=number,
        team=player.team.name or "",
        colour=COLOURS[min(side, 1)],
        kind="player",
    )


def pitch_lines(length: float, width: float) -> list[list[tuple[float, float]]]:
    """The lines of a football pitch around its middle, metres, by the Laws of the Game."""

    def box(deep: float, wide: float, side: int) -> list[tuple[float, float]]:
        goal, inner, half = side * length / 2, side * (length / 2 - deep), wide / 2
        return [(goal, -half), (inner, -half), (inner, half), (goal, half)]

    x, y = length / 2, width / 2
    turn = np.linspace(0, 2 * np.pi, 49)
    lines = [
        [(-x, -y), (x, -y), (x, y), (-x, y), (-x, -y)],
        [(0.0, -y), (0.0, y)],
        [(9.15 * float(np.cos(a)), 9.15 * float(np.sin(a))) for a in turn],
    ]
    for side in (-1, 1):
        lines += [box(16.5, 40.32, side), box(5.5, 18.32, side), box(-2.0, 7.32, side)]
    return lines


IMPORTER = Importer(
    "tracking",
    "football matches in the formats of tracking systems that kloppy reads",
    import_tracking,
    is_tracking,
)
