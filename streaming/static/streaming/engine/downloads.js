// @ts-check
/** Segments over HTTP, where browsers and proxies cache them for good. */

import { CorruptSegment, decodeSegment, inflate } from "./segment.js";

/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./segment.js").Segment} Segment */

/** @typedef {"overview"|"around"|"scrub"|"ahead"} Purpose why a segment is fetched */
/** @typedef {{stride: number, index: number, pin: boolean, purpose: Purpose}} WantedSegment */

/**
 * @typedef {{type: "fetched", stride: number, index: number, segment: Segment, pin: boolean}
 *   | {type: "not_fetched", stride: number, index: number}
 *   | {type: "problem", message: string}} DownloadReport
 */

/** Most HTTP requests for segments at a time. */
const PARALLEL_FETCHES = 4;

/**
 * Fetch and decode one segment.
 * @param {string} address @param {Layout} layout @param {AbortSignal} [signal]
 * @returns {Promise<Segment | null>} null where the host has none
 * @throws {CorruptSegment | Error} the latter where the host does not answer
 */
export async function fetchSegment(address, layout, signal) {
  const response = await fetch(address, { signal });
  if (!response.ok) return null;
  return decodeSegment(await inflate(new Uint8Array(await response.arrayBuffer())), layout);
}

export class Downloads {
  /** @param {(report: DownloadReport, transfer?: Transferable[]) => void} post to the page */
  constructor(post) {
    this.post = post;
    this.path = "";
    /** of the segments; nothing can be read without it @type {Layout | null} */
    this.layout = null;
    /** @type {WantedSegment[]} */
    this.wanted = [];
    this.fetching = 0;
    /** @type {Map<Purpose, AbortController>} */
    this.aborts = new Map();
  }

  /** @param {string} path of the recording's segments @param {WantedSegment[]} segments */
  want(path, segments) {
    this.path = path;
    // What the viewer is looking for now comes before what may be useful later.
    if (segments[0].purpose === "overview") this.wanted.push(...segments);
    else this.wanted.unshift(...segments);
    this.fetchNext();
  }

  /** Forget the segments that were wanted for `purpose`. @param {Purpose} purpose */
  cancel(purpose) {
    const dropped = this.wanted.filter((entry) => entry.purpose === purpose);
    this.wanted = this.wanted.filter((entry) => entry.purpose !== purpose);
    for (const { stride, index } of dropped) {
      this.post({ type: "not_fetched", stride, index });
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

  /** @param {WantedSegment} entry */
  async fetch(entry) {
    const { stride, index, pin, purpose } = entry;
    let abort = this.aborts.get(purpose);
    if (abort === undefined) {
      abort = new AbortController();
      this.aborts.set(purpose, abort);
    }
    this.fetching += 1;
    try {
      const address = `${this.path}${stride}/${index}`;
      const segment =
        this.layout === null ? null : await fetchSegment(address, this.layout, abort.signal);
      if (segment === null) {
        this.post({ type: "not_fetched", stride, index });
        return;
      }
      this.post({ type: "fetched", stride, index, segment, pin }, [segment.data.buffer]);
    } catch (error) {
      this.post({ type: "not_fetched", stride, index });
      // After a network error the segment is fetched again, or comes over the socket.
      if (error instanceof CorruptSegment) this.post({ type: "problem", message: String(error) });
    } finally {
      this.fetching -= 1;
      this.fetchNext();
    }
  }
}
