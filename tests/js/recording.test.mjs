// What the panels know of a recording, from its schema and its session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Layout } from "../../streaming/static/streaming/engine/layout.js";
import { Recording } from "../../streaming/static/streaming/ui/recording.js";

function recording({ labels, metadata = {} }) {
  const field = { unit: "", scale: 1, kind: "held", scope: "entity" };
  const fields = ["position", "lap", "status"].map((name) => ({ ...field, name }));
  if (labels !== undefined) fields[2].labels = labels;
  return new Recording(new Layout(fields, ["A"], 25), null, { metadata, entities: [] });
}

test("what a car's status means is read from the schema", () => {
  const { carStatus } = recording({ labels: ["finished", "driving", "retired", "pit"] });
  assert.deepEqual(carStatus, { pit: 3, retired: 2, finished: 0 });
});

test("a name that the schema does not have equals no sample", () => {
  for (const labels of [undefined, ["driving"]]) {
    assert.deepEqual(recording({ labels }).carStatus, { pit: NaN, retired: NaN, finished: NaN });
  }
});

test("metadata that are no whole numbers are passed over", () => {
  const odd = recording({ metadata: { total_laps: "52", race_start_frame: null } });
  assert.deepEqual([odd.totalLaps, odd.raceStartFrame], [null, 0]);
  const sound = recording({ metadata: { total_laps: 52, race_start_frame: 100 } });
  assert.deepEqual([sound.totalLaps, sound.raceStartFrame], [52, 100]);
});
