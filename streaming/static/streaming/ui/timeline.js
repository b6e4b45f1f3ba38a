// @ts-check
/** The timeline: a range input over the marks of flags, laps and events; dragging shows each frame. */

import { byId, setText } from "./elements.js";
import { clockTime, spokenTime, words } from "./format.js";
import { magnification } from "./track.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */
/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./selection.js").Selection} Selection */
/** @typedef {import("./track.js").Track} Track */

/** Half the width of the thumb: the range begins and ends that far inside the element. */
const INSET = 8;
const BAR_TOP = 24;
const BAR_HEIGHT = 7;
/** The mark of each kind of event that has one. */
const MARKS = /** @type {Record<string, string>} */ ({
  retirement: "×",
  pit: "P",
  overtake: "⇅",
  fastest_lap: "★",
  finish: "⚑",
  start: "⚐",
  part_start: "⚐",
  part_end: "⚑",
  elimination: "×",
  lap_deleted: "⌫",
});
/** Shown for selected entities only: there are too many of them. */
const OF_THE_CHOSEN = new Set(["pit", "overtake", "lap_deleted"]);

export class Timeline {
  /** @param {Engine} engine @param {Selection} selection @param {Track} track */
  constructor(engine, selection, track) {
    this.engine = engine;
    this.selection = selection;
    this.track = track;
    /** @type {Recording | null} */
    this.recording = null;
    this.input = /** @type {HTMLInputElement} */ (byId("scrubber"));
    this.canvas = /** @type {HTMLCanvasElement} */ (byId("marks"));
    this.preview = byId("preview");
    this.previewCanvas = /** @type {HTMLCanvasElement} */ (byId("preview-canvas"));
    this.previewText = byId("preview-text");
    this.dragging = false;
    this.density = 1;
    this.magnification = 1;
    /** spans of a flag: first frame, frame after the last, name */
    this.flags = /** @type {{from: number, to: number, flag: string}[]} */ ([]);
    this.dirty = true;
    this.drawnFrame = -1;
    /** value of the range input, kept because reading it from the element is slow */
    this.shown = -1;
    this.last = -1;
    this.input.addEventListener("input", () => {
      this.dragging = true;
      this.shown = -1;
      engine.scrub(Number(this.input.value));
      this.describe(Number(this.input.value));
    });
    this.input.addEventListener("change", () => {
      this.dragging = false;
      engine.seek(Number(this.input.value));
    });
    this.input.addEventListener("pointermove", (event) => this.hover(event));
    this.input.addEventListener("pointerleave", () => this.leave());
    // A drag that ends at the value that it began with fires no "change".
    this.input.addEventListener("pointercancel", () => this.release());
    this.input.addEventListener("pointerup", (event) => {
      setTimeout(() => this.release());
      if (event.pointerType !== "mouse") this.leave();
    });
    selection.onChange(() => (this.dirty = true));
    engine.on("grown", () => (this.dirty = true));
    new ResizeObserver(() => {
      const box = this.canvas.getBoundingClientRect();
      this.density = Math.min(3, devicePixelRatio || 1);
      this.magnification = magnification();
      this.canvas.width = Math.max(1, Math.round(box.width * this.density));
      this.canvas.height = Math.max(1, Math.round(box.height * this.density));
      this.dirty = true;
    }).observe(this.canvas);
  }

  release() {
    if (!this.dragging) return;
    this.dragging = false;
    this.engine.seek(Number(this.input.value));
  }

  /** @param {Recording} recording */
  setRecording(recording) {
    this.recording = recording;
    this.dirty = true;
  }

  /** @param {{from: number, to: number, flag: string}[]} flags */
  setFlags(flags) {
    this.flags = flags;
    this.dirty = true;
  }

  /** Once per displayed frame. @param {number} frame */
  update(frame) {
    const { engine } = this;
    const whole = Math.round(frame);
    const last = Math.max(0, engine.frameCount - 1);
    if (last !== this.last) {
      this.last = last;
      this.input.max = String(last);
    }
    if (!this.dragging && whole !== this.shown) {
      this.shown = whole;
      this.input.valueAsNumber = whole;
    }
    const pixel = this.canvas.width / Math.max(1, engine.frameCount);
    if (this.dirty || Math.abs(frame - this.drawnFrame) * pixel >= 0.5) this.draw(frame);
  }

  /** A few times a second. @param {number} frame */
  describe(frame) {
    const recording = this.recording;
    const time = spokenTime(frame / this.engine.frameRate);
    const lap = recording?.isRace ? recording.lapAt(frame) : 0;
    const part = recording?.partAt(frame)?.name;
    const text = part
      ? `${part}, ${time}`
      : lap > 0 && recording?.totalLaps
        ? `Lap ${lap} of ${recording.totalLaps}, ${time}`
        : lap > 0
          ? `Lap ${lap}, ${time}`
          : time;
    if (this.input.getAttribute("aria-valuetext") !== text) {
      this.input.setAttribute("aria-valuetext", text);
    }
  }

  /** @param {number} frame @param {number} width */
  x(frame, width) {
    const last = Math.max(1, this.engine.frameCount - 1);
    return INSET + (frame / last) * (width - 2 * INSET);
  }

  /** @param {number} frame */
  draw(frame) {
    this.dirty = false;
    this.drawnFrame = frame;
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const ratio = this.density * this.magnification;
    const width = this.canvas.width / ratio;
    const palette = this.track.palette;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, 60);
    ctx.fillStyle = palette.pit;
    ctx.fillRect(INSET, BAR_TOP, width - 2 * INSET, BAR_HEIGHT);
    ctx.fillStyle = palette.muted;
    ctx.fillRect(INSET, BAR_TOP, this.x(frame, width) - INSET, BAR_HEIGHT);
    for (const { from, to, flag } of this.flags) {
      const left = this.x(from, width);
      ctx.fillStyle = palette.flags[flag] ?? palette.roadEdge;
      ctx.fillRect(left, BAR_TOP - 5, Math.max(2, this.x(to, width) - left), 4);
      // The pattern distinguishes a safety car from a yellow flag without colour.
      if (flag.includes("safety_car")) {
        ctx.fillStyle = palette.panel;
        for (let x = left + 3; x < this.x(to, width) - 1; x += 6)
          ctx.fillRect(x, BAR_TOP - 5, 2, 4);
      }
    }
    if (this.engine.loop !== null) {
      const [from, to] = this.engine.loop;
      ctx.strokeStyle = palette.focus;
      ctx.lineWidth = 2;
      ctx.strokeRect(
        this.x(from, width),
        BAR_TOP - 2,
        this.x(to, width) - this.x(from, width),
        BAR_HEIGHT + 4,
      );
    }
    this.drawMarks(ctx, width);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width */
  drawMarks(ctx, width) {
    const recording = this.recording;
    if (recording === null) return;
    const palette = this.track.palette;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    const laps = recording.lapStarts;
    const room = (width - 2 * INSET) / Math.max(1, laps.length);
    const every = [1, 2, 5, 10, 20, 50].find((n) => n * room > 34) ?? 100;
    ctx.font = `600 10px ${palette.font}`;
    for (let n = 1; n < laps.length; n++) {
      if (laps[n] === undefined) continue;
      const x = this.x(laps[n], width);
      ctx.fillStyle = palette.bg;
      if (room > 3) ctx.fillRect(x, BAR_TOP, 1, BAR_HEIGHT);
      if (n % every === 0 || (n === 1 && every < 5)) {
        ctx.fillStyle = palette.muted;
        ctx.fillText(String(n), x, BAR_TOP + BAR_HEIGHT + 7);
      }
    }
    this.drawParts(ctx, width);
    ctx.font = `800 11px ${palette.font}`;
    let last = -Infinity;
    for (const event of recording.events) {
      const mark = MARKS[event.kind];
      if (mark === undefined) continue;
      const column = recording.column(event.entity);
      const chosen = column >= 0 && this.selection.has(column);
      if (OF_THE_CHOSEN.has(event.kind) && !chosen) continue;
      const x = this.x(event.frame, width);
      if (x - last < 9 && !chosen) continue;
      last = x;
      ctx.fillStyle = chosen ? recording.entities[column].colour : palette.text;
      ctx.fillText(mark, x, 9);
    }
  }

  /** From when to when the parts of a qualifying ran, with their names.
   * @param {CanvasRenderingContext2D} ctx @param {number} width */
  drawParts(ctx, width) {
    const { palette } = this.track;
    ctx.font = `700 11px ${palette.font}`;
    for (const part of this.recording?.parts ?? []) {
      const from = this.x(part.green_frame, width);
      const to = this.x(part.flag_frame ?? this.engine.frameCount - 1, width);
      ctx.fillStyle = palette.muted;
      ctx.fillRect(from, BAR_TOP - 3, 2, BAR_HEIGHT + 6);
      ctx.fillRect(to - 2, BAR_TOP - 3, 2, BAR_HEIGHT + 6);
      ctx.fillStyle = palette.text;
      ctx.fillText(part.name, (from + to) / 2, BAR_TOP + BAR_HEIGHT + 8);
    }
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const box = this.input.getBoundingClientRect();
    const inset = INSET * this.magnification;
    const fraction = (event.clientX - box.left - inset) / (box.width - 2 * inset);
    if (this.engine.frameCount === 0) return;
    const frame = Math.min(Math.max(fraction, 0), 1) * (this.engine.frameCount - 1);
    this.preview.hidden = false;
    const left = Math.min(Math.max(event.clientX - box.left - 103, 0), box.width - 206);
    this.preview.style.left = `${left}px`;
    const lap = this.recording?.isRace ? this.recording.lapAt(frame) : 0;
    const part = this.recording?.partAt(frame)?.name;
    const near = this.recording?.events.find(
      (e) =>
        Math.abs(e.frame - frame) < (this.engine.frameCount / box.width) * 5 &&
        (MARKS[e.kind] !== undefined || e.kind === "safety_car"),
    );
    const about = near === undefined ? "" : ` · ${words(near.kind)} ${near.entity}`;
    setText(
      this.previewText,
      `${clockTime(frame / this.engine.frameRate)}${lap > 0 ? ` · Lap ${lap}` : ""}${part ? ` · ${part}` : ""}${about}`,
    );
    this.drawPreview(frame);
  }

  leave() {
    this.preview.hidden = true;
  }

  /** Where everyone is at that moment, small. @param {number} frame */
  drawPreview(frame) {
    const recording = this.recording;
    const canvas = this.previewCanvas;
    if (recording === null) return;
    const ratio = Math.min(3, devicePixelRatio || 1);
    const width = 200;
    const height = 130;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const { camera, ground, palette } = this.track;
    const cos = Math.cos(camera.rotation);
    const sin = Math.sin(camera.rotation);
    const scale = Math.min(
      (width - 24) / Math.max(camera.right - camera.left, 1e-6),
      (height - 24) / Math.max(camera.top - camera.bottom, 1e-6),
    );
    const x0 = width / 2 - ((camera.left + camera.right) / 2) * scale;
    const y0 = height / 2 + ((camera.top + camera.bottom) / 2) * scale;
    ctx.setTransform(
      cos * scale * ratio,
      -sin * scale * ratio,
      -sin * scale * ratio,
      -cos * scale * ratio,
      x0 * ratio,
      y0 * ratio,
    );
    ctx.lineWidth = 4 / scale;
    ctx.lineJoin = "round";
    ctx.strokeStyle = palette.road;
    ctx.stroke(ground.road);
    ctx.lineWidth = 1 / scale;
    ctx.stroke(ground.lines);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!recording.sampler.locate(frame)) return;
    const { x, y, status } = recording.field;
    const { retired } = recording.carStatus;
    recording.entities.forEach((entity, i) => {
      const gx = recording.sampler.held(x, i);
      const gy = recording.sampler.held(y, i);
      if (Number.isNaN(gx) || recording.sampler.held(status, i) === retired) return;
      ctx.fillStyle = entity.colour;
      ctx.beginPath();
      const radius = this.selection.has(i) ? 5 : 3;
      ctx.arc(x0 + (gx * cos - gy * sin) * scale, y0 - (gx * sin + gy * cos) * scale, radius, 0, 7);
      ctx.fill();
    });
  }
}
