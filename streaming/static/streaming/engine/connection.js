// @ts-check
/**
 * The socket and everything that turns its bytes into samples. It runs in the worker, or on the
 * main thread where there is none; it knows nothing of the page.
 */

import { Downloads } from "./downloads.js";
import { Layout } from "./layout.js";
import { Kind, SUBPROTOCOL, backoff, closeMeaning, readControl, readData } from "./protocol.js";
import { decodeSegment, inflate } from "./segment.js";

/** @typedef {import("./protocol.js").ClientMessage} ClientMessage */
/** @typedef {import("./protocol.js").HelloOptions} HelloOptions */
/** @typedef {import("./protocol.js").ServerMessage} ServerMessage */
/** @typedef {import("./segment.js").Segment} Segment */

/** @typedef {import("./downloads.js").DownloadReport} DownloadReport */
/** @typedef {import("./downloads.js").Purpose} Purpose */
/** @typedef {import("./downloads.js").WantedSegment} WantedSegment */

/**
 * What the page asks of the connection.
 * @typedef {{type: "open", url: string, hello: HelloOptions}
 *   | {type: "send", message: ClientMessage}
 *   | {type: "generation", generation: number}
 *   | {type: "fetch", path: string, segments: WantedSegment[]}
 *   | {type: "cancel", purpose: Purpose}
 *   | {type: "buffer", seconds: number}
 *   | {type: "sleep"}
 *   | {type: "wake"}
 *   | {type: "await_welcome"}} Order
 */

/**
 * What the connection tells the page. "lost": it will be opened again; "refused": it will not.
 * @typedef {{type: "control", message: ServerMessage}
 *   | {type: "segment", segment: Segment, seq: number, generation: number, bytes: number,
 *      decoding: number}
 *   | {type: "discarded", seq: number, generation: number}
 *   | {type: "round_trip", milliseconds: number, ahead: number}
 *   | {type: "picture", bitmap: ImageBitmap, frame: number, bytes: number, decoding: number}
 *   | {type: "lost", message: string}
 *   | {type: "refused", message: string}
 *   | DownloadReport} Report
 */

/** Milliseconds between two measurements of the round trip. */
const PING_INTERVAL = 5000;
/** Milliseconds after the end of an import within which the server sends a second welcome. */
const WELCOME_WITHIN = 3000;

export class Connection {
  /** @param {(report: Report, transfer?: Transferable[]) => void} post to the page */
  constructor(post) {
    this.post = post;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.url = "";
    /** @type {HelloOptions | null} */
    this.hello = null;
    /** @type {string | undefined} */
    this.resume = undefined;
    /** @type {Layout | null} */
    this.layout = null;
    this.generation = 0;
    this.attempt = 0;
    /** milliseconds to wait before connecting again, as the server asked */
    this.retryAfter = 0;
    /** seconds held and the last round trip (ms), as last heard */
    this.buffer = /** @type {number | null} */ (null);
    this.roundTrip = /** @type {number | null} */ (null);
    this.asleep = false;
    /** the server has refused us for good */
    this.refused = false;
    /** why the server closed, as it said in `bye` */
    this.reason = "";
    this.retryTimer = 0;
    this.pingTimer = 0;
    /** segments are inflated one after another, so that they arrive in their order */
    this.chain = Promise.resolve();
    this.downloads = new Downloads(post);
  }

  /** @param {Order} order */
  handle(order) {
    switch (order.type) {
      case "open":
        this.url = order.url;
        this.hello = order.hello;
        this.connect();
        break;
      case "send":
        this.send(order.message);
        break;
      case "generation":
        this.generation = order.generation;
        break;
      case "fetch":
        this.downloads.want(order.path, order.segments);
        break;
      case "cancel":
        this.downloads.cancel(order.purpose);
        break;
      case "buffer":
        this.buffer = order.seconds;
        break;
      case "sleep":
        this.asleep = true;
        break;
      case "wake":
        this.asleep = false;
        if (this.socket === null && !this.refused) this.connect();
        break;
      case "await_welcome":
        setTimeout(() => this.welcomeOrReconnect(), WELCOME_WITHIN);
        break;
    }
  }

  connect() {
    clearTimeout(this.retryTimer);
    const options = this.hello;
    if (this.socket !== null || options === null) return;
    const socket = new WebSocket(this.url, [SUBPROTOCOL]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      const resume = this.resume === undefined ? {} : { resume: this.resume };
      this.send({ action: "hello", ...options, ...resume });
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      /** @type {string | ArrayBuffer} */
      const data = event.data;
      if (typeof data === "string") this.control(data);
      else this.data(data);
    };
    socket.onclose = (event) => this.lost(socket, event.code, event.reason);
  }

  /** An import has ended: connect again if the server has not sent the second welcome. */
  welcomeOrReconnect() {
    const socket = this.socket;
    if (this.layout !== null || socket === null) return;
    socket.close(1000);
    this.lost(socket, 1012, "");
  }

  /** @param {ClientMessage} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** @param {string} text */
  control(text) {
    const message = readControl(text);
    if (message === null) return;
    switch (message.type) {
      case "welcome":
        this.welcomed(message);
        break;
      case "pong":
        this.roundTrip = performance.now() - message.t;
        this.post({
          type: "round_trip",
          milliseconds: this.roundTrip,
          ahead: 1000 * message.server_time + this.roundTrip / 2 - Date.now(),
        });
        return;
      case "bye":
        this.resume = message.resume ?? this.resume;
        this.retryAfter = 1000 * (message.retry_after ?? 0);
        this.reason = message.reason ?? "";
        return;
      case "state":
        this.resume = message.resume ?? this.resume;
        this.generation = Math.max(this.generation, message.generation);
        break;
    }
    this.post({ type: "control", message });
  }

  /** @param {import("./protocol.js").Welcome} message */
  welcomed(message) {
    this.attempt = 0;
    this.resume = message.resume;
    this.generation = message.generation;
    if (message.schema !== null) {
      const { fields, entities } = message.schema;
      this.layout = new Layout(fields, entities, message.segment_frames);
      this.downloads.layout = this.layout;
    }
    clearInterval(this.pingTimer);
    this.pingTimer = setInterval(() => this.ping(), PING_INTERVAL);
    this.ping();
  }

  /** Measure the round trip; what it says of this page is for the operator's statistics. */
  ping() {
    this.send({
      action: "ping",
      t: performance.now(),
      hidden: this.asleep,
      ...(this.buffer === null ? {} : { buffer: this.buffer }),
      ...(this.roundTrip === null ? {} : { round_trip: this.roundTrip }),
    });
  }

  /** @param {ArrayBuffer} buffer */
  data(buffer) {
    const message = readData(buffer);
    if (message.kind === Kind.MEDIA) {
      void this.picture(message, buffer.byteLength);
      return;
    }
    const { layout } = this;
    const { payload } = message;
    if (message.generation < this.generation || payload === null || layout === null) {
      this.post({ type: "discarded", seq: message.seq, generation: message.generation });
      return;
    }
    const socket = this.socket;
    this.chain = this.chain.then(async () => {
      if (this.socket !== socket) return;
      try {
        const inflated = await inflate(payload);
        const start = performance.now();
        const segment = decodeSegment(inflated, layout);
        const decoding = performance.now() - start;
        this.post(
          {
            type: "segment",
            segment,
            seq: message.seq,
            generation: message.generation,
            bytes: buffer.byteLength,
            decoding,
          },
          [segment.data.buffer],
        );
      } catch (error) {
        this.post({ type: "discarded", seq: message.seq, generation: message.generation });
        this.post({ type: "problem", message: String(error) });
      }
    });
  }

  /**
   * Decode a picture here, off the page's own thread, and only then ask for the next: whoever is slow
   * at decoding is sent fewer.
   * @param {ReturnType<typeof readData>} message @param {number} bytes
   */
  async picture(message, bytes) {
    const { payload, seq, firstFrame } = message;
    const socket = this.socket;
    try {
      if (payload !== null && message.generation >= this.generation) {
        const start = performance.now();
        const bitmap = await createImageBitmap(new Blob([new Uint8Array(payload)]));
        const decoding = performance.now() - start;
        this.post({ type: "picture", bitmap, frame: firstFrame, bytes, decoding }, [bitmap]);
      }
    } catch (error) {
      this.post({ type: "problem", message: `A picture cannot be shown: ${String(error)}` });
    }
    if (this.socket === socket) this.send({ action: "ack", seq });
  }

  /** @param {WebSocket} socket @param {number} code @param {string} reason */
  lost(socket, code, reason) {
    if (this.socket !== socket) return;
    this.socket = null;
    clearInterval(this.pingTimer);
    const { retry, message } = closeMeaning(code);
    if (this.refused) return;
    if (!retry) {
      this.refused = true;
      const told = this.reason.startsWith("this link ") ? `${sentence(this.reason)}` : "";
      this.post({ type: "refused", message: told || reason || message });
      return;
    }
    this.post({ type: "lost", message });
    if (this.asleep) return;
    const delay = Math.max(this.retryAfter, backoff(this.attempt, Math.random));
    this.retryAfter = 0;
    this.attempt += 1;
    this.retryTimer = setTimeout(() => this.connect(), delay);
  }
}

/** A reason of the server as a sentence. @param {string} text */
function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
