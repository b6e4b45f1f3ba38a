"""GPX tracks become a session on a map: one file or many, with what receivers get wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from sessions_app.importers.bounds import Bounds
from sessions_app.importers.gpx import IMPORTER, import_gpx
from sessions_app.importers.options import ImportOptions
from sessions_app.importers.result import ImportResult, ImportSourceError, no_progress

LATITUDE, LONGITUDE = 39.4, -0.32
METRE = 180 / np.pi / 6_371_008.8
"""Degrees of latitude."""


def point(second: int, north: float = 0.0, more: str = "", *, time: bool = True) -> str:
    stamp = f"<time>2025-06-21T11:{second // 60:02}:{second % 60:02}Z</time>" if time else ""
    place = f'lat="{LATITUDE + north * METRE:.9f}" lon="{LONGITUDE}"'
    return f"<trkpt {place}>{more}{stamp}</trkpt>"


def document(*points: str, kind: str = "sailing_v2", tracks: int = 1) -> str:
    track = f"<trk><name>Vela</name><type>{kind}</type><trkseg>{''.join(points)}</trkseg></trk>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<gpx creator="test" version="1.1" xmlns="http://www.topografix.com/GPX/1/1" '
        'xmlns:ns3="http://www.garmin.com/xmlschemas/TrackPointExtension/v1">'
        f"{track * tracks}</gpx>"
    )


def steady(seconds: int = 10, speed: float = 2.0) -> list[str]:
    return [point(t, speed * t) for t in range(seconds)]


def imported(source: Path, **options: object) -> ImportResult:
    return import_gpx(source, ImportOptions(**options), no_progress)  # type: ignore[arg-type]


def refusal(source: Path, **options: object) -> str:
    with pytest.raises(ImportSourceError) as caught:
        imported(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_it_works(tmp_path: Path) -> None:
    (tmp_path / "morning.gpx").write_text(document(*steady()))
    result = imported(tmp_path / "morning.gpx")
    assert (result.title, result.kind, result.source) == ("morning", "regatta", "gpx:morning.gpx")
    assert [(e.code, e.name, e.kind) for e in result.entities] == [("morning", "Vela", "boat")]
    assert result.columns.schema.frame_rate == 1.0
    assert np.diff(result.columns.quantities("y")[:, 0]) == pytest.approx([2.0] * 9, abs=0.11)
    assert result.start_time is not None
    assert result.start_time.isoformat() == "2025-06-21T11:00:00+00:00"
    assert result.geometry is not None
    assert result.geometry.origin == pytest.approx((LATITUDE + 9 * METRE, LONGITUDE))


def test_a_folder_is_one_session_of_all_its_tracks(tmp_path: Path) -> None:
    for boat in ("ESP1", "ESP2"):
        text = document(*steady()).encode()
        (tmp_path / f"2025-06-21-{boat}-P01.gpx.gz").write_bytes(gzip.compress(text))
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "both.gpx").write_text(document(*steady(), kind="running", tracks=2))
    result = imported(tmp_path)
    codes = [e.code for e in result.entities]
    assert codes == ["2025-06-21-ESP1-P01", "2025-06-21-ESP2-P01", "both Vela", "both Vela 4"]
    assert IMPORTER.recognises(tmp_path, ImportOptions())
    (tmp_path / "both.gpx").unlink()
    # What all names share tells nothing.
    assert [e.code for e in imported(tmp_path).entities] == ["ESP1", "ESP2"]


def test_speed_is_made_from_positions_where_nobody_measured_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gpx"
    path.write_text(document(*steady(), kind="sailing"))
    result = imported(path)
    assert result.columns.schema["speed"].unit == "kn"
    assert result.columns.quantities("speed")[:, 0] == pytest.approx([3.9] * 10, abs=0.05)
    assert result.report is not None
    assert result.report.estimated == ["speed: from the positions"]
    inner = "<ns3:TrackPointExtension><ns3:speed>{}</ns3:speed></ns3:TrackPointExtension>"
    told = f"<extensions>{inner}</extensions>"
    points = [
        point(t, 2.0 * t).replace("</trkpt>", told.format(5 if t != 3 else "") + "</trkpt>")
        for t in range(10)
    ]
    path.write_text(document(*points, kind="cycling"))
    result = imported(path)
    assert (result.kind, result.columns.schema["speed"].unit) == ("track", "km/h")
    assert result.columns.quantities("speed")[:, 0] == pytest.approx([18.0] * 10)
    assert result.report is not None
    assert result.report.estimated == []


def test_what_receivers_write_for_not_known_is_left_out(tmp_path: Path) -> None:
    points = [point(t, t, f"<ele>{-500 if t < 5 else 12}</ele>") for t in range(10)]
    path = tmp_path / "a.gpx"
    path.write_text(document(*points, point(10, 10.0, time=False)))
    result = imported(path, strict=True)
    elevation = result.columns.quantities("elevation")[:, 0]
    assert np.isnan(elevation[:5]).all()
    assert (elevation[5:] == 12).all()
    assert result.report is not None
    found = {(f["column"], f["done"]): f["count"] for f in result.report.as_dict()["findings"]}
    assert found == {("ele", "value left out"): 5, ("", "row left out"): 1}


def test_a_field_that_nobody_measured_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(document(*steady()))
    names = [f.name for f in imported(tmp_path / "a.gpx").columns.schema.fields]
    assert names == ["x", "y", "speed"]


def test_a_boat_that_is_silent_for_long_was_not_seen(tmp_path: Path) -> None:
    points = [point(t, t) for t in (*range(10), 12, 13, *range(40, 50))]
    (tmp_path / "a.gpx").write_text(document(*points))
    seen = ~np.isnan(imported(tmp_path / "a.gpx").columns.quantities("x")[:, 0])
    assert np.flatnonzero(~seen).tolist() == list(range(14, 40))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<gpx", "a.gpx: Error parsing XML"),
        (document(), "no track with times found"),
        (document(point(0, time=False)), "no track with times found"),
        ('<gpx version="1.1"><trk><trkseg><trkpt/></trkseg></trk></gpx>', "expected GPX"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><gpx/>', "a document type found"),
        ("hello", "no GPX file found"),
    ],
)
def test_what_is_no_track_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "a.gpx").write_text(text)
    assert expected in refusal(tmp_path / "a.gpx", strict=True)
    # A bad file costs itself; here there is no other.
    assert refusal(tmp_path / "a.gpx")


def test_one_bad_file_does_not_cost_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(document(*steady()))
    (tmp_path / "b.gpx").write_text("<gpx")
    result = imported(tmp_path)
    assert [e.code for e in result.entities] == ["a"]
    assert result.report is not None
    assert result.report.as_dict()["files_left_out"] == 1


def test_points_count_as_rows(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(document(*steady()))
    message = refusal(tmp_path / "a.gpx", bounds=Bounds(rows=5), strict=True)
    assert "more than 5 rows" in message


@pytest.mark.realdata
def test_two_real_boats(realdata: Path) -> None:
    folder = realdata / "sailing-gpx"
    if not folder.is_dir():
        pytest.skip(f"no real recording at {folder}")
    result = imported(folder)
    assert [e.code for e in result.entities] == [
        "ESP29375-P01", "ESP29375-P02", "ESP30782-P01", "ESP30782-P02",
    ]  # fmt: skip
    speed = result.columns.quantities("speed")
    assert 2 < np.nanmedian(speed) < 15
    assert np.nanmin(result.columns.quantities("elevation")) > -450
    for boat in range(4):
        seen = ~np.isnan(result.columns.quantities("x")[:, boat])
        assert 30 * 60 < seen.sum() < 45 * 60
