// @ts-check
/** The picture: the ground on one canvas, what moves on another above it. */

import { Camera } from "./camera.js";
import { Ground } from "./ground.js";
import { LabelPlacer } from "./labels.js";
import { settings } from "./settings.js";

/**
 * What the picture needs of a recording; the page of ghosts makes one of laps.
 * @typedef {object} Recording
 * @property {Pick<import("../engine/interpolate.js").Sampler, "frameRate" | "locate" | "values" | "wholes" | "held">} sampler
 * @property {{x: number, y: number, status: number, position: number}} field places in the sampler
 * @property {{pit: number, retired: number}} carStatus
 * @property {boolean} isRace
 * @property {{label: string, colour: string, kind: string}[]} entities
 */
/** @typedef {import("./selection.js").Selection} Selection */

/** Seconds behind a car that its trail shows, and samples of it. */
const TRAIL_SECONDS = 2.4;
const TRAIL_SAMPLES = 12;
const RADIUS = 7;

/**
 * @typedef {object} Palette colours of the theme
 * @property {string} text @property {string} muted @property {string} panel @property {string} bg
 * @property {string} raised @property {string} road @property {string} roadEdge
 * @property {string} pit @property {string} drs @property {string} field @property {string} focus
 * @property {string} font @property {Record<string, string>} flags
 */

/** @returns {Palette} */
function paletteOf() {
  const style = getComputedStyle(document.documentElement);
  const get = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const light = document.documentElement.dataset.theme === "light";
  const yellow = light ? "#e0a800" : get("--flag-yellow");
  return {
    text: get("--text"),
    muted: get("--muted"),
    panel: get("--panel"),
    bg: get("--bg"),
    raised: get("--raised"),
    road: get("--road"),
    roadEdge: get("--road-edge"),
    pit: get("--pit"),
    drs: get("--good"),
    field: light ? "#cfe3cf" : "#14301d",
    focus: get("--focus"),
    font: get("--font"),
    flags: {
      yellow,
      double_yellow: yellow,
      safety_car: yellow,
      virtual_safety_car: yellow,
      red: get("--flag-red"),
    },
  };
}

/** The page's font size, relative to the usual 16 pixels. */
export function magnification() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

export class Track {
  /**
   * @param {HTMLCanvasElement} groundCanvas @param {HTMLCanvasElement} carsCanvas
   * @param {Selection} selection
   */
  constructor(groundCanvas, carsCanvas, selection) {
    this.groundCanvas = groundCanvas;
    this.carsCanvas = carsCanvas;
    this.groundContext = /** @type {CanvasRenderingContext2D} */ (groundCanvas.getContext("2d"));
    this.context = /** @type {CanvasRenderingContext2D} */ (carsCanvas.getContext("2d"));
    this.selection = selection;
    this.camera = new Camera();
    this.ground = new Ground(null);
    this.palette = paletteOf();
    /** @type {Recording | null} */
    this.recording = null;
    this.following = false;
    this.flag = "";
    /** flag of each sector that has one, by its number from 1 @type {Map<number, string>} */
    this.flaggedSectors = new Map();
    /** device pixels per pixel of ours, and page pixels per pixel of ours: the picture grows with
     * the page's type, so that it can be read on a wall */
    this.ratio = 1;
    this.magnification = 1;
    this.drawnVersion = -1;
    this.dirty = true;
    // Per entity, allocated once: where it is on the ground and on the picture, and its looks.
    this.xs = new Float64Array(0);
    this.ys = new Float64Array(0);
    this.pictureXs = new Float64Array(0);
    this.pictureYs = new Float64Array(0);
    this.order = new Int32Array(0);
    this.positions = new Int16Array(0);
    this.states = new Int16Array(0);
    this.trail = new Float32Array(0);
    this.labels = new LabelPlacer(this.pictureXs, this.pictureYs);
    new ResizeObserver(() => this.resize()).observe(carsCanvas);
  }

  /** @param {Recording} recording @param {import("./api.js").Geometry | null} geometry */
  setRecording(recording, geometry) {
    this.recording = recording;
    this.ground = new Ground(geometry);
    const count = recording.entities.length;
    this.xs = new Float64Array(count);
    this.ys = new Float64Array(count);
    this.pictureXs = new Float64Array(count);
    this.pictureYs = new Float64Array(count);
    this.states = new Int16Array(count);
    this.positions = new Int16Array(count);
    this.order = Int32Array.from({ length: count }, (_, i) => i);
    this.trail = new Float32Array(2 * TRAIL_SAMPLES * count);
    this.labels = new LabelPlacer(this.pictureXs, this.pictureYs);
    this.labels.setTexts(
      recording.entities.map((e) => e.label),
      recording.entities.map((e) => e.colour),
    );
    const extent = this.ground.extent();
    this.camera.setSubject(extent, geometry?.rotation ?? 0);
    this.needsExtent = extent.length === 0;
    this.resize();
  }

  /** Without any geometry: show where the entities are. */
  fitToEntities() {
    const points = [];
    for (let i = 0; i < this.xs.length; i++) {
      if (!Number.isNaN(this.xs[i])) points.push(this.xs[i], this.ys[i]);
    }
    if (points.length === 0) return;
    this.camera.setSubject(points, 0);
    this.camera.zoom = 0.7;
    this.camera.update();
    this.needsExtent = false;
  }

  resize() {
    const box = this.carsCanvas.getBoundingClientRect();
    const density = Math.min(3, devicePixelRatio || 1);
    this.magnification = magnification();
    this.ratio = density * this.magnification;
    for (const canvas of [this.groundCanvas, this.carsCanvas]) {
      canvas.width = Math.max(1, Math.round(box.width * density));
      canvas.height = Math.max(1, Math.round(box.height * density));
    }
    this.camera.resize(box.width / this.magnification, box.height / this.magnification);
    this.labels.restyle();
    this.dirty = true;
  }

  /** Colours have changed. */
  restyle() {
    this.palette = paletteOf();
    this.labels.restyle();
    this.dirty = true;
  }

  /** @param {string} flag name of the track's status */
  setFlag(flag) {
    if (flag === this.flag) return;
    this.flag = flag;
    this.dirty = true;
  }

  /** @param {Map<number, string>} sectors */
  setFlaggedSectors(sectors) {
    this.flaggedSectors = sectors;
    this.dirty = true;
  }

  /** The entity nearest to a point of the picture, -1 for none. @param {number} px @param {number} py */
  at(px, py) {
    let best = -1;
    let nearest = 22 * 22;
    for (let i = 0; i < this.xs.length; i++) {
      const dx = this.camera.px(this.xs[i], this.ys[i]) - px;
      const dy = this.camera.py(this.xs[i], this.ys[i]) - py;
      const distance = dx * dx + dy * dy;
      if (distance < nearest) {
        nearest = distance;
        best = i;
      }
    }
    return best;
  }

  /** @param {number} frame the playhead, with a fraction */
  draw(frame) {
    const recording = this.recording;
    if (recording === null) return;
    this.sample(recording, frame);
    if (this.needsExtent) this.fitToEntities();
    if (this.following) this.follow();
    if (this.dirty || this.drawnVersion !== this.camera.version) {
      this.ground.draw(this.groundContext, this.camera, this.ratio, this.palette, {
        flag: this.flag,
        flaggedSectors: this.flaggedSectors,
        corners: settings.corners,
      });
      this.drawnVersion = this.camera.version;
      this.dirty = false;
    }
    for (let i = 0; i < this.xs.length; i++) {
      this.pictureXs[i] = this.camera.px(this.xs[i], this.ys[i]);
      this.pictureYs[i] = this.camera.py(this.xs[i], this.ys[i]);
    }
    const ctx = this.context;
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ctx.clearRect(0, 0, this.camera.width, this.camera.height);
    if (settings.trails) this.drawTrails(ctx, recording, frame);
    this.drawMarks(ctx, recording);
    if (settings.labels) this.drawLabels(ctx, recording);
  }

  /** @param {Recording} recording @param {number} frame */
  sample(recording, frame) {
    const sampler = recording.sampler;
    const { x, y, status } = recording.field;
    const held = sampler.locate(frame);
    sampler.values(x, this.xs);
    sampler.values(y, this.ys);
    sampler.wholes(status, this.states);
    const position = recording.field.position;
    if (position < 0 || !held) return;
    const positions = this.positions;
    sampler.wholes(position, positions);
    // Insertion sort by place: nearly sorted from one frame to the next, and allocates nothing.
    const order = this.order;
    for (let i = 1; i < order.length; i++) {
      const entity = order[i];
      const place = orderKey(positions[entity]);
      let j = i - 1;
      while (j >= 0 && orderKey(positions[order[j]]) > place) {
        order[j + 1] = order[j];
        j -= 1;
      }
      order[j + 1] = entity;
    }
  }

  follow() {
    const chosen = this.selection.chosen;
    let x = 0;
    let y = 0;
    let count = 0;
    for (let i = 0; i < chosen.length; i++) {
      const entity = chosen[i];
      if (Number.isNaN(this.xs[entity])) continue;
      x += this.xs[entity];
      y += this.ys[entity];
      count += 1;
    }
    if (count > 0) {
      x /= count;
      y /= count;
      if (x !== this.camera.x || y !== this.camera.y) this.camera.centre(x, y);
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Recording} recording @param {number} frame */
  drawTrails(ctx, recording, frame) {
    const sampler = recording.sampler;
    const step = Math.max(1, (TRAIL_SECONDS * sampler.frameRate) / TRAIL_SAMPLES);
    const newest = Math.floor(frame / step) * step;
    const { x, y } = recording.field;
    const count = this.xs.length;
    for (let s = 0; s < TRAIL_SAMPLES; s++) {
      const at = newest - s * step;
      const held = at >= 0 && sampler.locate(at, 4);
      for (let i = 0; i < count; i++) {
        const place = 2 * (i * TRAIL_SAMPLES + s);
        this.trail[place] = held ? sampler.held(x, i) : NaN;
        this.trail[place + 1] = held ? sampler.held(y, i) : NaN;
      }
    }
    const { retired } = recording.carStatus;
    ctx.lineCap = "round";
    ctx.lineJoin = "round";
    for (let i = 0; i < count; i++) {
      if (Number.isNaN(this.xs[i]) || this.states[i] === retired) continue;
      const chosen = this.selection.has(i);
      ctx.strokeStyle = recording.entities[i].colour;
      ctx.globalAlpha = chosen ? 0.85 : 0.4;
      ctx.lineWidth = chosen ? 5 : 3.5;
      ctx.beginPath();
      ctx.moveTo(this.pictureXs[i], this.pictureYs[i]);
      for (let s = 0; s < TRAIL_SAMPLES; s++) {
        const tx = this.trail[2 * (i * TRAIL_SAMPLES + s)];
        const ty = this.trail[2 * (i * TRAIL_SAMPLES + s) + 1];
        if (Number.isNaN(tx)) break;
        ctx.lineTo(this.camera.px(tx, ty), this.camera.py(tx, ty));
      }
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Recording} recording */
  drawMarks(ctx, recording) {
    const { pit, retired } = recording.carStatus;
    const some = this.selection.chosen.length > 0;
    // The leader last, so that it is on top.
    for (let place = this.order.length - 1; place >= 0; place--) {
      const i = this.order[place];
      if (Number.isNaN(this.xs[i])) continue;
      const px = this.pictureXs[i];
      const py = this.pictureYs[i];
      const entity = recording.entities[i];
      const chosen = this.selection.has(i);
      if (this.states[i] === retired) {
        ctx.globalAlpha = 0.75;
        ctx.strokeStyle = entity.colour;
        ctx.lineWidth = 2.5;
        ctx.beginPath();
        ctx.moveTo(px - 5, py - 5);
        ctx.lineTo(px + 5, py + 5);
        ctx.moveTo(px - 5, py + 5);
        ctx.lineTo(px + 5, py - 5);
        ctx.stroke();
        ctx.globalAlpha = 1;
        continue;
      }
      const radius = entity.kind === "ball" ? 4 : chosen ? RADIUS + 3 : RADIUS;
      ctx.globalAlpha = some && !chosen ? 0.82 : 1;
      ctx.beginPath();
      ctx.arc(px, py, radius, 0, 2 * Math.PI);
      ctx.fillStyle = this.states[i] === pit ? this.palette.panel : entity.colour;
      ctx.fill();
      ctx.lineWidth = chosen ? 3 : 1.75;
      ctx.strokeStyle =
        this.states[i] === pit ? entity.colour : chosen ? this.palette.text : this.palette.bg;
      ctx.stroke();
      ctx.globalAlpha = 1;
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Recording} recording */
  drawLabels(ctx, recording) {
    const { retired } = recording.carStatus;
    const labels = this.labels;
    const count = this.xs.length;
    labels.begin(this.palette, this.ratio, this.camera.width, this.camera.height);
    for (let i = 0; i < count; i++) {
      if (!Number.isNaN(this.xs[i])) labels.block(i, RADIUS);
    }
    // Selected entities first, so that they get a place.
    for (let pass = 0; pass < 2; pass++) {
      for (let place = 0; place < count; place++) {
        const i = this.order[place];
        if (Number.isNaN(this.xs[i]) || this.selection.has(i) !== (pass === 0)) continue;
        labels.place(i);
      }
    }
    ctx.strokeStyle = this.palette.muted;
    ctx.lineWidth = 1;
    ctx.beginPath();
    for (let i = 0; i < count; i++) {
      if (labels.placed[i]) labels.drawLeader(ctx, i);
    }
    ctx.stroke();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    for (let i = 0; i < count; i++) {
      if (labels.placed[i]) labels.draw(ctx, i, this.selection.has(i), this.states[i] === retired);
    }
    ctx.globalAlpha = 1;
  }
}

/** Unplaced entities come last. @param {number} position */
function orderKey(position) {
  return position < 0 ? 1e9 : position;
}
