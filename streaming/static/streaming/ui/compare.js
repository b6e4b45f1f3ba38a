// @ts-check
/** Two laps over distance: the time difference, sector times and corner speeds. */

import { makeChart } from "./charts.js";
import { make } from "./elements.js";
import { difference, lapTime } from "./format.js";
import { ghostQuery } from "./ghost_laps.js";
import { channelOver, cornerSpeeds, deltaOver } from "./laptimes.js";
import { speedIn, speedUnit } from "./settings.js";

/** @typedef {import("./panels.js").Context} Context */
/** @typedef {import("./api.js").Lap} Lap */
/** @typedef {import("./api.js").LapTelemetry} LapTelemetry */
/** @typedef {import("./charts.js").Chart} Chart */
/** @typedef {import("./charts.js").ChartData} ChartData */
/** @typedef {import("./charts.js").ChartOptions} ChartOptions */
/** @typedef {Lap & {duration: number, start_frame: number, end_frame: number}} TimedLap */

/** Whether its time and both its ends are known. @param {Lap} lap @returns {lap is TimedLap} */
function isTimed(lap) {
  return lap.duration !== null && lap.start_frame !== null && lap.end_frame !== null;
}

const TRACES = [
  { name: "speed", label: "Speed", height: 150, stepped: false },
  { name: "throttle", label: "Throttle", height: 70, stepped: false },
  { name: "brake", label: "Brake", height: 56, stepped: true },
  { name: "gear", label: "Gear", height: 64, stepped: true },
];

export class Compare {
  /** @param {HTMLElement} element @param {Context} context */
  constructor(element, context) {
    this.element = element;
    this.context = context;
    this.charts = /** @type {Chart[]} */ ([]);
    this.pair = /** @type {[LapTelemetry, LapTelemetry] | null} */ (null);
    /** the first of the two, with its frames @type {TimedLap | undefined} */
    this.lap = undefined;
    this.wanted = "";
    this.marker = NaN;
    this.touched = false;
    this.pickers = ["A", "B"].map((letter) => {
      const driver = make("select", { "aria-label": `Driver ${letter}`, id: `driver-${letter}` });
      const lap = make("select", { "aria-label": `Lap of driver ${letter}`, id: `lap-${letter}` });
      driver.addEventListener("change", () => {
        this.touched = true;
        this.fillLaps(driver.value, lap);
        this.load();
      });
      lap.addEventListener("change", () => {
        this.touched = true;
        this.load();
      });
      return { letter, driver, lap };
    });
    this.result = make("div", { id: "comparison" });
    element.append(
      make(
        "div",
        { class: "pickers" },
        ...this.pickers.map(({ letter, driver, lap }) =>
          make("div", { class: "picker" }, make("strong", {}, letter), driver, lap),
        ),
      ),
      this.result,
    );
    context.selection.onChange(() => {
      if (!element.hidden && context.selection.chosen.length >= 2) this.fromSelection();
    });
  }

  show() {
    const { recording, selection } = this.context;
    if (recording.laps.length === 0) {
      this.result.replaceChildren(make("p", { class: "hint" }, "This recording has no laps."));
      return;
    }
    if (this.pickers[0].driver.options.length === 0) {
      const timed = new Set(
        recording.laps.filter((lap) => lap.duration !== null).map((lap) => lap.entity),
      );
      for (const { driver } of this.pickers) {
        for (const entity of recording.entities) {
          if (timed.has(entity.code))
            driver.append(make("option", { value: entity.code }, `${entity.code} ${entity.name}`));
        }
      }
    }
    if (selection.chosen.length >= 2 || !this.touched) this.fromSelection();
  }

  /** Compare the first two selected entities, or the first two of the race. */
  fromSelection() {
    const { recording, selection, track } = this.context;
    const chosen = [...selection.chosen, ...track.order].filter(
      (e, i, all) => all.indexOf(e) === i,
    );
    this.pickers.forEach(({ driver, lap }, i) => {
      driver.value = recording.entities[chosen[i]]?.code ?? driver.options[i]?.value ?? "";
      this.fillLaps(driver.value, lap);
    });
    this.load();
  }

  /** @param {string} code of the driver */
  timedLaps(code) {
    return this.context.recording.laps.filter(isTimed).filter((lap) => lap.entity === code);
  }

  /** @param {string} code @param {HTMLSelectElement} select */
  fillLaps(code, select) {
    const laps = this.timedLaps(code);
    const best = laps.reduce(
      (a, b) => (a === null || b.duration < a.duration ? b : a),
      /** @type {TimedLap | null} */ (null),
    );
    select.replaceChildren(
      ...laps.map((lap) =>
        make(
          "option",
          { value: String(lap.number) },
          `Lap ${lap.number} · ${lapTime(lap.duration)}${lap === best ? " best" : ""}${lap.pit_in || lap.pit_out ? " pit" : ""}`,
        ),
      ),
    );
    if (best !== null) select.value = String(best.number);
  }

  load() {
    const { api } = this.context;
    const [first, second] = this.pickers.map(({ driver, lap }) => ({
      code: driver.value,
      lap: lap.value,
    }));
    if ([first, second].some(({ code, lap }) => code === "" || lap === "")) return;
    const key = `${first.code};${first.lap};${second.code};${second.lap}`;
    if (key === this.wanted) return;
    this.wanted = key;
    void Promise.all([
      api.telemetry(first.code, Number(first.lap)),
      api.telemetry(second.code, Number(second.lap)),
    ]).then(
      ([a, b]) => {
        if (this.wanted !== key) return;
        if (a === null || b === null || a.distance.length < 2 || b.distance.length < 2) {
          this.pair = null;
          this.result.replaceChildren(
            make("p", { class: "hint" }, "One of these laps has no telemetry."),
          );
          return;
        }
        /** @type {[LapTelemetry, LapTelemetry]} */
        const pair = [a, b];
        this.pair = pair;
        this.lap = this.timedLaps(a.entity).find((lap) => lap.number === a.lap);
        this.draw();
      },
      (error) => {
        this.wanted = "";
        this.result.replaceChildren(
          make("p", { class: "hint" }, `The laps could not be loaded: ${error.message}`),
        );
      },
    );
  }

  restyle() {
    if (this.pair !== null && !this.element.hidden) this.draw();
  }

  colours() {
    const { recording } = this.context;
    const [a, b] = this.pickers.map(
      ({ driver }) => recording.entities[recording.column(driver.value)]?.colour ?? "#888",
    );
    return a === b
      ? [a, getComputedStyle(document.documentElement).getPropertyValue("--text").trim()]
      : [a, b];
  }

  draw() {
    if (this.pair === null) return;
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
    const [a, b] = this.pair;
    const [colourA, colourB] = this.colours();
    const names = this.pair.map((lap) => `${lap.entity} lap ${lap.lap}`);
    const head = make("div", { class: "legend" });
    for (const [name, colour, dashed] of /** @type {[string, string, boolean][]} */ ([
      [names[0], colourA, false],
      [names[1], colourB, true],
    ])) {
      const swatch = make("span", { class: `swatch${dashed ? " dashed" : ""}` });
      swatch.style.borderTopColor = colour;
      head.append(make("span", {}, swatch, name));
    }
    const { slug = "" } = document.body.dataset;
    const laps = this.pair.map((lap) => `${slug}:${lap.entity}:${lap.lap}`);
    const ghosts = make("a", { class: "button", href: `/compare/${ghostQuery(laps, "distance")}` });
    ghosts.append("Open as ghosts");
    this.result.replaceChildren(head, ghosts);
    const delta = deltaOver(a, b);
    this.chart(
      `Delta`,
      `seconds, above zero: ${b.entity} is behind ${a.entity}`,
      {
        height: 110,
        series: [{ label: "delta", colour: colourB }],
        formatY: (v) => v.toFixed(2),
        axisX: true,
      },
      [a.distance, delta],
    );
    for (const trace of TRACES) {
      if (a.channels[trace.name] === undefined) continue;
      const convert = trace.name === "speed" ? speedIn : (/** @type {number} */ v) => v;
      const values = [a.channels[trace.name], channelOver(a, b, trace.name)].map((series) =>
        series.map((v) => (v === null ? null : convert(v))),
      );
      this.chart(
        trace.label,
        trace.name === "speed" ? speedUnit() : trace.name === "gear" ? "" : "%",
        {
          height: trace.height,
          series: [
            { label: names[0], colour: colourA, stepped: trace.stepped },
            { label: names[1], colour: colourB, dash: [6, 4], stepped: trace.stepped },
          ],
          range: trace.name === "speed" ? [null, null] : [0, trace.name === "gear" ? 9 : 105],
        },
        [a.distance, ...values],
      );
    }
    this.result.append(this.sectorTable(a, b, delta), this.cornerTable(a, b));
  }

  /**
   * @param {string} title @param {string} unit @param {ChartOptions} options
   * @param {ChartData} data
   */
  chart(title, unit, options, data) {
    const place = make("div");
    this.result.append(
      make("div", { class: "chart-block" }, make("h3", {}, title, make("small", {}, unit)), place),
    );
    const { engine } = this.context;
    this.charts.push(
      makeChart(
        place,
        {
          formatX: (v) => `${(v / 1000).toFixed(1)} km`,
          formatY: (v) => String(Math.round(v)),
          sync: "compare",
          marker: () => this.marker,
          pick: (distance) => {
            if (this.pair === null || this.lap === undefined) return;
            const [{ distance: places, time }] = this.pair;
            const i = places.findIndex((place) => place >= distance);
            if (i >= 0) engine.seek(this.lap.start_frame + time[i] * engine.frameRate);
          },
          ...options,
        },
        data,
      ),
    );
  }

  /** @param {LapTelemetry} a @param {LapTelemetry} b @param {(number|null)[]} delta */
  sectorTable(a, b, delta) {
    const rows = [0, 1, 2].map((i) =>
      this.row(`Sector ${i + 1}`, a.sectors[i] ?? NaN, b.sectors[i] ?? NaN, lapTime),
    );
    const last = delta.findLast((value) => value !== null) ?? NaN;
    rows.push(
      this.row("Lap", a.duration ?? NaN, b.duration ?? (a.duration ?? NaN) + last, lapTime),
    );
    return this.table("Times", rows, a, b);
  }

  /** @param {LapTelemetry} a @param {LapTelemetry} b */
  cornerTable(a, b) {
    const corners = this.context.track.ground.geometry?.corners ?? [];
    const [of_a, of_b] = [a, b].map((lap) => cornerSpeeds(lap, corners));
    const rows = corners.map((corner, i) =>
      this.row(
        `Turn ${corner.label}`,
        speedIn(of_a[i]),
        speedIn(of_b[i]),
        (v) => v.toFixed(0),
        true,
      ),
    );
    return rows.length === 0
      ? make("p", { class: "hint" }, "The corners of this circuit are not known.")
      : this.table(`Lowest speed in the corners, ${speedUnit()}`, rows, a, b);
  }

  /**
   * @param {string} name @param {number} a @param {number} b
   * @param {(value: number) => string} format @param {boolean} [more] more is better
   */
  row(name, a, b, format, more = false) {
    const show = (/** @type {number} */ v) => (Number.isFinite(v) ? format(v) : "–");
    const by = b - a;
    const text = more
      ? `${by > 0 ? "+" : by < 0 ? "−" : ""}${Math.abs(by).toFixed(0)}`
      : difference(by);
    const better = more ? by > 0.5 : by < 0;
    const worse = more ? by < -0.5 : by > 0;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      make("td", {}, show(a)),
      make("td", {}, show(b)),
      make(
        "td",
        { class: better ? "faster" : worse ? "slower" : "" },
        Number.isFinite(by) ? text : "–",
      ),
    );
  }

  /** @param {string} caption @param {HTMLElement[]} rows @param {LapTelemetry} a @param {LapTelemetry} b */
  table(caption, rows, a, b) {
    return make(
      "table",
      { class: "data-table" },
      make("caption", {}, caption),
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          make("th", { scope: "col" }, "Section"),
          make("th", { scope: "col" }, a.entity),
          make("th", { scope: "col" }, b.entity),
          make("th", { scope: "col" }, "Difference"),
        ),
      ),
      make("tbody", {}, ...rows),
    );
  }

  /** @param {number} frame */
  update(frame) {
    if (this.pair === null || this.element.hidden) return;
    const { lap } = this;
    const [a] = this.pair;
    let marker = NaN;
    if (lap !== undefined && frame >= lap.start_frame && frame < lap.end_frame) {
      const time = (frame - lap.start_frame) / this.context.engine.frameRate;
      const i = a.time.findIndex((t) => t >= time);
      marker = i < 0 ? NaN : a.distance[i];
    }
    if (Object.is(marker, this.marker)) return;
    this.marker = marker;
    for (const chart of this.charts) chart.redraw(false, false);
  }
}
