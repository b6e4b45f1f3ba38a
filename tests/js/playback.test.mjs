// Buffer, credit, clock and interpolation: the parts of the engine that need no browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Credit, SegmentBuffer } from "../../streaming/static/streaming/engine/buffer.js";
import { PlaybackClock } from "../../streaming/static/streaming/engine/clock.js";
import { Sampler, angle, catmullRom } from "../../streaming/static/streaming/engine/interpolate.js";
import { Layout } from "../../streaming/static/streaming/engine/layout.js";
import {
  overviewStride,
  prefetchPlan,
  scrubStride,
  spans,
} from "../../streaming/static/streaming/engine/prefetch.js";
import { MISSING } from "../../streaming/static/streaming/engine/segment.js";

const FIELDS = [
  { name: "x", unit: "dm", scale: 1, kind: "cubic" },
  { name: "speed", unit: "km/h", scale: 0.5, kind: "linear" },
  { name: "heading", unit: "°", scale: 1, kind: "angle" },
  { name: "gear", unit: "", scale: 1, kind: "held" },
  { name: "air", unit: "°C", scale: 0.1, kind: "held", scope: "session" },
];
const LAYOUT = new Layout(FIELDS, ["A", "B"], 25);

/** A segment whose samples are `value(field, entity, frame)`. */
function segment(
  index,
  stride = 1,
  frames = 1000,
  value = (f, e, frame) => (f === 0 ? frame * 10 + e : frame),
) {
  const first = index * 25 * stride;
  const count = Math.min(25, Math.ceil((frames - first) / stride));
  const data = new Int32Array(LAYOUT.totalColumns * count);
  LAYOUT.fields.forEach((_f, f) => {
    for (let e = 0; e < LAYOUT.widths[f]; e++) {
      for (let i = 0; i < count; i++) {
        data[(LAYOUT.columns[f] + e) * count + i] = value(f, e, first + i * stride);
      }
    }
  });
  return { first, stride, count, data };
}

function filled(indices, stride = 1, value = undefined) {
  const buffer = new SegmentBuffer(25, 1000, 100);
  for (const index of indices) buffer.add(segment(index, stride, 1000, value), 0);
  return buffer;
}

test("the buffer finds the finest segment that has a frame", () => {
  const buffer = filled([0, 1]);
  buffer.add(segment(0, 8), 0);
  assert.equal(buffer.find(30).stride, 1);
  assert.equal(buffer.find(60).stride, 8);
  assert.equal(buffer.find(60, 4), undefined);
  assert.equal(buffer.find(900), undefined);
});

test("reach goes to the first hole in either direction, across strides", () => {
  const buffer = filled([2, 3, 4]);
  assert.equal(buffer.reach(60, 1, 1), 125);
  assert.equal(buffer.reach(60.5, -1, 1), 50);
  assert.equal(buffer.reach(10, 1, 1), 10);
  buffer.add(segment(0, 4), 0);
  assert.equal(buffer.reach(10, 1, 4), 125);
  assert.equal(buffer.reach(60, -1, 4), 0);
  assert.equal(filled([38, 39]).reach(960, 1, 1), 999);
});

test("a full buffer gives up what is farthest from the playhead, never what is pinned", () => {
  const buffer = new SegmentBuffer(25, 1000, 3);
  buffer.add(segment(0, 32), 500, true);
  for (const index of [1, 18, 19, 20, 21]) buffer.add(segment(index), 500);
  assert.equal(buffer.size, 4);
  assert.equal(buffer.find(30).stride, 32);
  assert.equal(buffer.find(500).stride, 1);
});

test("a message is acknowledged when the playhead is near enough, in order", () => {
  const credit = new Credit();
  [0, 25, 50, 400, 425].forEach((frame, i) => credit.received(i + 1, frame));
  assert.equal(credit.due(0, 1, 200), 3);
  assert.equal(credit.due(0, 1, 200), 0);
  assert.equal(credit.due(210, 1, 200), 4);
  credit.release();
  assert.equal(credit.due(0, 1, 200), 5);
});

test("credit counts backwards too, and forgets with the connection", () => {
  const credit = new Credit();
  credit.received(1, 900);
  credit.received(2, 300);
  assert.equal(credit.due(1000, -1, 200), 1);
  assert.equal(credit.due(450, -1, 200), 2);
  credit.received(3, 0);
  credit.reset();
  assert.equal(credit.due(0, 1, 1e9), 0);
  credit.discarded(1);
  assert.equal(credit.due(5000, 1, 1), 1);
});

test("the clock advances with time, both ways and at any speed", () => {
  for (const speed of [1, 0.25, 16, -1, -8]) {
    const clock = new PlaybackClock(25);
    clock.jump(500, 0);
    clock.set(true, speed, 0);
    const limit = speed > 0 ? 1e9 : -1e9;
    for (let now = 0; now <= 1000; now += 16) clock.advance(now, limit);
    clock.advance(1000, limit);
    assert.ok(Math.abs(clock.position - (500 + 25 * speed)) < 1e-6, `speed ${speed}`);
  }
});

test("the clock comes level with the server without a visible step", () => {
  const clock = new PlaybackClock(25);
  clock.jump(100, 0);
  clock.set(true, 1, 0);
  clock.follow(110, 0);
  let before = clock.position;
  let largest = 0;
  let now = 0;
  for (; now <= 10_000; now += 16) {
    const position = clock.advance(now, 1e9);
    largest = Math.max(largest, position - before);
    before = position;
  }
  assert.ok(Math.abs(clock.position - clock.target(now - 16)) < 1, "within a frame");
  assert.ok(largest <= 0.4 * 1.1, `largest step ${largest} frames`);
});

test("the clock jumps where the server is far away", () => {
  const clock = new PlaybackClock(25);
  clock.set(true, 1, 0);
  clock.follow(5000, 0);
  assert.equal(clock.advance(0, 1e9), 5000);
});

test("the clock stands where nothing is held, and goes on from there", () => {
  const clock = new PlaybackClock(25);
  clock.set(true, 1, 0);
  for (let now = 0; now <= 500; now += 10) clock.advance(now, 5);
  assert.equal(clock.position, 5);
  assert.ok(clock.stalled >= 250);
  clock.advance(510, 100);
  assert.equal(clock.stalled, 0);
  assert.ok(clock.position > 5 && clock.position < 6);
});

test("a pause holds the playhead", () => {
  const clock = new PlaybackClock(25);
  clock.jump(42, 0);
  clock.set(false, 1, 0);
  assert.equal(clock.advance(5000, 1e9), 42);
});

test("positions follow a cubic, also across the border of two segments", () => {
  const square = (f, _e, frame) => (f === 0 ? frame * frame : frame);
  const sampler = new Sampler(LAYOUT, filled([0, 1, 2], 1, square), 25);
  for (const frame of [10.5, 24.5, 24.99, 25.01, 49.5]) {
    assert.ok(sampler.locate(frame));
    assert.ok(Math.abs(sampler.value(0, 0) - frame * frame) < 1e-6, `frame ${frame}`);
  }
});

test("each kind is interpolated in its way", () => {
  const value = (f, _e, frame) => (f === 2 ? (frame % 2 === 0 ? 350 : 10) : frame * 2);
  const sampler = new Sampler(LAYOUT, filled([0], 1, value), 25);
  sampler.locate(4.5);
  assert.equal(sampler.value(1, 0), 4.5);
  assert.equal(sampler.value(2, 0), 0);
  assert.equal(sampler.value(3, 0), 8);
  assert.ok(Math.abs(sampler.value(4) - 0.8) < 1e-9);
  assert.ok(Number.isNaN(sampler.value(-1)));
});

test("nothing is made up across a gap", () => {
  const value = (f, _e, frame) => (frame >= 10 && frame < 15 ? MISSING : frame * 10);
  const sampler = new Sampler(LAYOUT, filled([0], 1, value), 25);
  const at = (frame) => (sampler.locate(frame), sampler.value(0, 0));
  assert.equal(at(9), 90);
  assert.ok(Number.isNaN(at(9.5)));
  assert.ok(Number.isNaN(at(12)));
  assert.ok(Number.isNaN(at(14.5)));
  assert.equal(at(15), 150);
  assert.equal(at(8.5), 85);
  assert.equal(at(15.5), 155);
});

test("samples far apart in time are shown, not joined", () => {
  const buffer = new SegmentBuffer(25, 10_000, 100);
  buffer.add(segment(0, 64, 10_000), 0);
  const sampler = new Sampler(LAYOUT, buffer, 25);
  sampler.locate(32);
  assert.equal(sampler.value(0, 0), 0);
});

test("the last frame stands where nothing follows", () => {
  const sampler = new Sampler(LAYOUT, filled([38, 39]), 25);
  assert.ok(sampler.locate(999.7));
  assert.equal(sampler.value(0, 0), 9990);
  assert.ok(sampler.locate(5000));
});

test("arcs and cubics", () => {
  assert.equal(angle(10, 350, 0.5), 0);
  assert.equal(angle(90, 180, 0.5), 135);
  assert.equal(catmullRom(0, 1, 2, 3, 0.25), 1.25);
});

test("the overview is small whatever the length", () => {
  assert.equal(overviewStride(500, 25), 1);
  assert.equal(overviewStride(29_651, 25), 32);
  assert.equal(overviewStride(10_000_000, 25), 64);
  assert.equal(overviewStride(50_000, 300), 32);
  assert.equal(scrubStride(25), 8);
  assert.equal(scrubStride(1), 1);
});

test("what lies behind the playhead and is missing is fetched, nearest first", () => {
  const buffer = filled([3]);
  assert.deepEqual(
    prefetchPlan(buffer, 110, 100).map((entry) => entry.index),
    [4, 2, 1, 0],
  );
  assert.deepEqual(spans(buffer, 980, 5000, 1), [39]);
});
