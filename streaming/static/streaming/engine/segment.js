// @ts-check
/** The segment codec's reading half (docs/recording-format.md), as segment.py's decoder. */

import {
  CorruptSegment,
  FORMAT_SAMPLES,
  HEADER_SIZE,
  MISSING,
  TABLE_ENTRY,
  decodeFrames,
  readHead,
} from "./frames.js";
import { decodeSampled } from "./sampled.js";

/** @typedef {import("./layout.js").Layout} Layout */

export { CorruptSegment, MISSING };

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
  if (payload[0] === FORMAT_SAMPLES) return decodeSampled(payload, layout);
  const { view, count } = readHead(payload, layout);
  const fields = layout.fields.length;
  const table = HEADER_SIZE;
  const data = new Int32Array(layout.totalColumns * count);
  let at = table + TABLE_ENTRY * fields;
  for (let field = 0; field < fields; field++) {
    const entry = table + TABLE_ENTRY * field;
    at = decodeFrames(
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
