// @ts-check
/** What the panels need to know of a recording: its fields by name, its entities, its laps. */

/** @typedef {import("./api.js").Lap} Lap */
/** @typedef {import("./api.js").RaceEvent} RaceEvent */
/** @typedef {import("./api.js").SessionDetail} SessionDetail */
/** @typedef {import("./api.js").Stint} Stint */
/** @typedef {import("../engine/layout.js").Layout} Layout */
/** @typedef {import("../engine/interpolate.js").Sampler} Sampler */

/** Colours for entities that brought none; each is readable on dark and on light. */
const SPARE_COLOURS = [
  "#3b82f6",
  "#e0592a",
  "#1fa362",
  "#b552d6",
  "#c98a00",
  "#0fa3b1",
  "#d63a6a",
  "#7a869c",
];

const FIELDS = /** @type {const} */ ([
  "x",
  "y",
  "speed",
  "throttle",
  "brake",
  "rpm",
  "gear",
  "drs",
  "status",
  "position",
  "lap",
  "progress",
  "gap_to_leader",
  "interval",
  "tyre",
  "tyre_age",
  "pit_stops",
  "last_lap_time",
  "best_lap_time",
  "sector1",
  "sector2",
  "sector3",
  "sector1_mark",
  "sector2_mark",
  "sector3_mark",
  "session_part",
  "session_clock",
  "track_status",
  "leader_lap",
  "air_temperature",
  "track_temperature",
  "humidity",
  "wind_speed",
  "wind_direction",
  "rain",
]);

/** @typedef {typeof FIELDS[number]} FieldName */

/**
 * @typedef {object} EntityInfo
 * @property {string} code @property {string} name @property {string} number
 * @property {string} team @property {string} colour "#rrggbb" @property {string} kind
 * @property {string} label what stands beside its mark
 */

/**
 * A part of a practice or qualifying, from the session's metadata.
 * @typedef {object} SessionPart
 * @property {string} name "Q1"; "" of a practice
 * @property {number} start_frame from when its times count
 * @property {number} green_frame when the pit exit opened
 * @property {number | null} flag_frame of the chequered flag
 * @property {number} entries cars that take part
 * @property {string[]} eliminated codes of those that do not go on, first first
 */

/**
 * What a car drove between leaving the pits and its return.
 * @typedef {object} Run
 * @property {number} lap_start @property {number} lap_end inclusive
 * @property {string[]} kinds of each lap: out, push, slow, in
 * @property {string} compound "" where it is not known
 * @property {number | null} tyre_age laps
 * @property {number | null} best seconds, of the laps that count
 * @property {string} part name of the part
 */

/** Codes that are long are names of people: the family name is enough beside a mark. @param {string} code */
function shortName(code) {
  if (code.length <= 6) return code;
  return code.split(" ").findLast((word) => word.length > 3) ?? code;
}

export class Recording {
  /**
   * @param {Layout} layout @param {Sampler} sampler
   * @param {SessionDetail} detail
   */
  constructor(layout, sampler, detail) {
    this.layout = layout;
    this.sampler = sampler;
    /** position of each known field in the layout, -1 where it is not recorded */
    this.field = /** @type {Record<FieldName, number>} */ (
      Object.fromEntries(FIELDS.map((name) => [name, layout.index(name)]))
    );
    const known = new Map(detail.entities.map((entity) => [entity.code, entity]));
    const groups = /** @type {string[]} */ ([]);
    /** @type {EntityInfo[]} */
    this.entities = layout.entities.map((code) => {
      const { name = "", number = "", team = "", colour = "", kind = "" } = known.get(code) ?? {};
      const group = team || code;
      if (colour === "" && !groups.includes(group)) groups.push(group);
      return {
        code,
        name: name || code,
        number,
        team,
        colour: colour || SPARE_COLOURS[groups.indexOf(group) % SPARE_COLOURS.length],
        kind,
        label: kind === "ball" ? "" : shortName(code),
      };
    });
    /** has laps and an order: the panels of a race make sense */
    this.isRace = this.field.position >= 0 && this.field.lap >= 0;
    /** cars are in the order of their best laps: practice and qualifying */
    this.isTimed = this.field.session_part >= 0;
    this.kind = detail.kind;
    this.parts = /** @type {SessionPart[]} */ (
      this.isTimed ? list(detail.metadata.session_parts) : []
    );
    this.runs = /** @type {Record<string, Run[]>} */ (
      (this.isTimed ? detail.metadata.runs : null) ?? {}
    );
    /** @type {number | null} */
    this.totalLaps = whole(detail.metadata.total_laps);
    /** where a race, or the first part of another session, begins */
    this.raceStartFrame =
      whole(detail.metadata.race_start_frame) ?? whole(detail.metadata.session_start_frame) ?? 0;
    /** the sample of `status` for each name; NaN, which equals no sample, where the schema lacks it */
    this.carStatus = {
      pit: this.sampleOf("status", "pit"),
      retired: this.sampleOf("status", "retired"),
      finished: this.sampleOf("status", "finished"),
    };
    /** @type {RaceEvent[]} */
    this.events = [];
    /** @type {Lap[]} */
    this.laps = [];
    /** @type {Stint[]} */
    this.stints = [];
    /** first frame of the leader's lap 1, 2, 3… */
    this.lapStarts = /** @type {number[]} */ ([]);
  }

  /** @param {Lap[]} laps @param {Stint[]} stints */
  setLaps(laps, stints) {
    this.laps = laps;
    this.stints = stints;
    // There is no leader's lap where everyone drives when he likes.
    if (this.isTimed) return;
    /** @type {number[]} */
    const starts = [];
    for (const lap of laps) {
      if (lap.start_frame === null || lap.number < 1) continue;
      const known = starts[lap.number];
      if (known === undefined || lap.start_frame < known) starts[lap.number] = lap.start_frame;
    }
    this.lapStarts = starts;
    const last = starts.length - 1;
    if (this.totalLaps === null && this.isRace && last > 0) this.totalLaps = last;
  }

  /** @param {string} code @returns {number} column, -1 for none */
  column(code) {
    return this.layout.entities.indexOf(code);
  }

  /**
   * The sample that the schema gives this name, NaN where it has no such name.
   * @param {FieldName} field @param {string} label
   */
  sampleOf(field, label) {
    const labels = this.layout.fields[this.field[field]]?.labels ?? [];
    return labels.includes(label) ? labels.indexOf(label) : NaN;
  }

  /** @param {string} code @param {number} number @returns {Lap | undefined} */
  lap(code, number) {
    return this.laps.find((lap) => lap.entity === code && lap.number === number);
  }

  /** @param {FieldName} field @param {number} value @returns {string} the value's name, or "" */
  label(field, value) {
    const place = this.field[field];
    if (place < 0 || !Number.isFinite(value)) return "";
    return this.layout.fields[place].labels?.[value] ?? "";
  }

  /** The part of a session at a frame. @param {number} frame @returns {SessionPart | undefined} */
  partAt(frame) {
    return this.parts.findLast((part) => part.start_frame <= frame);
  }

  /** The part in which a car was eliminated before a frame. @param {string} code @param {number} frame */
  eliminatedIn(code, frame) {
    return this.parts.find(
      (part, i) =>
        part.eliminated.includes(code) &&
        i + 1 < this.parts.length &&
        this.parts[i + 1].start_frame <= frame,
    );
  }

  /** Cars that go on to the next part, Infinity in the last one. @param {number} frame */
  placesThatGoOn(frame) {
    const part = this.partAt(frame);
    const next = part === undefined ? undefined : this.parts[this.parts.indexOf(part) + 1];
    return next?.entries ?? Infinity;
  }

  /** The leader's lap at a frame, from the lap table. @param {number} frame @returns {number} */
  lapAt(frame) {
    let lap = 0;
    for (let n = 1; n < this.lapStarts.length; n++) {
      if (this.lapStarts[n] !== undefined && this.lapStarts[n] <= frame) lap = n;
    }
    return lap;
  }
}

/** A list of the session's metadata, empty where it is none. @param {unknown} value @returns {unknown[]} */
function list(value) {
  return Array.isArray(value) ? value : [];
}

/** A number of the session's metadata, null where it is none. @param {unknown} value */
function whole(value) {
  return Number.isInteger(value) ? /** @type {number} */ (value) : null;
}
