// @ts-check
/** The REST side of a session, with retries: what is not frames comes from here. */

const ATTEMPTS = 5;

export class Api {
  /** @param {string} slug */
  constructor(slug) {
    this.base = `/api/sessions/${encodeURIComponent(slug)}`;
    /** @type {Map<string, Promise<any>>} */
    this.answers = new Map();
  }

  /** @param {string} version */
  segmentsPath(version) {
    return `${this.base}/${version}/segments/`;
  }

  session() {
    return this.get("", false);
  }

  geometry() {
    return this.get("/geometry");
  }

  events() {
    return this.get("/events");
  }

  laps() {
    return this.get("/laps");
  }

  /** @param {number} frame */
  standings(frame) {
    return this.get(`/standings?frame=${Math.round(frame)}`);
  }

  /** @param {string} entity @param {number} lap */
  telemetry(entity, lap) {
    return this.get(`/laps/${encodeURIComponent(entity)}/${lap}/telemetry`);
  }

  /** Forget what was answered, as after an import. */
  forget() {
    this.answers.clear();
  }

  /**
   * @param {string} path @param {boolean} [keep] remember the answer
   * @returns {Promise<any>} the body, or null where there is no such thing (404)
   */
  get(path, keep = true) {
    const known = this.answers.get(path);
    if (known !== undefined) return known;
    const answer = this.request(path);
    if (keep) {
      this.answers.set(path, answer);
      answer.catch(() => this.answers.delete(path));
    }
    return answer;
  }

  /** @param {string} path */
  async request(path) {
    for (let attempt = 1; ; attempt++) {
      /** @type {Response | null} */
      let response = null;
      try {
        response = await fetch(this.base + path, { headers: { Accept: "application/json" } });
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
