// @ts-check
/** The page of ghosts: laps of any sessions start together on the map, with graphs beside it. */

import { Api } from "./api.js";
import { makeChart } from "./charts.js";
import { byId, make, setText } from "./elements.js";
import { difference, lapTime } from "./format.js";
import { listenToPointers } from "./gestures.js";
import { GHOST_RATE, GhostSampler, ghostQuery, ghostStyles, readGhosts } from "./ghost_laps.js";
import { PictureTools } from "./picture_tools.js";
import { Selection } from "./selection.js";
import { onSetting, speedIn, speedUnit } from "./settings.js";
import { copyText } from "./share.js";
import { Track } from "./track.js";

/** @typedef {import("./api.js").Comparison} Comparison */
/** @typedef {import("./charts.js").Chart} Chart */
/** @typedef {import("./charts.js").ChartData} ChartData */

const MOST = 8;
const TRACES = [
  { name: "speed", label: "Speed", height: 150, stepped: false },
  { name: "throttle", label: "Throttle", height: 70, stepped: false },
  { name: "brake", label: "Brake", height: 56, stepped: true },
  { name: "gear", label: "Gear", height: 64, stepped: true },
];
/** Seconds that the arrow keys go, and with Shift. */
const STEP = 0.2;
const LEAP = 5;

class Ghosts {
  constructor() {
    const address = readGhosts(location.search);
    this.laps = address.laps;
    this.by = address.by;
    this.time = address.time;
    this.playing = false;
    this.speed = 1;
    this.last = NaN;
    /** @type {Comparison | null} */
    this.comparison = null;
    /** @type {GhostSampler | null} */
    this.sampler = null;
    /** @type {Chart[]} */
    this.charts = [];
    this.asked = 0;
    this.selection = new Selection();
    this.track = new Track(byId("ground"), byId("cars"), this.selection);
    this.play = byId("play");
    this.scrubber = /** @type {HTMLInputElement} */ (byId("scrubber"));
    this.clock = byId("clock");
    this.message = byId("message");
    this.list = byId("laps");
    this.graphs = byId("graphs");
    /** text of each lap's difference @type {HTMLElement[]} */
    this.behind = [];
    Object.defineProperty(window, "__replay", { get: () => Object.freeze(this.describe()) });
  }

  /** The page's state as plain values, for scripts and tests. */
  describe() {
    return {
      ready: this.comparison !== null,
      laps: this.laps,
      by: this.by,
      time: this.time,
      playing: this.playing,
      duration: this.sampler?.duration ?? 0,
      places: this.laps.map((_lap, i) => [this.track.xs[i], this.track.ys[i]]),
    };
  }

  start() {
    listenToPointers(this.track, this.selection);
    new PictureTools(this.track, this.selection);
    this.play.addEventListener("click", () => this.setPlaying(!this.playing));
    this.scrubber.addEventListener("input", () => this.seek(Number(this.scrubber.value)));
    const speed = /** @type {HTMLSelectElement} */ (byId("speed"));
    speed.addEventListener("change", () => (this.speed = Number(speed.value)));
    for (const button of document.querySelectorAll("[data-by]")) {
      button.addEventListener("click", () => {
        this.by = /** @type {HTMLElement} */ (button).dataset.by === "time" ? "time" : "distance";
        void this.load();
      });
    }
    addEventListener("keydown", (event) => this.key(event));
    this.openShare();
    new Adding(this);
    const restyle = () => {
      this.track.restyle();
      if (this.comparison !== null) this.drawGraphs(this.comparison);
    };
    addEventListener("replay-theme", restyle);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", restyle);
    onSetting(restyle);
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      if (this.comparison !== null) this.drawGraphs(this.comparison);
    });
    void this.load();
    requestAnimationFrame((now) => this.animate(now));
  }

  openShare() {
    const field = /** @type {HTMLInputElement} */ (byId("link"));
    byId("copy").addEventListener("click", () => {
      this.writeAddress();
      field.value = location.href;
      field.hidden = false;
      void copyText(field, byId("copied"));
    });
  }

  writeAddress() {
    history.replaceState(null, "", ghostQuery(this.laps, this.by, this.time) || ".");
  }

  /** @param {string} lap SLUG:ENTITY:LAP */
  add(lap) {
    if (this.laps.includes(lap)) {
      this.say("That lap is there already.");
    } else if (this.laps.length >= MOST) {
      this.say(`${MOST} laps are the most that are compared at once.`);
    } else {
      this.laps = [...this.laps, lap];
      void this.load();
    }
  }

  /** @param {string} lap */
  remove(lap) {
    this.laps = this.laps.filter((other) => other !== lap);
    this.list.focus();
    void this.load();
  }

  /** @param {string} text for people, also for those who hear the page */
  say(text) {
    setText(this.message, text);
  }

  async load() {
    this.asked += 1;
    const { asked } = this;
    this.writeAddress();
    for (const button of document.querySelectorAll("[data-by]")) {
      const own = /** @type {HTMLElement} */ (button).dataset.by === this.by;
      button.setAttribute("aria-pressed", String(own));
    }
    if (this.laps.length < 2) {
      this.forget();
      this.say("Add two laps or more of one circuit.");
      return;
    }
    this.say("Loading…");
    try {
      const answer = await fetch(`/api/compare${ghostQuery(this.laps, this.by)}`);
      const body = await answer.json();
      if (asked !== this.asked) return;
      if (!answer.ok) throw new Error(body.message);
      const geometry = await new Api(body.laps[0].session).geometry();
      if (asked !== this.asked) return;
      this.show(body, geometry);
    } catch (error) {
      if (asked !== this.asked) return;
      this.forget();
      this.say(error instanceof Error ? error.message : String(error));
    }
  }

  /** Nothing can be compared: the laps stay in the list, so that one can be removed. */
  forget() {
    this.comparison = this.sampler = null;
    this.setPlaying(false);
    this.destroyCharts();
    this.graphs.replaceChildren();
    this.list.replaceChildren(
      ...this.laps.map((lap) => this.row(lap, "", undefined, lap.replaceAll(":", " · "), "")),
    );
  }

  /** @param {Comparison} comparison @param {import("./api.js").Geometry | null} geometry */
  show(comparison, geometry) {
    this.comparison = comparison;
    const sampler = new GhostSampler(comparison);
    this.sampler = sampler;
    const styles = this.styles(comparison);
    this.track.setRecording(
      {
        sampler,
        field: { x: 0, y: 1, status: -1, position: -1 },
        carStatus: { pit: NaN, retired: NaN },
        isRace: false,
        entities: comparison.laps.map((lap, i) => ({
          label: `${i + 1} ${lap.entity}`,
          colour: styles[i].colour,
          kind: "car",
        })),
      },
      geometry,
    );
    this.time = Math.min(this.time, sampler.duration);
    this.scrubber.max = sampler.duration.toFixed(2);
    this.list.replaceChildren(
      ...comparison.laps.map((lap, i) =>
        this.row(
          this.laps[i],
          styles[i].colour,
          styles[i].dash,
          `${i + 1} ${lap.name || lap.entity}, lap ${lap.lap}`,
          `${lap.title} · ${lap.duration === null ? "–" : lapTime(lap.duration)}`,
        ),
      ),
    );
    this.behind = [
      .../** @type {NodeListOf<HTMLElement>} */ (this.list.querySelectorAll(".behind")),
    ];
    this.say("");
    this.drawGraphs(comparison);
    this.draw();
  }

  /** @param {Comparison} comparison */
  styles(comparison) {
    const spare = getComputedStyle(document.documentElement).getPropertyValue("--text").trim();
    return ghostStyles(comparison.laps, spare);
  }

  /**
   * @param {string} lap @param {string} colour @param {number[] | undefined} dash
   * @param {string} name @param {string} about
   */
  row(lap, colour, dash, name, about) {
    const swatch = make("span", { class: `swatch${dash ? " dashed" : ""}`, "aria-hidden": "true" });
    if (colour) swatch.style.borderTopColor = colour;
    const remove = make(
      "button",
      { type: "button", class: "icon-button", "aria-label": `Remove ${name}` },
      "✕",
    );
    remove.addEventListener("click", () => this.remove(lap));
    return make(
      "li",
      {},
      swatch,
      make("span", { class: "lap-name" }, make("strong", {}, name), make("small", {}, about)),
      make("span", { class: "behind" }),
      remove,
    );
  }

  destroyCharts() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }

  /** @param {Comparison} comparison */
  drawGraphs(comparison) {
    this.destroyCharts();
    this.graphs.replaceChildren();
    const { axis, samples, delta, laps, by } = comparison;
    const styles = this.styles(comparison);
    const names = laps.map((lap, i) => `${i + 1} ${lap.entity} lap ${lap.lap}`);
    const series = styles.map((style, i) => ({ label: names[i], ...style }));
    this.chart(
      "Delta",
      by === "distance" ? `seconds behind ${names[0]}` : `metres behind ${names[0]}`,
      {
        height: 120,
        series: series.slice(1),
        formatY: (v) => v.toFixed(by === "distance" ? 2 : 0),
        axisX: true,
      },
      [axis, ...delta.slice(1)],
    );
    for (const trace of TRACES) {
      const own = samples[trace.name];
      if (own === undefined) continue;
      const convert = trace.name === "speed" ? speedIn : (/** @type {number} */ v) => v;
      this.chart(
        trace.label,
        trace.name === "speed" ? speedUnit() : trace.name === "gear" ? "" : "%",
        {
          height: trace.height,
          series: series.map((one) => ({ ...one, stepped: trace.stepped })),
          range: trace.name === "speed" ? [null, null] : [0, trace.name === "gear" ? 9 : 105],
        },
        [axis, ...own.map((values) => values.map((v) => (v === null ? null : convert(v))))],
      );
    }
  }

  /**
   * @param {string} title @param {string} unit
   * @param {import("./charts.js").ChartOptions} options @param {ChartData} data
   */
  chart(title, unit, options, data) {
    const place = make("div");
    this.graphs.append(
      make("div", { class: "chart-block" }, make("h3", {}, title, make("small", {}, unit)), place),
    );
    const distance = this.by === "distance";
    this.charts.push(
      makeChart(
        place,
        {
          formatX: (v) => (distance ? `${(v / 1000).toFixed(1)} km` : `${Math.round(v)} s`),
          formatY: (v) => String(Math.round(v)),
          sync: "ghosts",
          marker: () => this.sampler?.place(this.time) ?? NaN,
          pick: (place) => this.seek(this.sampler?.timeAt(place) ?? 0),
          ...options,
        },
        data,
      ),
    );
  }

  /** @param {boolean} playing */
  setPlaying(playing) {
    const { sampler } = this;
    this.playing = playing && sampler !== null;
    if (this.playing && sampler !== null && this.time >= sampler.duration) this.time = 0;
    this.last = NaN;
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.play.dataset.playing = String(this.playing);
  }

  /** @param {number} time seconds since the laps began */
  seek(time) {
    this.time = Math.min(Math.max(time, 0), this.sampler?.duration ?? 0);
    this.draw();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const on = /** @type {HTMLElement} */ (event.target);
    // Controls keep their own keys.
    if (event.ctrlKey || event.metaKey || event.altKey || on.closest("input, select, button"))
      return;
    const by = event.shiftKey ? LEAP : STEP;
    if (event.key === " ") this.setPlaying(!this.playing);
    else if (event.key === "ArrowRight") this.seek(this.time + by);
    else if (event.key === "ArrowLeft") this.seek(this.time - by);
    else if (event.key === "Home") this.seek(0);
    else return;
    event.preventDefault();
  }

  /** @param {number} now */
  animate(now) {
    requestAnimationFrame((next) => this.animate(next));
    const { sampler } = this;
    if (sampler === null) return;
    if (this.playing) {
      if (!Number.isNaN(this.last)) this.time += ((now - this.last) / 1000) * this.speed;
      this.last = now;
      if (this.time >= sampler.duration) {
        this.time = sampler.duration;
        this.setPlaying(false);
      }
      this.draw();
    } else if (this.track.dirty || this.track.drawnVersion !== this.track.camera.version) {
      this.track.draw(this.time * GHOST_RATE);
    }
  }

  /** What depends on the time. */
  draw() {
    const { sampler, comparison } = this;
    if (sampler === null || comparison === null) return;
    this.track.draw(this.time * GHOST_RATE);
    this.scrubber.value = this.time.toFixed(2);
    const text = `${this.time.toFixed(1)} s`;
    setText(this.clock, text);
    this.scrubber.setAttribute("aria-valuetext", text);
    const place = sampler.place(this.time);
    const { axis, step, delta, by } = comparison;
    const at = Math.min(axis.length - 1, Math.max(0, Math.round(place / step)));
    this.behind.forEach((element, i) => {
      const value = delta[i][at];
      const first = i === 0 ? "first" : "";
      setText(
        element,
        first ||
          (value === null ? "–" : by === "distance" ? difference(value) : metresBehind(value)),
      );
    });
    for (const chart of this.charts) chart.redraw(false, false);
  }
}

/** @param {number} metres @returns {string} "+12 m" or "−5 m" */
function metresBehind(metres) {
  return `${metres < 0 ? "−" : "+"}${Math.abs(metres).toFixed(0)} m`;
}

/** Choosing a lap: a session, then who drove, then which lap. */
class Adding {
  /** @param {Ghosts} ghosts */
  constructor(ghosts) {
    this.ghosts = ghosts;
    this.session = /** @type {HTMLSelectElement} */ (byId("add-session"));
    this.driver = /** @type {HTMLSelectElement} */ (byId("add-driver"));
    this.lap = /** @type {HTMLSelectElement} */ (byId("add-lap"));
    /** @type {import("./api.js").Lap[]} */
    this.laps = [];
    this.session.addEventListener("change", () => void this.fill());
    this.driver.addEventListener("change", () => this.fillLaps());
    byId("add").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.lap.value === "") return;
      ghosts.add(`${this.session.value}:${this.driver.value}:${this.lap.value}`);
    });
    const [first] = ghosts.laps;
    const slug = first?.split(":", 1)[0] ?? "";
    if ([...this.session.options].some((option) => option.value === slug)) {
      this.session.value = slug;
    }
    void this.fill();
  }

  async fill() {
    const slug = this.session.value;
    this.driver.replaceChildren();
    this.lap.replaceChildren();
    if (slug === "") return;
    try {
      const api = new Api(slug);
      const [detail, laps] = await Promise.all([api.session(), api.laps()]);
      if (this.session.value !== slug) return;
      this.laps = (laps?.laps ?? []).filter((lap) => lap.start_frame !== null && lap.duration);
      const timed = new Set(this.laps.map((lap) => lap.entity));
      this.driver.replaceChildren(
        ...(detail?.entities ?? [])
          .filter(({ code }) => timed.has(code))
          .map(({ code, name }) => make("option", { value: code }, `${code} ${name}`)),
      );
      this.fillLaps();
    } catch (error) {
      this.ghosts.say(
        `The laps could not be loaded: ${error instanceof Error ? error.message : error}`,
      );
    }
  }

  fillLaps() {
    const own = this.laps.filter((lap) => lap.entity === this.driver.value);
    const times = own.map((lap) => lap.duration ?? Infinity);
    const best = own[times.indexOf(Math.min(...times))];
    this.lap.replaceChildren(
      ...own.map((lap) =>
        make(
          "option",
          { value: String(lap.number) },
          `Lap ${lap.number} · ${lapTime(lap.duration ?? NaN)}${lap === best ? " best" : ""}`,
        ),
      ),
    );
    if (best !== undefined) this.lap.value = String(best.number);
  }
}

new Ghosts().start();
