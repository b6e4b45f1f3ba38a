"""Verdicts provoked on a real server with real clients, seen through the REST API.

What takes a minute to show, a loop with ever more to do, is proven on a clock in
test_callbacks_registry.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from faults.proxy import FaultProxy

from .conftest import RunningServer
from .samples import RACE_SLUG

TOKEN = {"Authorization": "Bearer test-token"}
PATIENCE_S = 40


@asynccontextmanager
async def viewer(
    server: RunningServer, path: str = f"/ws/sessions/{RACE_SLUG}/", **hello: Any
) -> AsyncIterator[tuple[ClientConnection, str]]:
    """A playing client and the id of its connection."""
    url = server.websocket(path)
    async with connect(
        url, subprotocols=[Subprotocol("replay.v1")], max_queue=1, ping_interval=None
    ) as socket:
        await socket.send(json.dumps({"action": "hello", "encoding": "rows", **hello}))
        async for message in socket:
            if isinstance(message, str):
                told = json.loads(message)
                if told["type"] == "welcome":
                    break
        await socket.send(json.dumps({"action": "play", "speed": 1}))
        yield socket, told["connection"]
        # A closing handshake would wait behind frames that nobody reads any more.
        socket.transport.abort()


async def frames(socket: ClientConnection) -> AsyncIterator[int]:
    """The sequence number of each message of data; after the end from the beginning again."""
    async for message in socket:
        if isinstance(message, bytes):
            yield msgpack.unpackb(message, strict_map_key=False)[2]
        elif json.loads(message).get("status") == "ended":
            await socket.send(json.dumps({"action": "seek", "frame": 0}))
            await socket.send(json.dumps({"action": "play"}))


async def acknowledge(socket: ClientConnection, seq: int) -> None:
    await socket.send(json.dumps({"action": "ack", "seq": seq}))


@asynccontextmanager
async def pace(server: RunningServer, fps: float) -> AsyncIterator[AsyncIterator[int]]:
    """Another viewer's frames: the rhythm in which a test looks and its clients act."""
    async with viewer(server, max_fps=fps, fields=["x"]) as (socket, _):

        async def beats() -> AsyncIterator[int]:
            async for seq in frames(socket):
                await acknowledge(socket, seq)
                yield seq

        yield beats()


@asynccontextmanager
async def running(client: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let a client act meanwhile; that it fails or ends by itself fails the test."""
    task = asyncio.create_task(client)
    try:
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def read(socket: ClientConnection, *, most: int = 10**9, pings: int = 0) -> None:
    """Read all, acknowledge at most so many messages, send so many pings with each."""
    seen = 0
    async for seq in frames(socket):
        seen += 1
        if seen <= most:
            await acknowledge(socket, seq)
        for _ in range(pings):
            await socket.send(json.dumps({"action": "ping", "t": 1}))


async def read_and_seek(socket: ClientConnection) -> None:
    """Read and acknowledge all, and go somewhere else with each eighth: what is made ahead of the
    playhead does not help."""
    seen = 0
    async for seq in frames(socket):
        seen += 1
        await acknowledge(socket, seq)
        if seen % 8 == 0:
            await socket.send(json.dumps({"action": "seek", "frame": seen * 37 % 2900}))


async def read_in_step(socket: ClientConnection, beats: AsyncIterator[int]) -> None:
    """Read and acknowledge one message for each beat."""
    async for seq in frames(socket):
        await anext(beats)
        await acknowledge(socket, seq)


async def until(
    server: RunningServer,
    what: str,
    good: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    """A connection's report (or the workers': "report") once it is as wanted; else fails.

    It looks whenever a frame of a viewer of its own arrives, four times a second.
    """
    report: dict[str, Any] = {}
    async with (
        pace(server, 4) as beats,
        httpx.AsyncClient(base_url=server.url, headers=TOKEN) as client,
    ):
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for _ in beats:
                    answer = await client.get(f"/api/connections/{what}", timeout=20)
                    if answer.status_code == 200:
                        report = answer.json()
                        if good(report):
                            return report
        except TimeoutError:
            pass
    raise AssertionError(json.dumps(report, indent=1)[:4_000])


def verdict_is(verdict: str) -> Callable[[dict[str, Any]], bool]:
    return lambda report: report["verdict"] == verdict or verdict in report["diagnosis"]["also"]


def first_verdict_is(verdict: str) -> Callable[[dict[str, Any]], bool]:
    """It is the one whose figures are told; on a busy machine others may hold beside it."""
    return lambda report: bool(report["verdict"] == verdict)


async def test_a_viewer_that_keeps_up_is_measured(server: RunningServer) -> None:
    async with viewer(server, window=16) as (socket, connection), running(read(socket)):
        await socket.send(json.dumps({"action": "ping", "t": 1, "buffer": 2.5, "round_trip": 12.0}))
        report = await until(
            server,
            connection,
            lambda r: r["callbacks"]["writable"]["count"] > 60 and r["round_trip"]["count"] > 30,
        )
    assert report["about"]["session"] == RACE_SLUG
    assert report["about"]["hello"]["window"] == 16
    assert report["client_buffer_s"] == 2.5
    assert report["callbacks"]["connect"]["count"] == 1
    assert report["callbacks"]["receive"]["count"] > 30
    assert report["callbacks"]["tick"]["count"] > 30
    assert report["frames_out"] > 50
    # A busy machine passes over frames, and says so.
    due = report["frames_out"] + sum(report["dropped"].values())
    expected_ns = 40e6 * due / report["frames_out"]
    assert report["callbacks"]["writable"]["interval_mean_ns"] == pytest.approx(
        expected_ns, rel=0.3
    )
    assert report["bytes_out"] > 50 * 1_000


async def test_a_client_that_reads_slowly_is_a_slow_client(server: RunningServer) -> None:
    async with (
        viewer(server, window=4) as (socket, connection),
        pace(server, 2) as beats,
        running(read_in_step(socket, beats)),
    ):
        report = await until(server, connection, verdict_is("slow client"))
    assert report["dropped"].get("no_credit", 0) > 0 or report["credit"] == 0


async def test_a_client_that_stops_acknowledging_is_silent(server: RunningServer) -> None:
    async with viewer(server, window=8) as (socket, connection), running(read(socket, most=20)):
        report = await until(server, connection, verdict_is("silent client"))
    assert report["credit"] == 0
    assert report["unacknowledged_for_ns"] >= 5e9


async def test_a_tab_that_says_so_is_hidden(server: RunningServer) -> None:
    async with viewer(server) as (socket, connection), running(read(socket)):
        await socket.send(json.dumps({"action": "ping", "t": 1, "hidden": True}))
        await until(server, connection, verdict_is("hidden"))
        await socket.send(json.dumps({"action": "ping", "t": 2, "hidden": False}))
        await until(server, connection, lambda r: not verdict_is("hidden")(r))


async def test_a_client_with_too_many_commands_is_flooding(
    start_server: Callable[..., RunningServer],
) -> None:
    # Far from the limit at which it would be closed instead.
    server = start_server(API_TOKENS="test-token", MESSAGES_PER_SECOND="100000")
    async with (
        viewer(server) as (socket, connection),
        running(read(socket, pings=20)),
    ):
        report = await until(server, connection, verdict_is("flooding"))
    assert report["messages_in"] > 100


@pytest.fixture
def troubled(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A server that makes trouble when asked; see tests/troubled_app.py."""
    return start_server(program=("-m", "tests.troubled_app"), API_TOKENS="test-token")


def longest_stall(report: dict[str, Any]) -> dict[str, Any]:
    """Of the only worker."""
    found: dict[str, Any] = report["workers"][0]["longest_stall"] or {"stack": ""}
    return found


async def test_a_handler_that_blocks_for_300_ms_is_a_stalled_loop_and_is_named(
    troubled: RunningServer,
) -> None:
    async with viewer(troubled, window=16) as (socket, connection), running(read(socket)):
        await until(troubled, connection, lambda r: r["callbacks"]["writable"]["count"] > 30)
        async with httpx.AsyncClient(base_url=troubled.url, timeout=20) as client:
            assert (await client.get("/trouble/block")).status_code == 200
        report = await until(troubled, connection, first_verdict_is("stalled loop"))
        await until(
            troubled, connection, lambda r: any(e["kind"] == "verdict" for e in r["events"])
        )
        report_of_workers = await until(
            troubled, "report", lambda r: "troubled_app.py" in longest_stall(r)["stack"]
        )
    assert "event loop" in report["diagnosis"]["figures"]
    stall = longest_stall(report_of_workers)
    assert stall["duration_ms"] >= 250
    assert "time.sleep(seconds)" in stall["stack"]
    troubled.wait_for_line("the event loop was blocked for")


async def test_a_middleware_that_takes_2_ms_a_message_is_a_slow_callback(
    troubled: RunningServer,
) -> None:
    path = f"/ws/sessions/{RACE_SLUG}/?trouble=slow-send"
    async with viewer(troubled, path) as (socket, connection), running(read(socket)):
        slow = first_verdict_is("slow callback")
        report = await until(
            troubled,
            connection,
            lambda r: slow(r) and r["callbacks"]["writable"]["outliers"] >= 100,
        )
        async with viewer(troubled) as (other, spared), running(read(other)):
            told = await until(
                troubled, spared, lambda r: r["callbacks"]["writable"]["count"] > 110
            )
    # A tick sends, too: either may be the worst of the two.
    assert report["diagnosis"]["figures"].startswith(("p99 of writable", "p99 of tick"))
    assert report["callbacks"]["writable"]["p99_ns"] >= 2_000_000
    assert told["callbacks"]["writable"]["p50_ns"] < 2_000_000


async def test_a_slow_redis_starves_viewers(
    start_server: Callable[..., RunningServer], valkey: str, tmp_path: Path
) -> None:
    target = Path(valkey.removeprefix("unix://"))
    async with FaultProxy(target, tmp_path / "slow.sock") as redis:
        server = await asyncio.to_thread(
            start_server, API_TOKENS="test-token", REDIS_URL=f"unix://{tmp_path / 'slow.sock'}"
        )
        client = viewer(server, window=16)
        async with client as (socket, connection), running(read_and_seek(socket)):
            await until(server, connection, lambda r: r["frames_out"] > 20)
            redis.latency = 0.075
            report = await until(server, connection, verdict_is("starved"))
            redis.latency = 0.0
        await asyncio.to_thread(server.stop)
    assert report["store"]["count"] > 0


async def test_operators_commands_reach_the_viewer(server: RunningServer) -> None:
    async with viewer(server) as (socket, connection):
        reader = asyncio.create_task(read(socket))
        await until(server, connection, lambda r: r["frames_out"] > 20)
        async with httpx.AsyncClient(base_url=server.url, headers=TOKEN, timeout=20) as client:
            answer = await client.post(f"/api/connections/{connection}/reset")
            assert answer.json() == {"connection": connection, "done": "reset"}
            answer = await client.post(
                f"/api/connections/{connection}/disconnect",
                json={"code": 4429, "reason": "too much"},
            )
            assert answer.status_code == 200
            await asyncio.wait([reader], timeout=20)
            assert socket.close_code == 4429
            began = time.monotonic()
            while (await client.get(f"/api/connections/{connection}")).status_code != 404:
                assert time.monotonic() < began + PATIENCE_S


async def test_metrics_count_what_the_viewer_got(server: RunningServer) -> None:
    async with viewer(server) as (socket, connection), running(read(socket)):
        await until(server, connection, lambda r: r["frames_out"] > 30)
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            text = (await client.get("/metrics")).text
    values = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")
    )
    assert float(values['replay_sent_frames_total{worker="1"}']) >= 20
    assert float(values['replay_callback_seconds_count{callback="writable",worker="1"}']) >= 20
    assert connection not in text
    assert RACE_SLUG not in text
