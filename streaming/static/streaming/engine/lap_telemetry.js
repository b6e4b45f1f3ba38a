// @ts-check
/**
 * One lap of one entity over distance, so that laps of different times can be laid on each other:
 * the same numbers as sessions_app/lap_telemetry.py makes for REST.
 */

/** @typedef {import("./layout.js").FieldInfo} FieldInfo */

/**
 * Frames of one entity as quantities, NaN where missing.
 * @typedef {object} Frames
 * @property {number} frameRate
 * @property {number} count
 * @property {Map<string, {field: FieldInfo, values: Float64Array}>} fields
 */

/**
 * @typedef {object} Telemetry every list is as long as `distance`
 * @property {number} length metres driven
 * @property {number[]} distance metres from the lap's start
 * @property {number[]} time seconds since the lap's start
 * @property {Record<string, (number | null)[]>} channels
 */

/** Metres in one unit of x and y. */
const METRES = /** @type {Record<string, number>} */ ({
  dm: 0.1,
  m: 1,
  km: 1000,
  yd: 0.9144,
  ft: 0.3048,
});
const USUAL = ["speed", "throttle", "brake", "gear", "rpm", "drs", "x", "y"];
const SECONDS_AN_HOUR = 3600;

/**
 * Resample one lap at multiples of `step` metres.
 * @param {Frames} frames some frames around the lap allow for clocks that differ a little
 * @param {{start: number, stop: number, length: number | null, step: number,
 *   standingStart: boolean}} lap its first frame in `frames` and the one after its last; the
 *   circuit's length in metres, if known
 * @returns {Telemetry | null} null where nothing says how far the entity moved
 */
export function lapTelemetry(frames, { start, stop, length, step, standingStart }) {
  const measured = distances(frames, start, stop, length);
  if (measured === null) return null;
  const { byProgress } = measured;
  // Where the entity stands still, or seems to go back, only the first sample counts.
  /** @type {number[]} */
  const along = [];
  /** @type {number[]} */
  const places = [];
  for (let i = 0; i < frames.count; i++) {
    const metres = measured.metres[i];
    if (Number.isNaN(metres)) continue;
    if (along.length === 0 || metres > along[along.length - 1]) {
      along.push(metres);
      places.push(i);
    }
  }
  if (along.length === 0) return null;
  let moments = places.map((i) => (i - start) / frames.frameRate);
  let end = along[along.length - 1];
  if (byProgress && length !== null) {
    end = Math.min(end, length);
    if (along[0] <= 0 && !standingStart) {
      const crossed = linear(along, moments, 0);
      moments = moments.map((moment) => moment - crossed);
    }
  }
  const begin = Math.max(along[0], 0);
  const first = Math.ceil(begin / step);
  const last = Math.floor(end / step);
  if (end - begin < step || last < first) return null;
  const distance = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const names = USUAL.filter((name) => frames.fields.has(name));
  const chosen = names.length > 0 ? names : [...frames.fields.keys()];
  return {
    length: end - begin,
    distance,
    time: distance.map((metres) => linear(along, moments, metres)),
    channels: Object.fromEntries(
      chosen.map((name) => [name, channel(frames, name, places, along, distance)]),
    ),
  };
}

/**
 * Metres since the lap's start at each frame, NaN where unknown. Progress along the centre line is
 * best: it names the same place for every car, and does not drift as a sum does.
 * @param {Frames} frames @param {number} start @param {number} stop @param {number | null} length
 * @returns {{metres: Float64Array, byProgress: boolean} | null}
 */
function distances({ fields, frameRate, count }, start, stop, length) {
  const progress = fields.get("progress")?.values;
  if (progress !== undefined && length) {
    const known = progress.slice(start, stop).filter(Number.isFinite);
    if (known.length > 0 && Math.max(...known) > Math.min(...known)) {
      const laps = roundHalfEven(known[0]);
      return { metres: progress.map((part) => (part - laps) * length), byProgress: true };
    }
  }
  const steps = new Float64Array(count);
  const speed = fields.get("speed");
  const [x, y] = [fields.get("x"), fields.get("y")];
  if (speed !== undefined && ["km/h", "m/s", "yd/s"].includes(speed.field.unit)) {
    const [unit, per] = speed.field.unit.split("/");
    const metres = METRES[unit] / (per === "h" ? SECONDS_AN_HOUR : 1) / frameRate;
    if (speed.values.slice(start, stop).some(Number.isFinite)) {
      steps.forEach((_, i) => (steps[i] = (speed.values[i] || 0) * metres));
      return { metres: sums(steps, start, stop), byProgress: false };
    }
  }
  if (x === undefined || y === undefined) return null;
  if (!x.values.slice(start, stop).some(Number.isFinite)) return null;
  const scale = METRES[x.field.unit] ?? 1;
  for (let i = 1; i < count; i++) {
    const moved = Math.hypot(x.values[i] - x.values[i - 1], y.values[i] - y.values[i - 1]);
    steps[i] = (moved || 0) * scale;
  }
  return { metres: sums(steps, start, stop), byProgress: false };
}

/**
 * Distance driven before each frame of the lap: 0 at its first; NaN outside.
 * @param {Float64Array} steps @param {number} start @param {number} stop
 */
function sums(steps, start, stop) {
  const result = new Float64Array(steps.length).fill(NaN);
  let driven = 0;
  for (let i = start; i < Math.min(stop, steps.length); i++) {
    if (i > start) driven += steps[i];
    result[i] = driven;
  }
  return result;
}

/**
 * @param {Frames} frames @param {string} name @param {number[]} places of the samples in `frames`
 * @param {number[]} along their metres @param {number[]} distance wanted
 * @returns {(number | null)[]}
 */
function channel(frames, name, places, along, distance) {
  const { field, values } = /** @type {{field: FieldInfo, values: Float64Array}} */ (
    frames.fields.get(name)
  );
  const samples = places.map((i) => values[i]);
  const between = { held: heldAt, angle: angleAt, linear: linearAt, cubic: linearAt }[field.kind];
  // Between two frames there is one digit more to tell, but not of what is held.
  const digits = Math.max(0, Math.ceil(-Math.log10(field.scale)));
  const unit = 10 ** (digits + (field.kind === "held" ? 0 : 1));
  return distance.map((metres) => {
    const value = between(along, samples, metres);
    return Number.isFinite(value) ? Math.round(value * unit) / unit : null;
  });
}

/** @param {number[]} along ascending @param {number} metres @returns {number} last place not after */
function before(along, metres) {
  let low = 0;
  let high = along.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (along[middle] <= metres) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** @param {number[]} along @param {number[]} samples @param {number} metres */
function heldAt(along, samples, metres) {
  return samples[before(along, metres)];
}

/** NaN where a neighbour is missing. @param {number[]} along @param {number[]} samples @param {number} metres */
function linearAt(along, samples, metres) {
  const left = before(along, metres);
  const right = along[left] >= metres ? left : Math.min(left + 1, along.length - 1);
  if (left === right) return samples[left];
  const part = (metres - along[left]) / (along[right] - along[left]);
  return samples[left] + part * (samples[right] - samples[left]);
}

/** Degrees, along the shorter arc. @param {number[]} along @param {number[]} samples @param {number} metres */
function angleAt(along, samples, metres) {
  const radians = samples.map((degrees) => (degrees * Math.PI) / 180);
  const sine = linearAt(along, radians.map(Math.sin), metres);
  const cosine = linearAt(along, radians.map(Math.cos), metres);
  return ((Math.atan2(sine, cosine) * 180) / Math.PI + 360) % 360;
}

/** Straight lines, level beyond both ends. @param {number[]} along @param {number[]} values @param {number} at */
function linear(along, values, at) {
  if (at <= along[0]) return values[0];
  if (at >= along[along.length - 1]) return values[values.length - 1];
  return linearAt(along, values, at);
}

/** As numpy rounds. @param {number} value */
function roundHalfEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
