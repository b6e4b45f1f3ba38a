// @ts-check
/** A field frame by frame, as dense.py's decoder (docs/recording-format.md). */

/** @typedef {import("./layout.js").Layout} Layout */

/** The sample that means "no value". */
export const MISSING = -(2 ** 31);

export const FORMAT_FRAMES = 1;
export const FORMAT_SAMPLES = 2;
const MASK_BITMAP = 1;
const MASK_ALL = 2;

/** Bytes that are not a whole segment of the schema. */
export class CorruptSegment extends Error {}

/** Bytes before the table of fields, and of each of its entries. */
export const HEADER_SIZE = 16;
export const TABLE_ENTRY = 3;

/**
 * Check that a payload begins as a segment of this layout does, in either format.
 * @param {Uint8Array} payload @param {Layout} layout
 * @returns {{view: DataView, count: number}} count: frames
 * @throws {CorruptSegment}
 */
export function readHead(payload, layout) {
  const fields = layout.fields.length;
  if (payload.length < HEADER_SIZE + TABLE_ENTRY * fields) {
    throw new CorruptSegment(`segment of ${payload.length} bytes: shorter than its header`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload[0] !== FORMAT_FRAMES && payload[0] !== FORMAT_SAMPLES) {
    throw new CorruptSegment(`segment format ${payload[0]}: this player knows 1 and 2`);
  }
  const count = view.getUint16(2, true);
  const entities = view.getUint16(4, true);
  if (payload[1] !== fields || entities !== layout.entities.length || count === 0) {
    throw new CorruptSegment(
      `segment has ${payload[1]} fields of ${entities} entities, ${count} frames: ` +
        `its schema has ${fields} of ${layout.entities.length}`,
    );
  }
  return { view, count };
}

/**
 * One field's samples; returns where the next field begins. All arithmetic is modulo 2^32, as the
 * format says, hence the `| 0`.
 * @param {Uint8Array} payload @param {DataView} view @param {number} at
 * @param {Int32Array} data @param {number} out first sample's place in `data`
 * @param {number} count @param {number} width
 * @param {number} order @param {number} byteWidth @param {number} mask
 */
export function decodeFrames(payload, view, at, data, out, count, width, order, byteWidth, mask) {
  if (order < 1 || order > 2 || order > count || byteWidth > 4 || byteWidth === 3 || mask > 2) {
    throw new CorruptSegment(`segment table: order ${order}, width ${byteWidth}, mask ${mask}`);
  }
  if (mask === MASK_ALL) {
    data.fill(MISSING, out, out + count * width);
    return at;
  }
  const bitmap = at;
  if (mask === MASK_BITMAP) at += (count * width + 7) >> 3;
  const heads = at;
  at += 4 * order * width;
  const rest = count - order;
  const planes = at;
  const plane = width * rest;
  at += byteWidth * plane;
  if (at > payload.length) throw new CorruptSegment("segment ends inside its fields");
  for (let column = 0; column < width; column++) {
    let place = out + column * count;
    let value = view.getInt32(heads + 4 * column, true);
    data[place++] = value;
    let step = 0;
    if (order === 2) {
      step = view.getInt32(heads + 4 * (width + column), true);
      value = (value + step) | 0;
      data[place++] = value;
    }
    let from = planes + column * rest;
    for (let i = 0; i < rest; i++, from++) {
      let zigzag = 0;
      if (byteWidth > 0) zigzag = payload[from];
      if (byteWidth > 1) zigzag |= payload[from + plane] << 8;
      if (byteWidth > 2) {
        zigzag |= (payload[from + 2 * plane] << 16) | (payload[from + 3 * plane] << 24);
      }
      const residual = (zigzag >>> 1) ^ -(zigzag & 1);
      if (order === 2) {
        step = (step + residual) | 0;
        value = (value + step) | 0;
      } else {
        value = (value + residual) | 0;
      }
      data[place++] = value;
    }
  }
  if (mask === MASK_BITMAP) {
    const samples = count * width;
    for (let i = 0; i < samples; i++) {
      if ((payload[bitmap + (i >> 3)] & (1 << (i & 7))) === 0) data[out + i] = MISSING;
    }
  }
  return at;
}
