// @ts-check
/** A live session of pictures: the newest one, its age, and how many come and are passed over. */

import { byId, make, setText } from "./elements.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */

/** Milliseconds over which the rate is counted. */
const WINDOW = 2000;

export class Pictures {
  /** @param {Engine} engine */
  constructor(engine) {
    this.engine = engine;
    this.canvas = make("canvas", { class: "pictures", role: "img", "aria-label": "Live picture" });
    this.facts = make("p", { class: "picture-facts" });
    this.context = /** @type {HTMLCanvasElement} */ (this.canvas).getContext("2d");
    this.frameRate = 1;
    /** @type {number | null} */
    this.start = null;
    this.last = -1;
    this.skipped = 0;
    /** when the last pictures came @type {number[]} */
    this.times = [];
    engine.on("pictures", (session) => this.open(session));
    engine.on("picture", (picture) => this.draw(picture));
  }

  /** @param {import("../engine/protocol.js").SessionInfo} session */
  open(session) {
    document.body.dataset.pictures = "";
    this.frameRate = session.frame_rate;
    this.start = session.start_time ?? null;
    this.last = -1;
    if (!this.canvas.isConnected) {
      byId("view").append(this.canvas, this.facts);
      setInterval(() => this.tell(), 500);
    }
  }

  /** @param {{bitmap: ImageBitmap, frame: number}} picture */
  draw({ bitmap, frame }) {
    const canvas = /** @type {HTMLCanvasElement} */ (this.canvas);
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    this.context?.drawImage(bitmap, 0, 0);
    bitmap.close();
    if (this.last >= 0 && frame > this.last) this.skipped += frame - this.last - 1;
    this.last = frame;
    const now = performance.now();
    this.times.push(now);
    while (this.times[0] < now - WINDOW) this.times.shift();
    canvas.dataset.frame = String(frame);
  }

  tell() {
    const now = performance.now();
    const rate = this.times.filter((time) => time > now - WINDOW).length / (WINDOW / 1000);
    const parts = [`${rate.toFixed(1)} pictures/s`, `${this.skipped} passed over`];
    if (this.start !== null && this.last >= 0) {
      const shown = 1000 * (this.start + this.last / this.frameRate);
      const age = Math.max(0, Date.now() + this.engine.serverAhead - shown) / 1000;
      parts.unshift(`${age.toFixed(age < 10 ? 1 : 0)} s old`);
    }
    setText(this.facts, parts.join(" · "));
  }
}
