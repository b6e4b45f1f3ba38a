"""A session straight from an OpenF1 server, which is slow, fails, and says 429."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sessions_app.importers.openf1 import IMPORTER
from sessions_app.importers.openf1.server import OF_SESSION, Server
from sessions_app.importers.options import Downloads, ImportOptions
from sessions_app.importers.registry import run_importer
from sessions_app.importers.result import ImportResult, ImportSourceError, no_progress

from .openf1_folder import RaceFolder

Rows = Callable[[str, dict[str, str]], list[dict[str, Any]] | None]
SESSION = {
    "session_key": 7, "meeting_key": 3, "session_name": "Race", "session_type": "Race",
    "date_start": "2024-06-01T00:00:00+00:00", "date_end": "2024-06-01T01:00:00+00:00",
    "circuit_short_name": "Monte Carlo", "location": "Monaco", "country_name": "Monaco",
    "circuit_key": 22, "year": 2024,
}  # fmt: skip


@dataclass
class Service:
    """An OpenF1 server. troubles: what to do instead of an answer, in order, by table."""

    rows: Rows
    url: str = ""
    asked: list[str] = field(default_factory=list)
    troubles: dict[str, list[Any]] = field(default_factory=dict)


@contextmanager
def serving(rows: Rows) -> Iterator[Service]:
    service = Service(rows)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            table = parts.path.rpartition("/")[2]
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            service.asked.append(" ".join([table, *query.values()]))
            waiting = service.troubles.get(table)
            trouble = waiting.pop(0) if waiting else None
            found = service.rows(table, query)
            status, body = (404, b'{"detail": "No results found."}')
            if found is not None:
                status, body = (200, json.dumps(found).encode())
            if isinstance(trouble, tuple):
                status, headers = trouble
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if trouble == "cut off":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            # A slow line: it comes in pieces.
            for start in range(0, len(body), 4096):
                self.wfile.write(body[start : start + 4096])
                self.wfile.flush()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/v1/"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def small_race(table: str, query: dict[str, str]) -> list[dict[str, Any]] | None:
    race = RaceFolder()
    drivers = [{"driver_number": n, "name_acronym": f"D{n}"} for n in race.numbers]
    if table == "sessions":
        qualifying = {**SESSION, "session_key": 6, "session_name": "Qualifying"}
        return [qualifying, SESSION] if query["year"] == "2024" else []
    assert query["session_key"] == "7"
    if table in ("location", "car_data"):
        rows: list[dict[str, Any]] = getattr(race, table)[int(query["driver_number"])]
        return rows
    return {"drivers": drivers, "laps": race.laps, "stints": race.stints}.get(table)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(small_race) as running:
        yield running


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited for between attempts; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr("httpx_retries.retry.time.sleep", waited.append)
    return waited


def options(service: Service, folder: Path, **more: Any) -> ImportOptions:
    downloads = Downloads(folder, service.url, openf1_per_minute=1e9)
    wanted = {"year": 2024, "circuit": "monaco", "session": "R", **more}
    return ImportOptions(downloads=downloads, **wanted)


def fetched(service: Service, folder: Path, **more: Any) -> ImportResult:
    return run_importer("openf1", None, options(service, folder, **more))


def refusal(service: Service, folder: Path, **more: Any) -> str:
    with pytest.raises(ImportSourceError) as caught:
        fetched(service, folder, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_it_works(service: Service, tmp_path: Path) -> None:
    told: list[str] = []
    assert IMPORTER.fetch is not None
    result = IMPORTER.fetch(options(service, tmp_path), lambda _part, text: told.append(text))
    assert (result.title, result.kind) == ("Monte Carlo 2024", "race")
    assert result.source == "openf1:session 7"
    assert [e.code for e in result.entities] == ["D1", "D44", "D77"]
    assert len(result.laps) == 12
    assert "fetching location_driver_44" in told
    assert len(service.asked) == 1 + len(OF_SESSION) + 2 * 3


def test_what_was_fetched_is_not_asked_for_again(service: Service, tmp_path: Path) -> None:
    fetched(service, tmp_path)
    before = len(service.asked)
    fetched(service, tmp_path)
    # But what sessions there are, which changes.
    assert service.asked[before:] == ["sessions 2024"]


def test_it_goes_on_where_it_stopped(service: Service, tmp_path: Path, pauses: list[float]) -> None:
    service.troubles["car_data"] = [(503, {})] * 6
    message = refusal(service, tmp_path)
    assert "car_data?session_key=7&driver_number=1: status 503 found" in message
    assert "the same command goes on from there" in message
    before = len(service.asked)
    assert len(fetched(service, tmp_path).entities) == 3
    assert service.asked[before:][:2] == ["sessions 2024", "car_data 7 1"]
    assert not list(tmp_path.rglob("*.part"))


def test_it_tries_again_and_waits_as_long_as_it_is_told(
    service: Service, tmp_path: Path, pauses: list[float]
) -> None:
    service.troubles["laps"] = [(429, {"Retry-After": "17"}), (500, {}), (502, {})]
    service.troubles["location"] = ["cut off"]
    assert len(fetched(service, tmp_path).laps) == 12
    assert 17.0 in pauses
    assert service.asked.count("laps 7") == 4
    assert service.asked.count("location 7 1") == 2


def test_requests_are_as_far_apart_as_the_server_allows(service: Service, tmp_path: Path) -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    downloads = Downloads(tmp_path, service.url, openf1_per_minute=30)
    with Server(downloads, clock=lambda: now[0], sleep=sleep) as server:
        session = server.session(ImportOptions(year=2024, circuit="Monte-Carlo"))
        server.fetch(session, no_progress)
    assert slept == [2.0] * (len(service.asked) - 1)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"circuit": "spa"}, "0 sessions 'r' of 2024 at 'spa' found: expected one of"),
        ({"session": "FP2"}, "expected one of Monte Carlo Qualifying, Monte Carlo Race"),
        ({"year": 2031}, "found: expected one of none"),
        ({"year": None}, "expected --year 2024 --circuit monaco"),
        ({"circuit": ""}, "expected --year 2024 --circuit monaco"),
    ],
)
def test_a_session_that_is_not_there(
    service: Service, tmp_path: Path, wanted: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(service, tmp_path, **wanted)


def test_rounds_are_counted_by_their_races(service: Service, tmp_path: Path) -> None:
    with Server(options(service, tmp_path).downloads or Downloads(tmp_path)) as server:
        found = server.session(ImportOptions(year=2024, round=1, session="qualifying"))
        assert found["session_key"] == 6
        with pytest.raises(ImportSourceError, match="at 'round 2' found"):
            server.session(ImportOptions(year=2024, round=2))


def test_a_server_that_is_none(service: Service, tmp_path: Path, pauses: list[float]) -> None:
    service.rows = lambda table, query: {"error": "go away"}  # type: ignore[assignment,return-value]
    assert "found: expected a JSON list" in refusal(service, tmp_path)
    downloads = Downloads(tmp_path, "http://127.0.0.1:1/", openf1_per_minute=1e9)
    with pytest.raises(ImportSourceError, match="expected an OpenF1 server"):
        run_importer("openf1", None, ImportOptions(year=2024, circuit="x", downloads=downloads))


def test_a_session_that_goes_on_is_not_kept_half(service: Service, tmp_path: Path) -> None:
    going_on = {**SESSION, "date_end": "2999-01-01T00:00:00+00:00"}
    service.rows = lambda table, query: [going_on]
    assert "expected one that is over" in refusal(service, tmp_path)


@pytest.mark.realdata
def test_real_answers(realdata: Path, tmp_path: Path) -> None:
    folder = realdata / "openf1-json"
    if not (folder / "canada-2cars").is_dir():
        pytest.skip(f"no real recording at {folder}")

    def answer(table: str, query: dict[str, str]) -> list[dict[str, Any]] | None:
        if table == "sessions":
            [session] = json.loads((folder / "SessionResponse.json").read_text())
            return [{**session, "session_key": 9531, "location": "Montréal"}]
        if table == "drivers":
            [one, *_] = json.loads((folder / "DriversResponse.json").read_text())
            return [one, {**one, "driver_number": 63, "name_acronym": "RUS"}]
        if table == "position":
            rows = json.loads((folder / "PositionsFullResponse.json").read_text())
            return list(rows)
        cars = [query["driver_number"]] if "driver_number" in query else ["1", "63"]
        found: list[dict[str, Any]] = []
        for number in cars:
            path = folder / "canada-2cars" / f"driver_number={number}" / f"{table}.json"
            packed = path.with_suffix(".json.gz")
            if packed.is_file():
                found += json.loads(gzip.decompress(packed.read_bytes()))
            elif path.is_file():
                found += json.loads(path.read_text())
        return found or None

    with serving(answer) as service:
        service.troubles["location"] = ["cut off"]
        result = fetched(service, tmp_path, circuit="silverstone")
    assert [e.code for e in result.entities] == ["VER", "RUS"]
    assert len(result.laps) >= 130
    assert result.report is not None
    assert result.report.as_dict()["rows_read"] > 10_000
