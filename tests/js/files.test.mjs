// A folder of files in place of a server: what is fetched, and what is answered.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SegmentBuffer } from "../../streaming/static/streaming/engine/buffer.js";
import { FileConnection } from "../../streaming/static/streaming/engine/file_connection.js";
import {
  Fetcher,
  aheadPlan,
  overviewStride,
  playStride,
  scrubStride,
} from "../../streaming/static/streaming/engine/prefetch.js";

const FEW = [1, 8, 64];
const indices = (plan) => plan.map(({ index }) => index);

test("a stride is one that there is", () => {
  assert.equal(playStride(1, FEW), 1);
  assert.equal(playStride(-16, FEW), 8);
  assert.equal(playStride(0.05, FEW), 1);
  assert.equal(playStride(64, FEW), 64);
  assert.equal(scrubStride(25, FEW), 8);
  assert.equal(overviewStride(180_000, 50, FEW), 64);
  assert.equal(overviewStride(1_000_000, 50, FEW), 64);
  assert.equal(overviewStride(1_000, 50, FEW), 1);
});

test("what is missing ahead is wanted, nearest first, in the playing direction", () => {
  const buffer = new SegmentBuffer(50, 1_000, 100);
  assert.deepEqual(indices(aheadPlan(buffer, 120, 150, 1)), [2, 3, 4, 5]);
  assert.deepEqual(indices(aheadPlan(buffer, 120, -150, 1)), [2, 1, 0]);
  assert.deepEqual(indices(aheadPlan(buffer, 980, 500, 1)), [19]);
  buffer.add({ first: 150, stride: 1, count: 50, data: new Int32Array() }, 120);
  assert.deepEqual(indices(aheadPlan(buffer, 120, 150, 1)), [2, 4, 5]);
});

test("after a failure it is asked for again, but not at once", () => {
  const orders = [];
  const fetcher = new Fetcher((order) => orders.push(order));
  const buffer = new SegmentBuffer(50, 100, 100);
  const clock = { position: 0, speed: 1, frameRate: 25 };
  fetcher.path = "here/";
  const wanted = (now) => {
    orders.length = 0;
    fetcher.ahead(buffer, clock, 12, now);
    return orders.flatMap(({ segments }) => indices(segments));
  };
  assert.deepEqual(wanted(0), [0, 1]);
  assert.deepEqual(wanted(300), []);
  fetcher.answered(1, 0, false);
  fetcher.answered(1, 1, false);
  assert.deepEqual(wanted(600), [0, 1]);
  fetcher.answered(1, 0, false);
  assert.deepEqual(wanted(900), []);
  assert.deepEqual(wanted(1_700), [0]);
});

const WELCOME = {
  type: "welcome",
  session: { version: "v", state: "ready", frame_rate: 25, frame_count: 100 },
  schema: { fields: [], entities: [] },
  segment_frames: 50,
  generation: 0,
};

async function opened(answers, t) {
  const reports = [];
  t.mock.method(globalThis, "fetch", async () => answers.shift());
  t.mock.method(Math, "random", () => 0);
  const done = new Promise((resolve) => {
    const connection = new FileConnection((report) => {
      reports.push(report);
      if (report.type !== "lost") resolve();
    });
    connection.handle({ type: "open", url: "http://host/welcome.json", hello: {} });
  });
  await done;
  return reports;
}

test("the welcome is a file, and is asked for until the host answers", async (t) => {
  const busy = new Response("", { status: 503 });
  const cut = new Response('{"type": "welc');
  const reports = await opened([busy, cut, new Response(JSON.stringify(WELCOME))], t);
  assert.deepEqual(
    reports.map(({ type }) => type),
    ["lost", "lost", "control"],
  );
  assert.deepEqual(reports[2].message, WELCOME);
});

test("a session that is not in the folder is refused for good", async (t) => {
  const reports = await opened([new Response("", { status: 404 })], t);
  assert.deepEqual(
    reports.map(({ type }) => type),
    ["refused"],
  );
});
