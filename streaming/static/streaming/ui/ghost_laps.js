// @ts-check
/**
 * Laps that start together, as the map draws them: where each was so many seconds after its start.
 * Pure: no page, no network.
 */

import { valueAt } from "./laptimes.js";

/** @typedef {import("./api.js").Comparison} Comparison */

/** Frames a second of the laps' own clock: what the map's trails count in. */
export const GHOST_RATE = 25;
/** Fields, by their place as the map asks for them. */
const X = 0;
const Y = 1;

/** What tells the laps of one colour apart: the second is dashed, the third dotted… */
const DASHES = [undefined, [7, 4], [2, 3], [12, 4, 2, 4]];

/**
 * The samples of laps, looked up by the seconds since they began.
 * It answers as the sampler of a recording does, so that the same map draws it.
 */
export class GhostSampler {
  /** @param {Comparison} comparison */
  constructor(comparison) {
    this.comparison = comparison;
    this.frameRate = GHOST_RATE;
    this.time = 0;
    /** seconds at each sample of each lap, without those at which it was over */
    this.clocks = comparison.laps.map((_lap, i) => clockOf(comparison, i));
  }

  /** How long the longest lap took. */
  get duration() {
    return Math.max(0, ...this.clocks.map((clock) => clock.at(-1) ?? 0));
  }

  /** @param {number} frame @returns {boolean} whether that moment is held */
  locate(frame) {
    this.time = frame / GHOST_RATE;
    return this.time >= 0;
  }

  /** @param {number} field @param {Float64Array} into */
  values(field, into) {
    for (let i = 0; i < this.clocks.length; i++) into[i] = this.held(field, i);
  }

  /** No lap has a state. @param {number} _field @param {Int16Array} into */
  wholes(_field, into) {
    into.fill(-1);
  }

  /** @param {number} field @param {number} [column] the lap */
  held(field, column = 0) {
    const name = field === X ? "x" : field === Y ? "y" : "";
    return this.read(name, column, this.time);
  }

  /**
   * A lap's value at a time; its last one when it is over.
   * @param {string} name of the field @param {number} lap @param {number} time seconds
   */
  read(name, lap, time) {
    const values = this.comparison.samples[name]?.[lap];
    const clock = this.clocks[lap];
    if (values === undefined || clock.length === 0) return NaN;
    return valueAt(clock, values, Math.min(Math.max(time, clock[0]), clock[clock.length - 1]));
  }

  /** Whether a lap is over at a time. @param {number} lap @param {number} time */
  over(lap, time) {
    return time > (this.clocks[lap].at(-1) ?? 0);
  }

  /** Where on the graphs' axis the first lap is at a time. @param {number} time */
  place(time) {
    return this.comparison.by === "time" ? time : axisAt(this.comparison, this.clocks[0], time);
  }

  /** The time at which the first lap is at a place of the graphs' axis. @param {number} place */
  timeAt(place) {
    if (this.comparison.by === "time") return place;
    const { axis } = this.comparison;
    const time = valueAt(
      axis,
      this.comparison.samples.time[0],
      Math.min(place, axis[axis.length - 1]),
    );
    return Number.isNaN(time) ? 0 : time;
  }
}

/** @param {Comparison} comparison @param {number} lap @returns {number[]} */
function clockOf({ by, axis, samples }, lap) {
  const known = by === "time" ? samples.distance[lap] : samples.time[lap];
  let last = known.length;
  while (last > 0 && known[last - 1] === null) last -= 1;
  return by === "time" ? axis.slice(0, last) : known.slice(0, last).map((v) => v ?? NaN);
}

/** @param {Comparison} comparison @param {number[]} clock @param {number} time */
function axisAt({ axis }, clock, time) {
  if (clock.length === 0) return NaN;
  return valueAt(clock, axis, Math.min(Math.max(time, clock[0]), clock[clock.length - 1]));
}

/**
 * A colour and a line for each lap: its car's colour, and another kind of line where two are alike.
 * @param {{colour: string}[]} laps @param {string} spare for a lap without a colour
 * @returns {{colour: string, dash: number[] | undefined}[]}
 */
export function ghostStyles(laps, spare) {
  const seen = new Map();
  return laps.map(({ colour }) => {
    const own = colour || spare;
    const before = seen.get(own) ?? 0;
    seen.set(own, before + 1);
    return { colour: own, dash: DASHES[before % DASHES.length] };
  });
}

/**
 * What a page's address asks for.
 * @param {string} search from its "?" on
 * @returns {{laps: string[], by: "distance" | "time", time: number}}
 */
export function readGhosts(search) {
  const query = new URLSearchParams(search);
  const laps = (query.get("laps") ?? "").split(",").filter((lap) => lap !== "");
  const time = Number(query.get("t") ?? 0);
  return {
    laps: [...new Set(laps)],
    by: query.get("by") === "time" ? "time" : "distance",
    time: Number.isFinite(time) && time > 0 ? time : 0,
  };
}

/** @param {string[]} laps @param {string} by @param {number} [time] @returns {string} from "?" on */
export function ghostQuery(laps, by, time = 0) {
  // Colons and commas are readable, and allowed where they stand.
  const list = laps.map((lap) => encodeURIComponent(lap).replaceAll("%3A", ":")).join(",");
  return `?laps=${list}&by=${by}${time > 0 ? `&t=${time.toFixed(1)}` : ""}`;
}
