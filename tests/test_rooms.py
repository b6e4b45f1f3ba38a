"""A shared timeline: two workers, one Valkey, messages that get lost."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from streaming.playback.commands import CommandError, CommandId, Pause, Play, Seek, SetSpeed
from streaming.playback.playhead import Playhead
from streaming.redis.clients import RedisClients
from streaming.rooms import store
from streaming.rooms.hub import MAX_WAITING, RoomHub
from streaming.rooms.people import Person
from streaming.rooms.state import RoomState
from streaming.rooms.store import LocalRooms, RedisRooms

FRAMES, RATE = 3000, 25.0
START = Playhead(100.0, 1.0, False)


class Viewer:
    """A member that remembers what it was told, and can wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[Playhead, float, bool, CommandId]] = []
        self.said: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    def follow_room(
        self,
        room: str,
        playhead: Playhead,
        at: float,
        *,
        sought: bool,
        generation: int | None = None,
        id: CommandId = None,
    ) -> None:
        self.told.append((playhead, at, sought, id))
        self._news.set()

    def room_changed(self, message: dict[str, Any]) -> None:
        self.said.append(message)
        self._news.set()

    @property
    def members(self) -> int:
        return int(self.said[-1]["members"]) if self.said else 0

    @property
    def names(self) -> list[str]:
        return [person["name"] for person in self.said[-1]["people"]] if self.said else []

    @property
    def led_by(self) -> tuple[str, str] | None:
        """Name and action."""
        who = self.said[-1]["led_by"] if self.said else None
        return who and (who["name"], who["action"])

    async def until(self, condition: Callable[[Viewer], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition(self):
                self._news.clear()
                await self._news.wait()

    def frame_at(self, now: float) -> float:
        playhead, at, _, _ = self.told[-1]
        return playhead.frame + (now - at) * playhead.speed * RATE * playhead.playing


class LossyLayer:
    """A channel layer between hubs of one loop, which can be told to lose everything."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self.groups: dict[str, set[str]] = {}
        self.losing = False

    async def new_channel(self, prefix: str) -> str:
        name = f"{prefix}{len(self.queues)}"
        self.queues[name] = asyncio.Queue()
        return name

    async def group_add(self, group: str, channel: str) -> None:
        self.groups.setdefault(group, set()).add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if not self.losing:
            for channel in self.groups.get(group, ()):
                self.queues[channel].put_nowait(message)

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.queues[channel].get()


def told_of(room: str) -> Callable[[Viewer], bool]:
    return lambda viewer: bool(viewer.said) and viewer.said[-1]["room"] == room


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine must not look like a wrong clock here.
    monkeypatch.setattr(store, "MAX_CLOCK_READS", 10_000)


@pytest.fixture
async def workers(
    redis_clients: RedisClients,
) -> AsyncIterator[tuple[RoomHub, RoomHub, LossyLayer]]:
    layer = LossyLayer()
    hubs = [RoomHub(RedisRooms(redis_clients), layer) for _ in range(2)]
    for hub in hubs:
        hub.start()
    yield hubs[0], hubs[1], layer
    for hub in hubs:
        await hub.stop()


def command(hub: RoomHub, viewer: Viewer, what: Any, room: str, target: float = 0.0) -> None:
    hub.command("race", room, viewer, what, frame_count=FRAMES, frame_rate=RATE, target=target)


def assert_in_step(*viewers: Viewer) -> None:
    now = asyncio.get_running_loop().time()
    frames = [v.frame_at(now) for v in viewers]
    assert max(frames) - min(frames) < 1.0, frames


async def test_a_command_reaches_the_other_worker(
    workers: tuple[RoomHub, RoomHub, LossyLayer],
) -> None:
    one, two, _ = workers
    ann, bob = Viewer(), Viewer()
    one.join("race", "reach", ann, START)
    await ann.until(lambda v: bool(v.told))
    two.join("race", "reach", bob, Playhead(0.0, 4.0, True))
    await bob.until(lambda v: bool(v.told))
    assert bob.told[0][0] == START, "who joins takes over the room's playhead"

    command(one, ann, Play(2.0, id="p"), "reach")
    await bob.until(lambda v: v.told[-1][0].playing)
    await ann.until(lambda v: any(told[3] == "p" for told in v.told))
    assert all(told[3] is None for told in bob.told), "the answer is for who asked"
    assert bob.told[-1][0].speed == 2.0
    assert_in_step(ann, bob)

    command(two, bob, Seek(frame=1000), "reach", target=1000.0)
    await ann.until(lambda v: v.told[-1][0].frame == 1000.0)
    assert ann.told[-1][2], "a seek is one for everybody"
    assert_in_step(ann, bob)


async def test_a_lost_message_heals_by_itself(
    workers: tuple[RoomHub, RoomHub, LossyLayer],
) -> None:
    one, two, layer = workers
    ann, bob = Viewer(), Viewer()
    one.join("race", "reconcile", ann, START)
    await ann.until(lambda v: bool(v.told))
    two.join("race", "reconcile", bob, START)
    await bob.until(lambda v: bool(v.told))
    layer.losing = True
    command(one, ann, Seek(frame=2000), "reconcile", target=2000.0)
    await bob.until(lambda v: v.told[-1][0].frame == 2000.0)
    assert two.reconciled == 1
    assert_in_step(ann, bob)


async def test_the_room_goes_on_without_its_founder(
    workers: tuple[RoomHub, RoomHub, LossyLayer],
) -> None:
    one, two, _ = workers
    ann, bob, late = Viewer(), Viewer(), Viewer()
    one.join("race", "founder", ann, START)
    await ann.until(lambda v: bool(v.told))
    two.join("race", "founder", bob, START)
    command(one, ann, Play(), "founder")
    await bob.until(lambda v: bool(v.told) and v.told[-1][0].playing)
    one.leave("race", "founder", ann)
    command(two, bob, SetSpeed(4.0), "founder")
    await bob.until(lambda v: v.told[-1][0].speed == 4.0)
    one.join("race", "founder", late, Playhead(0.0, 1.0, False))
    await late.until(lambda v: bool(v.told))
    assert late.told[-1][0].playing
    assert_in_step(bob, late)
    await late.until(lambda v: v.members == 2)


async def test_everybody_knows_who_is_there_and_who_leads(
    workers: tuple[RoomHub, RoomHub, LossyLayer],
) -> None:
    one, two, _ = workers
    ann, bob, anonymous = Viewer(), Viewer(), Viewer()
    one.join("race", "people", ann, START, name="Ann")
    await ann.until(lambda v: v.names == ["Ann"])
    assert ann.led_by is None
    two.join("race", "people", bob, START, name="Bob")
    await ann.until(lambda v: v.names == ["Ann", "Bob"])
    await bob.until(lambda v: v.names == ["Ann", "Bob"])
    two.join("race", "people", anonymous, START)
    await ann.until(lambda v: v.names == ["Ann", "Bob", "viewer 1"])

    command(two, bob, Play(), "people")
    await ann.until(lambda v: v.led_by == ("Bob", "play"))
    command(one, ann, Seek(frame=9), "people", target=9.0)
    await bob.until(lambda v: v.led_by == ("Ann", "seek"))
    assert ann.said[-1]["you"] == ann.said[-1]["led_by"]["id"] != bob.said[-1]["you"]

    two.join("race", "people", bob, START, again=True, name="Robert")
    await ann.until(lambda v: v.names == ["Ann", "Robert", "viewer 1"])
    two.leave("race", "people", anonymous)
    await ann.until(lambda v: v.names == ["Ann", "Robert"])


async def test_in_one_process_names_are_told_as_well() -> None:
    hub = RoomHub(LocalRooms(), None)
    hub.start()
    ann, bob = Viewer(), Viewer()
    hub.join("race", "local", ann, START)
    hub.join("race", "local", bob, START, name="Bob")
    await ann.until(lambda v: v.names == ["viewer 1", "Bob"])
    command(hub, bob, Pause(), "local")
    await ann.until(lambda v: v.led_by == ("Bob", "pause"))
    assert ann.members == 2
    await hub.stop()


async def test_a_crowd_is_counted_but_not_listed() -> None:
    hub = RoomHub(LocalRooms(), None)
    hub.start()
    crowd = [Viewer() for _ in range(70)]
    for viewer in crowd:
        hub.join("race", "crowd", viewer, START)
    last = crowd[-1]
    await last.until(lambda v: v.members == 70)
    assert len(last.names) == 50
    assert last.said[-1]["you"] in {person["id"] for person in last.said[-1]["people"]}
    await hub.stop()


async def test_commands_at_the_same_moment_all_count(
    workers: tuple[RoomHub, RoomHub, LossyLayer],
) -> None:
    one, two, _ = workers
    ann, bob = Viewer(), Viewer()
    one.join("race", "rush", ann, START)
    await ann.until(lambda v: bool(v.told))
    two.join("race", "rush", bob, START)
    await bob.until(lambda v: bool(v.told))
    for i in range(20):
        command(one, ann, Seek(frame=i, id=i), "rush", target=float(i))
        command(two, bob, Seek(frame=500 + i, id=i), "rush", target=500.0 + i)
    for viewer in (ann, bob):
        await viewer.until(lambda v: any(told[3] == 19 for told in v.told))
    await one.reconcile()
    await two.reconcile()
    assert ann.told[-1][0] == bob.told[-1][0]


async def test_the_common_clock_is_read_while_the_worker_is_not_busy(
    redis_clients: RedisClients,
) -> None:
    """A look that takes a second may be off by half of one: another is taken."""
    looks = iter([100.0, 101.0, 101.0, 101.002])
    rooms = RedisRooms(redis_clients, clock=lambda: next(looks))
    before = time.time()
    offset = await rooms.offset()
    assert before - 101.001 - 1e-5 <= offset <= time.time() - 101.001 + 1e-5
    assert next(looks, None) is None


async def test_members_here_go_on_while_the_store_is_away() -> None:
    class Away(LocalRooms):
        async def load(self, keys: Any) -> Any:
            raise OSError("connection refused")

        async def replace(self, key: str, state: RoomState, expected: int) -> bool:
            raise OSError("connection refused")

    hub = RoomHub(Away(), None)
    hub.start()
    ann, bob = Viewer(), Viewer()
    hub.join("race", "away", ann, START)
    hub.join("race", "away", bob, START)
    command(hub, ann, Play(), "away")
    await bob.until(lambda v: bool(v.told) and v.told[-1][0].playing)
    assert_in_step(ann, bob)
    assert hub.store_failures > 0
    await hub.stop()


async def test_who_joins_and_leaves_in_one_packet_is_not_in_the_room() -> None:
    hub = RoomHub(LocalRooms(), None)
    hub.start()
    ann, bob = Viewer(), Viewer()
    for _ in range(10):
        hub.join("race", "packet", ann, START)
        hub.leave("race", "packet", ann)
    hub.join("race", "packet", bob, START)
    await bob.until(lambda v: v.members == 1)
    assert not ann.told
    await hub.stop()


@pytest.mark.parametrize("seed", range(2))
async def test_no_member_stays_behind_whatever_the_order(
    redis_clients: RedisClients, seed: int
) -> None:
    """Random joins, leaves and ends: afterwards there is nobody, here and in the store."""
    rng = random.Random(seed)
    slug = f"ghosts-{seed}-{time.time_ns()}"
    store = RedisRooms(redis_clients)
    hub = RoomHub(store, LossyLayer(), reconcile_seconds=0.01)
    hub.start()
    inside: dict[Viewer, str] = {}
    for _ in range(2000):
        viewer = rng.choice([*inside, Viewer()])
        if viewer in inside and rng.random() < 0.6:
            hub.leave(slug, inside.pop(viewer), viewer)
        else:
            room = rng.choice("abcdef")
            before = inside.get(viewer)
            hub.join(slug, room, viewer, START, again=before == room)
            if before not in (None, room):
                hub.leave(slug, before, viewer)
            inside[viewer] = room
        if rng.random() < 0.05:
            await asyncio.sleep(0)
    for viewer, room in inside.items():
        hub.leave(slug, room, viewer)
    late = Viewer()
    for room in "abcdef":
        hub.join(slug, room, late, START)
        await late.until(told_of(room))
        await late.until(lambda v: v.members == 1)
        hub.leave(slug, room, late)
    await hub.stop()


async def test_a_flood_in_one_room_is_one_turn_for_the_others() -> None:
    class Counting(LocalRooms):
        changes = 0

        async def replace(self, key: str, state: RoomState, expected: int) -> bool:
            self.changes += 1
            await asyncio.sleep(0)
            return await super().replace(key, state, expected)

    store = Counting()
    hub = RoomHub(store, None)
    hub.start()
    flooder, quiet = Viewer(), Viewer()
    hub.join("race", "flood", flooder, START)
    hub.join("race", "quiet", quiet, START)
    await flooder.until(lambda v: v.members == 1)
    await quiet.until(lambda v: v.members == 1)
    before = store.changes
    for i in range(900):
        command(hub, flooder, Seek(frame=i, id=i), "flood", target=float(i))
    command(hub, quiet, Seek(frame=7, id="q"), "quiet", target=7.0)
    await quiet.until(lambda v: v.told[-1][3] == "q")
    assert store.changes - before <= 2
    await flooder.until(lambda v: v.told[-1][3] == 899)
    assert flooder.told[-1][0].frame == 899.0
    assert [told[3] for told in flooder.told[1:]] == list(range(900)), "each has its answer"
    await hub.stop()


async def test_rooms_and_what_waits_for_one_are_bounded() -> None:
    hub = RoomHub(LocalRooms(), None, max_rooms=2)
    ann = Viewer()
    hub.join("race", "one", ann, START)
    hub.join("race", "two", ann, START)
    with pytest.raises(CommandError, match="2 rooms are open"):
        hub.join("race", "three", ann, START)
    for _ in range(MAX_WAITING - 1):
        hub.join("race", "one", ann, START, again=True)
    with pytest.raises(CommandError, match="busy"):
        command(hub, ann, Play(), "one")
    hub.leave("race", "one", ann)


def test_a_pause_keeps_the_frame() -> None:
    playing = RoomState(1, 100.0, 50.0, 2.0, True)
    paused = playing.after(Pause(), 52.0, frame_count=FRAMES, frame_rate=RATE)
    assert (paused.frame, paused.playing, paused.version) == (200.0, False, 2)


def test_a_command_stamped_before_the_last_change_does_not_turn_back_time() -> None:
    state = RoomState(1, 100.0, 50.0, 1.0, True)
    assert state.after(Pause(), 49.9, frame_count=FRAMES, frame_rate=RATE).frame == 100.0


def test_a_state_survives_its_way_between_workers() -> None:
    state = RoomState(7, 12.5, 1.25, -2.0, True, 3, "1a", "Ann", "seek")
    assert RoomState.from_dict(state.as_dict()) == state


class AwayRooms(LocalRooms):
    """A store that two hubs share, and that can be out of reach."""

    away = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("load", "replace", "rosters", "offset", "number") and self.away:
            raise ConnectionError("away")
        return super().__getattribute__(name)


class DeafLayer(LossyLayer):
    """A layer to which nobody can subscribe while it is away."""

    away = False

    async def new_channel(self, prefix: str) -> str:
        if self.away:
            raise ConnectionError("away")
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        if self.away:
            raise ConnectionError("away")
        await super().group_add(group, channel)


async def test_a_room_that_both_workers_changed_without_the_store_is_one_again() -> None:
    store, layer = AwayRooms(), LossyLayer()
    one, two = hubs = [RoomHub(store, layer, reconcile_seconds=3600) for _ in range(2)]
    for hub in hubs:
        hub.start()
    ann, bob = Viewer(), Viewer()
    one.join("race", "split", ann, START)
    await ann.until(lambda v: bool(v.told))
    two.join("race", "split", bob, START)
    await bob.until(lambda v: bool(v.told))
    store.away = layer.losing = True
    command(one, ann, Seek(frame=1000), "split", target=1000.0)
    command(two, bob, Seek(frame=2000), "split", target=2000.0)
    await ann.until(lambda v: v.told[-1][0].frame == 1000.0)
    await bob.until(lambda v: v.told[-1][0].frame == 2000.0)
    store._states.clear()
    store.away = False
    for hub in (one, two, one, two):
        await hub.reconcile()
    assert_in_step(ann, bob)
    for hub in hubs:
        await hub.stop()


async def test_a_worker_that_could_not_subscribe_does_so_later() -> None:
    store, layer = LocalRooms(), DeafLayer()
    one, two = hubs = [RoomHub(store, layer, reconcile_seconds=3600) for _ in range(2)]
    layer.away = True
    one._messages._retry_seconds = 0.0
    for hub in hubs:
        hub.start()
    ann, bob = Viewer(), Viewer()
    one.join("race", "deaf", ann, START)
    await ann.until(lambda v: bool(v.told))
    layer.away = False
    await one.reconcile()
    two.join("race", "deaf", bob, START)
    await bob.until(lambda v: bool(v.told))
    command(two, bob, Seek(frame=1000), "deaf", target=1000.0)
    # Told by a message: nothing is healed in this hour.
    await ann.until(lambda v: v.told[-1][0].frame == 1000.0)
    for hub in hubs:
        await hub.stop()


async def test_what_a_killed_worker_said_leaves_a_living_room(
    valkey: str, redis_clients: RedisClients
) -> None:
    rooms, key = RedisRooms(redis_clients), f"dead-{time.time_ns()}"
    name = f"replay:room-people:{key}"
    async with Redis.from_url(valkey, decode_responses=True) as client:
        await client.hset(name, "killed", json.dumps([0, 1, [["a", "Ann", 0.0]]]))
        roster = (await rooms.rosters("alive", {key: [Person("b", "Bob", 1.0)]}))[key]
        assert roster.count == 1
        assert set(await client.hgetall(name)) == {"alive"}
