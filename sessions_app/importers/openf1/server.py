"""A session straight from an OpenF1 server: its answers are kept as files, then read as a folder.

Each answer is kept when it is whole, so that a download that was cut off goes on where it stopped,
and an import of the same session asks for nothing again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from httpx_retries import Retry, RetryTransport

from ..bounds import Allowance
from ..options import Downloads, ImportOptions
from ..result import ImportResult, ImportSourceError, Progress
from ..tables import parsed_json
from ..text import cleaned, shown
from .race import import_openf1

OF_SESSION = (
    "drivers", "laps", "stints", "position", "race_control", "weather", "session_result",
)  # fmt: skip
OF_CAR = ("location", "car_data")
"""Too long to be asked for in one piece for all cars."""
ATTEMPTS = 6
"""Of one request; with the pauses between them they last about a minute."""
TIMEOUT = 60.0
"""Seconds without a byte of an answer."""
MAX_ANSWER = 200_000_000
"""Bytes; the positions of one car in a whole race are 5 MB."""
_READING = 0.6
"""Of the whole time; a server that allows 30 requests a minute needs longer than the import."""
_NAMES = {
    "r": ("race",), "s": ("sprint",), "q": ("qualifying",),
    "sq": ("sprint qualifying", "sprint shootout"), "ss": ("sprint shootout", "sprint qualifying"),
    "fp1": ("practice 1",), "fp2": ("practice 2",), "fp3": ("practice 3",),
}  # fmt: skip
"""Short forms → what OpenF1 calls such a session."""

Clock = Callable[[], float]
Sleep = Callable[[float], None]


def fetch_openf1(options: ImportOptions, progress: Progress) -> ImportResult:
    """Fetch and read the session that `options.year`, `circuit` or `round`, and `session` name.

    Raises: ImportSourceError if there is no such session, or the server does not give it; what was
        fetched until then is kept.
    """
    if options.downloads is None:
        raise ImportSourceError("no folder for downloads: expected the setting's")
    with Server(options.downloads) as server:
        session = server.session(options)
        folder = server.fetch(session, lambda part, text: progress(part * _READING, text))
    result = import_openf1(
        folder, options, lambda part, text: progress(_READING + part * (1 - _READING), text)
    )
    return replace(result, source=f"openf1:session {session['session_key']}")


@dataclass(slots=True)
class _Pace:
    """So many requests a minute at most: each waits until the one before is long enough ago."""

    seconds: float
    clock: Clock
    sleep: Sleep
    next: float = 0.0

    def wait(self) -> None:
        now = self.clock()
        if self.next > now:
            self.sleep(self.next - now)
        self.next = max(self.next, now) + self.seconds


class Server:
    """An OpenF1 server and the folder of its answers. Use it as a context manager.

    Args:
        downloads: base URL, folder, requests a minute.
        clock, sleep: of the pauses between requests.
    """

    def __init__(
        self, downloads: Downloads, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        self.folder = downloads.folder / "openf1"
        self._pace = _Pace(60.0 / downloads.openf1_per_minute, clock, sleep)
        # It tries again after broken connections and these answers, as Retry-After says.
        retry = Retry(
            total=ATTEMPTS - 1,
            status_forcelist=(429, 500, 502, 503, 504),
            backoff_factor=downloads.backoff,
        )
        self._client = httpx.Client(
            base_url=downloads.openf1_url,
            transport=RetryTransport(retry=retry),
            timeout=TIMEOUT,
            headers={"User-Agent": "replayproject", "Accept": "application/json"},
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def session(self, options: ImportOptions) -> Mapping[str, Any]:
        """What OpenF1 says of the session that the options name.

        Raises: ImportSourceError if none or several are meant; the message says which there are.
        """
        if options.year is None or not (options.circuit or options.round):
            raise ImportSourceError(
                "no year or no circuit given: expected --year 2024 --circuit monaco --session race"
            )
        wanted = (options.session or "race").strip().lower()
        names = _NAMES.get(wanted, (wanted,))
        found = self._records("sessions", {"year": str(options.year)}, Path("sessions"))
        there = [s for s in found if str(s.get("session_name", "")).lower() in names]
        if options.circuit:
            there = [s for s in there if _is_at(s, options.circuit)]
        else:
            there = _of_round(found, there, options.round or 0)
        if len(there) == 1 and isinstance(there[0].get("session_key"), int):
            _require_over(there[0])
            return there[0]
        listed = there or found
        circuits = dict.fromkeys(
            f"{s.get('circuit_short_name')} {s.get('session_name')}" for s in listed
        )
        raise ImportSourceError(
            f"{len(there)} sessions {shown(wanted)} of {options.year} at "
            f"{shown(options.circuit or f'round {options.round}')} found: expected one of "
            f"{cleaned(', '.join(list(circuits)[:20]), 200) or 'none'}"
        )

    def fetch(self, session: Mapping[str, Any], progress: Progress) -> Path:
        """Fetch all tables of a session. Returns: their folder."""
        key = int(session["session_key"])
        folder = self.folder / str(key)
        _keep(folder / "sessions.json", json.dumps([session]).encode())
        of_session = {"session_key": str(key)}
        drivers = self._records("drivers", of_session, folder / "drivers")
        numbers = sorted(
            {d["driver_number"] for d in drivers if isinstance(d.get("driver_number"), int)}
        )
        wanted = [(name, of_session, folder / name) for name in OF_SESSION]
        for number in numbers:
            own = {**of_session, "driver_number": str(number)}
            wanted += [(name, own, folder / f"{name}_driver_{number}") for name in OF_CAR]
        for done, (name, query, place) in enumerate(wanted):
            progress(done / len(wanted), f"fetching {place.name}")
            self._answer(name, query, place)
        return folder

    def _records(
        self, name: str, query: Mapping[str, str], place: Path
    ) -> Sequence[Mapping[str, Any]]:
        path = self._answer(name, query, place)
        data = parsed_json(Allowance().read(path, MAX_ANSWER), path, "a JSON list of records")
        if not isinstance(data, list) or not all(isinstance(record, dict) for record in data):
            raise ImportSourceError("no list of records found: expected OpenF1's answer", file=path)
        return data

    def _answer(self, name: str, query: Mapping[str, str], place: Path) -> Path:
        """The file of an answer, fetched unless it is there."""
        # What a year's calendar says changes; what a session that is over says does not.
        fresh = place == Path("sessions")
        path = (self.folder / f"{place}_{query['year']}" if fresh else place).with_suffix(".json")
        if path.is_file() and not fresh:
            return path
        where = f"{self._client.base_url}{name}?{httpx.QueryParams(query)}"
        try:
            status, data = self._got(name, query, where)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if fresh and path.is_file():
                return path
            raise ImportSourceError(
                f"{where}: {error or type(error).__name__}: expected an OpenF1 server (OPENF1_URL)"
            ) from error
        if status == httpx.codes.NOT_FOUND:
            # So it says that a table has no rows.
            data = bytearray(b"[]")
        elif status != httpx.codes.OK:
            raise ImportSourceError(
                f"{where}: status {status} found: expected 200; what was fetched is "
                "kept, the same command goes on from there"
            )
        if data.lstrip()[:1] != b"[":
            raise ImportSourceError(
                f"{where}: {shown(bytes(data[:40]).decode('utf-8', 'replace'))} found: expected a "
                "JSON list"
            )
        _keep(path, data)
        return path

    def _got(self, name: str, query: Mapping[str, str], where: str) -> tuple[int, bytearray]:
        """Status and body. A body that is cut off is asked for again: the transport, which tries
        again by itself, knows an answer by its head only."""
        for left in reversed(range(ATTEMPTS)):
            self._pace.wait()
            data = bytearray()
            try:
                with self._client.stream("GET", name, params=query) as response:
                    for block in response.iter_bytes():
                        data += block
                        if len(data) > MAX_ANSWER:
                            raise ImportSourceError(
                                f"{where}: more than {MAX_ANSWER:,} bytes found: expected fewer"
                            )
                return response.status_code, data
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout):
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")


def _keep(path: Path, data: bytes | bytearray) -> None:
    """Write a file so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def _require_over(session: Mapping[str, Any]) -> None:
    """What is kept of a session that goes on would be half of it. Raises: ImportSourceError."""
    try:
        end = datetime.fromisoformat(str(session.get("date_end")))
    except ValueError:
        return
    if end.tzinfo is not None and end > datetime.now(UTC):
        raise ImportSourceError(f"the session ends at {end.isoformat()}: expected one that is over")


def _is_at(session: Mapping[str, Any], circuit: str) -> bool:
    """Whether people would call its place so."""
    wanted = _plain(circuit)
    names = ("circuit_short_name", "location", "country_name", "circuit_key", "country_code")
    return any(wanted == _plain(str(session.get(name, ""))) for name in names)


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _of_round(
    every: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]], number: int
) -> list[Mapping[str, Any]]:
    """The sessions of one round; OpenF1 numbers none, so races are counted by their dates."""
    races = sorted(
        (s for s in every if s.get("session_name") == "Race"),
        key=lambda s: str(s.get("date_start")),
    )
    meetings = [s.get("meeting_key") for s in races]
    if not 0 < number <= len(meetings):
        return []
    return [s for s in there if s.get("meeting_key") == meetings[number - 1]]
