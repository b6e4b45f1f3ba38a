// @ts-check
/** Which segments to fetch over HTTP, where browsers and proxies cache them for good. */

/** @typedef {import("./buffer.js").SegmentBuffer} SegmentBuffer */
/** @typedef {import("./connection.js").WantedSegment} WantedSegment */

/** Largest stride that the server makes. */
export const LARGEST_STRIDE = 64;
/** Segments that the overview may cost, and samples: some 90 bytes each for a race. */
const OVERVIEW_SEGMENTS = 40;
const OVERVIEW_SAMPLES = 2000;

/**
 * The stride at which the whole recording fits in a few segments: with those, any moment can be
 * shown at once, roughly, before its own frames have come.
 * @param {number} frameCount @param {number} segmentFrames
 */
export function overviewStride(frameCount, segmentFrames) {
  let stride = 1;
  const most = Math.min(OVERVIEW_SAMPLES, OVERVIEW_SEGMENTS * segmentFrames);
  while (stride < LARGEST_STRIDE && frameCount / stride > most) stride *= 2;
  return stride;
}

/**
 * The stride to scrub with: samples about half a second apart.
 * @param {number} frameRate
 */
export function scrubStride(frameRate) {
  const wanted = Math.max(1, frameRate / 2);
  return Math.min(LARGEST_STRIDE, 2 ** Math.floor(Math.log2(wanted)));
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

/** Asks the connection for segments over HTTP, for each only once at a time. */
export class Fetcher {
  /** @param {(order: import("./connection.js").Order) => void} order to the connection */
  constructor(order) {
    this.order = order;
    this.path = "";
    /** stride of the overview */
    this.overview = 1;
    /** @type {Set<number>} */
    this.asked = new Set();
  }

  /**
   * Another recording: forget the old one, and get the overview of the new.
   * @param {SegmentBuffer} buffer @param {string} path of its segments
   */
  open(buffer, path) {
    this.path = path;
    this.asked.clear();
    const stride = overviewStride(buffer.frameCount, buffer.segmentFrames);
    this.overview = stride;
    const indices = spans(buffer, 0, buffer.frameCount - 1, stride);
    /** @type {WantedSegment[]} */
    const segments = indices.map((index) => ({ stride, index, pin: true, purpose: "overview" }));
    this.fetch(segments);
  }

  /** A live session has grown: its overview grows with it, by whole segments. @param {SegmentBuffer} buffer */
  extend(buffer) {
    const stride = overviewStride(buffer.frameCount, buffer.segmentFrames);
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
    const stride = scrubStride(frameRate);
    if (buffer.find(frame, stride) !== undefined) return;
    this.order({ type: "cancel", purpose: "scrub" });
    const index = Math.floor(frame / (stride * buffer.segmentFrames));
    this.fetch([{ stride, index, pin: false, purpose: "scrub" }]);
  }

  /** It has come or will not: it may be asked for again. @param {number} stride @param {number} index */
  answered(stride, index) {
    this.asked.delete(key(stride, index));
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
