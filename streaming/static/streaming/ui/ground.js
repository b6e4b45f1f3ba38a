// @ts-check
/** The ground that entities move on: a circuit, a field or a map. */

/** @typedef {import("./api.js").Geometry} Geometry */
/** @typedef {import("./camera.js").Camera} Camera */

/** Width of a Formula 1 circuit (m), where the geometry has no edges. */
const ROAD_METRES = 13;
/** Units of ground in a metre. */
const UNITS_PER_METRE = /** @type {Record<string, number>} */ ({
  dm: 10,
  m: 1,
  yd: 1.0936,
  cm: 100,
});
/** Least width of the road on the picture: the marks must fit on it. */
const LEAST_ROAD_PIXELS = 7;

/** @param {Iterable<[number, number]>} points @param {boolean} closed */
function pathOf(points, closed) {
  const path = new Path2D();
  let first = true;
  for (const [x, y] of points) {
    if (first) path.moveTo(x, y);
    else path.lineTo(x, y);
    first = false;
  }
  if (closed && !first) path.closePath();
  return path;
}

export class Ground {
  /** @param {Geometry | null} geometry */
  constructor(geometry) {
    this.geometry = geometry;
    const centreLine = geometry?.kind === "circuit" ? geometry.centre_line : [];
    this.circuit = centreLine.length > 2;
    this.line = this.circuit ? centreLine : [];
    this.unit = UNITS_PER_METRE[geometry?.unit ?? ""] ?? 1;
    this.road = pathOf(this.line, true);
    this.pit = pathOf(geometry?.pit_lane ?? [], false);
    this.lines = new Path2D();
    for (const line of geometry?.lines ?? []) this.lines.addPath(pathOf(line, false));
    /** distance along the centre line at each of its points, and at the end */
    this.distances = [0];
    for (let i = 1; i <= this.line.length; i++) {
      const [x0, y0] = this.line[i - 1];
      const [x1, y1] = this.line[i % this.line.length];
      this.distances.push(this.distances[i - 1] + Math.hypot(x1 - x0, y1 - y0));
    }
    this.drs = (geometry?.drs_zones ?? []).map((zone) =>
      pathOf(this.stretch(zone[0], zone[1]), false),
    );
    const bounds = [0, ...(geometry?.sectors ?? [])];
    this.sectors = bounds.map((from, i) => pathOf(this.stretch(from, bounds[i + 1] ?? 1), false));
    this.starts = bounds;
    /** sectors that flags count by: the marshal sectors, else the timing sectors */
    const marshals = geometry?.marshal_sectors ?? [];
    this.flagged =
      marshals.length === 0
        ? this.sectors
        : marshals.map((from, i) =>
            pathOf(this.stretch(from, marshals[(i + 1) % marshals.length]), false),
          );
    this.version = 0;
  }

  /**
   * The part of the lap between two fractions; `to` may lie beyond the start line.
   * @param {number} from @param {number} to 0…1
   * @returns {[number, number][]}
   */
  stretch(from, to) {
    if (this.line.length === 0) return [];
    const end = to < from ? to + 1 : to;
    const result = [this.place(from)];
    const count = this.line.length;
    const total = this.distances[count];
    for (let lap = 0; lap < 2; lap++) {
      for (let i = 0; i < count; i++) {
        const fraction = lap + this.distances[i] / total;
        if (fraction > from && fraction < end) result.push(this.line[i]);
      }
    }
    result.push(this.place(end));
    return result;
  }

  /** @param {number} fraction of the lap @returns {[number, number]} */
  place(fraction) {
    const count = this.line.length;
    const wanted = (fraction - Math.floor(fraction)) * this.distances[count];
    let i = 1;
    while (i < count && this.distances[i] < wanted) i++;
    const span = this.distances[i] - this.distances[i - 1] || 1;
    const t = (wanted - this.distances[i - 1]) / span;
    const [x0, y0] = this.line[i - 1];
    const [x1, y1] = this.line[i % count];
    return [x0 + (x1 - x0) * t, y0 + (y1 - y0) * t];
  }

  /** Points that must be visible: x, y, x, y… @returns {number[]} */
  extent() {
    if (this.geometry === null) return [];
    const { bounds, lines, pit_lane } = this.geometry;
    const points = [];
    for (const [x, y] of [...this.line, ...pit_lane, ...lines.flat()]) {
      points.push(x, y);
    }
    if (points.length === 0) {
      const { x_min, y_min, x_max, y_max } = bounds;
      points.push(x_min, y_min, x_max, y_max, x_min, y_max, x_max, y_min);
    }
    return points;
  }

  /**
   * @param {CanvasRenderingContext2D} ctx @param {Camera} camera @param {number} ratio device pixels
   * @param {import("./track.js").Palette} palette
   * @param {{flag: string, flaggedSectors: Map<number, string>, corners: boolean}} shown
   */
  draw(ctx, camera, ratio, palette, shown) {
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, camera.width, camera.height);
    const scale = camera.scale;
    ctx.setTransform(
      camera.a * ratio,
      camera.b * ratio,
      camera.c * ratio,
      camera.d * ratio,
      camera.e * ratio,
      camera.f * ratio,
    );
    ctx.lineJoin = "round";
    ctx.lineCap = "round";
    if (this.circuit) this.drawCircuit(ctx, scale, palette, shown);
    ctx.lineWidth = 1.5 / scale;
    ctx.strokeStyle = palette.roadEdge;
    ctx.stroke(this.lines);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.circuit) this.drawSigns(ctx, camera, palette, shown);
    else if (this.geometry?.kind !== "circuit") this.drawFrame(ctx, camera, palette);
  }

  /**
   * @param {CanvasRenderingContext2D} ctx @param {number} scale
   * @param {import("./track.js").Palette} palette
   * @param {{flag: string, flaggedSectors: Map<number, string>}} shown
   */
  drawCircuit(ctx, scale, palette, shown) {
    const road = Math.max(ROAD_METRES * this.unit, LEAST_ROAD_PIXELS / scale);
    ctx.strokeStyle = palette.pit;
    ctx.lineWidth = Math.max(6 * this.unit, 3.5 / scale);
    ctx.stroke(this.pit);
    // A yellow flag in some sectors colours only those.
    const partly = shown.flaggedSectors.size > 0 && shown.flag.includes("yellow");
    const flag = partly ? undefined : palette.flags[shown.flag];
    ctx.strokeStyle = flag ?? palette.roadEdge;
    ctx.lineWidth = road + (flag ? 7 : 3) / scale;
    ctx.stroke(this.road);
    ctx.strokeStyle = palette.road;
    ctx.lineWidth = road;
    ctx.stroke(this.road);
    for (const [sector, name] of shown.flaggedSectors) {
      const part = this.flagged[sector - 1];
      if (part === undefined) continue;
      ctx.strokeStyle = palette.flags[name];
      ctx.lineWidth = road + (name === "double_yellow" ? 11 : 6) / scale;
      ctx.stroke(part);
      ctx.strokeStyle = palette.road;
      ctx.lineWidth = road * (name === "double_yellow" ? 0.2 : 0.35);
      ctx.stroke(part);
    }
    ctx.lineCap = "butt";
    ctx.strokeStyle = palette.drs;
    ctx.lineWidth = Math.max(road * 0.3, 2.5 / scale);
    for (const zone of this.drs) ctx.stroke(zone);
    ctx.lineCap = "round";
  }

  /**
   * What keeps its size on the picture: start line, sector marks, corner numbers.
   * @param {CanvasRenderingContext2D} ctx @param {Camera} camera
   * @param {import("./track.js").Palette} palette @param {{corners: boolean}} shown
   */
  drawSigns(ctx, camera, palette, shown) {
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    this.starts.forEach((fraction, i) => {
      const [x, y] = this.place(fraction);
      const [x2, y2] = this.place(fraction + 0.002);
      const px = camera.px(x, y);
      const py = camera.py(x, y);
      const dx = camera.px(x2, y2) - px;
      const dy = camera.py(x2, y2) - py;
      const length = Math.hypot(dx, dy) || 1;
      const half = Math.max(7, (ROAD_METRES * this.unit * camera.scale) / 2 + 3);
      const nx = (-dy / length) * half;
      const ny = (dx / length) * half;
      ctx.lineCap = "butt";
      ctx.strokeStyle = palette.text;
      ctx.lineWidth = i === 0 ? 4 : 2;
      ctx.beginPath();
      ctx.moveTo(px - nx, py - ny);
      ctx.lineTo(px + nx, py + ny);
      ctx.stroke();
      if (i === 0) {
        // The arrow shows the direction.
        const ax = px - nx * 2.1;
        const ay = py - ny * 2.1;
        ctx.fillStyle = palette.text;
        ctx.beginPath();
        ctx.moveTo(ax + (dx / length) * 10, ay + (dy / length) * 10);
        ctx.lineTo(ax - (dx / length) * 5 + nx * 0.5, ay - (dy / length) * 5 + ny * 0.5);
        ctx.lineTo(ax - (dx / length) * 5 - nx * 0.5, ay - (dy / length) * 5 - ny * 0.5);
        ctx.fill();
      } else if (shown.corners) {
        ctx.font = `700 11px ${palette.font}`;
        ctx.fillStyle = palette.muted;
        ctx.fillText(`S${i + 1}`, px + nx * 2.2, py + ny * 2.2);
      }
    });
    if (!shown.corners) return;
    ctx.font = `700 11px ${palette.font}`;
    const away = Math.max(19, (ROAD_METRES * this.unit * camera.scale) / 2 + 15);
    for (const corner of this.geometry?.corners ?? []) {
      const angle = (corner.angle * Math.PI) / 180 + camera.rotation;
      const px = camera.px(corner.x, corner.y) + Math.cos(angle) * away;
      const py = camera.py(corner.x, corner.y) - Math.sin(angle) * away;
      ctx.fillStyle = palette.raised;
      ctx.beginPath();
      ctx.arc(px, py, 9, 0, 2 * Math.PI);
      ctx.fill();
      ctx.fillStyle = palette.muted;
      ctx.fillText(corner.label, px, py + 0.5);
    }
  }

  /**
   * The rectangle of a field or a map.
   * @param {CanvasRenderingContext2D} ctx @param {Camera} camera
   * @param {import("./track.js").Palette} palette
   */
  drawFrame(ctx, camera, palette) {
    if (this.geometry === null) return;
    const { bounds, kind } = this.geometry;
    const corners = [
      [bounds.x_min, bounds.y_min],
      [bounds.x_max, bounds.y_min],
      [bounds.x_max, bounds.y_max],
      [bounds.x_min, bounds.y_max],
    ];
    ctx.globalCompositeOperation = "destination-over";
    ctx.beginPath();
    corners.forEach(([x, y], i) => {
      const px = camera.px(x, y);
      const py = camera.py(x, y);
      if (i === 0) ctx.moveTo(px, py);
      else ctx.lineTo(px, py);
    });
    ctx.closePath();
    ctx.strokeStyle = palette.roadEdge;
    ctx.lineWidth = 1.5;
    ctx.stroke();
    ctx.fillStyle = kind === "field" ? palette.field : palette.panel;
    ctx.fill();
    ctx.globalCompositeOperation = "source-over";
    if (kind === "map") this.drawScale(ctx, camera, palette);
  }

  /**
   * How long a hundred metres are, or whatever round length fits.
   * @param {CanvasRenderingContext2D} ctx @param {Camera} camera
   * @param {import("./track.js").Palette} palette
   */
  drawScale(ctx, camera, palette) {
    const perMetre = camera.scale * this.unit;
    const longest = Math.min(160, camera.width / 3);
    const power = 10 ** Math.floor(Math.log10(longest / perMetre));
    const metres = ([5, 2, 1].find((n) => n * power * perMetre <= longest) ?? 1) * power;
    const length = metres * perMetre;
    const y = camera.height - 16;
    ctx.strokeStyle = ctx.fillStyle = palette.text;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.moveTo(16, y - 6);
    ctx.lineTo(16, y);
    ctx.lineTo(16 + length, y);
    ctx.lineTo(16 + length, y - 6);
    ctx.stroke();
    ctx.font = `700 12px ${palette.font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.fillText(metres >= 1000 ? `${metres / 1000} km` : `${metres} m`, 22, y - 4);
  }
}
