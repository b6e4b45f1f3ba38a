// @ts-check
/** Laps over distance where no server makes them: from the segments that a lap lies in. */

import { fetchSegment } from "../engine/downloads.js";
import { lapTelemetry } from "../engine/lap_telemetry.js";
import { Layout } from "../engine/layout.js";
import { MISSING } from "../engine/segment.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./api.js").LapTelemetry} LapTelemetry */
/** @typedef {import("../engine/lap_telemetry.js").Frames} Frames */
/** @typedef {import("../engine/protocol.js").Welcome} Welcome */

/** Seconds by which a source's lap times and its positions may disagree on when the line was crossed. */
const CLOCK_MARGIN = 2;
/** Metres between two points. */
const STEP = 5;

export class FileLaps {
  /** @param {Api} api of the folder */
  constructor(api) {
    this.api = api;
  }

  /** @param {string} entity @param {number} number @returns {Promise<LapTelemetry | null>} */
  async telemetry(entity, number) {
    const { api } = this;
    const [laps, geometry, answer] = await Promise.all([
      api.laps(),
      api.geometry(),
      api.get("/welcome"),
    ]);
    const welcome = /** @type {Welcome} */ (answer);
    const lap = laps?.laps.find((row) => row.entity === entity && row.number === number);
    const { start_frame: start, end_frame: end } = lap ?? { start_frame: null, end_frame: null };
    if (lap === undefined || start === null || end === null || end <= start) return null;
    const { frame_count: count, frame_rate: rate } = welcome.session;
    const margin = Math.round(CLOCK_MARGIN * rate);
    const first = Math.max(0, start - margin);
    // One frame more closes the lap: its first sample is the next lap's start.
    const stop = Math.min(end + 1, count);
    const frames = await this.frames(welcome, entity, first, Math.min(stop + margin, count));
    const made = lapTelemetry(frames, {
      start: start - first,
      stop: stop - first,
      length: geometry?.length ?? null,
      step: STEP,
      standingStart: number === 1,
    });
    if (made === null) return null;
    const sectors = [lap.sector1, lap.sector2, lap.sector3];
    return { entity, lap: number, duration: lap.duration, sectors, ...made };
  }

  /**
   * @param {Welcome} welcome @param {string} entity @param {number} from @param {number} to exclusive
   * @returns {Promise<Frames>}
   */
  async frames({ session, schema, segment_frames: size }, entity, from, to) {
    if (schema === null) throw new Error("this folder has no schema");
    const layout = new Layout(schema.fields, schema.entities, size);
    const column = schema.entities.indexOf(entity);
    /** @type {Frames} */
    const frames = { frameRate: session.frame_rate, count: to - from, fields: new Map() };
    for (const field of schema.fields) {
      if (field.scope === "session") continue;
      frames.fields.set(field.name, { field, values: new Float64Array(to - from).fill(NaN) });
    }
    const path = this.api.segmentsPath(session.version);
    const indices = [];
    for (let i = Math.floor(from / size); i * size < to; i++) indices.push(i);
    await Promise.all(
      indices.map(async (index) => {
        const segment = await fetchSegment(`${path}1/${index}`, layout);
        if (segment === null) throw new Error(`${path}1/${index}: not there`);
        const { first, count, data } = segment;
        for (const { field, values } of frames.fields.values()) {
          const at = (layout.columns[layout.index(field.name)] + column) * count;
          for (let i = Math.max(0, from - first); i < Math.min(count, to - first); i++) {
            const sample = data[at + i];
            if (sample !== MISSING) values[first + i - from] = sample * field.scale;
          }
        }
      }),
    );
    return frames;
  }
}
