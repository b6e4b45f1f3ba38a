"""Football matches through kloppy: each format's small files become players on a pitch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sessions_app.importers.options import ImportOptions
from sessions_app.importers.registry import guess
from sessions_app.importers.report import Report
from sessions_app.importers.result import ImportResult, ImportSourceError, no_progress
from sessions_app.importers.tracking import _pitch, import_tracking, pitch_lines

from .tracking_files import FRAMES, MADE, metrica_csv, second_spectrum


def imported(source: Path, mapping: Path | None = None) -> ImportResult:
    return import_tracking(source, ImportOptions(mapping=mapping), no_progress)


@pytest.mark.parametrize("provider", MADE)
def test_each_format_is_recognised_and_read(tmp_path: Path, provider: str) -> None:
    MADE[provider](tmp_path)
    assert guess(tmp_path, ImportOptions()) == "tracking"
    result = imported(tmp_path)
    assert result.kind == "match"
    assert result.source == f"tracking:{provider}:{tmp_path.name}"
    home, away, ball = result.entities
    assert (home.code[0], away.code[0], ball.code) == ("H", "A", "ball")
    assert home.colour != away.colour
    assert result.geometry is not None
    assert result.geometry.kind == "field"
    assert result.geometry.bounds[2] - result.geometry.bounds[0] in (104.0, 105.0)
    # The home player runs to the right, the away player stands.
    x = result.columns.quantities("x")
    assert np.nanmax(np.abs(np.diff(x[:, 1]))) < 0.011
    assert (np.diff(x[:, 0])[~np.isnan(np.diff(x[:, 0]))] > 0).all()


def test_metres_from_the_middle_of_the_pitch(tmp_path: Path) -> None:
    result = imported(second_spectrum(tmp_path))
    columns = result.columns
    assert [e.code for e in result.entities] == ["H9", "A1", "ball"]
    assert [e.name for e in result.entities] == ["Anna Nine", "Bea One", "ball"]
    assert result.title == "FCA – FCB"
    assert columns.quantities("x")[:, 0] == pytest.approx(np.arange(FRAMES) / 10, abs=0.011)
    assert columns.quantities("y")[0].tolist() == pytest.approx([10.0, 0.0, 0.0], abs=0.011)
    assert columns.quantities("speed")[0].tolist() == [9.0, 0.0, 36.0]
    assert columns.quantities("height")[0, 2] == 1.5
    assert columns.schema.frame_rate == 25.0


def test_periods_follow_each_other(tmp_path: Path) -> None:
    result = imported(metrica_csv(tmp_path))
    assert result.columns.frame_count == 2 * FRAMES
    assert [(e.frame, e.message) for e in result.events] == [(0, "period 1"), (FRAMES, "period 2")]
    # The ball is not seen in the first nine frames; the corner is where kloppy has it.
    assert np.isnan(result.columns.quantities("x")[:9, 2]).all()
    assert result.columns.quantities("x")[0, 1] == 52.5
    assert result.columns.quantities("y")[0, 1] == -34.0


def test_a_pitch_of_unknown_size_is_a_guess(tmp_path: Path) -> None:
    report = Report()
    unknown = SimpleNamespace(metadata=SimpleNamespace(pitch_dimensions=SimpleNamespace()))
    assert _pitch(unknown, report) == (105.0, 68.0)
    assert report.estimated == ["the pitch: 105 by 68 m"]


def test_any_loader_of_kloppys_can_be_named(tmp_path: Path) -> None:
    folder = tmp_path / "match"
    folder.mkdir()
    metrica_csv(folder)
    (folder / "more.csv").write_text((folder / "home.csv").read_text())
    with pytest.raises(ImportSourceError, match="no format found: expected the files of one match"):
        imported(folder)
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "provider: metrica\nloader: load_tracking_csv\n"
        "files: {home_data: home.csv, away_data: away.csv}\narguments: {sample_rate: 0.5}\n"
    )
    assert len(imported(folder, mapping).entities) == 3


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (
            "provider: os\nloader: system\nfiles: {a: home.csv}\n",
            "expected a provider and a loader",
        ),
        ("provider: opta\nloader: load_open_data\nfiles: {a: home.csv}\n", "expected a provider"),
        ("provider: nobody\nfiles: {a: home.csv}\n", "kloppy has no nobody.load"),
        ("provider: tracab\nfiles: {a: ../secret}\n", "expected a file of the source's folder"),
        ("provider: tracab\n", "key files: expected a file for each argument"),
        ("provider: tracab\nfiles: {a: home.csv}\n", "kloppy: TypeError"),
        ("[1", "expected YAML"),
        ("5", "expected provider, loader, files and arguments"),
    ],
)
def test_a_mapping_that_makes_no_sense(tmp_path: Path, mapping: str, expected: str) -> None:
    folder = tmp_path / "match"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    metrica_csv(folder)
    (tmp_path / "m.yaml").write_text(mapping)
    with pytest.raises(ImportSourceError, match=expected) as caught:
        imported(folder, tmp_path / "m.yaml")
    assert "\n" not in str(caught.value)


def outcome(folder: Path) -> str | None:
    """None if it is imported, else why it is refused."""
    try:
        assert imported(folder).columns.frame_count
    except ImportSourceError as error:
        return str(error)
    return None


@pytest.mark.parametrize("provider", MADE)
def test_files_cut_off_are_read_or_refused_in_one_line(tmp_path: Path, provider: str) -> None:
    MADE[provider](tmp_path)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for part in (1, 2, 3):
            path.write_bytes(whole[: len(whole) * part // 4])
            refused = outcome(tmp_path)
            assert refused is None or "\n" not in refused
        path.write_bytes(whole)


def test_entities_of_xml_are_not_followed(tmp_path: Path) -> None:
    MADE["tracab"](tmp_path)
    path = tmp_path / "meta.xml"
    path.write_text(path.read_text().replace("?>", '?><!DOCTYPE a [<!ENTITY b "c">]>', 1))
    with pytest.raises(ImportSourceError, match="a document type found"):
        imported(tmp_path)


def test_the_lines_of_a_pitch() -> None:
    lines = pitch_lines(105.0, 68.0)
    assert lines[0][0] == (-52.5, -34.0)
    assert [(-52.5, -20.16), (-36.0, -20.16), (-36.0, 20.16), (-52.5, 20.16)] in lines
