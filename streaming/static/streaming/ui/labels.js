// @ts-check
/** Codes beside their marks, where they cover neither each other nor a mark. Allocates nothing. */

const HEIGHT = 16;
const PADDING = 4;
const STRIPE = 3;
/** Directions and distances tried, nearest first. */
const ANGLES = [0, 180, -60, 60, -120, 120, -90, 90, -30, 30, 150, -150];
const DISTANCES = [12, 24, 40];
const CANDIDATES = ANGLES.length * DISTANCES.length;
const COSINES = Float32Array.from(ANGLES, (a) => Math.cos((a * Math.PI) / 180));
const SINES = Float32Array.from(ANGLES, (a) => Math.sin((a * Math.PI) / 180));

/** Largest height of the canvas that labels are copied from; beyond it a new column begins. */
const SHEET_HEIGHT = 2048;

export class LabelPlacer {
  /**
   * @param {Float64Array} xs @param {Float64Array} ys where the marks are on the picture: looked up
   * here by number, because a fraction that is handed over is allocated
   */
  constructor(xs, ys) {
    const count = xs.length;
    this.xs = xs;
    this.ys = ys;
    this.texts = /** @type {string[]} */ ([]);
    this.colours = /** @type {string[]} */ ([]);
    this.widths = new Float32Array(count);
    this.placed = new Uint8Array(count);
    /** candidate of the frame before: a label keeps its place as long as it is free */
    this.last = new Int16Array(count).fill(-1);
    this.lefts = new Float32Array(count);
    this.tops = new Float32Array(count);
    /** left, top, right, bottom of each area that is taken */
    this.boxes = new Float32Array(4 * 2 * count);
    this.taken = 0;
    this.pictureWidth = 0;
    this.pictureHeight = 0;
    // Each label is painted once, plain and chosen, and then only copied: to write a text in every
    // displayed frame costs more than all the rest of the picture.
    this.sheet = document.createElement("canvas");
    this.painted = false;
    this.ratio = 1;
    this.cellWidth = 0;
    this.cellHeight = 0;
    this.perColumn = 1;
  }

  /** @param {string[]} texts @param {string[]} colours */
  setTexts(texts, colours) {
    this.texts = texts;
    this.colours = colours;
    this.painted = false;
  }

  /** Colours, type or size have changed. */
  restyle() {
    this.painted = false;
  }

  /**
   * @param {import("./track.js").Palette} palette @param {number} ratio device pixels
   * @param {number} width @param {number} height of the picture
   */
  begin(palette, ratio, width, height) {
    if (!this.painted) this.paint(palette, ratio);
    this.pictureWidth = width;
    this.pictureHeight = height;
    this.taken = 0;
    this.placed.fill(0);
  }

  /** @param {import("./track.js").Palette} palette @param {number} ratio */
  paint(palette, ratio) {
    const { sheet } = this;
    const ctx = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
    const font = `700 12px ${palette.font}`;
    ctx.font = font;
    let widest = 0;
    for (let i = 0; i < this.texts.length; i++) {
      this.widths[i] = ctx.measureText(this.texts[i]).width + 2 * PADDING + STRIPE;
      widest = Math.max(widest, this.widths[i]);
    }
    this.ratio = ratio;
    this.cellWidth = Math.ceil(widest * ratio) + 1;
    this.cellHeight = Math.ceil(HEIGHT * ratio);
    this.perColumn = Math.max(1, Math.floor(SHEET_HEIGHT / this.cellHeight));
    const cells = 2 * this.texts.length;
    sheet.width = Math.max(1, Math.ceil(cells / this.perColumn) * this.cellWidth);
    sheet.height = Math.max(1, Math.min(cells, this.perColumn) * this.cellHeight);
    ctx.font = font;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (let cell = 0; cell < cells; cell++) {
      const i = cell >> 1;
      const chosen = (cell & 1) === 1;
      ctx.setTransform(ratio, 0, 0, ratio, this.cellX(cell), this.cellY(cell));
      ctx.fillStyle = chosen ? palette.text : palette.panel;
      ctx.fillRect(0, 0, this.widths[i], HEIGHT);
      ctx.fillStyle = this.colours[i];
      ctx.fillRect(0, 0, STRIPE, HEIGHT);
      ctx.fillStyle = chosen ? palette.panel : palette.text;
      ctx.fillText(this.texts[i], STRIPE + PADDING, HEIGHT / 2 + 0.5);
    }
    this.painted = true;
  }

  /** @param {number} cell */
  cellX(cell) {
    return Math.floor(cell / this.perColumn) * this.cellWidth;
  }

  /** @param {number} cell */
  cellY(cell) {
    return (cell % this.perColumn) * this.cellHeight;
  }

  /** Keep labels off a mark. @param {number} i @param {number} radius */
  block(i, radius) {
    const at = 4 * this.taken++;
    this.boxes[at] = this.xs[i] - radius;
    this.boxes[at + 1] = this.ys[i] - radius;
    this.boxes[at + 2] = this.xs[i] + radius;
    this.boxes[at + 3] = this.ys[i] + radius;
  }

  /** Find a place for the label of mark `i`. @param {number} i */
  place(i) {
    if (this.texts[i] === "") return;
    const x = this.xs[i];
    const y = this.ys[i];
    if (x < -20 || y < -20 || x > this.pictureWidth + 20 || y > this.pictureHeight + 20) return;
    if (this.last[i] >= 0 && this.attempt(i, this.last[i])) return;
    for (let candidate = 0; candidate < CANDIDATES; candidate++) {
      if (this.attempt(i, candidate)) {
        this.last[i] = candidate;
        return;
      }
    }
  }

  /** @param {number} i @param {number} candidate */
  attempt(i, candidate) {
    const angle = candidate % ANGLES.length;
    const distance = DISTANCES[Math.floor(candidate / ANGLES.length)];
    const width = this.widths[i];
    const left = this.xs[i] + COSINES[angle] * (distance + width / 2) - width / 2;
    const top = this.ys[i] + SINES[angle] * (distance + HEIGHT / 2) - HEIGHT / 2;
    if (left < 2 || top < 2 || left + width > this.pictureWidth - 2) return false;
    if (top + HEIGHT > this.pictureHeight - 2) return false;
    for (let at = 0; at < 4 * this.taken; at += 4) {
      if (
        left < this.boxes[at + 2] &&
        left + width > this.boxes[at] &&
        top < this.boxes[at + 3] &&
        top + HEIGHT > this.boxes[at + 1]
      )
        return false;
    }
    this.lefts[i] = left;
    this.tops[i] = top;
    this.placed[i] = 1;
    const at = 4 * this.taken++;
    this.boxes[at] = left;
    this.boxes[at + 1] = top;
    this.boxes[at + 2] = left + width;
    this.boxes[at + 3] = top + HEIGHT;
    return true;
  }

  /** From a mark to its label, where that lies farther away. @param {CanvasRenderingContext2D} ctx @param {number} i */
  drawLeader(ctx, i) {
    if (this.last[i] < ANGLES.length) return;
    const x = this.xs[i];
    const y = this.ys[i];
    const left = this.lefts[i];
    const top = this.tops[i];
    ctx.moveTo(x, y);
    ctx.lineTo(
      Math.min(Math.max(x, left), left + this.widths[i]),
      Math.min(Math.max(y, top), top + HEIGHT),
    );
  }

  /**
   * On whole device pixels, where text is sharp, and whole numbers are not allocated.
   * @param {CanvasRenderingContext2D} ctx its unit is the device pixel
   * @param {number} i @param {boolean} chosen @param {boolean} dim
   */
  draw(ctx, i, chosen, dim) {
    const cell = 2 * i + (chosen ? 1 : 0);
    const { ratio, cellWidth, cellHeight } = this;
    ctx.globalAlpha = dim ? 0.6 : 1;
    ctx.drawImage(
      this.sheet,
      this.cellX(cell),
      this.cellY(cell),
      cellWidth,
      cellHeight,
      (this.lefts[i] * ratio + 0.5) | 0,
      (this.tops[i] * ratio + 0.5) | 0,
      cellWidth,
      cellHeight,
    );
  }
}
