// @ts-check
/** The wire (docs/protocol.md): its names and numbers, its messages as types, and reading them. */

import { decode } from "./msgpack.js";

/** @typedef {import("./layout.js").FieldInfo} FieldInfo */
/** @typedef {"paused"|"playing"|"buffering"|"ended"|"live"} PlayheadStatus */

/**
 * Messages to the server.
 * @typedef {{encoding: "segments"|"rows", window: number, lead: number}} HelloOptions
 * @typedef {{action: "hello", resume?: string} & HelloOptions} Hello
 * @typedef {{action: "ack", seq: number}} Acknowledgement
 * @typedef {{action: "ping", t: number, hidden: boolean, buffer?: number, round_trip?: number}} Ping
 */

/**
 * What a person asks for. The server answers each with the `id` that it was sent with.
 * @typedef {{action: "play", speed: number}
 *   | {action: "pause"}
 *   | {action: "seek", frame: number, generation: number}
 *   | {action: "speed", speed: number}
 *   | {action: "live"}
 *   | {action: "join", room: string, name?: string}
 *   | {action: "leave"}} Command
 */

/** @typedef {Hello | Acknowledgement | Ping | (Command & {id: number})} ClientMessage */

/**
 * @typedef {object} SessionInfo `welcome.session`
 * @property {string} version of the recording, "" until there is one
 * @property {"pending"|"importing"|"ready"|"failed"|"live"} state
 * @property {number} frame_rate
 * @property {number} frame_count
 * @property {string} [content_type] of pictures, which are then what is sent
 * @property {number | null} [start_time] Unix seconds of frame 0 of pictures
 */

/**
 * @typedef {object} Welcome
 * @property {"welcome"} type
 * @property {SessionInfo} session
 * @property {{fields: FieldInfo[], entities: string[]} | null} schema null while it is imported
 * @property {number} segment_frames
 * @property {number} generation
 * @property {boolean} [resumed] whether the server knows where this viewer was
 * @property {string} [room] that the viewer has been put back into
 * @property {string} [resume]
 * @property {number[]} [strides] that there are files of, ascending; all without it
 */

/**
 * @typedef {object} State
 * @property {"state"} type
 * @property {PlayheadStatus} status
 * @property {number} frame
 * @property {number} speed
 * @property {number} generation
 * @property {number} [id] of the command that it answers
 * @property {boolean} [live] whether more frames are to come, of a session opened while live
 * @property {number} [frame_count] frames by now, of a session opened while live
 * @property {string} [resume] a fresh token
 */

/**
 * @typedef {object} RoomState
 * @property {"room"} type
 * @property {string | null} room null after leaving
 * @property {number} members
 * @property {{id: string, name: string}[]} [people]
 * @property {string} [you] your own id
 * @property {{id: string, name: string, action: "play"|"pause"|"seek"|"speed"} | null} [led_by]
 */

/** @typedef {{type: "loading_progress", progress: number, message: string}} LoadingProgress */
/** @typedef {{type: "loading_complete", frames: number}} LoadingComplete */
/** @typedef {{type: "loading_error", message: string}} LoadingError */
/** @typedef {{type: "pong", t: number, server_time: number}} Pong */
/** @typedef {{type: "bye", reason: string, retry_after?: number, resume?: string}} Bye */
/** @typedef {{type: "error", code: string, message: string, id?: number}} CommandError */

/**
 * Messages from the server that this player reads; it asks for no `event`s.
 * @typedef {Welcome | LoadingProgress | LoadingComplete | LoadingError | State | RoomState | Pong
 *   | Bye | CommandError} ServerMessage
 */

/** @type {ReadonlySet<unknown>} */
const SERVER_MESSAGES = new Set(
  /** @type {ServerMessage["type"][]} */ ([
    "welcome",
    "loading_progress",
    "loading_complete",
    "loading_error",
    "state",
    "room",
    "pong",
    "bye",
    "error",
  ]),
);

export const SUBPROTOCOL = "replay.v1";

/** Kinds of data message. */
export const Kind = Object.freeze({ SEGMENT: 1, ROW: 2, MEDIA: 3 });

/** Close codes: whether to connect again, and the message for a person. */
const CLOSE = new Map([
  [1000, { retry: false, message: "The server ended the connection." }],
  [1009, { retry: false, message: "A message was too large." }],
  [1011, { retry: true, message: "The server had an error." }],
  [1012, { retry: true, message: "The server is restarting." }],
  [
    4400,
    {
      retry: false,
      message: "This page is out of date. Reload it.",
    },
  ],
  [4401, { retry: false, message: "Log in to watch this session." }],
  [4403, { retry: false, message: "Your account does not have access to this session." }],
  [4404, { retry: false, message: "This session does not exist or has been deleted." }],
  [4408, { retry: true, message: "The connection was too slow." }],
  [4409, { retry: false, message: "Another producer sends this session." }],
  [4413, { retry: false, message: "A message was too large." }],
  [4429, { retry: true, message: "The server is full." }],
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
 * @param {string} text a text message
 * @returns {ServerMessage | null} null for a type that this player does not know
 * @throws {Error} where it is not a JSON object with a `type`
 */
export function readControl(text) {
  /** @type {unknown} */
  const message = JSON.parse(text);
  if (typeof message !== "object" || message === null || !("type" in message)) {
    throw new Error(`control message: an object with a type expected, not ${text.slice(0, 80)}`);
  }
  if (!SERVER_MESSAGES.has(message.type)) return null;
  return /** @type {ServerMessage} */ (message);
}

/**
 * @typedef {object} DataMessage
 * @property {number} kind one of `Kind`
 * @property {number} generation of the seek that it belongs to
 * @property {number} seq counts data messages of this connection from 1
 * @property {number} firstFrame frame of the payload's first sample
 * @property {number} frameCount samples in time
 * @property {number} stride frames between two samples; negative when played backwards
 * @property {Uint8Array | null} payload the segment, null where `kind` is another
 */

/**
 * @param {ArrayBuffer} buffer a binary message
 * @returns {DataMessage}
 * @throws {Error} where it is not the seven-part message of the wire
 */
export function readData(buffer) {
  /** @type {unknown} */
  const parts = decode(new Uint8Array(buffer));
  if (!Array.isArray(parts) || parts.length !== 7) {
    throw new Error("data message: an array of seven parts expected");
  }
  const numbers = parts.slice(0, 6);
  if (!numbers.every(Number.isInteger)) {
    throw new Error("data message: six integers before the payload expected");
  }
  const [kind, generation, seq, firstFrame, frameCount, stride] = /** @type {number[]} */ (numbers);
  /** @type {unknown} */
  const payload = parts[6];
  if (kind === Kind.SEGMENT && !(payload instanceof Uint8Array)) {
    throw new Error("data message: a segment in binary expected");
  }
  const bytes = kind !== Kind.ROW && payload instanceof Uint8Array ? payload : null;
  return { kind, generation, seq, firstFrame, frameCount, stride, payload: bytes };
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
