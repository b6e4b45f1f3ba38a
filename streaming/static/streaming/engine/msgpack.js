// @ts-check
/**
 * A decoder for the msgpack that the server sends: every type of the format but extensions, which
 * the wire does not use. Binary values are views of the input, not copies.
 */

const text = new TextDecoder("utf-8", { fatal: true });

/** Bytes that are not the msgpack that the wire allows. */
export class MsgpackError extends Error {}

/** Reads one value from start to end. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  /** @param {number} size @returns {number} where the next `size` bytes begin */
  take(size) {
    const start = this.at;
    if (start + size > this.bytes.length) {
      throw new MsgpackError(`${size} bytes wanted at ${start} of ${this.bytes.length}`);
    }
    this.at = start + size;
    return start;
  }

  /** @returns {unknown} */
  value() {
    const byte = this.bytes[this.take(1)];
    if (byte < 0x80) return byte;
    if (byte < 0x90) return this.map(byte & 15);
    if (byte < 0xa0) return this.array(byte & 15);
    if (byte < 0xc0) return this.string(byte & 31);
    if (byte >= 0xe0) return byte - 256;
    const view = this.view;
    switch (byte) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.binary(view.getUint8(this.take(1)));
      case 0xc5:
        return this.binary(view.getUint16(this.take(2)));
      case 0xc6:
        return this.binary(view.getUint32(this.take(4)));
      case 0xca:
        return view.getFloat32(this.take(4));
      case 0xcb:
        return view.getFloat64(this.take(8));
      case 0xcc:
        return view.getUint8(this.take(1));
      case 0xcd:
        return view.getUint16(this.take(2));
      case 0xce:
        return view.getUint32(this.take(4));
      case 0xcf:
        return safe(view.getBigUint64(this.take(8)));
      case 0xd0:
        return view.getInt8(this.take(1));
      case 0xd1:
        return view.getInt16(this.take(2));
      case 0xd2:
        return view.getInt32(this.take(4));
      case 0xd3:
        return safe(view.getBigInt64(this.take(8)));
      case 0xd9:
        return this.string(view.getUint8(this.take(1)));
      case 0xda:
        return this.string(view.getUint16(this.take(2)));
      case 0xdb:
        return this.string(view.getUint32(this.take(4)));
      case 0xdc:
        return this.array(view.getUint16(this.take(2)));
      case 0xdd:
        return this.array(view.getUint32(this.take(4)));
      case 0xde:
        return this.map(view.getUint16(this.take(2)));
      case 0xdf:
        return this.map(view.getUint32(this.take(4)));
      default:
        throw new MsgpackError(`type 0x${byte.toString(16)} is not used on this wire`);
    }
  }

  /** @param {number} size */
  binary(size) {
    const start = this.take(size);
    return this.bytes.subarray(start, start + size);
  }

  /** @param {number} size */
  string(size) {
    return text.decode(this.binary(size));
  }

  /** @param {number} count */
  array(count) {
    if (count > this.bytes.length) throw new MsgpackError(`array of ${count} does not fit`);
    /** @type {unknown[]} */
    const result = new Array(count);
    for (let i = 0; i < count; i++) result[i] = this.value();
    return result;
  }

  /** @param {number} count */
  map(count) {
    /** @type {Record<string, unknown>} */
    const result = Object.create(null);
    for (let i = 0; i < count; i++) {
      const key = this.value();
      if (typeof key !== "string" && typeof key !== "number") {
        throw new MsgpackError(`map key of type ${typeof key}: text or number expected`);
      }
      result[key] = this.value();
    }
    return result;
  }
}

/** @param {bigint} value @returns {number} */
function safe(value) {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new MsgpackError(`${value} is beyond 2^53`);
  return number;
}

/**
 * One msgpack value that fills `bytes` exactly.
 * @param {Uint8Array} bytes
 * @returns {unknown}
 * @throws {MsgpackError} where the bytes end early, go on, or hold a type that the wire has not
 */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (reader.at !== bytes.length) {
    throw new MsgpackError(`${bytes.length - reader.at} bytes after the value`);
  }
  return value;
}
