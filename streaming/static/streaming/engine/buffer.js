// @ts-check
/**
 * What the player holds of the recording: decoded segments, found by frame without allocating,
 * and the credit that it gives back to the server for them.
 */

/** @typedef {import("./segment.js").Segment} Segment */

/** Decoded segments of several strides, bounded in number. */
export class SegmentBuffer {
  /**
   * @param {number} segmentFrames samples of a whole segment
   * @param {number} frameCount frames of the recording
   * @param {number} capacity most segments held that are not pinned
   */
  constructor(segmentFrames, frameCount, capacity) {
    this.segmentFrames = segmentFrames;
    this.frameCount = frameCount;
    this.capacity = capacity;
    /** strides held, ascending: the finest that has a frame is the one to draw */
    this.strides = /** @type {number[]} */ ([]);
    /** index → segment, one table for each of `strides` */
    this.tables = /** @type {Map<number, Segment>[]} */ ([]);
    /** @type {Set<Segment>} */
    this.pinned = new Set();
    this.size = 0;
  }

  /**
   * @param {Segment} segment
   * @param {number} playhead frame; what is farthest from it makes room
   * @param {boolean} [pin] never evict it
   */
  add(segment, playhead, pin = false) {
    const index = Math.floor(segment.first / (this.segmentFrames * segment.stride));
    let place = this.strides.indexOf(segment.stride);
    if (place < 0) {
      place = this.strides.filter((stride) => stride < segment.stride).length;
      this.strides.splice(place, 0, segment.stride);
      this.tables.splice(place, 0, new Map());
    }
    const table = this.tables[place];
    const old = table.get(index);
    if (old === undefined) this.size += 1;
    else if (this.pinned.delete(old)) pin = true;
    table.set(index, segment);
    if (pin) this.pinned.add(segment);
    while (this.size - this.pinned.size > this.capacity) this.evict(playhead);
  }

  /** @param {number} playhead */
  evict(playhead) {
    let farthest = -1;
    let victim = -1;
    /** @type {Map<number, Segment> | undefined} */
    let from;
    for (const table of this.tables) {
      for (const [index, segment] of table) {
        if (this.pinned.has(segment)) continue;
        const middle = segment.first + (segment.stride * segment.count) / 2;
        const distance = Math.abs(middle - playhead);
        if (distance > farthest) {
          farthest = distance;
          victim = index;
          from = table;
        }
      }
    }
    if (from?.delete(victim)) this.size -= 1;
  }

  /**
   * The segment of exactly this stride that spans `frame`.
   * @param {number} frame @param {number} stride
   * @returns {Segment | undefined}
   */
  get(frame, stride) {
    const place = this.strides.indexOf(stride);
    if (place < 0) return undefined;
    return this.tables[place].get(Math.floor(frame / (this.segmentFrames * stride)));
  }

  /**
   * The finest segment that spans `frame`.
   * @param {number} frame
   * @param {number} [coarsest] ignore larger strides
   * @returns {Segment | undefined}
   */
  find(frame, coarsest = Infinity) {
    for (let i = 0; i < this.strides.length; i++) {
      const stride = this.strides[i];
      if (stride > coarsest) break;
      const segment = this.tables[i].get(Math.floor(frame / (this.segmentFrames * stride)));
      // The last segment of a live session is short at first and does not cover later frames.
      if (segment !== undefined && frame < segment.first + segment.count * stride) return segment;
    }
    return undefined;
  }

  /**
   * How far playback can go from `frame` without a hole: the last frame reached (backwards: the
   * first), or `frame` itself where nothing is held.
   * @param {number} frame
   * @param {number} direction 1 or -1
   * @param {number} coarsest ignore larger strides
   * @returns {number}
   */
  reach(frame, direction, coarsest) {
    const end = this.frameCount - 1;
    let at = Math.min(Math.max(Math.floor(frame), 0), end);
    let reached = frame;
    for (;;) {
      const segment = this.find(at, coarsest);
      if (segment === undefined) return reached;
      if (direction > 0) {
        at = segment.first + segment.count * segment.stride;
        // The last sample of a short final segment also holds for the frames after it.
        reached = Math.min(at, end);
        if (at > end) return end;
      } else {
        reached = segment.first;
        at = segment.first - 1;
        if (at < 0) return 0;
      }
    }
  }

  /** A live session has so many frames by now. @param {number} frameCount */
  grow(frameCount) {
    this.frameCount = Math.max(this.frameCount, frameCount);
  }

  /** Forget everything, as when the recording has changed. */
  clear() {
    this.strides.length = 0;
    this.tables.length = 0;
    this.pinned.clear();
    this.size = 0;
  }
}

/**
 * Credit: which data messages may be acknowledged. A message is acknowledged once the playhead has
 * come within `ahead` frames of it, so that a paused or hidden player does not draw the server on.
 */
export class Credit {
  constructor() {
    /** seq and nearest frame of each message not yet acknowledged, oldest first */
    this.waiting = /** @type {{seq: number, frame: number}[]} */ ([]);
    this.acknowledged = 0;
  }

  /** @param {number} seq @param {number} frame of the message that is nearest to the playhead */
  received(seq, frame) {
    this.waiting.push({ seq, frame });
  }

  /** A message that was thrown away, e.g. of an older generation, costs no room. @param {number} seq */
  discarded(seq) {
    this.waiting.push({ seq, frame: NaN });
  }

  /**
   * @param {number} playhead frame
   * @param {number} direction 1 or -1
   * @param {number} ahead frames
   * @returns {number} the `seq` to acknowledge now, 0 for none
   */
  due(playhead, direction, ahead) {
    let upTo = 0;
    while (this.waiting.length > 0) {
      const { seq, frame } = this.waiting[0];
      if ((frame - playhead) * direction > ahead) break;
      upTo = seq;
      this.waiting.shift();
    }
    if (upTo > 0) this.acknowledged = upTo;
    return upTo;
  }

  /** After a seek everything received before may be acknowledged. */
  release() {
    for (const entry of this.waiting) entry.frame = NaN;
  }

  /** A new connection counts from 1 again. */
  reset() {
    this.waiting.length = 0;
    this.acknowledged = 0;
  }
}
