// @ts-check
/** Which segments to fetch over HTTP, where browsers and proxies cache them for good. */

/** @typedef {import("./buffer.js").SegmentBuffer} SegmentBuffer */
/** @typedef {import("./connection.js").WantedSegment} WantedSegment */

/** Strides that the server makes of a recording. */
export const STRIDES = [1, 2, 4, 8, 16, 32, 64];
/** Milliseconds between two looks at what is missing ahead of the playhead. */
const LOOK_INTERVAL = 200;
/** The same, after a segment could not be fetched. */
const RETRY_INTERVAL = 1000;
/** Segments that the overview may cost, and samples: some 90 bytes each for a race. */
const OVERVIEW_SEGMENTS = 40;
const OVERVIEW_SAMPLES = 2000;

/**
 * The stride at which the whole recording fits in a few segments: with those, any moment can be
 * shown at once, roughly, before its own frames have come.
 * @param {number} frameCount @param {number} segmentFrames
 * @param {readonly number[]} [strides] that there are, ascending
 */
export function overviewStride(frameCount, segmentFrames, strides = STRIDES) {
  const most = Math.min(OVERVIEW_SAMPLES, OVERVIEW_SEGMENTS * segmentFrames);
  return strides.find((stride) => frameCount / stride <= most) ?? strides[strides.length - 1];
}

/**
 * The stride to scrub with: samples about half a second apart.
 * @param {number} frameRate @param {readonly number[]} [strides]
 */
export function scrubStride(frameRate, strides = STRIDES) {
  return largestUpTo(frameRate / 2, strides);
}

/**
 * The stride to play with: no more samples a second than at the recorded speed.
 * @param {number} speed @param {readonly number[]} [strides]
 */
export function playStride(speed, strides = STRIDES) {
  return largestUpTo(Math.abs(speed), strides);
}

/** @param {number} wanted @param {readonly number[]} strides ascending */
function largestUpTo(wanted, strides) {
  return strides.findLast((stride) => stride <= wanted) ?? strides[0];
}

/**
 * Indices of the segments between two frames.
 * @param {SegmentBuffer} buffer @param {number} from @param {number} to @param {number} stride
 * @returns {number[]}
 */
export function spans(buffer, from, to, stride) {
  const size = buffer.segmentFrames * stride;
  const last = Math.floor((buffer.frameCount - 1) / size);
  const result = [];
  const end = Math.min(last, Math.floor(to / size));
  for (let index = Math.max(0, Math.floor(from / size)); index <= end; index++) result.push(index);
  return result;
}

/**
 * What is missing before the playhead, nearest first: the server sends what comes after it.
 * @param {SegmentBuffer} buffer @param {number} frame @param {number} behind frames
 * @returns {WantedSegment[]}
 */
export function prefetchPlan(buffer, frame, behind) {
  return spans(buffer, frame - behind, frame, 1)
    .reverse()
    .filter((index) => buffer.get(index * buffer.segmentFrames, 1) === undefined)
    .map((index) => ({ stride: 1, index, pin: false, purpose: "around" }));
}

/**
 * What is missing in the playing direction, nearest first.
 * @param {SegmentBuffer} buffer @param {number} frame @param {number} ahead frames, negative
 * backwards @param {number} stride
 * @returns {WantedSegment[]}
 */
export function aheadPlan(buffer, frame, ahead, stride) {
  const indices = spans(
    buffer,
    Math.min(frame, frame + ahead),
    Math.max(frame, frame + ahead),
    stride,
  );
  if (ahead < 0) indices.reverse();
  return indices
    .filter((index) => buffer.get(index * buffer.segmentFrames * stride, stride) === undefined)
    .map((index) => ({ stride, index, pin: false, purpose: "ahead" }));
}

/** Asks the connection for segments over HTTP, for each only once at a time. */
export class Fetcher {
  /** @param {(order: import("./connection.js").Order) => void} order to the connection */
  constructor(order) {
    this.order = order;
    this.path = "";
    /** stride of the overview */
    this.overview = 1;
    /** strides that there are, ascending @type {readonly number[]} */
    this.strides = STRIDES;
    /** @type {Set<number>} */
    this.asked = new Set();
    /** milliseconds: when to look ahead again */
    this.nextLook = 0;
    this.failed = false;
  }

  /**
   * Another recording: forget the old one, and get the overview of the new.
   * @param {SegmentBuffer} buffer @param {string} path of its segments
   */
  open(buffer, path) {
    this.path = path;
    this.asked.clear();
    const stride = overviewStride(buffer.frameCount, buffer.segmentFrames, this.strides);
    this.overview = stride;
    const indices = spans(buffer, 0, buffer.frameCount - 1, stride);
    /** @type {WantedSegment[]} */
    const segments = indices.map((index) => ({ stride, index, pin: true, purpose: "overview" }));
    this.fetch(segments);
  }

  /** A live session has grown: its overview grows with it, by whole segments. @param {SegmentBuffer} buffer */
  extend(buffer) {
    const stride = overviewStride(buffer.frameCount, buffer.segmentFrames, this.strides);
    this.overview = stride;
    // While there are few frames, the frames themselves are the overview; they come anyway.
    if (stride === 1) return;
    const size = buffer.segmentFrames * stride;
    /** @type {WantedSegment[]} */
    const missing = [];
    for (let index = 0; (index + 1) * size <= buffer.frameCount; index++) {
      const held = buffer.get(index * size, stride);
      if (held !== undefined && held.count === buffer.segmentFrames) continue;
      missing.push({ stride, index, pin: true, purpose: "overview" });
    }
    this.fetch(missing);
  }

  /** What a small step back from here would want. @param {SegmentBuffer} buffer @param {number} frame @param {number} behind frames */
  around(buffer, frame, behind) {
    this.fetch(prefetchPlan(buffer, frame, behind));
  }

  /** The place under the finger, before any other. @param {SegmentBuffer} buffer @param {number} frame @param {number} frameRate */
  scrubbed(buffer, frame, frameRate) {
    const stride = scrubStride(frameRate, this.strides);
    if (buffer.find(frame, stride) !== undefined) return;
    this.order({ type: "cancel", purpose: "scrub" });
    const index = Math.floor(frame / (stride * buffer.segmentFrames));
    this.fetch([{ stride, index, pin: false, purpose: "scrub" }]);
  }

  /**
   * Where no server sends what comes next: once per displayed frame.
   * @param {SegmentBuffer} buffer
   * @param {{position: number, speed: number, frameRate: number}} clock
   * @param {number} lead seconds at the speed of the clock @param {number} now milliseconds
   */
  ahead(buffer, { position, speed, frameRate }, lead, now) {
    if (now < this.nextLook) return;
    this.nextLook = now + (this.failed ? RETRY_INTERVAL : LOOK_INTERVAL);
    this.failed = false;
    const frames = lead * frameRate * (Math.abs(speed) < 1 ? Math.sign(speed) : speed);
    this.fetch(aheadPlan(buffer, position, frames, playStride(speed, this.strides)));
  }

  /** The playhead has jumped: what was wanted ahead of it is not any more. */
  jumped() {
    this.order({ type: "cancel", purpose: "ahead" });
    this.nextLook = 0;
  }

  /**
   * It has come or will not: it may be asked for again.
   * @param {number} stride @param {number} index @param {boolean} come
   */
  answered(stride, index, come) {
    this.asked.delete(key(stride, index));
    if (!come) this.failed = true;
  }

  /** @param {WantedSegment[]} segments */
  fetch(segments) {
    const fresh = segments.filter(({ stride, index }) => !this.asked.has(key(stride, index)));
    if (fresh.length === 0 || this.path === "") return;
    for (const { stride, index } of fresh) this.asked.add(key(stride, index));
    this.order({ type: "fetch", path: this.path, segments: fresh });
  }
}

/** @param {number} stride @param {number} index */
function key(stride, index) {
  return stride * 2 ** 32 + index;
}
