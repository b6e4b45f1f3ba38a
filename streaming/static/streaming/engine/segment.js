// @ts-check
/** The segment codec's reading half (docs/recording-format.md), as segment.py's decoder. */

/** @typedef {import("./layout.js").Layout} Layout */

/** The sample that means "no value". */
export const MISSING = -(2 ** 31);

const FORMAT = 1;
const HEADER_SIZE = 16;
const TABLE_ENTRY = 3;
const MASK_BITMAP = 1;
const MASK_ALL = 2;

/** Bytes that are not a whole segment of the schema. */
export class CorruptSegment extends Error {}

/**
 * @typedef {object} Segment
 * @property {number} first frame of sample 0
 * @property {number} stride frames between two samples, positive
 * @property {number} count samples in time
 * @property {Int32Array} data entity after entity, field after field: sample i of column c is
 *   `data[(layout.columns[field] + c) * count + i]`
 */

/**
 * Inflate a raw deflate.
 * @param {Uint8Array} bytes
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(bytes) {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  // A failure is reported by the reader; the writer's promises only must not go unhandled.
  const written = Promise.all([
    writer.write(/** @type {BufferSource} */ (bytes)),
    writer.close(),
  ]).catch(() => undefined);
  const reader = stream.readable.getReader();
  /** @type {Uint8Array[]} */
  const chunks = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
    }
  } catch (error) {
    throw new CorruptSegment(`segment does not inflate: ${error}`);
  }
  await written;
  if (chunks.length === 1) return chunks[0];
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/**
 * Decode an inflated segment.
 * @param {Uint8Array} payload
 * @param {Layout} layout of the recording, or of the subset that the segment was made for
 * @returns {Segment}
 * @throws {CorruptSegment}
 */
export function decodeSegment(payload, layout) {
  const fields = layout.fields.length;
  const table = HEADER_SIZE;
  if (payload.length < table + TABLE_ENTRY * fields) {
    throw new CorruptSegment(`segment of ${payload.length} bytes: shorter than its header`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload[0] !== FORMAT) {
    throw new CorruptSegment(`segment format ${payload[0]}: this player knows ${FORMAT}`);
  }
  const count = view.getUint16(2, true);
  const entities = view.getUint16(4, true);
  if (payload[1] !== fields || entities !== layout.entities.length || count === 0) {
    throw new CorruptSegment(
      `segment has ${payload[1]} fields of ${entities} entities, ${count} frames: ` +
        `its schema has ${fields} of ${layout.entities.length}`,
    );
  }
  const data = new Int32Array(layout.totalColumns * count);
  let at = table + TABLE_ENTRY * fields;
  for (let field = 0; field < fields; field++) {
    const entry = table + TABLE_ENTRY * field;
    at = decodeField(
      payload,
      view,
      at,
      data,
      layout.columns[field] * count,
      count,
      layout.widths[field],
      payload[entry],
      payload[entry + 1],
      payload[entry + 2],
    );
  }
  if (at !== payload.length) {
    throw new CorruptSegment(`segment of ${payload.length} bytes: ${at} expected`);
  }
  return { first: view.getUint32(8, true), stride: view.getUint16(6, true), count, data };
}

/**
 * One field's samples; returns where the next field begins. All arithmetic is modulo 2^32, as the
 * format says, hence the `| 0`.
 * @param {Uint8Array} payload @param {DataView} view @param {number} at
 * @param {Int32Array} data @param {number} out first sample's place in `data`
 * @param {number} count @param {number} width
 * @param {number} order @param {number} byteWidth @param {number} mask
 */
function decodeField(payload, view, at, data, out, count, width, order, byteWidth, mask) {
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
