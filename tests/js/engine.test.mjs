// The engine's dealings with the server, over a link that the test holds in its hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Engine } from "../../streaming/static/streaming/engine/engine.js";

const SCHEMA = {
  fields: [{ name: "x", unit: "dm", scale: 1, kind: "cubic", scope: "entity" }],
  entities: ["A"],
};

function started({ generation = 0, frames = 1000, state = "ready" } = {}) {
  let receive;
  const orders = [];
  const clock = { now: 0 };
  const engine = new Engine({
    url: "ws://test/",
    segmentsPath: (version) => `/${version}/`,
    now: () => clock.now,
    link: (listener) => {
      receive = listener;
      return (order) => orders.push(order);
    },
  });
  const control = (message) => receive({ type: "control", message });
  const welcome = (fields = {}) =>
    control({
      type: "welcome",
      generation,
      segment_frames: 25,
      schema: SCHEMA,
      session: { version: "v1", frame_rate: 25, frame_count: frames, state },
      ...fields,
    });
  const segment = (index, { seq = index + 1, gen = 0, stride = 1 } = {}) =>
    receive({
      type: "segment",
      seq,
      generation: gen,
      bytes: 100,
      decoding: 0.1,
      segment: {
        first: index * 25 * stride,
        stride,
        count: 25,
        data: Int32Array.from({ length: 25 }, (_, i) => index * 25 + i),
      },
    });
  const sent = () => orders.filter((o) => o.type === "send").map((o) => o.message);
  const tick = (milliseconds) => {
    clock.now += milliseconds;
    return engine.tick(clock.now);
  };
  return { engine, orders, control, welcome, segment, sent, tick, receive, clock };
}

test("it says hello and becomes ready to play", () => {
  const { engine, orders, welcome, segment, tick } = started();
  assert.deepEqual(orders[0].hello, { encoding: "segments", window: 8, lead: 12 });
  assert.equal(engine.status, "connecting");
  welcome();
  tick(0);
  assert.equal(engine.status, "buffering");
  segment(0);
  tick(16);
  assert.equal(engine.status, "paused");
});

test("it plays what it holds and says so when that runs out", () => {
  const { engine, welcome, segment, tick } = started();
  welcome();
  segment(0);
  segment(1);
  engine.play();
  for (let i = 0; i < 60; i++) tick(16);
  assert.equal(engine.status, "playing");
  assert.ok(Math.abs(engine.frame - 24) < 1);
  for (let i = 0; i < 100; i++) tick(16);
  assert.equal(engine.status, "buffering");
  assert.equal(engine.frame, 50);
  segment(2);
  tick(16);
  assert.equal(engine.status, "playing");
});

test("a seek raises the generation and shows the place at once", () => {
  const { engine, orders, welcome, sent } = started();
  welcome();
  engine.seek(500.4);
  engine.seek(700);
  assert.equal(engine.frame, 700);
  assert.equal(engine.generation, 2);
  assert.deepEqual(
    sent()
      .filter((m) => m.action === "seek")
      .map(({ frame, generation }) => [frame, generation]),
    [
      [500, 1],
      [700, 2],
    ],
  );
  assert.ok(orders.some((o) => o.type === "generation" && o.generation === 2));
});

test("an answer to an earlier command changes nothing", () => {
  const { engine, welcome, control } = started();
  welcome();
  engine.play();
  const playId = engine.conversation.commands;
  engine.pause();
  control({ type: "state", status: "playing", frame: 0, speed: 1, generation: 0, id: playId });
  assert.equal(engine.playing, false);
});

test("what others in the room do is done here", () => {
  const { engine, welcome, control } = started();
  welcome();
  engine.join("r");
  control({
    type: "state",
    status: "paused",
    frame: 0,
    speed: 1,
    generation: 0,
    room: "r",
    id: engine.conversation.commands,
  });
  control({ type: "state", status: "playing", frame: 800, speed: 2, generation: 7, room: "r" });
  assert.equal(engine.generation, 7);
  assert.equal(engine.frame, 800);
  assert.equal(engine.speed, 2);
  assert.equal(engine.playing, true);
});

test("credit is given for what came, not while the page is hidden", () => {
  const { engine, welcome, segment, sent } = started();
  welcome();
  const acks = () =>
    sent()
      .filter((m) => m.action === "ack")
      .map((m) => m.seq);
  segment(0);
  assert.deepEqual(acks(), [1]);
  engine.setVisible(false);
  segment(1);
  segment(2);
  assert.deepEqual(acks(), [1]);
  engine.setVisible(true);
  assert.deepEqual(acks(), [1, 3]);
});

test("after a lost connection it goes on from where it is", () => {
  const { engine, welcome, segment, sent, receive, tick } = started();
  welcome();
  for (let i = 0; i < 4; i++) segment(i);
  engine.setSpeed(0.5);
  engine.play();
  for (let i = 0; i < 60; i++) tick(16);
  receive({ type: "lost", code: 1006, message: "gone", delay: 100 });
  tick(16);
  assert.equal(engine.status, "reconnecting");
  const at = engine.frame;
  const before = sent().length;
  welcome();
  const after = sent()
    .slice(before)
    .filter((m) => m.action !== "ack");
  assert.deepEqual(
    after.map((m) => m.action),
    ["seek", "speed", "play"],
  );
  assert.equal(after[0].frame, Math.round(at));
  assert.equal(after[1].speed, 0.5);
  tick(16);
  assert.equal(engine.status, "playing");
});

/** A viewer of a room, playing at frame 100, who was away for so long. */
function returned(seconds, fields) {
  const it = started({ frames: 20000 });
  const { engine, welcome, control, receive, sent, tick } = it;
  welcome();
  engine.join("r");
  const playing = { type: "state", status: "playing", speed: 1, room: "r" };
  control({ ...playing, frame: 100, generation: 4, id: engine.conversation.commands });
  receive({ type: "lost", code: 1006, message: "gone", delay: 100 });
  for (let i = 0; i < seconds; i++) tick(1000);
  const before = sent().length;
  welcome({ generation: 4, ...fields });
  const said = () =>
    sent()
      .slice(before)
      .filter((m) => m.action !== "ack");
  return { ...it, said };
}

for (const seconds of [25, 120, 600]) {
  test(`it takes over the place of its room after ${seconds} s`, () => {
    const { engine, control, said } = returned(seconds, { resumed: true, room: "r" });
    assert.deepEqual(
      said().map((m) => m.action),
      ["join"],
    );
    const paused = { type: "state", status: "paused", speed: 2, generation: 4, room: "r" };
    // Where it was, and then where the room is.
    control({ ...paused, frame: 9000 });
    control({ ...paused, frame: 150, id: engine.conversation.commands });
    assert.deepEqual(
      [engine.frame, engine.playing, engine.speed, engine.room],
      [150, false, 2, "r"],
    );
    assert.equal(said().length, 1);
  });

  test(`it moves no room that it is not in, after ${seconds} s`, () => {
    const { said } = returned(seconds, { generation: 0, resumed: false });
    assert.deepEqual(
      said().map((m) => m.action),
      ["seek", "speed", "play", "join"],
    );
  });
}

test("a playing room's place is taken over at once, not approached", () => {
  const { engine, control } = returned(25, { resumed: true, room: "r" });
  control({
    type: "state",
    status: "playing",
    frame: 130,
    speed: 1,
    generation: 4,
    room: "r",
    id: engine.conversation.commands,
  });
  assert.deepEqual([engine.frame, engine.playing], [130, true]);
});

test("a room that was left is left again before anything is sought in it", () => {
  const { engine, welcome, sent } = started();
  welcome();
  engine.seek(500);
  const before = sent().length;
  welcome({ generation: 1, resumed: true, room: "r" });
  assert.deepEqual(
    sent()
      .slice(before)
      .map((m) => m.action),
    ["leave", "seek", "speed", "pause"],
  );
  assert.equal(engine.room, null);
});

test("it ends at the end, and plays from the start again", () => {
  const { engine, welcome, segment, tick, sent } = started({ frames: 25 });
  welcome();
  segment(0);
  engine.play();
  for (let i = 0; i < 80; i++) tick(16);
  assert.equal(engine.status, "ended");
  assert.equal(engine.frame, 24);
  engine.play();
  assert.equal(sent().findLast((m) => m.action === "seek").frame, 0);
});

test("a seek from the end plays on, as it does on the server", () => {
  const { engine, welcome, segment, tick } = started({ frames: 25 });
  welcome();
  segment(0);
  engine.play();
  for (let i = 0; i < 80; i++) tick(16);
  assert.equal(engine.status, "ended");
  engine.seek(5);
  tick(16);
  assert.equal(engine.status, "playing");
});

test("a step from the end stands still", () => {
  const { engine, welcome, segment, tick, sent } = started({ frames: 25 });
  welcome();
  segment(0);
  engine.play();
  for (let i = 0; i < 80; i++) tick(16);
  engine.pause();
  engine.seek(23);
  tick(16);
  assert.equal(engine.status, "paused");
  assert.deepEqual(
    sent()
      .slice(-2)
      .map((m) => m.action),
    ["pause", "seek"],
  );
});

test("backwards it ends at the start", () => {
  const { engine, welcome, segment, tick } = started();
  welcome();
  segment(0);
  engine.seek(10);
  engine.setSpeed(-1);
  engine.play();
  for (let i = 0; i < 40; i++) tick(16);
  assert.equal(engine.status, "ended");
  assert.equal(engine.frame, 0);
});

test("a section repeats", () => {
  const { engine, welcome, segment, tick } = started();
  welcome();
  segment(0);
  segment(1);
  engine.setLoop([5, 20]);
  engine.seek(15);
  engine.play();
  let most = 0;
  for (let i = 0; i < 200; i++) most = Math.max(most, tick(16));
  assert.ok(most < 21, `went to ${most}`);
  assert.ok(engine.frame >= 5);
});

test("red flags are skipped", () => {
  const { engine, welcome, segment, tick } = started();
  welcome();
  for (let i = 0; i < 8; i++) segment(i);
  engine.skips = [[10, 120]];
  engine.play();
  for (let i = 0; i < 40; i++) tick(16);
  assert.ok(engine.frame >= 120);
});

test("dragging shows places and tells the server only the last", () => {
  const { engine, welcome, segment, sent, tick, orders } = started();
  welcome();
  segment(0);
  for (const frame of [100, 300, 620]) engine.scrub(frame);
  tick(16);
  assert.equal(engine.frame, 620);
  assert.equal(sent().filter((m) => m.action === "seek").length, 0);
  assert.ok(orders.some((o) => o.type === "fetch" && o.segments[0].purpose === "scrub"));
  engine.seek(620);
  assert.equal(sent().filter((m) => m.action === "seek").length, 1);
});

test("an import shows its progress and then opens", () => {
  const { engine, control, orders, welcome, segment, tick } = started();
  control({
    type: "welcome",
    generation: 0,
    schema: null,
    session: { version: "", frame_count: 0 },
  });
  control({ type: "loading_progress", progress: 40, message: "reading" });
  assert.equal(engine.status, "importing");
  control({ type: "loading_complete", frames: 1000 });
  assert.ok(orders.some((o) => o.type === "await_welcome"));
  welcome();
  segment(0);
  tick(16);
  assert.equal(engine.status, "paused");
  assert.equal(engine.frameCount, 1000);
});

test("a refusal is an error that says why", () => {
  const { engine, receive } = started();
  receive({ type: "refused", code: 4404, message: "There is no such session." });
  assert.equal(engine.status, "error");
  assert.match(engine.problem, /no such session/);
});

/** A live session of ten seconds, and how its server speaks. */
function live() {
  const it = started({ frames: 250, state: "live" });
  let generation = 0;
  it.state = (fields) => {
    generation = Math.max(generation, it.engine.generation, fields.generation ?? 0);
    it.control({
      type: "state",
      status: "paused",
      frame: 0,
      speed: 1,
      live: true,
      frame_count: 250,
      ...fields,
      generation,
    });
  };
  /** The server's answer to "live". */
  it.goneLive = (frame, frames = 250) =>
    it.state({
      status: "live",
      frame,
      frame_count: frames,
      generation: generation + 1,
      id: it.engine.conversation.commands,
    });
  it.welcome();
  return it;
}

test("a live session is followed at its edge", () => {
  const { engine, goneLive, segment, sent, tick } = live();
  engine.goLive();
  assert.equal(sent().at(-1).action, "live");
  goneLive(199);
  for (let i = 7; i < 10; i++) segment(i, { gen: 1 });
  tick(16);
  assert.deepEqual([engine.status, Math.floor(engine.frame)], ["live", 199]);
  for (let i = 0; i < 60; i++) tick(16);
  assert.equal(engine.status, "live");
  assert.ok(engine.frame > 220);
});

test("it grows for whoever is elsewhere, and does not end there", () => {
  const { engine, state, segment, tick } = live();
  for (let i = 0; i < 10; i++) segment(i);
  engine.seek(225);
  state({ frame: 225, id: engine.conversation.commands });
  assert.equal(engine.frameCount, 250);
  state({ frame: 225, frame_count: 300 });
  assert.equal(engine.frameCount, 300);
  segment(10);
  segment(11);
  engine.seek(200);
  engine.play();
  for (let i = 0; i < 140; i++) tick(16);
  assert.ok(engine.frame > 250, `stands at ${engine.frame}`);
  assert.equal(engine.status, "playing");
});

test("the short segment at the edge stands for no frame that came later", () => {
  const { engine, state, segment, receive, tick } = live();
  receive({
    type: "fetched",
    stride: 1,
    index: 0,
    pin: true,
    segment: { first: 0, stride: 1, count: 10, data: new Int32Array(10) },
  });
  engine.play();
  for (let i = 0; i < 60; i++) tick(16);
  assert.equal(engine.frame, 10);
  assert.equal(engine.status, "buffering");
  segment(0);
  segment(1);
  state({ status: "playing", frame: 10, id: engine.conversation.commands });
  for (let i = 0; i < 60; i++) tick(16);
  assert.ok(engine.frame > 20);
});

test("playing or seeking to the edge means to follow it", () => {
  const { engine, goneLive, sent, state } = live();
  engine.seek(249);
  assert.equal(sent().at(-1).action, "seek");
  engine.play();
  assert.equal(sent().at(-1).action, "live");
  goneLive(199);
  engine.seek(20);
  state({ status: "playing", frame: 20, id: engine.conversation.commands });
  assert.equal(engine.live, false);
  engine.seek(240);
  assert.equal(sent().at(-1).action, "live");
});

test("whoever catches up with the edge goes on at its pace", () => {
  const { engine, sent, state } = live();
  engine.setSpeed(4);
  engine.play();
  state({ status: "playing", frame: 10, speed: 4, id: engine.conversation.commands });
  assert.equal(sent().at(-1).action, "play");
  state({ status: "live", frame: 180, speed: 4 });
  assert.equal(sent().at(-1).action, "live");
});

test("a live session that is over ends at its last frame", () => {
  const { engine, goneLive, segment, state, tick } = live();
  engine.goLive();
  goneLive(199);
  for (let i = 7; i < 10; i++) segment(i, { gen: 1 });
  tick(16);
  state({ status: "playing", frame: 200, live: false });
  assert.equal(engine.growing, false);
  for (let i = 0; i < 200; i++) tick(16);
  assert.deepEqual([engine.status, engine.frame], ["ended", 249]);
});

test("after a lost connection it is live again", () => {
  const { engine, goneLive, sent, receive, welcome } = live();
  engine.goLive();
  goneLive(199);
  receive({ type: "lost", code: 1006, message: "gone", delay: 100 });
  const before = sent().length;
  welcome();
  assert.deepEqual(
    sent()
      .slice(before)
      .map((m) => m.action),
    ["live"],
  );
});

test("a live session without a frame opens with its first", () => {
  const { engine, welcome, segment, tick } = started({ frames: 0, state: "live" });
  welcome();
  assert.equal(engine.buffer, null);
  engine.receive({
    type: "control",
    message: {
      type: "state",
      status: "paused",
      frame: 0,
      speed: 1,
      generation: 0,
      live: true,
      frame_count: 25,
    },
  });
  assert.equal(engine.frameCount, 25);
  segment(0);
  tick(16);
  assert.equal(engine.status, "paused");
});

test("what the server says of itself waits for the answer to a command", () => {
  const { engine, welcome, control } = started();
  welcome();
  engine.play();
  control({ type: "state", status: "playing", frame: 0, speed: 1, generation: 0, id: 1 });
  engine.pause();
  control({ type: "state", status: "playing", frame: 1, speed: 1, generation: 0 });
  assert.equal(engine.playing, false);
});
