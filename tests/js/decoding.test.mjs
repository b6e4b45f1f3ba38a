// Segments and msgpack: the golden files that the Python tests read, and what is not allowed.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Layout } from "../../streaming/static/streaming/engine/layout.js";
import { decode, MsgpackError } from "../../streaming/static/streaming/engine/msgpack.js";
import {
  backoff,
  closeMeaning,
  readData,
} from "../../streaming/static/streaming/engine/protocol.js";
import {
  CorruptSegment,
  decodeSegment,
  inflate,
} from "../../streaming/static/streaming/engine/segment.js";

const GOLDEN = new URL("../golden/", import.meta.url);
const names = readdirSync(GOLDEN)
  .filter((n) => n.endsWith(".json"))
  .map((n) => n.slice(0, -5));
const golden = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), "utf8"));
const bytes = (name) => new Uint8Array(readFileSync(new URL(name, GOLDEN)));
const layoutOf = ({ schema }) => new Layout(schema.fields, schema.entities, schema.segment_frames);

test("there are golden segments", () => assert.ok(names.length >= 5));

for (const name of names) {
  test(`golden segment ${name}`, async () => {
    const expected = golden(name);
    const layout = layoutOf(expected);
    const payload = await inflate(bytes(`${name}.segment`));
    assert.deepEqual(Buffer.from(payload), Buffer.from(bytes(`${name}.packed`)));
    const segment = decodeSegment(payload, layout);
    assert.equal(segment.first, expected.first_frame);
    assert.equal(segment.stride, expected.stride);
    assert.equal(segment.count, expected.frames);
    layout.fields.forEach((field, f) => {
      const rows = expected.samples[field.name];
      rows.forEach((row, i) =>
        [row].flat().forEach((value, column) => {
          const at = (layout.columns[f] + column) * segment.count + i;
          assert.equal(segment.data[at], value, `${field.name}, sample ${i}, column ${column}`);
        }),
      );
    });
  });

  test(`golden segment ${name}, cut short anywhere, is refused`, () => {
    const payload = bytes(`${name}.packed`);
    const layout = layoutOf(golden(name));
    for (let length = 0; length < payload.length; length++) {
      assert.throws(() => decodeSegment(payload.subarray(0, length), layout), CorruptSegment);
    }
  });
}

test("a payload that does not lie at the start of its buffer is read", () => {
  const payload = bytes("plain.packed");
  const shifted = new Uint8Array(payload.length + 3);
  shifted.set(payload, 3);
  const layout = layoutOf(golden("plain"));
  assert.deepEqual(
    decodeSegment(shifted.subarray(3), layout).data,
    decodeSegment(payload, layout).data,
  );
});

test("bytes that do not inflate are refused", async () => {
  await assert.rejects(inflate(new Uint8Array([255, 1, 2, 3, 4])), CorruptSegment);
  const whole = bytes("plain.segment");
  await assert.rejects(inflate(whole.subarray(0, whole.length - 4)), CorruptSegment);
});

test("a segment of another schema is refused", () => {
  const other = new Layout([{ name: "x", unit: "", scale: 1, kind: "held" }], ["A"], 25);
  assert.throws(() => decodeSegment(bytes("plain.packed"), other), /6 fields of 3 entities/);
});

test("a data message is read, its payload uncopied", () => {
  const message = new Uint8Array([
    0x97, 1, 2, 0xcd, 1, 0, 0xce, 0, 1, 0, 0, 25, 0xff, 0xc4, 2, 7, 8,
  ]);
  const read = readData(message.buffer);
  assert.deepEqual(
    { ...read, payload: [...read.payload] },
    {
      kind: 1,
      generation: 2,
      seq: 256,
      firstFrame: 65536,
      frameCount: 25,
      stride: -1,
      payload: [7, 8],
    },
  );
  assert.equal(read.payload.buffer, message.buffer);
});

test("msgpack of every type of the wire", () => {
  const cases = [
    [[0xc0], null],
    [[0xc2], false],
    [[0xc3], true],
    [[0x7f], 127],
    [[0xe0], -32],
    [[0xcc, 200], 200],
    [[0xd0, 0x80], -128],
    [[0xd1, 0xff, 0], -256],
    [[0xd2, 0x80, 0, 0, 0], -(2 ** 31)],
    [[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], 2 ** 32],
    [[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], 1.5],
    [[0xca, 0x3f, 0xc0, 0, 0], 1.5],
    [[0xa2, 0x68, 0x69], "hi"],
    [[0xd9, 1, 0x68], "h"],
    [
      [0x92, 1, 2],
      [1, 2],
    ],
    [[0xdc, 0, 1, 5], [5]],
  ];
  for (const [input, value] of cases) assert.deepEqual(decode(new Uint8Array(input)), value);
  assert.deepEqual({ ...decode(new Uint8Array([0x81, 0xa1, 0x61, 1])) }, { a: 1 });
});

test("msgpack that ends early, goes on, or is too much is refused", () => {
  for (const input of [
    [],
    [0x92, 1],
    [1, 2],
    [0xc4, 5, 1],
    [0xc1],
    [0xd4, 1, 1],
    [0xdd, 255, 255, 255, 255],
  ]) {
    assert.throws(() => decode(new Uint8Array(input)), MsgpackError);
  }
});

test("a map cannot reach the prototype", () => {
  const key = [...Buffer.from("__proto__")];
  const read = decode(new Uint8Array([0x81, 0xa9, ...key, 0x81, 0xa1, 0x61, 1]));
  assert.equal(Object.getPrototypeOf(read), null);
  assert.equal({}.a, undefined);
});

test("close codes say whether to come back", () => {
  for (const code of [1000, 1009, 4400, 4401, 4403, 4404, 4413])
    assert.equal(closeMeaning(code).retry, false);
  for (const code of [1001, 1006, 1011, 1012, 4408, 4429])
    assert.equal(closeMeaning(code).retry, true);
});

test("the wait before a reconnection grows, is bounded, and varies", () => {
  assert.equal(
    backoff(0, () => 1),
    500,
  );
  assert.equal(
    backoff(3, () => 1),
    4000,
  );
  assert.equal(
    backoff(3, () => 0),
    0,
  );
  assert.equal(
    backoff(30, () => 1),
    30_000,
  );
});
