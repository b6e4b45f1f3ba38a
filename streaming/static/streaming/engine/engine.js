// @ts-check
/**
 * The player without its page. The page tells it to play, pause and seek, and asks it once per
 * displayed frame where the playhead is and what is there.
 */

import { Credit, SegmentBuffer } from "./buffer.js";
import { PlaybackClock } from "./clock.js";
import { Conversation } from "./conversation.js";
import { Emitter } from "./emitter.js";
import { Sampler } from "./interpolate.js";
import { Layout } from "./layout.js";
import { openLink } from "./link.js";
import { Fetcher } from "./prefetch.js";

/** @typedef {import("./connection.js").Order} Order */
/** @typedef {import("./connection.js").Report} Report */
/** @typedef {import("./protocol.js").Command} Command */
/** @typedef {import("./protocol.js").LoadingProgress} LoadingProgress */
/** @typedef {import("./protocol.js").RoomState} RoomState */
/** @typedef {import("./protocol.js").ServerMessage} ServerMessage */
/** @typedef {import("./protocol.js").State} State */
/** @typedef {import("./protocol.js").Welcome} Welcome */
/** @typedef {import("./segment.js").Segment} Segment */

/** Seconds of buffer asked of the server. */
const LEAD = 12;
/** Data messages in flight. */
const WINDOW = 8;
/** Milliseconds that the playhead may stand before the status is "buffering". */
const BUFFERING_AFTER = 250;
/** Seconds before the edge of a live session in which playing means to follow it. */
const LIVE_WITHIN = 3;
/** Decoded segments held: at most so many, and of so many samples in all (1.8 kB each for a race). */
const CAPACITY = 240;
const CAPACITY_SAMPLES = 12_000;

/**
 * @typedef {"connecting"|"importing"|"buffering"|"playing"|"paused"|"ended"|"live"
 *   |"reconnecting"|"error"} Status
 */

/**
 * What listeners are told.
 * @typedef {object} EngineEvents
 * @property {undefined} status `status`, or what belongs to it, has changed
 * @property {{again: boolean}} welcome there are frames to show; again: the same recording as before
 * @property {undefined} grown a live session has more frames, or its last
 * @property {undefined} loop the section to repeat has changed
 * @property {number} seek the playhead has jumped to this frame
 * @property {Segment} held a segment has come
 * @property {import("./protocol.js").SessionInfo} pictures a session of pictures has been opened
 * @property {{bitmap: ImageBitmap, frame: number, bytes: number}} picture
 * @property {LoadingProgress} loading
 * @property {RoomState} room
 * @property {{message: string}} error a command or a segment was refused; the session goes on
 */

/** @extends {Emitter<EngineEvents>} */
export class Engine extends Emitter {
  /**
   * @param {{url: string, segmentsPath: (version: string) => string, now: () => number,
   *   link?: (receive: (report: Report) => void) => (order: Order) => void}} options
   */
  constructor(options) {
    super();
    this.options = options;
    this.now = options.now;
    /** @type {Status} */
    this.status = "connecting";
    this.problem = "";
    this.conversation = new Conversation();
    /** @type {import("./layout.js").Layout | null} */
    this.layout = null;
    /** @type {import("./buffer.js").SegmentBuffer | null} */
    this.buffer = null;
    /** @type {import("./interpolate.js").Sampler | null} */
    this.sampler = null;
    this.credit = new Credit();
    this.clock = new PlaybackClock(25);
    this.visible = true;
    this.scrubbing = false;
    this.ended = false;
    this.live = false;
    this.roundTrip = 0;
    /** milliseconds by which the server's clock is ahead of this one */
    this.serverAhead = 0;
    /** of the recording that is open */
    this.version = "";
    /** segments received, and milliseconds spent on decoding them */
    this.segments = 0;
    this.decoding = 0;
    /** first and last frame of a section to repeat */
    this.loop = /** @type {[number, number] | null} */ (null);
    /** frames to jump over while playing forwards */
    this.skips = /** @type {[number, number][]} */ ([]);
    /** seconds behind the playhead that are fetched when it has jumped */
    this.behind = 8;
    this.order = (options.link ?? openLink)((message) => this.receive(message));
    this.fetcher = new Fetcher(this.order);
    /** whether there is no server: only files, which are fetched as they are needed */
    this.files = !/^wss?:/.test(options.url);
    this.order({
      type: "open",
      url: options.url,
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

  get generation() {
    return this.conversation.generation;
  }

  get room() {
    return this.conversation.room;
  }

  /** Whether the session is live: its last frame is an edge that moves, not an end. */
  get growing() {
    return this.conversation.growing;
  }

  /** Whether the session is live and has no frame yet. */
  get opening() {
    return this.conversation.opening !== null;
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
    const generation = this.conversation.nextGeneration();
    this.clock.jump(target, this.now());
    this.credit.release();
    this.order({ type: "generation", generation });
    this.order({ type: "cancel", purpose: "scrub" });
    this.command({ action: "seek", frame: target, generation });
    if (this.files) this.fetcher.jumped();
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

  /** At its end the playhead is still playing, as the server sees it: a seek from there goes on. */
  leaveEnd() {
    if (!this.ended) return;
    this.ended = false;
    this.clock.set(true, this.clock.speed, this.now());
  }

  /** @param {[number, number] | null} loop first and last frame of a section to repeat */
  setLoop(loop) {
    this.loop = loop;
    this.emit("loop");
  }

  /** Follow the edge of a live session; the server says where that is. */
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
  join(room, name = this.conversation.roomName) {
    this.conversation.room = room;
    this.conversation.roomName = name;
    this.command({ action: "join", room, ...(name === "" ? {} : { name }) });
  }

  leave() {
    this.conversation.room = null;
    this.command({ action: "leave" });
  }

  /** A hidden page asks for no frames. @param {boolean} visible */
  setVisible(visible) {
    this.visible = visible;
    this.order({ type: visible ? "wake" : "sleep" });
    if (visible) this.acknowledge();
  }

  /** @param {Command} command */
  command(command) {
    const id = this.conversation.nextCommand();
    this.order({ type: "send", message: { ...command, id } });
    this.emit("status");
  }

  /** Fetch the segments around the playhead. */
  prefetch() {
    if (this.buffer === null || this.live) return;
    this.fetcher.around(this.buffer, this.clock.position, this.behind * this.frameRate);
  }

  /** A report of the connection. @param {Report} report */
  receive(report) {
    switch (report.type) {
      case "segment":
        this.segments += 1;
        this.decoding += report.decoding;
        this.hold(report.segment, false);
        this.credit.received(report.seq, nearest(report.segment, this.direction));
        this.acknowledge();
        break;
      case "discarded":
        this.credit.discarded(report.seq);
        this.acknowledge();
        break;
      case "fetched":
        this.fetcher.answered(report.stride, report.index, true);
        this.hold(report.segment, report.pin);
        break;
      case "not_fetched":
        this.fetcher.answered(report.stride, report.index, false);
        break;
      case "picture":
        this.emit("picture", report);
        break;
      case "round_trip":
        this.roundTrip = report.milliseconds;
        this.serverAhead = report.ahead;
        this.order({ type: "buffer", seconds: Math.round(this.buffered * 10) / 10 });
        break;
      case "control":
        this.handle(report.message);
        break;
      case "lost":
        this.conversation.lost();
        this.problem = report.message;
        this.emit("status");
        break;
      case "refused":
        this.conversation.lost();
        this.fail(report.message);
        break;
      case "problem":
        this.emit("error", report);
        break;
    }
  }

  /** The session cannot be shown. @param {string} problem in a person's words */
  fail(problem) {
    this.status = "error";
    this.problem = problem;
    this.emit("status");
  }

  /** A control message of the server. @param {ServerMessage} message */
  handle(message) {
    switch (message.type) {
      case "welcome":
        this.welcome(message);
        break;
      case "state":
        this.followState(message);
        break;
      case "loading_progress":
        this.status = "importing";
        this.emit("loading", message);
        this.emit("status");
        break;
      case "loading_complete":
        if (this.buffer === null) this.order({ type: "await_welcome" });
        break;
      case "loading_error":
        this.fail(message.message);
        break;
      case "room":
        this.emit("room", message);
        break;
      case "error":
        this.conversation.answer(message.id);
        this.emit("error", message);
        break;
    }
  }

  /** A session has been opened, or opened again after the connection was lost. @param {Welcome} welcome */
  welcome(welcome) {
    this.problem = "";
    this.credit.reset();
    const { schema, session } = welcome;
    if (session.content_type !== undefined) {
      this.status = "live";
      this.emit("pictures", session);
      this.emit("status");
      return;
    }
    if (!this.conversation.welcomed(welcome) || schema === null) {
      this.emit("status");
      return;
    }
    const again = this.buffer !== null && session.version === this.version;
    const layout = new Layout(schema.fields, schema.entities, welcome.segment_frames);
    if (!again) this.open(layout, welcome);
    this.buffer?.grow(session.frame_count);
    this.emit("welcome", { again });
    if (again && !this.conversation.returnsToRoom(welcome)) this.restore(welcome);
    if (this.room !== null) this.join(this.room);
    this.emit("status");
  }

  /** @param {Layout} layout @param {Welcome} welcome */
  open(layout, { session, strides }) {
    const capacity = Math.min(CAPACITY, Math.ceil(CAPACITY_SAMPLES / layout.segmentFrames));
    const buffer = new SegmentBuffer(layout.segmentFrames, session.frame_count, capacity);
    this.version = session.version;
    this.layout = layout;
    this.buffer = buffer;
    this.sampler = new Sampler(layout, buffer, session.frame_rate);
    this.clock.frameRate = session.frame_rate;
    this.status = "paused";
    this.clock.jump(Math.min(this.clock.position, this.frameCount - 1), this.now());
    if (strides !== undefined) this.fetcher.strides = strides;
    this.fetcher.open(buffer, this.options.segmentsPath(this.version));
  }

  /**
   * Tell the server where we are: it may not know, and we have gone on from the buffer. We are in no
   * room there, or leave it first, so that nobody else is moved. A room that we join afterwards takes
   * us to its own place; one that has gone begins at ours.
   * @param {Welcome} welcome
   */
  restore(welcome) {
    if (welcome.room !== undefined) this.leave();
    if (this.live && this.growing) {
      this.goLive();
      return;
    }
    const { playing, speed, position } = this.clock;
    this.seek(position);
    this.setSpeed(speed);
    if (playing) this.play();
    else if (welcome.resumed) this.pause();
  }

  /** Do as the server's `state` says. @param {State} state */
  followState(state) {
    const { clock, conversation } = this;
    const begun = conversation.begun(state);
    if (begun !== null) this.welcome(begun);
    if (this.buffer !== null && conversation.grown(state, this.frameCount)) {
      this.buffer.grow(state.frame_count ?? 0);
      this.fetcher.extend(this.buffer);
      this.emit("grown");
    }
    conversation.answer(state.id);
    if (conversation.moved(state)) {
      this.credit.release();
      clock.jump(state.frame, this.now());
      this.emit("seek", state.frame);
    }
    if (this.scrubbing) return;
    const { position, playing, speed } = clock;
    const correction = conversation.correction(state, {
      position,
      playing,
      speed,
      live: this.live,
    });
    if (correction === null) return;
    const { motion, jump, follow } = correction;
    this.live = correction.live;
    if (correction.ended) this.ended = true;
    if (motion !== null) clock.set(motion.playing, motion.speed, this.now());
    if (jump !== null) clock.jump(jump, this.now());
    if (follow !== null) clock.follow(follow + clock.rate * (this.roundTrip / 2), this.now());
    this.emit("status");
    if (correction.tooFast) this.goLive();
  }

  /** @param {Segment} segment @param {boolean} pin */
  hold(segment, pin) {
    const buffer = this.buffer;
    if (buffer === null) return;
    buffer.add(segment, this.clock.position, pin);
    this.emit("held", segment);
  }

  /** Acknowledge the segments that are held and near enough to the playhead. */
  acknowledge() {
    if (!this.visible || !this.conversation.connected) return;
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
      this.updateStatus();
      return clock.position;
    }
    if (this.files) this.fetcher.ahead(buffer, clock, LEAD, now);
    const limit = buffer.reach(clock.position, this.direction, this.coarsest);
    const frame = clock.advance(now, limit);
    if (this.credit.waiting.length > 0) this.acknowledge();
    if (clock.playing) this.afterStep(frame);
    this.updateStatus();
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

  /** Keep `status` up to date, and tell listeners when it changes. */
  updateStatus() {
    if (this.status === "error" || this.buffer === null) return;
    const status = this.currentStatus(this.buffer.find(this.clock.position) !== undefined);
    if (status === this.status) return;
    this.status = status;
    this.emit("status");
  }

  /** @param {boolean} held whether there is anything to show @returns {Status} */
  currentStatus(held) {
    if (!this.conversation.connected && this.visible) return "reconnecting";
    if (this.clock.playing) {
      if (this.clock.stalled > BUFFERING_AFTER) return "buffering";
      return this.live ? "live" : "playing";
    }
    if (this.ended) return "ended";
    return held ? "paused" : "buffering";
  }
}

/** @param {Segment} segment @param {number} direction */
function nearest(segment, direction) {
  return direction > 0 ? segment.first : segment.first + (segment.count - 1) * segment.stride;
}
