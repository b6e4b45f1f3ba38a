// Settings that another version of the page, or a person, has stored.
import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.localStorage = { getItem: () => null, setItem: () => undefined };
const { readSettings } = await import("../../streaming/static/streaming/ui/settings.js");

test("without anything stored the defaults hold", () => {
  const settings = readSettings(null);
  assert.deepEqual([settings.units, settings.labels, settings.name], ["metric", true, ""]);
});

test("what is sound is kept, all else is as by default", () => {
  const defaults = readSettings(null);
  for (const text of ["", "{", "null", "5", '"text"', "[]"]) {
    assert.deepEqual(readSettings(text), defaults, text);
  }
  const stored = { units: "imperial", labels: "no", trails: false, tab: 7, gap: "x", more: 1 };
  assert.deepEqual(readSettings(JSON.stringify(stored)), {
    ...defaults,
    units: "imperial",
    trails: false,
  });
});
