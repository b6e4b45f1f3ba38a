// @ts-check
/**
 * The player without a face: what the page tells to play, pause and seek, and asks once per
 * displayed frame where the playhead is and what is there.
 */

import { Credit } from "./buffer.js";
import { PlaybackClock } from "./clock.js";
import { told } from "./conversation.js";
import { Emitter } from "./emitter.js";
import { openLink } from "./link.js";
import { Fetcher } from "./prefetch.js";

/** Seconds of buffer asked of the server. */
const LEAD = 12;
/** Data messages in flight. */
const WINDOW = 8;
/** Milliseconds that the playhead may stand before the page says that it is waiting. */
const PATIENCE = 250;
/** Seconds before the edge of a live session in which playing means to follow it. */
const LIVE_WITHIN = 3;

/**
 * @typedef {"connecting"|"importing"|"buffering"|"playing"|"paused"|"ended"|"live"
 *   |"reconnecting"|"error"} Status
 */

export class Engine extends Emitter {
  /**
   * @param {{socketUrl: string, segmentsPath: (version: string) => string, now: () => number,
   *   link?: (receive: (message: any) => void) => (order: object) => void}} options
   */
  constructor(options) {
    super();
    this.options = options;
    this.now = options.now;
    /** @type {Status} */
    this.status = "connecting";
    this.problem = "";
    /** @type {any} */
    this.session = null;
    /** @type {import("./layout.js").Layout | null} */
    this.layout = null;
    /** @type {import("./buffer.js").SegmentBuffer | null} */
    this.buffer = null;
    /** @type {import("./interpolate.js").Sampler | null} */
    this.sampler = null;
    this.credit = new Credit();
    this.clock = new PlaybackClock(25);
    this.generation = 0;
    /** the last command, and the last one that the server has answered */
    this.commands = 0;
    this.answered = 0;
    /** the welcome to a live session of which there is no frame yet @type {any} */
    this.opening = null;
    this.connected = false;
    this.visible = true;
    this.scrubbing = false;
    this.ended = false;
    this.live = false;
    /** @type {string | null} */
    this.room = null;
    this.roomName = "";
    this.roundTrip = 0;
    this.version = "";
    this.dropped = 0;
    this.segments = 0;
    this.decoding = 0;
    this.bytes = 0;
    /** first and last frame of a section to repeat */
    this.loop = /** @type {[number, number] | null} */ (null);
    /** frames to jump over while playing forwards */
    this.skips = /** @type {[number, number][]} */ ([]);
    /** seconds behind the playhead that are fetched when it has jumped */
    this.behind = 8;
    this.order = (options.link ?? openLink)((message) => this.receive(message));
    this.fetcher = new Fetcher(this.order);
    this.order({
      type: "open",
      url: options.socketUrl,
      hello: { encoding: "segments", window: WINDOW, lead: LEAD },
    });
  }

  get frameRate() {
    return this.clock.frameRate;
  }

  get frameCount() {
    return this.buffer?.frameCount ?? 0;
  }

  get frame() {
    return this.clock.position;
  }

  get time() {
    return this.clock.position / this.frameRate;
  }

  get speed() {
    return this.clock.speed;
  }

  get playing() {
    return this.clock.playing;
  }

  /** Whether the session is live: its last frame is an edge that moves, not an end. */
  get growing() {
    return this.session?.state === "live";
  }

  get direction() {
    return this.clock.speed < 0 ? -1 : 1;
  }

  /** Largest stride that is good enough to play at this speed. */
  get coarsest() {
    return 2 ** (Math.ceil(Math.log2(Math.max(1, Math.abs(this.clock.speed)))) + 1);
  }

  /** Seconds of recorded time held in the playing direction. */
  get buffered() {
    if (this.buffer === null) return 0;
    const reach = this.buffer.reach(this.clock.position, this.direction, this.coarsest);
    return Math.abs(reach - this.clock.position) / this.frameRate;
  }

  play() {
    if (this.buffer === null) return;
    const end = this.frameCount - 1;
    if (this.atEdge(this.frame)) {
      this.goLive();
      return;
    }
    if (this.direction > 0 && this.frame >= end - 0.5) this.seek(0);
    if (this.direction < 0 && this.frame <= 0.5) this.seek(end);
    this.ended = false;
    this.clock.set(true, this.clock.speed, this.now());
    this.command({ action: "play", speed: this.clock.speed });
  }

  pause() {
    this.ended = false;
    this.clock.set(false, this.clock.speed, this.now());
    this.command({ action: "pause" });
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} speed 0.05…64, negative plays backwards */
  setSpeed(speed) {
    if (speed * this.direction < 0) this.leaveEnd();
    this.ended = false;
    this.clock.set(this.clock.playing, speed, this.now());
    this.command({ action: "speed", speed });
  }

  /** @param {number} frame */
  seek(frame) {
    if (this.buffer === null) return;
    const target = Math.round(Math.min(Math.max(frame, 0), this.frameCount - 1));
    this.scrubbing = false;
    this.leaveEnd();
    if (this.playing && this.atEdge(target)) {
      this.goLive();
      return;
    }
    this.live = false;
    this.generation += 1;
    this.clock.jump(target, this.now());
    this.credit.release();
    this.order({ type: "generation", generation: this.generation });
    this.order({ type: "cancel", purpose: "scrub" });
    this.command({ action: "seek", frame: target, generation: this.generation });
    this.prefetch();
    this.emit("seek", target);
  }

  /**
   * Show a moment while the user drags: nothing is told to the server until `seek`.
   * @param {number} frame
   */
  scrub(frame) {
    if (this.buffer === null) return;
    this.scrubbing = true;
    this.leaveEnd();
    const target = Math.min(Math.max(frame, 0), this.frameCount - 1);
    this.clock.jump(target, this.now());
    this.fetcher.scrubbed(this.buffer, target, this.frameRate);
    this.emit("seek", target);
  }

  /** Who has come to an end is still playing, as the server sees it: elsewhere it goes on. */
  leaveEnd() {
    if (!this.ended) return;
    this.ended = false;
    this.clock.set(true, this.clock.speed, this.now());
  }

  /** Follow the edge of a live session; where exactly, the server says. */
  goLive() {
    this.live = true;
    this.ended = false;
    this.command({ action: "live" });
  }

  /** Whether playing forwards from here is to follow a live session's edge. @param {number} frame */
  atEdge(frame) {
    return (
      this.growing &&
      this.direction > 0 &&
      this.room === null &&
      frame > this.frameCount - 1 - LIVE_WITHIN * this.frameRate
    );
  }

  /** @param {string} room @param {string} [name] what the others are to see */
  join(room, name = this.roomName) {
    this.room = room;
    this.roomName = name;
    this.command({ action: "join", room, ...(name === "" ? {} : { name }) });
  }

  leave() {
    this.room = null;
    this.command({ action: "leave" });
  }

  /** A hidden page asks for nothing. @param {boolean} visible */
  setVisible(visible) {
    this.visible = visible;
    this.order({ type: visible ? "wake" : "sleep" });
    if (visible) this.grant();
  }

  /** @param {Record<string, unknown>} message */
  command(message) {
    this.commands += 1;
    this.order({ type: "send", message: { ...message, id: this.commands } });
    this.emit("status");
  }

  /** Fetch what a small step from here would want. */
  prefetch() {
    if (this.buffer === null || this.live) return;
    this.fetcher.around(this.buffer, this.clock.position, this.behind * this.frameRate);
  }

  /** Whatever the connection says. @param {any} message */
  receive(message) {
    switch (message.type) {
      case "segment":
        this.segments += 1;
        this.bytes += message.bytes;
        this.decoding += message.decoding;
        this.hold(message.segment, false);
        this.credit.received(message.seq, nearest(message.segment, this.direction));
        this.grant();
        break;
      case "discarded":
        this.credit.discarded(message.seq);
        this.grant();
        break;
      case "fetched":
        this.fetcher.answered(message.stride, message.index);
        this.hold(message.segment, message.pin);
        break;
      case "not_fetched":
        this.fetcher.answered(message.stride, message.index);
        break;
      case "round_trip":
        this.roundTrip = message.milliseconds;
        this.order({ type: "buffer", seconds: Math.round(this.buffered * 10) / 10 });
        break;
      case "control":
        told(this, message.message);
        break;
      case "connecting":
        break;
      case "lost":
        this.connected = false;
        this.problem = message.message;
        this.emit("lost", message);
        this.emit("status");
        break;
      case "refused":
        this.connected = false;
        this.status = "error";
        this.problem = message.message;
        this.emit("refused", message);
        this.emit("status");
        break;
      case "problem":
        this.emit("problem", message.message);
        break;
    }
  }

  /** @param {import("./segment.js").Segment} segment @param {boolean} pin */
  hold(segment, pin) {
    const buffer = this.buffer;
    if (buffer === null) return;
    buffer.add(segment, this.clock.position, pin);
    this.emit("held", segment);
  }

  /** Give credit back for what has been received and has its place. */
  grant() {
    if (!this.visible || !this.connected) return;
    const ahead = 2 * LEAD * this.frameRate * Math.max(1, Math.abs(this.clock.speed));
    const seq = this.credit.due(this.clock.position, this.direction, ahead);
    if (seq > 0) this.order({ type: "send", message: { action: "ack", seq } });
  }

  /**
   * Once per displayed frame.
   * @param {number} now milliseconds
   * @returns {number} the playhead, in frames
   */
  tick(now) {
    const buffer = this.buffer;
    if (buffer === null) return 0;
    const clock = this.clock;
    if (this.scrubbing) {
      this.settle();
      return clock.position;
    }
    const limit = buffer.reach(clock.position, this.direction, this.coarsest);
    const frame = clock.advance(now, limit);
    if (this.credit.waiting.length > 0) this.grant();
    if (clock.playing) this.afterStep(frame);
    this.settle();
    return frame;
  }

  /** @param {number} frame */
  afterStep(frame) {
    if (this.loop !== null) {
      const [from, to] = this.loop;
      if (this.direction > 0 ? frame >= to : frame <= from) {
        this.seek(this.direction > 0 ? from : to);
        return;
      }
    }
    if (this.direction > 0) {
      for (let i = 0; i < this.skips.length; i++) {
        if (frame >= this.skips[i][0] && frame < this.skips[i][1]) {
          this.seek(this.skips[i][1]);
          return;
        }
      }
    }
    const end = this.frameCount - 1;
    if (this.direction > 0 ? !this.growing && frame >= end : frame <= 0) {
      this.clock.set(false, this.clock.speed, this.now());
      this.ended = true;
    }
  }

  /** Say in one word how things stand, and tell the page where that has changed. */
  settle() {
    if (this.status === "error" || this.buffer === null) return;
    const status = this.assess(this.buffer.find(this.clock.position) !== undefined);
    if (status === this.status) return;
    this.status = status;
    this.emit("status");
  }

  /** @param {boolean} held whether there is anything to show @returns {Status} */
  assess(held) {
    if (!this.connected && this.visible) return "reconnecting";
    if (this.clock.playing) {
      if (this.clock.stalled > PATIENCE) return "buffering";
      return this.live ? "live" : "playing";
    }
    if (this.ended) return "ended";
    return held ? "paused" : "buffering";
  }
}

/** @param {import("./segment.js").Segment} segment @param {number} direction */
function nearest(segment, direction) {
  return direction > 0 ? segment.first : segment.first + (segment.count - 1) * segment.stride;
}
