"""Frames, segments and the recording file over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack
import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from sessions_app.models import Session
from sessions_app.recording import decode_segment
from sessions_app.recording.file import Recording
from streaming.api.byte_ranges import Unsatisfiable, requested_range
from streaming.worker import Worker

from .small_race import CODES, FRAMES, store_small_race

IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture
def race(db: None) -> Session:
    return store_small_race()


@pytest.fixture
def recording(race: Session) -> Iterator[Recording]:
    with Recording(race.recording_path) as opened:
        yield opened


class TestFrames:
    def test_frames_as_json(self, client: Client, race: Session) -> None:
        answer = client.get("/api/sessions/small/frames", {"from": 500, "to": 503}).json()
        assert (answer["from"], answer["to"], answer["stride"]) == (500, 503, 1)
        assert [f["frame_index"] for f in answer["frames"]] == [500, 501, 502]
        first = answer["frames"][0]
        assert first["t"] == 20.0
        assert list(first["drivers"]) == list(CODES)
        assert first["drivers"]["AAA"]["race_progress"] == 1.0
        assert first["drivers"]["AAA"]["speed"] == 180

    def test_msgpack_holds_the_same(self, client: Client, race: Session) -> None:
        query = {"from": 100, "to": 200, "stride": 4}
        as_json = client.get("/api/sessions/small/frames", query)
        packed = client.get(
            "/api/sessions/small/frames", query, headers={"Accept": "application/x-msgpack"}
        )
        assert packed["Content-Type"] == "application/msgpack"
        assert msgpack.unpackb(packed.content) == as_json.json()
        assert len(as_json.json()["frames"]) == 25
        assert "Accept" in as_json["Vary"].split(", ")
        assert packed["ETag"] != as_json["ETag"]

    def test_the_end_cuts_the_range(self, client: Client, race: Session) -> None:
        query = {"from": FRAMES - 3, "to": FRAMES + 500}
        answer = client.get("/api/sessions/small/frames", query).json()
        assert [f["frame_index"] for f in answer["frames"]] == [1497, 1498, 1499]
        assert answer["to"] == FRAMES

    def test_a_hundred_by_default_a_thousand_at_most(self, client: Client, race: Session) -> None:
        assert len(client.get("/api/sessions/small/frames").json()["frames"]) == 100
        most = client.get("/api/sessions/small/frames?from=3&to=1003").json()["frames"]
        assert [f["frame_index"] for f in most] == list(range(3, 1003))
        too_many = client.get("/api/sessions/small/frames?from=3&to=1004")
        assert too_many.status_code == 422
        assert "1000" in too_many.json()["message"]
        spread = client.get("/api/sessions/small/frames?from=0&to=1500&stride=2").json()["frames"]
        assert [f["frame_index"] for f in spread] == list(range(0, 1500, 2))

    def test_chosen_fields_and_entities(self, client: Client, race: Session) -> None:
        query = {"to": "1", "fields": "x,speed", "entities": "BBB"}
        frame = client.get("/api/sessions/small/frames", query).json()["frames"][0]
        assert set(frame["drivers"]) == {"BBB"}
        assert set(frame["drivers"]["BBB"]) == {"x", "speed"}

    @pytest.mark.parametrize(
        ("query", "status", "named"),
        [
            ("stride=3", 422, "[1, 2, 4"),
            ("stride=0", 422, "stride"),
            ("from=5&to=5", 422, "more than from (5)"),
            ("from=1500", 404, "0 to 1499"),
            ("from=-1", 422, "from"),
            ("fields=spede", 422, "'spede'"),
            ("entities=ZZZ", 422, "'ZZZ'"),
        ],
    )
    def test_what_cannot_be(
        self, client: Client, race: Session, query: str, status: int, named: str
    ) -> None:
        response = client.get(f"/api/sessions/small/frames?{query}")
        assert response.status_code == status
        assert named in response.json()["message"]

    def test_other_types_are_406(self, client: Client, race: Session) -> None:
        response = client.get("/api/sessions/small/frames", headers={"Accept": "image/png"})
        assert response.status_code == 406

    def test_unchanged_is_304_and_nothing_is_opened(
        self, client: Client, worker: Worker, race: Session
    ) -> None:
        first = client.get("/api/sessions/small/frames?to=5")
        worker.frames.files.close()
        race.recording_path.unlink()
        again = client.get(
            "/api/sessions/small/frames?to=5", headers={"If-None-Match": first["ETag"]}
        )
        assert again.status_code == 304
        assert again.content == b""

    def test_session_still_loading(self, client: Client, db: None) -> None:
        Session.objects.create(slug="small", title="S", state="importing", progress=30)
        response = client.get("/api/sessions/small/frames")
        assert (response.status_code, response.json()["code"]) == (404, "not_ready")
        assert "30 %" in response.json()["message"]


class TestSegments:
    def test_bytes_of_the_file(self, client: Client, race: Session, recording: Recording) -> None:
        response = client.get(f"/api/sessions/small/{race.version}/segments/1/7")
        assert response.content == recording.segment(7)
        assert response["Content-Type"] == "application/octet-stream"
        assert response["Cache-Control"] == IMMUTABLE
        assert not response.has_header("Content-Encoding")

    @pytest.mark.parametrize("stride", [2, 16, 64])
    def test_strides(
        self, client: Client, race: Session, recording: Recording, stride: int
    ) -> None:
        response = client.get(f"/api/sessions/small/{race.version}/segments/{stride}/0")
        header, columns = decode_segment(response.content, recording.schema)
        assert (header.stride, header.first_frame) == (stride, 0)
        frames = min(25, -(-FRAMES // stride))
        expected = recording.columns(0, FRAMES).slice(0, frames * stride, stride)
        assert (columns.values["progress"] == expected.values["progress"]).all()

    def test_no_gzip_on_what_is_deflated(self, client: Client, race: Session) -> None:
        response = client.get(
            f"/api/sessions/small/{race.version}/segments/1/0", headers={"Accept-Encoding": "gzip"}
        )
        assert not response.has_header("Content-Encoding")

    def test_unchanged_is_304(self, client: Client, race: Session) -> None:
        path = f"/api/sessions/small/{race.version}/segments/1/0"
        tag = client.get(path)["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304

    @pytest.mark.parametrize("place", ["1/60", "1/99999999999999999999", "3/0", "64/1"])
    def test_no_such_segment(self, client: Client, race: Session, place: str) -> None:
        response = client.get(f"/api/sessions/small/{race.version}/segments/{place}")
        assert response.status_code == 404
        assert response["Cache-Control"] == "no-store"

    def test_old_version_says_which_is_current(self, client: Client, race: Session) -> None:
        response = client.get("/api/sessions/small/0123456789abcdef/segments/1/0")
        assert (response.status_code, response.json()["code"]) == (404, "version_gone")
        assert race.version in response.json()["message"]

    def test_new_version_is_served_at_once(self, client: Client, race: Session) -> None:
        """What the process remembers of the session is a second old at most, but not wrong."""
        client.get("/api/sessions/small/frames?to=1")
        Session.objects.filter(pk=race.pk).update(version="feedfeedfeedfeed")
        response = client.get("/api/sessions/small/feedfeedfeedfeed/segments/1/0")
        # The file's own version says otherwise: better an error than another session's frames.
        assert (response.status_code, response.json()["code"]) == (503, "recording_unavailable")

    def test_not_public_is_private_to_the_browser(self, client: Client, race: Session) -> None:
        Session.objects.filter(pk=race.pk).update(access="login")
        path = f"/api/sessions/small/{race.version}/segments/1/0"
        assert client.get(path).status_code == 401
        client.force_login(User.objects.create_user("someone"))
        response = client.get(path)
        assert response["Cache-Control"] == "private, no-cache"
        assert "Cookie" in response["Vary"]


@pytest.mark.django_db(transaction=True)
class TestRecording:
    @staticmethod
    async def body(response) -> bytes:
        return b"".join([chunk async for chunk in response.streaming_content])

    async def get(self, client: AsyncClient, race: Session, **headers: str):
        path = f"/api/sessions/small/{race.version}/recording"
        return await client.get(path, headers=headers)

    async def test_the_whole_file(self, async_client: AsyncClient, race: Session) -> None:
        response = await self.get(async_client, race)
        content = race.recording_path.read_bytes()
        assert response.status_code == 200
        assert await self.body(response) == content
        assert response["Content-Length"] == str(len(content))
        assert response["Accept-Ranges"] == "bytes"
        assert response["Cache-Control"] == IMMUTABLE

    async def test_a_part(self, async_client: AsyncClient, race: Session) -> None:
        content = race.recording_path.read_bytes()
        response = await self.get(async_client, race, Range="bytes=100-1099")
        assert response.status_code == 206
        assert response["Content-Range"] == f"bytes 100-1099/{len(content)}"
        assert await self.body(response) == content[100:1100]

    async def test_an_outdated_part_is_not_mixed_in(
        self, async_client: AsyncClient, race: Session
    ) -> None:
        fitting = await self.get(
            async_client, race, **{"Range": "bytes=0-9", "If-Range": f'"{race.version}"'}
        )
        assert fitting.status_code == 206
        fitting.close()
        other = await self.get(async_client, race, **{"Range": "bytes=0-9", "If-Range": '"old"'})
        assert other.status_code == 200
        other.close()

    async def test_behind_the_end(self, async_client: AsyncClient, race: Session) -> None:
        size = race.recording_path.stat().st_size
        response = await self.get(async_client, race, Range=f"bytes={size}-")
        assert response.status_code == 416
        assert response["Content-Range"] == f"bytes */{size}"

    async def test_head(self, async_client: AsyncClient, race: Session) -> None:
        response = await async_client.head(f"/api/sessions/small/{race.version}/recording")
        assert response["Content-Length"] == str(race.recording_path.stat().st_size)
        assert response.content == b""

    async def test_missing_file_is_503(self, async_client: AsyncClient, race: Session) -> None:
        race.recording_path.unlink()
        response = await self.get(async_client, race)
        assert response.status_code == 503


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-", (0, 1000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=990-2000", (990, 1000)),
        ("bytes=-10", (990, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("Bytes = 1-2", (1, 3)),
        (f"bytes=1-{'9' * 5000}", (1, 1000)),
        (f"bytes=-{'9' * 5000}", (0, 1000)),
        (f"bytes={'0' * 5000}1-1", (1, 2)),
        ("bytes=0-1,5-6", None),
        ("bytes=9-3", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=1-2", None),
    ],
)
def test_requested_range(header: str, expected: tuple[int, int] | None) -> None:
    assert requested_range(header, 1000) == expected


@pytest.mark.parametrize(
    "header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", f"bytes={'9' * 5000}-"]
)
def test_range_behind_the_end(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        requested_range(header, 1000)
