// A lap over distance, as sessions_app/lap_telemetry.py makes it: the golden laps of both.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { lapTelemetry } from "../../streaming/static/streaming/engine/lap_telemetry.js";
import { MISSING } from "../../streaming/static/streaming/engine/segment.js";

const GOLDEN = new URL("../golden/laps/", import.meta.url);
const names = readdirSync(GOLDEN);

test("there are golden laps", () => assert.ok(names.length >= 3));

for (const name of names) {
  const { schema, samples, start, stop, length, step, standing_start, expected } = JSON.parse(
    readFileSync(new URL(name, GOLDEN), "utf8"),
  );
  const fields = new Map(
    schema.fields.map((field) => {
      const quantities = samples[field.name].map((s) => (s === MISSING ? NaN : s * field.scale));
      return [field.name, { field, values: Float64Array.from(quantities) }];
    }),
  );
  const count = samples[schema.fields[0].name].length;
  const frames = { frameRate: schema.frame_rate, count, fields };
  const lap = { start, stop, length, step, standingStart: standing_start };

  test(`golden lap ${name}`, () => {
    const made = lapTelemetry(frames, lap);
    assert.deepEqual(made.distance, expected.distance);
    assert.ok(Math.abs(made.length - expected.length) < 1e-6);
    made.time.forEach((t, i) => assert.ok(Math.abs(t - expected.time[i]) < 1e-6));
    assert.deepEqual(Object.keys(made.channels), Object.keys(expected.channels));
    for (const [channel, values] of Object.entries(made.channels)) {
      const { scale } = fields.get(channel).field;
      values.forEach((value, i) => {
        const other = expected.channels[channel][i];
        if (other === null || value === null) assert.equal(value, other, `${channel} ${i}`);
        else assert.ok(Math.abs(value - other) <= scale / 2, `${channel} ${i}: ${value}, ${other}`);
      });
    }
  });
}

test("what never moves has no lap over distance", () => {
  const still = { field: { name: "speed", unit: "km/h", scale: 1, kind: "linear" } };
  const values = new Float64Array(100);
  const frames = { frameRate: 25, count: 100, fields: new Map([["speed", { ...still, values }]]) };
  const lap = { start: 0, stop: 100, length: null, step: 5, standingStart: false };
  assert.equal(lapTelemetry(frames, lap), null);
  assert.equal(lapTelemetry({ ...frames, fields: new Map() }, lap), null);
});
