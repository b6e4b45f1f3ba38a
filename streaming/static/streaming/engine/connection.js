// @ts-check
/**
 * The socket and everything that turns its bytes into samples. It runs in the worker, or on the
 * main thread where there is none; it knows nothing of the page.
 */

import { Layout } from "./layout.js";
import { Kind, SUBPROTOCOL, backoff, closeMeaning, readData } from "./protocol.js";
import { decodeSegment, inflate } from "./segment.js";

/**
 * @typedef {object} Orders what the page asks of the connection
 * @property {"open"|"send"|"generation"|"fetch"|"cancel"|"buffer"|"sleep"|"wake"|"await_welcome"|"close"} type
 */

/** At most so many HTTP requests for segments at once. */
const PARALLEL_FETCHES = 4;
/** Milliseconds between two measurements of the round trip. */
const PING_INTERVAL = 5000;
/** Milliseconds after the end of an import in which the server says what it has become. */
const WELCOME_WITHIN = 3000;

export class Connection {
  /**
   * @param {(message: object, transfer?: Transferable[]) => void} post to the page
   */
  constructor(post) {
    this.post = post;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.url = "";
    this.segmentsPath = "";
    /** @type {Record<string, unknown>} */
    this.hello = {};
    /** @type {string | undefined} */
    this.resume = undefined;
    /** @type {Layout | null} */
    this.layout = null;
    this.generation = 0;
    this.attempt = 0;
    /** milliseconds that the server asked us to stay away */
    this.retryAfter = 0;
    /** seconds held and the last round trip (ms), as last heard */
    this.buffer = /** @type {number | null} */ (null);
    this.roundTrip = /** @type {number | null} */ (null);
    this.asleep = false;
    this.closed = false;
    this.retryTimer = 0;
    this.pingTimer = 0;
    /** segments are inflated one after another, so that they arrive in their order */
    this.chain = Promise.resolve();
    /** @type {{stride: number, index: number, pin: boolean, purpose: string}[]} */
    this.wanted = [];
    this.fetching = 0;
    /** @type {Map<string, AbortController>} */
    this.aborts = new Map();
  }

  /** @param {any} order */
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
        this.segmentsPath = order.path;
        // What the viewer is looking for right now comes before what may be useful later.
        if (order.segments[0].purpose === "overview") this.wanted.push(...order.segments);
        else this.wanted.unshift(...order.segments);
        this.fetchNext();
        break;
      case "cancel":
        this.cancel(order.purpose);
        break;
      case "buffer":
        this.buffer = order.seconds;
        break;
      case "sleep":
        this.asleep = true;
        break;
      case "wake":
        this.asleep = false;
        if (this.socket === null && !this.closed) this.connect();
        break;
      case "await_welcome":
        setTimeout(() => this.welcomeOrReconnect(), WELCOME_WITHIN);
        break;
      case "close":
        this.closed = true;
        clearTimeout(this.retryTimer);
        this.send({ action: "bye" });
        this.socket?.close(1000);
        break;
    }
  }

  connect() {
    clearTimeout(this.retryTimer);
    if (this.socket !== null) return;
    this.post({ type: "connecting", attempt: this.attempt });
    const socket = new WebSocket(this.url, [SUBPROTOCOL]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      const hello = { action: "hello", ...this.hello };
      this.send(this.resume === undefined ? hello : { ...hello, resume: this.resume });
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      if (typeof event.data === "string") this.control(JSON.parse(event.data));
      else this.data(event.data);
    };
    socket.onclose = (event) => this.lost(socket, event.code, event.reason);
  }

  /** The recording is ready: the server welcomes us to it, or else we come back and ask. */
  welcomeOrReconnect() {
    const socket = this.socket;
    if (this.layout !== null || socket === null) return;
    socket.close(1000);
    this.lost(socket, 1012, "");
  }

  /** @param {object} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** @param {any} message */
  control(message) {
    if (message.type === "welcome") {
      this.attempt = 0;
      this.resume = message.resume;
      this.generation = message.generation ?? 0;
      if (message.schema?.fields) {
        this.layout = new Layout(
          message.schema.fields,
          message.schema.entities,
          message.segment_frames,
        );
      }
      clearInterval(this.pingTimer);
      this.pingTimer = setInterval(() => this.ping(), PING_INTERVAL);
      this.ping();
    }
    if (message.type === "pong") {
      this.roundTrip = performance.now() - message.t;
      this.post({ type: "round_trip", milliseconds: this.roundTrip });
      return;
    }
    if (message.type === "bye") {
      this.resume = message.resume ?? this.resume;
      this.retryAfter = 1000 * (message.retry_after ?? 0);
    }
    if (message.type === "state" && typeof message.generation === "number") {
      this.generation = Math.max(this.generation, message.generation);
    }
    this.post({ type: "control", message, at: performance.timeOrigin + performance.now() });
  }

  /** What it tells of us is for the operator's statistics. */
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
    const layout = this.layout;
    if (message.generation < this.generation || message.kind !== Kind.SEGMENT || layout === null) {
      this.post({ type: "discarded", seq: message.seq, generation: message.generation });
      return;
    }
    const socket = this.socket;
    this.chain = this.chain.then(async () => {
      if (this.socket !== socket) return;
      try {
        const payload = await inflate(message.payload);
        const start = performance.now();
        const segment = decodeSegment(payload, layout);
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

  /** @param {WebSocket} socket @param {number} code @param {string} reason */
  lost(socket, code, reason) {
    if (this.socket !== socket) return;
    this.socket = null;
    clearInterval(this.pingTimer);
    const { retry, message } = closeMeaning(code);
    if (this.closed) return;
    if (!retry) {
      this.closed = true;
      this.post({ type: "refused", code, message: reason || message });
      return;
    }
    if (this.asleep) {
      this.post({ type: "lost", code, message, delay: null });
      return;
    }
    const delay = Math.max(this.retryAfter, backoff(this.attempt, Math.random));
    this.retryAfter = 0;
    this.attempt += 1;
    this.post({ type: "lost", code, message, delay });
    this.retryTimer = setTimeout(() => this.connect(), delay);
  }

  /** Forget the segments that were wanted for `purpose`. @param {string} purpose */
  cancel(purpose) {
    const dropped = this.wanted.filter((entry) => entry.purpose === purpose);
    this.wanted = this.wanted.filter((entry) => entry.purpose !== purpose);
    for (const { stride, index } of dropped) {
      this.post({ type: "not_fetched", stride, index, status: -1 });
    }
    this.aborts.get(purpose)?.abort();
    this.aborts.delete(purpose);
  }

  fetchNext() {
    while (this.fetching < PARALLEL_FETCHES && this.wanted.length > 0) {
      const entry = this.wanted.shift();
      if (entry !== undefined) void this.fetch(entry);
    }
  }

  /** @param {{stride: number, index: number, pin: boolean, purpose: string}} entry */
  async fetch(entry) {
    const { stride, index, pin, purpose } = entry;
    let abort = this.aborts.get(purpose);
    if (abort === undefined) {
      abort = new AbortController();
      this.aborts.set(purpose, abort);
    }
    this.fetching += 1;
    try {
      const response = await fetch(`${this.segmentsPath}${stride}/${index}`, {
        signal: abort.signal,
      });
      if (!response.ok || this.layout === null) {
        this.post({ type: "not_fetched", stride, index, status: response.status });
        return;
      }
      const payload = await inflate(new Uint8Array(await response.arrayBuffer()));
      const segment = decodeSegment(payload, this.layout);
      this.post({ type: "fetched", stride, index, segment, pin }, [segment.data.buffer]);
    } catch (error) {
      if (!abort.signal.aborted) {
        this.post({ type: "not_fetched", stride, index, status: 0, message: String(error) });
      } else {
        this.post({ type: "not_fetched", stride, index, status: -1 });
      }
    } finally {
      this.fetching -= 1;
      this.fetchNext();
    }
  }
}
