// What the server's messages mean for the playhead, without an engine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation } from "../../streaming/static/streaming/engine/conversation.js";
import { readControl, readData } from "../../streaming/static/streaming/engine/protocol.js";

const HERE = { position: 100, playing: false, speed: 1, live: false };
const state = (fields) => ({
  type: "state",
  status: "paused",
  frame: 100,
  speed: 1,
  generation: 0,
  ...fields,
});
const welcome = (fields = {}) => ({
  type: "welcome",
  generation: 0,
  segment_frames: 25,
  schema: { fields: [], entities: [] },
  session: { version: "v1", state: "ready", frame_rate: 25, frame_count: 1000 },
  ...fields,
});

function opened(fields) {
  const conversation = new Conversation();
  assert.equal(conversation.welcomed(welcome(fields)), true);
  return conversation;
}

test("a state that is older than our last command asks for nothing", () => {
  const conversation = opened();
  const id = conversation.nextCommand();
  const playing = state({ status: "playing" });
  assert.equal(conversation.correction(playing, HERE), null);
  conversation.answer(id);
  assert.deepEqual(conversation.correction(playing, HERE), {
    live: false,
    ended: false,
    motion: { playing: true, speed: 1 },
    jump: null,
    follow: 100,
    tooFast: false,
  });
});

test("a state of an older generation asks for nothing", () => {
  const conversation = opened();
  conversation.nextGeneration();
  assert.equal(conversation.correction(state({}), HERE), null);
  assert.equal(conversation.moved(state({ generation: 1 })), false);
  assert.equal(conversation.moved(state({ generation: 2 })), true);
  assert.equal(conversation.generation, 2);
});

test("only in a room does a standing picture jump to the others'", () => {
  const conversation = opened();
  assert.equal(conversation.correction(state({ frame: 130 }), HERE).jump, null);
  conversation.room = "r";
  assert.equal(conversation.correction(state({ frame: 130 }), HERE).jump, 130);
  assert.equal(conversation.correction(state({ frame: 101 }), HERE).jump, null);
});

test("what waits for data goes on as it was", () => {
  const conversation = opened();
  const waiting = state({ status: "buffering" });
  assert.equal(conversation.correction(waiting, HERE).motion, null);
  const live = conversation.correction(waiting, { ...HERE, playing: true, live: true });
  assert.deepEqual([live.live, live.motion], [true, null]);
});

test("a session without fields or frames is not shown yet", () => {
  const conversation = new Conversation();
  assert.equal(conversation.welcomed(welcome({ schema: null })), false);
  assert.equal(conversation.opening, null);
  const empty = { version: "v1", state: "live", frame_rate: 25, frame_count: 0 };
  assert.equal(conversation.welcomed(welcome({ session: empty })), false);
  assert.equal(conversation.begun(state({ live: true, frame_count: 0 })), null);
  const begun = conversation.begun(state({ live: true, frame_count: 3 }));
  assert.equal(begun.session.frame_count, 3);
  assert.equal(conversation.welcomed(begun), true);
  assert.equal(conversation.begun(state({ live: true, frame_count: 4 })), null);
});

test("a control message is an object of a known type", () => {
  assert.equal(readControl('{"type":"pong","t":5}').t, 5);
  assert.equal(readControl('{"type":"of a later version"}'), null);
  for (const text of ["[]", "null", "5", "{}"]) {
    assert.throws(() => readControl(text), /an object with a type expected/);
  }
});

test("a data message has six integers and, for a segment, bytes", () => {
  const message = (...parts) => new Uint8Array([0x97, ...parts]).buffer;
  assert.throws(() => readData(message(1, 0xc0, 1, 0, 1, 1, 0xc4, 1, 7)), /six integers/);
  assert.throws(() => readData(message(1, 0, 1, 0, 1, 1, 0x80)), /a segment in binary/);
  assert.equal(readData(message(2, 0, 1, 0, 1, 1, 0x80)).payload, null);
});
