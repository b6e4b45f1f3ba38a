// What the panels know of a recording, from its schema and its session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Layout } from "../../streaming/static/streaming/engine/layout.js";
import { Recording } from "../../streaming/static/streaming/ui/recording.js";

function recording({ labels, metadata = {}, more = [] }) {
  const field = { unit: "", scale: 1, kind: "held", scope: "entity" };
  const fields = ["position", "lap", "status", ...more].map((name) => ({ ...field, name }));
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

test("the parts of a qualifying say who is out and how many go on", () => {
  const session_parts = [
    { name: "Q1", start_frame: 0, green_frame: 10, flag_frame: 90, entries: 3, eliminated: ["A"] },
    {
      name: "Q2",
      start_frame: 100,
      green_frame: 110,
      flag_frame: null,
      entries: 2,
      eliminated: [],
    },
  ];
  const metadata = { session_parts, session_start_frame: 10, runs: { A: [] } };
  const timed = recording({ metadata, more: ["session_part"] });
  assert.equal(timed.raceStartFrame, 10);
  assert.deepEqual(
    [0, 99, 100].map((frame) => timed.partAt(frame)?.name),
    ["Q1", "Q1", "Q2"],
  );
  assert.deepEqual(
    [99, 100].map((frame) => timed.placesThatGoOn(frame)),
    [2, Infinity],
  );
  assert.equal(timed.eliminatedIn("A", 99), undefined);
  assert.equal(timed.eliminatedIn("A", 100)?.name, "Q1");
  timed.setLaps([{ entity: "A", number: 1, start_frame: 0 }], []);
  assert.deepEqual([timed.lapStarts, timed.totalLaps], [[], null]);
  assert.deepEqual(recording({ metadata }).parts, [], "a race has none");
});
