// @ts-check
/**
 * Values between two frames, by the kind of the field, without allocating: `locate` finds the four
 * samples around a moment, the other methods read one column of one field there.
 */

import { MISSING } from "./segment.js";

/** @typedef {import("./buffer.js").SegmentBuffer} SegmentBuffer */
/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./segment.js").Segment} Segment */

/** Between samples farther apart than this (s) nothing is interpolated. */
const LONGEST_SPAN = 2;

export class Sampler {
  /**
   * @param {Layout} layout
   * @param {SegmentBuffer} buffer
   * @param {number} frameRate
   */
  constructor(layout, buffer, frameRate) {
    this.layout = layout;
    this.buffer = buffer;
    this.frameRate = frameRate;
    /** samples before, at, after and after that: a segment each, and a place in it */
    this.segments = /** @type {(Segment|null)[]} */ ([null, null, null, null]);
    this.places = new Int32Array(4);
    /** how far between the second and the third, 0…1 */
    this.fraction = 0;
    this.located = false;
    this.stride = 1;
    this.single = new Float64Array(1);
  }

  /**
   * @param {number} frame with a fraction
   * @param {number} [coarsest] ignore larger strides
   * @returns {boolean} whether that moment is held
   */
  locate(frame, coarsest = Infinity) {
    const last = this.buffer.frameCount - 1;
    const at = Math.min(Math.max(frame, 0), last);
    const segment = this.buffer.find(at, coarsest);
    this.located = segment !== undefined;
    if (segment === undefined) return false;
    const stride = segment.stride;
    const exact = (at - segment.first) / stride;
    let place = Math.floor(exact);
    if (place >= segment.count) place = segment.count - 1;
    this.stride = stride;
    this.fraction = Math.min(1, exact - place);
    for (let i = 0; i < 4; i++) this.neighbour(i, segment, place + i - 1);
    return true;
  }

  /** @param {number} slot @param {Segment} segment @param {number} place may be outside of it */
  neighbour(slot, segment, place) {
    if (place >= 0 && place < segment.count) {
      this.segments[slot] = segment;
      this.places[slot] = place;
      return;
    }
    const frame = segment.first + place * segment.stride;
    this.segments[slot] = null;
    if (frame < 0 || frame >= this.buffer.frameCount) return;
    const other = this.buffer.get(frame, segment.stride) ?? this.buffer.find(frame, segment.stride);
    if (other === undefined) return;
    const there = Math.floor((frame - other.first) / other.stride);
    if (there < 0 || there >= other.count) return;
    this.segments[slot] = other;
    this.places[slot] = there;
  }

  /**
   * The sample itself, `MISSING` where there is none.
   * @param {number} slot @param {number} field @param {number} column
   */
  sample(slot, field, column) {
    const segment = this.segments[slot];
    if (segment === null) return MISSING;
    return segment.data[(this.layout.columns[field] + column) * segment.count + this.places[slot]];
  }

  /**
   * The field's quantity at the located moment, NaN where there is none. Nothing is invented: where
   * either side is missing or the samples are far apart, only the exact sample counts.
   * @param {number} field position in the layout, -1 for a field that is not recorded
   * @param {number} [column] the entity, 0 for a field of the session
   */
  value(field, column = 0) {
    this.read(field, column, this.single, 0);
    return this.single[0];
  }

  /**
   * `value` of each entity at once: a fraction that a function returns is allocated.
   * @param {number} field @param {Float64Array} into one place for each entity
   */
  values(field, into) {
    for (let column = 0; column < into.length; column++) this.read(field, column, into, column);
  }

  /** @param {number} field @param {number} column @param {Float64Array} into @param {number} at */
  read(field, column, into, at) {
    into[at] = NaN;
    if (field < 0 || !this.located) return;
    const info = this.layout.fields[field];
    const here = this.sample(1, field, column);
    if (here === MISSING) return;
    into[at] = here * info.scale;
    const t = this.fraction;
    if (t === 0 || info.kind === "held") return;
    const next = this.sample(2, field, column);
    if (next === MISSING) {
      // At the end of what is held or recorded the last sample holds; in a gap of the data none does.
      if (this.segments[2] !== null) into[at] = NaN;
      return;
    }
    if (this.stride / this.frameRate > LONGEST_SPAN) return;
    if (info.kind === "linear") into[at] = (here + (next - here) * t) * info.scale;
    else if (info.kind === "angle") into[at] = angle(here * info.scale, next * info.scale, t);
    else {
      let before = this.sample(0, field, column);
      let after = this.sample(3, field, column);
      if (before === MISSING) before = 2 * here - next;
      if (after === MISSING) after = 2 * next - here;
      into[at] = catmullRom(before, here, next, after, t) * info.scale;
    }
  }

  /**
   * `held` of each entity at once, -1 where there is none.
   * @param {number} field whole numbers @param {Int16Array} into one place for each entity
   */
  wholes(field, into) {
    for (let column = 0; column < into.length; column++) {
      const sample = field < 0 || !this.located ? MISSING : this.sample(1, field, column);
      into[column] = sample === MISSING ? -1 : Math.round(sample * this.layout.fields[field].scale);
    }
  }

  /**
   * The exact sample's quantity, for labels and tables.
   * @param {number} field @param {number} [column]
   */
  held(field, column = 0) {
    if (field < 0 || !this.located) return NaN;
    const sample = this.sample(1, field, column);
    return sample === MISSING ? NaN : sample * this.layout.fields[field].scale;
  }
}

/**
 * The cubic through b and c whose slopes there are those of the chords a–c and b–d.
 * @param {number} a @param {number} b @param {number} c @param {number} d @param {number} t 0…1
 */
export function catmullRom(a, b, c, d, t) {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/**
 * Along the shorter arc, 0…360.
 * @param {number} from degrees @param {number} to degrees @param {number} t 0…1
 */
export function angle(from, to, t) {
  const turn = ((((to - from) % 360) + 540) % 360) - 180;
  return (((from + turn * t) % 360) + 360) % 360;
}
