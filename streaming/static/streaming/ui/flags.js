// @ts-check
/** When which flag was shown, from the coarse samples of the whole recording. */

/** @typedef {import("../engine/engine.js").Engine} Engine */
/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {{from: number, to: number, flag: string}} FlagSpan */

/** Milliseconds to wait for further segments before looking at all of them again. */
const QUIET = 250;

export class FlagSpans {
  /**
   * @param {Engine} engine @param {Recording} recording
   * @param {(spans: FlagSpan[]) => void} found
   */
  constructor(engine, recording, found) {
    this.engine = engine;
    this.recording = recording;
    this.found = found;
    this.timer = 0;
    engine.on("held", (segment) => {
      // Finer segments come all the time while it plays, and tell nothing new.
      if (segment.stride < engine.fetcher.overview || this.timer !== 0) return;
      this.timer = setTimeout(() => {
        this.timer = 0;
        this.scan();
      }, QUIET);
    });
  }

  scan() {
    const { engine, recording } = this;
    const field = recording.field.track_status;
    if (field < 0 || engine.buffer === null) return;
    /** @type {FlagSpan[]} */
    const spans = [];
    const step = engine.frameRate * 2;
    for (let frame = 0; frame < engine.frameCount; frame += step) {
      if (!recording.sampler.locate(frame)) continue;
      const flag = recording.label("track_status", recording.sampler.held(field));
      if (flag === "" || flag === "clear" || flag === "chequered") continue;
      const last = spans.at(-1);
      if (last?.flag === flag && frame - last.to <= step) last.to = frame + step;
      else spans.push({ from: frame, to: frame + step, flag });
    }
    this.found(spans);
  }
}

/** Yellow flags of single sectors, from the events, at the playhead. */
export class SectorFlags {
  /** @param {Recording} recording @param {import("./track.js").Track} track */
  constructor(recording, track) {
    this.track = track;
    const flags = recording.events.filter((event) => event.kind === "flag");
    const sectors = track.ground.flagged.length;
    // There are many more marshal sectors than timing sectors: without their geometry, "sector 6"
    // cannot be drawn.
    const known = flags.every((event) => event.sector === null || event.sector <= sectors);
    this.flags = known ? flags : [];
    this.shown = "";
  }

  /** @param {number} frame */
  update(frame) {
    /** @type {Map<number, string>} */
    const out = new Map();
    for (const { frame: at, sector, value } of this.flags) {
      if (at > frame) break;
      if (sector === null) {
        if (/clear|green|chequered|red/i.test(value)) out.clear();
      } else if (/yellow/i.test(value))
        out.set(sector, /double/i.test(value) ? "double_yellow" : "yellow");
      else if (/clear|green|chequered|red/i.test(value)) out.delete(sector);
    }
    const key = [...out].join(";");
    if (key === this.shown) return;
    this.shown = key;
    this.track.setFlaggedSectors(out);
  }
}
