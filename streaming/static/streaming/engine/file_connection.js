// @ts-check
/**
 * A connection to a folder of files, in place of a server: what the server would say first is a
 * file, segments are files, and the playhead is the page's own affair.
 */

import { Downloads } from "./downloads.js";
import { Layout } from "./layout.js";
import { backoff, readControl } from "./protocol.js";

/** @typedef {import("./connection.js").Order} Order */
/** @typedef {import("./connection.js").Report} Report */

export class FileConnection {
  /** @param {(report: Report, transfer?: Transferable[]) => void} post to the page */
  constructor(post) {
    this.post = post;
    this.url = "";
    this.attempt = 0;
    this.downloads = new Downloads(post);
  }

  /** @param {Order} order */
  handle(order) {
    switch (order.type) {
      case "open":
        this.url = order.url;
        void this.open();
        break;
      case "fetch":
        this.downloads.want(order.path, order.segments);
        break;
      case "cancel":
        this.downloads.cancel(order.purpose);
        break;
    }
  }

  /** Read the welcome; try again until the host answers. */
  async open() {
    try {
      const response = await fetch(this.url);
      if (response.status === 404) {
        this.post({ type: "refused", message: "This session is not in this folder any more." });
        return;
      }
      if (!response.ok) throw new Error(`${this.url}: ${response.status}`);
      this.welcomed(await response.text());
    } catch {
      this.post({ type: "lost", message: "The files could not be read." });
      setTimeout(() => void this.open(), backoff(this.attempt, Math.random));
      this.attempt += 1;
    }
  }

  /** @param {string} text */
  welcomed(text) {
    const message = readControl(text);
    if (message?.type !== "welcome" || message.schema === null) {
      throw new Error(`${this.url}: a welcome with a schema expected`);
    }
    const { fields, entities } = message.schema;
    this.downloads.layout = new Layout(fields, entities, message.segment_frames);
    this.post({ type: "control", message });
  }
}
