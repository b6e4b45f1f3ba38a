"""A recording by latitude and longitude, imported from a table, as a visitor sees it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from .conftest import RunningServer
from .player_page import OpenPage

pytest_plugins = ("tests.player_page",)

ROOT = Path(__file__).parent.parent
MAPPING = """
title: Two boats
kind: sailing
time: {column: t, unit: s}
entity: boat
geometry: {latitude: lat, longitude: lon}
fields: {}
"""


def write_boats(folder: Path) -> Path:
    """Two boats that sail a minute to the north-east, once a second, 100 m apart."""
    path = folder / "boats.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["boat", "t", "lat", "lon"])
        for second in range(61):
            for boat, offset in (("Gull", 0.0), ("Tern", 0.0009)):
                table.writerow([boat, second, 39.4 + second * 3e-5 + offset, -0.32 + second * 3e-5])
    (folder / "boats.yaml").write_text(MAPPING)
    return path


def test_it_works(
    open_page: OpenPage, start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = start_server()
    table = write_boats(tmp_path)
    subprocess.run(
        [
            sys.executable, "manage.py", "import_session", "table", str(table),
            "--mapping", str(tmp_path / "boats.yaml"), "--slug", "boats",
        ],
        cwd=ROOT,
        env={**os.environ, "REPLAY_DATA_DIR": str(server.data_dir), "REDIS_URL": ""},
        check=True,
        capture_output=True,
    )  # fmt: skip
    player = open_page(f"{server.url}/sessions/boats/")
    player.ready()
    rows = player.page.get_by_role("table").get_by_role("rowheader")
    expect(rows).to_have_text(["Gull", "Tern"])
    expect(player.page.get_by_role("columnheader")).to_have_text(["Code"])
    expect(player.page.get_by_role("tab")).to_have_text(["Events", "Telemetry"])
    for absent in ("#lap-fact", "#flag-fact", "#fastest-fact", "#weather"):
        expect(player.page.locator(absent)).to_be_hidden()
    player.page.get_by_label("Speed").select_option("4")
    player.page.keyboard.press("k")
    player.until("r.status === 'playing' && r.frame > 10")
    assert player.problems == []
