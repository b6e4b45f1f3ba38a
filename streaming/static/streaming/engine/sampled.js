// @ts-check
/**
 * Segments of format 2 (docs/recording-format.md), as sampled.py's decoder: what was measured, at
 * its own times, what is held, when it changes. Every number is the same as Python's: the same
 * operations on 64-bit floats, in the same order.
 */

import {
  CorruptSegment,
  HEADER_SIZE,
  MISSING,
  TABLE_ENTRY,
  decodeFrames,
  readHead,
} from "./frames.js";

/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./segment.js").Segment} Segment */

const TICKS = 8;
const CODING_CHANGES = 3;
const CODING_SAMPLES = 4;
const CODING_EVERY = 16;
const MASK_THERE = 1;
const MASK_MISSING = 2;
const ALL_THEIR_OWN = 0xffff;
const NO_CLOCK = 0xfffe;
const STEEPEST = 4;
const LARGEST = 2 ** 31 - 1;

/** Reads a payload from front to back. */
class Reader {
  /** @param {Uint8Array} payload @param {number} at */
  constructor(payload, at) {
    this.payload = payload;
    this.view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    this.at = at;
  }

  /** The place of the next `size` bytes. @param {number} size */
  skip(size) {
    const at = this.at;
    this.at += size;
    if (this.at > this.payload.length) throw new CorruptSegment("segment ends inside its fields");
    return at;
  }

  u8() {
    return this.payload[this.skip(1)];
  }

  u16() {
    return this.view.getUint16(this.skip(2), true);
  }

  /** Byte planes. @param {number} count @param {number} width */
  numbers(count, width) {
    const { payload } = this;
    const at = this.skip(count * width);
    const result = new Int32Array(count);
    for (let plane = 0; plane < width; plane++) {
      const from = at + plane * count;
      const shift = 8 * plane;
      for (let i = 0; i < count; i++) result[i] |= payload[from + i] << shift;
    }
    return result;
  }

  /** @param {number} count @param {number} width */
  residuals(count, width) {
    const result = this.numbers(count, width);
    if (width > 0) {
      for (let i = 0; i < count; i++) result[i] = (result[i] >>> 1) ^ -(result[i] & 1);
    }
    return result;
  }
}

/** Times that columns were measured at, and where each frame lies between them. */
class Clock {
  /** @param {Reader} reader @param {number} count frames of the segment */
  constructor(reader, count) {
    this.size = reader.u16();
    this.maxGap = reader.view.getUint32(reader.skip(4), true);
    const first = reader.view.getInt32(reader.skip(4), true);
    const width = reader.u8();
    if (width > 4 || width === 3) throw new CorruptSegment(`segment clock: width ${width}`);
    const steps = reader.numbers(Math.max(this.size - 1, 0), width);
    /** from the segment's first frame */
    this.ticks = new Float64Array(this.size);
    if (this.size > 0) this.ticks[0] = first;
    for (let i = 1; i < this.size; i++) {
      const step = steps[i - 1] >>> 0;
      if (step === 0) throw new CorruptSegment("segment clock: times do not increase");
      this.ticks[i] = this.ticks[i - 1] + step;
    }
    /** of each step, in lengths of the one or two before it */
    this.lengths = [1, 2].map((back) => {
      const lengths = new Float64Array(this.size);
      for (let i = back + 1; i < this.size; i++) {
        const before = this.ticks[i - 1] - this.ticks[i - 1 - back];
        lengths[i] = Math.min((this.ticks[i] - this.ticks[i - 1]) / before, STEEPEST);
      }
      return lengths;
    });
    this.frames = new Places(this.ticks, this.size, count);
  }
}

/** Where each frame lies between samples that a column has all of. */
class Places {
  /** @param {Float64Array} ticks @param {number} size samples @param {number} count frames */
  constructor(ticks, size, count) {
    this.ticks = ticks;
    this.size = size;
    /** the first frame at or after each sample, and the end */
    this.begin = new Int32Array(size + 1).fill(count);
    /** how far each frame is from the sample before to the next one, 0 to 1 */
    this.part = new Float64Array(count);
    /** of the curve: weights of the way, and of the slopes at both ends */
    this.way = new Float64Array(count);
    this.out = new Float64Array(count);
    this.into = new Float64Array(count);
    this.step = new Float64Array(Math.max(size - 1, 0));
    for (let i = 0; i + 1 < size; i++) this.step[i] = ticks[i + 1] - ticks[i];
    for (let i = 0; i < size; i++) {
      this.begin[i] = Math.min(Math.max(Math.ceil(ticks[i] / TICKS), 0), count);
    }
    for (let i = 0; i + 1 < size; i++) {
      const step = this.step[i];
      for (let frame = this.begin[i]; frame < this.begin[i + 1]; frame++) {
        const part = (frame * TICKS - ticks[i]) / step;
        const rest = 1 - part;
        this.part[frame] = part;
        this.way[frame] = part * part * (3 - 2 * part);
        this.out[frame] = step * (part * (rest * rest));
        this.into[frame] = step * (part * part * rest);
      }
    }
  }
}

/**
 * Decode an inflated segment of format 2.
 * @param {Uint8Array} payload
 * @param {Layout} layout
 * @returns {Segment}
 * @throws {CorruptSegment}
 */
export function decodeSampled(payload, layout) {
  const { view, count } = readHead(payload, layout);
  const fields = layout.fields.length;
  const reader = new Reader(payload, HEADER_SIZE + TABLE_ENTRY * fields);
  const ticks = view.getUint16(12, true);
  if (ticks !== TICKS) {
    throw new CorruptSegment(`segment of ${ticks} ticks a frame: ${TICKS} expected`);
  }
  const clocks = Array.from({ length: view.getUint16(14, true) }, () => new Clock(reader, count));
  const data = new Int32Array(layout.totalColumns * count);
  for (let field = 0; field < fields; field++) {
    const entry = HEADER_SIZE + TABLE_ENTRY * field;
    const [coding, width, mask] = payload.subarray(entry, entry + TABLE_ENTRY);
    const out = layout.columns[field] * count;
    const columns = layout.widths[field];
    if (coding === 1 || coding === 2) {
      reader.at = decodeFrames(
        payload,
        view,
        reader.at,
        data,
        out,
        count,
        columns,
        coding,
        width,
        mask,
      );
      continue;
    }
    if (coding > CODING_EVERY + 1) {
      const every = coding - CODING_EVERY;
      const taken = Math.ceil(count / every);
      const some = new Int32Array(taken * columns);
      reader.at = decodeFrames(payload, view, reader.at, some, 0, taken, columns, 1, width, mask);
      for (let column = 0; column < columns; column++) {
        for (let i = 0; i < count; i++) {
          data[out + column * count + i] = some[column * taken + Math.floor(i / every)];
        }
      }
      continue;
    }
    if (width > 4 || width === 3) {
      throw new CorruptSegment(`segment table: coding ${coding}, width ${width}`);
    }
    const { kind, scale } = layout.fields[field];
    if (coding === CODING_CHANGES) readChanges(reader, data, out, count, columns, width, mask);
    else if (coding >= CODING_SAMPLES && coding <= CODING_SAMPLES + 2 && mask <= 3) {
      const steps = coding - CODING_SAMPLES;
      const turn = kind === "angle" ? 360 / scale : 0;
      if (kind === "held" || turn !== Math.floor(turn)) {
        throw new CorruptSegment(`segment table: samples of a field that is held`);
      }
      readSamples(reader, clocks, data, out, count, columns, steps, width, mask, kind, turn);
    } else throw new CorruptSegment(`segment table: coding ${coding}, mask ${mask}`);
  }
  if (reader.at !== payload.length) {
    throw new CorruptSegment(`segment of ${payload.length} bytes: ${reader.at} expected`);
  }
  return { first: view.getUint32(8, true), stride: view.getUint16(6, true), count, data };
}

/**
 * @param {Reader} reader @param {Int32Array} data @param {number} out @param {number} count
 * @param {number} columns @param {number} width @param {number} each bytes of a count
 */
function readChanges(reader, data, out, count, columns, width, each) {
  if (each !== 1 && each !== 2) {
    throw new CorruptSegment(`segment table: counts of ${each} bytes`);
  }
  const first = reader.numbers(columns, 4);
  const counts = reader.numbers(columns, each);
  let total = 0;
  for (let column = 0; column < columns; column++) total += counts[column];
  const steps = reader.numbers(total, each);
  const rest = reader.residuals(total, width);
  let change = 0;
  for (let column = 0; column < columns; column++) {
    const start = out + column * count;
    let value = first[column];
    let from = 0;
    for (let i = 0; i < counts[column]; i++, change++) {
      const to = from + steps[change];
      if (to <= from || to >= count) {
        throw new CorruptSegment("segment has changes beyond its frames");
      }
      data.fill(value, start + from, start + to);
      value = (value + rest[change]) | 0;
      from = to;
    }
    data.fill(value, start + from, start + count);
  }
}

/**
 * @param {Reader} reader @param {Clock[]} clocks @param {Int32Array} data @param {number} out
 * @param {number} count @param {number} columns @param {number} steps that a sample is predicted from @param {number} width
 * @param {number} mask @param {string} kind @param {number} turn steps in a circle, for angles
 */
function readSamples(reader, clocks, data, out, count, columns, steps, width, mask, kind, turn) {
  const { payload } = reader;
  const common = reader.u16();
  /** @type {(Clock|null)[]} */
  const own = [];
  const named = common === ALL_THEIR_OWN ? reader.skip(2 * columns) : -1;
  let total = 0;
  let began = 0;
  for (let column = 0; column < columns; column++) {
    const number = named < 0 ? common : reader.view.getUint16(named + 2 * column, true);
    if (number !== NO_CLOCK && number >= clocks.length) {
      throw new CorruptSegment(`segment has ${clocks.length} clocks: a field has more`);
    }
    const clock = number === NO_CLOCK ? null : clocks[number];
    own.push(clock);
    total += clock?.size ?? 0;
    if (clock !== null && clock.size > 0) began += 1;
  }
  const there = mask & MASK_THERE ? reader.skip((total + 7) >> 3) : -1;
  const missing = mask & MASK_MISSING ? reader.skip((total + 7) >> 3) : -1;
  const heads = reader.numbers(began, 4);
  const rests = reader.residuals(total - began, width);
  let bit = 0;
  let head = 0;
  let rest = 0;
  for (let column = 0; column < columns; column++) {
    const clock = own[column];
    const place = out + column * count;
    if (clock === null || clock.size === 0) {
      data.fill(MISSING, place, place + count);
      continue;
    }
    const { size } = clock;
    const values = new Int32Array(size);
    let value = heads[head++];
    values[0] = value;
    for (let i = 1; i < size; i++) {
      let guess = value;
      const back = Math.min(steps, i - 1);
      if (back > 0) {
        guess += Math.floor((value - values[i - 1 - back]) * clock.lengths[back - 1][i]);
      }
      value = (guess + rests[rest++]) | 0;
      values[i] = value;
    }
    let places = clock.frames;
    let samples = values;
    if (missing >= 0) {
      for (let i = 0; i < size; i++) {
        const at = bit + i;
        if (payload[missing + (at >> 3)] & (1 << (at & 7))) values[i] = MISSING;
      }
    }
    if (there >= 0) {
      let kept = 0;
      const times = new Float64Array(size);
      for (let i = 0; i < size; i++) {
        const at = bit + i;
        if ((payload[there + (at >> 3)] & (1 << (at & 7))) === 0) continue;
        times[kept] = clock.ticks[i];
        values[kept++] = values[i];
      }
      if (kept < size) {
        samples = values.subarray(0, kept);
        places = new Places(times, kept, count);
      }
    }
    bit += size;
    between(places, samples, clock.maxGap, data, place, count, kind, turn);
  }
}

/**
 * One column at every frame.
 * @param {Places} places @param {Int32Array} samples @param {number} maxGap
 * @param {Int32Array} data @param {number} place @param {number} count
 * @param {string} kind @param {number} turn
 */
function between(places, samples, maxGap, data, place, count, kind, turn) {
  const { size, ticks, step, begin, part, way, out, into } = places;
  const links = Math.max(size - 1, 0);
  const rise = new Float64Array(links);
  const linked = new Uint8Array(links);
  for (let i = 0; i < links; i++) {
    if (step[i] > maxGap || samples[i] === MISSING || samples[i + 1] === MISSING) continue;
    linked[i] = 1;
    let gain = samples[i + 1] - samples[i];
    if (turn > 0) gain -= turn * Math.floor(gain / turn + 0.5);
    rise[i] = gain;
  }
  const cubic = kind === "cubic";
  const slope = cubic ? slopes(rise, step, linked) : rise;
  data.fill(MISSING, place, place + begin[0]);
  for (let i = 0; i < size; i++) {
    let frame = begin[i];
    const end = begin[i + 1];
    if (frame >= end) continue;
    const from = samples[i];
    if (frame * TICKS === ticks[i]) data[place + frame++] = from;
    if (i >= links || linked[i] === 0) {
      data.fill(MISSING, place + frame, place + end);
      continue;
    }
    const gain = rise[i];
    const leaving = slope[i];
    const reaching = slope[i + 1];
    for (; frame < end; frame++) {
      let value = cubic
        ? from + gain * way[frame] + leaving * out[frame] - reaching * into[frame]
        : from + gain * part[frame];
      value = Math.floor(value + 0.5);
      if (turn > 0) value -= turn * Math.floor(value / turn);
      if (value > LARGEST) value = LARGEST;
      else if (value < -LARGEST) value = -LARGEST;
      data[place + frame] = value;
    }
  }
}

/**
 * Of the curve at each sample: of the chords on both sides, weighted by the other one's length.
 * @param {Float64Array} rise @param {Float64Array} step @param {Uint8Array} linked
 */
function slopes(rise, step, linked) {
  const links = rise.length;
  const slope = new Float64Array(links + 1);
  for (let i = 0; i <= links; i++) {
    const before = i > 0 && linked[i - 1] === 1;
    const after = i < links && linked[i] === 1;
    if (before && after) {
      const earlier = rise[i - 1] / step[i - 1];
      const later = rise[i] / step[i];
      slope[i] = (earlier * step[i] + later * step[i - 1]) / (step[i] + step[i - 1]);
    } else if (after) slope[i] = rise[i] / step[i];
    else if (before) slope[i] = rise[i - 1] / step[i - 1];
  }
  return slope;
}
