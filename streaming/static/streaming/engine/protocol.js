// @ts-check
/** The names and numbers of the wire (docs/protocol.md), and the reading of data messages. */

import { decode } from "./msgpack.js";

export const SUBPROTOCOL = "replay.v1";

/** Kinds of data message. */
export const Kind = Object.freeze({ SEGMENT: 1, ROW: 2, MEDIA: 3 });

/** Close codes, whether to come back, and what to tell a person. */
const CLOSE = new Map([
  [1000, { retry: false, message: "The server ended the connection." }],
  [1009, { retry: false, message: "A message was too large." }],
  [1011, { retry: true, message: "The server failed." }],
  [1012, { retry: true, message: "The server is restarting." }],
  [4400, { retry: false, message: "This page and the server speak different versions. Reload the page." }],
  [4401, { retry: false, message: "Log in to watch this session." }],
  [4403, { retry: false, message: "Your account may not watch this session." }],
  [4404, { retry: false, message: "There is no such session, or it has been deleted." }],
  [4408, { retry: true, message: "The connection was too slow." }],
  [4413, { retry: false, message: "A message was too large." }],
  [4429, { retry: true, message: "Too many connections. Waiting for a place." }],
]);

/**
 * What a close code means for the client.
 * @param {number} code
 * @returns {{retry: boolean, message: string}}
 */
export function closeMeaning(code) {
  return CLOSE.get(code) ?? { retry: true, message: "The connection was lost." };
}

/**
 * @typedef {object} DataMessage
 * @property {number} kind one of `Kind`
 * @property {number} generation of the seek that it belongs to
 * @property {number} seq counts data messages of this connection from 1
 * @property {number} firstFrame frame of the payload's first sample
 * @property {number} frameCount samples in time
 * @property {number} stride frames between two samples; negative when played backwards
 * @property {Uint8Array} payload
 */

/**
 * @param {ArrayBuffer} buffer a binary message
 * @returns {DataMessage}
 * @throws {Error} where it is not the seven-part message of the wire
 */
export function readData(buffer) {
  const parts = decode(new Uint8Array(buffer));
  if (!Array.isArray(parts) || parts.length !== 7) {
    throw new Error("data message: an array of seven parts expected");
  }
  const [kind, generation, seq, firstFrame, frameCount, stride, payload] = parts;
  return { kind, generation, seq, firstFrame, frameCount, stride, payload };
}

/** Milliseconds: the longest first wait, and the longest of all. */
const FIRST_BACKOFF = 500;
const MAX_BACKOFF = 30_000;

/**
 * The wait before the next attempt to connect. Its limit doubles with each attempt, and a random
 * part of it is waited, so that the viewers of a server that ended do not all come back at once.
 * @param {number} attempt 0 for the first
 * @param {() => number} random 0…1
 * @returns {number} milliseconds
 */
export function backoff(attempt, random) {
  return Math.min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** attempt) * random();
}
