// @ts-check
/** What the engine makes of the server's word on the session and the playhead. */

import { SegmentBuffer } from "./buffer.js";
import { Sampler } from "./interpolate.js";
import { Layout } from "./layout.js";

/** @typedef {import("./engine.js").Engine} Engine */

/** Decoded segments held: about 45 kB each for a race. */
const CAPACITY = 240;
/** Fastest at which the edge of a live session can be followed: at that at which it is made. */
const LIVE_SPEED = 1;

/**
 * A session has been opened, or opened again after the connection was lost.
 * @param {Engine} engine @param {any} message
 */
function welcomed(engine, message) {
  const again = engine.buffer !== null && message.session?.version === engine.version;
  engine.connected = true;
  engine.problem = "";
  engine.session = message.session;
  engine.credit.reset();
  engine.generation = message.generation ?? 0;
  engine.answered = engine.commands;
  if (!message.schema?.fields) return;
  if (!message.session.frame_count) {
    // A live session that has not begun: it is opened with its first frame.
    engine.opening = message;
    engine.emit("status");
    return;
  }
  engine.opening = null;
  if (!again) {
    engine.version = message.session.version;
    engine.layout = new Layout(
      message.schema.fields,
      message.schema.entities,
      message.segment_frames,
    );
    engine.buffer = new SegmentBuffer(
      message.segment_frames,
      message.session.frame_count,
      CAPACITY,
    );
    engine.clock.frameRate = message.session.frame_rate;
    engine.sampler = new Sampler(engine.layout, engine.buffer, message.session.frame_rate);
    engine.status = "paused";
    engine.clock.jump(Math.min(engine.clock.position, engine.frameCount - 1), engine.now());
    engine.fetcher.open(engine.buffer, engine.options.segmentsPath(engine.version));
  }
  engine.buffer?.grow(message.session.frame_count);
  engine.emit("welcome", { message, again });
  if (again && engine.live && engine.growing) {
    engine.goLive();
  } else if (again) {
    // The server may have been replaced and know nothing of us: tell it where we are. A room
    // that is still there then takes us to its own place; one that has gone begins at ours.
    const { playing, speed } = engine.clock;
    engine.seek(engine.clock.position);
    engine.setSpeed(speed);
    if (playing) engine.play();
  }
  if (engine.room !== null) engine.join(engine.room);
  engine.emit("status");
}

/**
 * A live session has more frames, or its last.
 * @param {Engine} engine @param {any} state
 */
function grow(engine, state) {
  if (typeof state.frame_count !== "number") return;
  if (engine.opening !== null && state.frame_count > 0) {
    const { session } = engine.opening;
    welcomed(engine, {
      ...engine.opening,
      session: { ...session, frame_count: state.frame_count },
    });
  }
  const { buffer, session } = engine;
  if (buffer === null) return;
  const growing = state.live === true;
  if (buffer.frameCount >= state.frame_count && growing === engine.growing) return;
  buffer.grow(state.frame_count);
  engine.session = {
    ...session,
    state: growing ? "live" : "ready",
    frame_count: buffer.frameCount,
  };
  engine.fetcher.extend(buffer);
  engine.emit("grown");
}

/**
 * Be where the server says that we are, unless we have asked for something else since.
 * @param {Engine} engine @param {any} state
 */
function followState(engine, state) {
  if (typeof state.dropped === "number") engine.dropped = state.dropped;
  grow(engine, state);
  if (typeof state.id === "number") engine.answered = Math.max(engine.answered, state.id);
  if (typeof state.generation === "number" && state.generation > engine.generation) {
    // Someone else in the room has moved the playhead, or we have gone to the live edge.
    engine.generation = state.generation;
    engine.credit.release();
    engine.clock.jump(state.frame, engine.now());
    engine.emit("seek", state.frame);
  }
  const stale = engine.answered < engine.commands;
  if (stale || engine.scrubbing || state.generation < engine.generation) return;
  engine.emit("state", state);
  engine.live = state.status === "live" || (state.status === "buffering" && engine.live);
  const playing =
    state.status === "playing" ||
    state.status === "live" ||
    (state.status === "buffering" && engine.clock.playing);
  if (state.status === "ended") {
    engine.ended = true;
  } else if (playing !== engine.clock.playing || state.speed !== engine.clock.speed) {
    engine.clock.set(playing, state.speed ?? engine.clock.speed, engine.now());
  }
  if (state.status === "paused" && Math.abs(state.frame - engine.clock.position) > 1.5) {
    // Where the others see the picture stand, we see it too; alone, our own picture wins.
    if (engine.room !== null) engine.clock.jump(state.frame, engine.now());
  }
  if (playing && typeof state.frame === "number") {
    engine.clock.follow(state.frame + engine.clock.rate * (engine.roundTrip / 2), engine.now());
  }
  engine.emit("status");
  // Whoever has caught up cannot go on faster.
  if (state.status === "live" && state.speed > LIVE_SPEED && engine.room === null) engine.goLive();
}

/**
 * A control message of the server.
 * @param {Engine} engine @param {any} message
 */
export function told(engine, message) {
  switch (message.type) {
    case "welcome":
      welcomed(engine, message);
      break;
    case "state":
      followState(engine, message);
      break;
    case "loading_progress":
      engine.status = "importing";
      engine.emit("loading", message);
      engine.emit("status");
      break;
    case "loading_complete":
      engine.emit("loaded", message);
      if (engine.buffer === null) engine.order({ type: "await_welcome" });
      break;
    case "loading_error":
      engine.status = "error";
      engine.problem = message.message;
      engine.emit("status");
      break;
    case "error":
      if (typeof message.id === "number") engine.answered = Math.max(engine.answered, message.id);
      engine.emit("error", message);
      break;
    default:
      engine.emit(message.type, message);
  }
}
