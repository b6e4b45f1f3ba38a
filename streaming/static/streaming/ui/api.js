// @ts-check
/**
 * The REST API of a session (docs/rest.md), with retries: what is not frames comes from here. In a
 * folder of files (`manage.py export_static`), each answer is a file of that name.
 */

import { FileLaps } from "./file_laps.js";

/** @typedef {[number, number]} Point */

/**
 * @typedef {object} Entity
 * @property {string} code @property {string} name @property {string} number
 * @property {string} team @property {string} colour "#rrggbb" or "" @property {string} kind
 */

/**
 * A session's latest import
 * @typedef {object} Job
 * @property {"queued" | "running" | "done" | "failed"} state
 * @property {string} error why it failed, for staff
 */

/**
 * GET sessions/<slug>
 * @typedef {object} SessionDetail
 * @property {string} title @property {string} state @property {boolean} loading
 * @property {number} progress 0 to 100 @property {string} message @property {string} version
 * @property {Job | null} job
 * @property {string} kind race, qualifying, practice, play…
 * @property {Record<string, unknown>} metadata
 * @property {Entity[]} entities
 */

/**
 * @typedef {object} Corner
 * @property {string} label @property {number} x @property {number} y
 * @property {number} angle degrees: where its number stands
 */

/**
 * GET sessions/<slug>/geometry
 * @typedef {object} Geometry
 * @property {string} kind circuit, field, map…
 * @property {string} unit of x and y
 * @property {{x_min: number, y_min: number, x_max: number, y_max: number}} bounds
 * @property {number} rotation degrees counter-clockwise
 * @property {number | null} length of a lap in metres
 * @property {Point[]} centre_line @property {Point[]} pit_lane @property {Point[][]} lines
 * @property {number[]} sectors fractions of the lap where sector 2, 3… begin
 * @property {number[]} marshal_sectors fractions where marshal sector 1, 2… begin
 * @property {Point[]} drs_zones from and to, as fractions of the lap
 * @property {Corner[]} corners
 */

/**
 * An entry of GET sessions/<slug>/events
 * @typedef {object} RaceEvent
 * @property {number} frame @property {string} kind @property {string} message
 * @property {string} entity code, or "" @property {string} value
 * @property {number | null} lap @property {number | null} sector
 */

/**
 * An entry of `laps` in GET sessions/<slug>/laps
 * @typedef {object} Lap
 * @property {string} entity @property {number} number
 * @property {number | null} start_frame @property {number | null} end_frame exclusive
 * @property {number | null} duration seconds
 * @property {number | null} sector1 @property {number | null} sector2
 * @property {number | null} sector3 seconds
 * @property {number | null} position
 * @property {boolean} pit_in @property {boolean} pit_out
 */

/**
 * An entry of `stints` in GET sessions/<slug>/laps
 * @typedef {object} Stint
 * @property {string} entity @property {number} lap_start @property {number} lap_end inclusive
 * @property {string} compound "" where it is not known
 * @property {number | null} tyre_age_at_start laps
 */

/**
 * An entry of GET sessions/<slug>/standings
 * @typedef {object} Standing
 * @property {string} entity @property {number | null} position
 */

/**
 * An entry of `order` in GET sessions/<slug>/classification
 * @typedef {object} Classified
 * @property {string} entity @property {number} position
 * @property {number} road_position without penalties
 * @property {"finished" | "retired" | "disqualified"} status
 * @property {number} penalty_seconds added to its time
 */

/**
 * GET sessions/<slug>/report
 * @typedef {object} ImportReport
 * @property {number} rows_read @property {number} rows_left_out
 * @property {number} values_left_out @property {number} files_left_out
 * @property {number} records_left_out
 * @property {number | null} unseen_share of all samples, 0 to 1
 * @property {Agreement | null} agreement of the standings with official tables
 * @property {string[]} estimated @property {string[]} missing_tables
 * @property {{table: string, rows: number, files: number, entities: number}[]} tables
 * @property {Finding[]} findings
 */

/**
 * How far the standings agree with the source's official tables; null without such a table.
 * @typedef {object} Agreement
 * @property {CrossingAgreement | null} crossings @property {OrderAgreement | null} order
 * @property {GapAgreement | null} gaps
 */

/**
 * @typedef {object} CrossingAgreement
 * @property {number} compared @property {number} agreeing @property {number | null} share
 */

/**
 * @typedef {object} OrderAgreement
 * @property {number | null} leader @property {number | null} cars shares of the time
 */

/**
 * @typedef {object} GapAgreement
 * @property {number} rows @property {number | null} median seconds @property {number | null} p99
 */

/**
 * @typedef {object} Finding
 * @property {string} table @property {string} column @property {string} expected
 * @property {string} done what became of it @property {number} count
 * @property {{file: string, row: number | null, found: string}[]} examples for staff
 */

/**
 * GET sessions/<slug>/laps/<entity>/<lap>/telemetry; every list is as long as `distance`
 * @typedef {object} LapTelemetry
 * @property {string} entity @property {number} lap
 * @property {number | null} duration seconds
 * @property {(number | null)[]} sectors seconds
 * @property {number} length metres driven
 * @property {number[]} distance metres from the lap's start
 * @property {number[]} time seconds since the lap's start
 * @property {Record<string, (number | null)[]>} channels values of each field, in its unit
 */

/**
 * One of the laps that are compared
 * @typedef {object} ComparedLap
 * @property {string} session slug @property {string} title @property {string} entity
 * @property {string} name @property {string} colour @property {number} lap
 * @property {number | null} duration seconds
 */

/**
 * GET compare; every innermost list is as long as `axis`
 * @typedef {object} Comparison
 * @property {string} by "distance" or "time" @property {number} step
 * @property {number[]} axis metres or seconds
 * @property {ComparedLap[]} laps
 * @property {Record<string, (number | null)[][]>} samples by field, a list for each lap
 * @property {(number | null)[][]} delta how far each lap is behind the first
 */

const ATTEMPTS = 5;

export class Api {
  /** @param {string} slug @param {URL | null} [files] the session's folder where there is no server */
  constructor(slug, files = null) {
    this.slug = slug;
    this.files = files;
    this.fileLaps = files === null ? null : new FileLaps(this);
    this.base = files?.href.replace(/\/$/, "") ?? `/api/sessions/${encodeURIComponent(slug)}`;
    /** bodies asked for, by their path @type {Map<string, Promise<unknown>>} */
    this.answers = new Map();
  }

  /** Where the engine connects to. */
  get connection() {
    if (this.files !== null) return `${this.base}/welcome.json`;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    return `${scheme}://${location.host}/ws/sessions/${this.slug}/`;
  }

  /** @param {string} version */
  segmentsPath(version) {
    return `${this.base}/${version}/segments/`;
  }

  /** The address of an answer. @param {string} path of the REST API, below the session */
  address(path) {
    if (this.files === null) return this.base + path;
    return `${this.base}${path.replace(/\?.*/, "") || "/session"}.json`;
  }

  session() {
    return /** @type {Promise<SessionDetail | null>} */ (this.request(""));
  }

  geometry() {
    return /** @type {Promise<Geometry | null>} */ (this.get("/geometry"));
  }

  events() {
    return /** @type {Promise<{events: RaceEvent[]} | null>} */ (this.get("/events"));
  }

  laps() {
    return /** @type {Promise<{laps: Lap[], stints: Stint[]} | null>} */ (this.get("/laps"));
  }

  classification() {
    return /** @type {Promise<{order: Classified[]} | null>} */ (this.get("/classification"));
  }

  report() {
    return /** @type {Promise<ImportReport | null>} */ (this.get("/report"));
  }

  /** @param {number} frame */
  standings(frame) {
    const path = `/standings?frame=${Math.round(frame)}`;
    return /** @type {Promise<{standings: Standing[]} | null>} */ (this.get(path));
  }

  /** @param {string} entity @param {number} lap */
  telemetry(entity, lap) {
    if (this.fileLaps !== null) return this.fileLaps.telemetry(entity, lap);
    const path = `/laps/${encodeURIComponent(entity)}/${lap}/telemetry`;
    return /** @type {Promise<LapTelemetry | null>} */ (this.get(path));
  }

  /**
   * `request`, once for each path: the answer is remembered.
   * @param {string} path
   */
  get(path) {
    const known = this.answers.get(path);
    if (known !== undefined) return known;
    const answer = this.request(path);
    this.answers.set(path, answer);
    answer.catch(() => this.answers.delete(path));
    return answer;
  }

  /**
   * @param {string} path
   * @returns {Promise<unknown>} the body, or null where there is no such thing (404)
   * @throws {Error} where the server refuses, or does not answer after several attempts
   */
  async request(path) {
    for (let attempt = 1; ; attempt++) {
      /** @type {Response | null} */
      let response = null;
      try {
        response = await fetch(this.address(path), { headers: { Accept: "application/json" } });
      } catch (error) {
        if (attempt === ATTEMPTS) throw error;
      }
      if (response?.ok) return response.json();
      if (response?.status === 404) return null;
      const passing = response === null || response.status >= 500 || response.status === 429;
      if (!passing || attempt === ATTEMPTS) {
        throw new Error(`${this.base}${path}: ${response?.status ?? "no answer"}`);
      }
      const wait = 200 * 2 ** attempt * (0.5 + Math.random());
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
