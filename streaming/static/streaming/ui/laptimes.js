// @ts-check
/** Arithmetic on laps, without the page: differences over distance, corner speeds, race traces. */

/** @typedef {import("./api.js").Lap} Lap */
/** @typedef {import("./api.js").LapTelemetry} LapTelemetry */

/**
 * The value at `x` of a curve given at ascending places.
 * @param {ArrayLike<number>} xs @param {ArrayLike<number | null>} ys @param {number} x
 * @returns {number} NaN outside of the curve and beside a gap
 */
export function valueAt(xs, ys, x) {
  if (xs.length === 0 || x < xs[0] || x > xs[xs.length - 1]) return NaN;
  let low = 0;
  let high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  const from = ys[low];
  const to = ys[high];
  if (from === null || to === null) return NaN;
  const span = xs[high] - xs[low];
  return span === 0 ? from : from + ((to - from) * (x - xs[low])) / span;
}

/**
 * By how much b is behind a (s; negative: ahead) at each place of a's lap. The two laps are laid
 * over each other by the part of the lap driven, so that another line is no difference.
 * @param {LapTelemetry} a @param {LapTelemetry} b
 * @returns {(number | null)[]}
 */
export function deltaOver(a, b) {
  const ratio = b.distance[b.distance.length - 1] / a.distance[a.distance.length - 1];
  return a.distance.map((distance, i) => {
    const other = valueAt(
      b.distance,
      b.time,
      Math.min(distance * ratio, b.distance[b.distance.length - 1]),
    );
    return Number.isNaN(other) ? null : other - b.time[0] - (a.time[i] - a.time[0]);
  });
}

/**
 * b's channel at a's distances.
 * @param {LapTelemetry} a @param {LapTelemetry} b @param {string} name
 * @returns {(number | null)[]}
 */
export function channelOver(a, b, name) {
  const values = b.channels[name];
  if (values === undefined) return a.distance.map(() => null);
  const ratio = b.distance[b.distance.length - 1] / a.distance[a.distance.length - 1];
  const end = b.distance[b.distance.length - 1];
  return a.distance.map((distance) => {
    const value = valueAt(b.distance, values, Math.min(distance * ratio, end));
    return Number.isNaN(value) ? null : value;
  });
}

/** Metres before and after a corner within which its lowest speed is searched. */
const CORNER_METRES = 60;

/**
 * The lowest speed in each corner.
 * @param {LapTelemetry} lap
 * @param {{label: string, x: number, y: number}[]} corners
 * @returns {number[]} km/h, NaN where the lap says nothing
 */
export function cornerSpeeds(lap, corners) {
  const { x, y, speed } = lap.channels;
  if (x === undefined || y === undefined || speed === undefined) return corners.map(() => NaN);
  return corners.map((corner) => {
    let nearest = -1;
    let best = Infinity;
    for (let i = 0; i < x.length; i++) {
      const px = x[i];
      const py = y[i];
      if (px === null || py === null) continue;
      const distance = (px - corner.x) ** 2 + (py - corner.y) ** 2;
      if (distance < best) {
        best = distance;
        nearest = i;
      }
    }
    if (nearest < 0) return NaN;
    let slowest = Infinity;
    for (let i = 0; i < x.length; i++) {
      const value = speed[i];
      if (value !== null && Math.abs(lap.distance[i] - lap.distance[nearest]) <= CORNER_METRES) {
        slowest = Math.min(slowest, value);
      }
    }
    return Number.isFinite(slowest) ? slowest : NaN;
  });
}

/**
 * Per entity, the gap to the leader (s) at the end of each lap.
 * @param {Lap[]} laps @param {string[]} codes @param {number} frameRate
 * @returns {{laps: number[], gaps: (number | null)[][], positions: (number | null)[][]}}
 */
export function raceTrace(laps, codes, frameRate) {
  const most = laps.reduce((highest, lap) => Math.max(highest, lap.number), 0);
  const numbers = Array.from({ length: most }, (_, i) => i + 1);
  /** @type {number[]} */
  const first = new Array(most + 1).fill(Infinity);
  for (const lap of laps) {
    if (lap.end_frame !== null) first[lap.number] = Math.min(first[lap.number], lap.end_frame);
  }
  const rows = new Map(codes.map((code, i) => [code, i]));
  const gaps = codes.map(() => /** @type {(number | null)[]} */ (new Array(most).fill(null)));
  const positions = codes.map(() => /** @type {(number | null)[]} */ (new Array(most).fill(null)));
  for (const lap of laps) {
    const row = rows.get(lap.entity);
    if (row === undefined || lap.number < 1) continue;
    if (lap.end_frame !== null)
      gaps[row][lap.number - 1] = (lap.end_frame - first[lap.number]) / frameRate;
    positions[row][lap.number - 1] = lap.position;
  }
  return { laps: numbers, gaps, positions };
}
