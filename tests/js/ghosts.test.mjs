import assert from "node:assert/strict";
import { test } from "node:test";

import {
  GHOST_RATE,
  GhostSampler,
  ghostQuery,
  ghostStyles,
  readGhosts,
} from "../../streaming/static/streaming/ui/ghost_laps.js";

/** Two laps of 100 m: the first takes 10 s, the second 20 s; x is the place. */
function byDistance() {
  const axis = [0, 50, 100];
  return {
    by: "distance",
    step: 50,
    axis,
    laps: [{ colour: "#111111" }, { colour: "#111111" }],
    samples: {
      time: [
        [0, 5, 10],
        [0, 10, 20],
      ],
      x: [axis, axis],
      y: [
        [0, 0, 0],
        [0, 0, 0],
      ],
    },
    delta: [
      [0, 0, 0],
      [0, 5, 10],
    ],
  };
}

test("laps start together, and each is where it was after so many seconds", () => {
  const sampler = new GhostSampler(byDistance());
  assert.equal(sampler.duration, 20);
  assert.ok(sampler.locate(5 * GHOST_RATE));
  const xs = new Float64Array(2);
  sampler.values(0, xs);
  assert.deepEqual([...xs], [50, 25]);
});

test("a lap that is over stays at the line", () => {
  const sampler = new GhostSampler(byDistance());
  sampler.locate(15 * GHOST_RATE);
  assert.equal(sampler.held(0, 0), 100);
  assert.equal(sampler.over(0, 15), true);
  assert.equal(sampler.over(1, 15), false);
});

test("the graphs' axis and the time lead to each other", () => {
  const sampler = new GhostSampler(byDistance());
  assert.equal(sampler.place(5), 50);
  assert.equal(sampler.timeAt(75), 7.5);
});

test("by time the axis is the clock, and ends where the lap ends", () => {
  const sampler = new GhostSampler({
    ...byDistance(),
    by: "time",
    axis: [0, 10, 20],
    samples: {
      distance: [
        [0, 100, null],
        [0, 50, 100],
      ],
      x: [
        [0, 100, null],
        [0, 50, 100],
      ],
    },
  });
  assert.equal(sampler.duration, 20);
  sampler.locate(15 * GHOST_RATE);
  assert.equal(sampler.held(0, 0), 100);
  assert.equal(sampler.held(0, 1), 75);
  assert.equal(sampler.place(3), 3);
});

test("laps of one colour have different lines", () => {
  const styles = ghostStyles([{ colour: "#1" }, { colour: "" }, { colour: "#1" }], "#spare");
  assert.deepEqual(
    styles.map(({ colour, dash }) => [colour, dash === undefined]),
    [
      ["#1", true],
      ["#spare", true],
      ["#1", false],
    ],
  );
});

test("an address holds the laps, how they are aligned and the time", () => {
  const laps = ["austria:VER:12", "other:Le Clerc:3"];
  const query = ghostQuery(laps, "time", 4.04);
  assert.equal(query, "?laps=austria:VER:12,other:Le%20Clerc:3&by=time&t=4.0");
  assert.deepEqual(readGhosts(query), { laps, by: "time", time: 4 });
  assert.deepEqual(readGhosts("?laps=&t=x"), { laps: [], by: "distance", time: 0 });
});
