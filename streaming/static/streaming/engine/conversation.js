// @ts-check
/**
 * What the server's messages mean for this viewer. It knows which commands are unanswered, which
 * generation counts and which room the viewer is in; its answers say what the playhead is to do.
 * It changes nothing but its own fields: the engine carries the answers out.
 */

/** @typedef {import("./protocol.js").SessionInfo} SessionInfo */
/** @typedef {import("./protocol.js").State} State */
/** @typedef {import("./protocol.js").Welcome} Welcome */

/** Speed at which a live session grows, and so the fastest at which its edge can be followed. */
const LIVE_SPEED = 1;
/** Frames by which a standing picture may differ from that of the others in a room. */
const SAME_PICTURE = 1.5;

/**
 * What a `state` asks of the playhead.
 * @typedef {object} Correction
 * @property {boolean} live it follows the edge of a live session
 * @property {boolean} ended it stands at its end
 * @property {{playing: boolean, speed: number} | null} motion null: as it is
 * @property {number | null} jump frame to show at once
 * @property {number | null} follow frame of the server's playhead, to come level with
 * @property {boolean} tooFast it has caught up with the edge, faster than that moves
 */

export class Conversation {
  constructor() {
    this.connected = false;
    /** @type {SessionInfo | null} */
    this.session = null;
    /** the welcome to a live session that has no frame yet @type {Welcome | null} */
    this.opening = null;
    this.generation = 0;
    /** the last command sent, and the last one that the server has answered */
    this.commands = 0;
    this.answered = 0;
    /** @type {string | null} */
    this.room = null;
    this.roomName = "";
    /** the `join` that leads back into the room @type {number | null} */
    this.arriving = null;
  }

  /** Whether the session is live: its last frame is an edge that moves, not an end. */
  get growing() {
    return this.session?.state === "live";
  }

  /** @returns {number} the `id` of the next command */
  nextCommand() {
    this.commands += 1;
    return this.commands;
  }

  /** @returns {number} the generation of a new seek */
  nextGeneration() {
    this.generation += 1;
    return this.generation;
  }

  /** @param {number | undefined} id of the command that a message answers */
  answer(id) {
    if (id !== undefined) this.answered = Math.max(this.answered, id);
  }

  /** The connection is gone. */
  lost() {
    this.connected = false;
  }

  /**
   * The server has accepted this connection, the first one or a later one.
   * @param {Welcome} welcome
   * @returns {boolean} whether there are frames to show
   */
  welcomed(welcome) {
    this.connected = true;
    this.session = welcome.session;
    this.generation = welcome.generation;
    this.answered = this.commands;
    this.arriving = null;
    const hasFields = welcome.schema !== null;
    const hasFrames = welcome.session.frame_count > 0;
    // A live session that has not begun is opened with its first frame.
    if (hasFields) this.opening = hasFrames ? null : welcome;
    return hasFields && hasFrames;
  }

  /**
   * Whether the server has put this viewer back at its place while it is in a room. A seek would
   * move everybody then, and the next `join` is answered with the room's place.
   * @param {Welcome} welcome
   */
  returnsToRoom(welcome) {
    if (welcome.resumed !== true || this.room === null) return false;
    this.arriving = this.commands + 1;
    return true;
  }

  /**
   * @param {State} state
   * @returns {Welcome | null} the welcome to a live session whose first frame has come
   */
  begun(state) {
    const { opening } = this;
    const frames = state.frame_count ?? 0;
    if (opening === null || frames === 0) return null;
    return { ...opening, session: { ...opening.session, frame_count: frames } };
  }

  /**
   * A live session may have more frames, or its last.
   * @param {State} state @param {number} frameCount frames known so far
   * @returns {boolean} whether it has
   */
  grown(state, frameCount) {
    if (state.frame_count === undefined || this.session === null) return false;
    const growing = state.live === true;
    if (state.frame_count <= frameCount && growing === this.growing) return false;
    this.session = {
      ...this.session,
      state: growing ? "live" : "ready",
      frame_count: Math.max(frameCount, state.frame_count),
    };
    return true;
  }

  /**
   * Someone else in the room has moved the playhead, perhaps while we were away, or it has gone to
   * the live edge.
   * @param {State} state
   * @returns {boolean} whether it has been moved
   */
  moved(state) {
    const arrived = this.arriving !== null && state.id === this.arriving;
    if (arrived) this.arriving = null;
    if (!arrived && state.generation <= this.generation) return false;
    this.generation = Math.max(this.generation, state.generation);
    return true;
  }

  /**
   * Be where the server says that we are, unless we have asked for something else since.
   * @param {State} state
   * @param {{position: number, playing: boolean, speed: number, live: boolean}} here
   * @returns {Correction | null} null where the state is older than our last command
   */
  correction(state, here) {
    if (this.answered < this.commands || state.generation < this.generation) return null;
    const waiting = state.status === "buffering";
    const live = state.status === "live" || (waiting && here.live);
    const playing =
      state.status === "playing" || state.status === "live" || (waiting && here.playing);
    const ended = state.status === "ended";
    const changed = playing !== here.playing || state.speed !== here.speed;
    const alone = this.room === null;
    const elsewhere = Math.abs(state.frame - here.position) > SAME_PICTURE;
    return {
      live,
      ended,
      motion: changed && !ended ? { playing, speed: state.speed } : null,
      // Alone, our own standing picture wins; in a room everybody sees the same.
      jump: state.status === "paused" && elsewhere && !alone ? state.frame : null,
      follow: playing ? state.frame : null,
      tooFast: state.status === "live" && state.speed > LIVE_SPEED && alone,
    };
  }
}
