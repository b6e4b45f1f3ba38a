// @ts-check
/** Telemetry of the selected entities: gauges, and traces of the last seconds or the whole lap. */

import { makeChart } from "./charts.js";
import { make, setText } from "./elements.js";
import { speedIn, speedUnit } from "./settings.js";

/** @typedef {import("./api.js").LapTelemetry} LapTelemetry */
/** @typedef {import("./charts.js").Chart} Chart */
/** @typedef {import("./panels.js").Context} Context */
/** @typedef {import("./recording.js").FieldName} FieldName */

const SECONDS = 20;
const SAMPLES = 200;
const CHANNELS =
  /** @type {{name: FieldName, label: string, height: number, range: [number|null, number|null], stepped?: boolean}[]} */ ([
    { name: "speed", label: "Speed", height: 120, range: [0, null] },
    { name: "throttle", label: "Throttle", height: 70, range: [0, 105] },
    { name: "brake", label: "Brake", height: 60, range: [0, 105], stepped: true },
    { name: "gear", label: "Gear", height: 64, range: [0, 9], stepped: true },
    { name: "rpm", label: "Engine speed", height: 70, range: [0, null] },
    { name: "drs", label: "DRS", height: 44, range: [-0.1, 1.1], stepped: true },
  ]);
const UNITS = /** @type {Record<string, string>} */ ({ throttle: "%", brake: "%", rpm: "1/min" });
/** The feed's DRS codes from here on mean an open flap, those below closed or allowed; they have
 * no labels in the schema. */
const DRS_OPEN = 10;

/** A colour and a line for each selected entity; a second one of the same colour is dashed. */
export function lineStyles(/** @type {Context} */ { recording, selection }) {
  const seen = new Map();
  return selection.chosen.map((i) => {
    const { code, colour } = recording.entities[i];
    const before = seen.get(colour) ?? 0;
    seen.set(colour, before + 1);
    return { label: code, colour, dash: before === 0 ? undefined : [6, 4] };
  });
}

/** @param {Context} context */
export function legend(context) {
  return make(
    "div",
    { class: "legend" },
    ...lineStyles(context).map(({ label, colour, dash }) => {
      const swatch = make("span", { class: `swatch${dash ? " dashed" : ""}` });
      swatch.style.borderTopColor = colour;
      return make("span", {}, swatch, label);
    }),
  );
}

export class Telemetry {
  /** @param {HTMLElement} element @param {Context} context */
  constructor(element, context) {
    this.element = element;
    this.context = context;
    this.whole = false;
    this.charts = /** @type {{chart: Chart, channel: typeof CHANNELS[number]}[]} */ ([]);
    this.dials = /** @type {ReturnType<Telemetry["dial"]>[]} */ ([]);
    this.times = new Float64Array(SAMPLES);
    this.marker = NaN;
    /** metres of the lap shown */
    this.lapLength = 0;
    this.laps = "";
    this.dirty = true;
    context.selection.onChange(() => {
      this.dirty = true;
    });
  }

  show() {
    this.dirty = true;
    this.context.engine.behind = SECONDS + 1;
    this.context.engine.prefetch();
  }

  restyle() {
    this.dirty = true;
  }

  /** @param {number} frame */
  update(frame) {
    if (this.element.hidden) return;
    if (this.dirty) this.build(frame);
    const { recording, selection } = this.context;
    if (selection.chosen.length === 0) return;
    if (recording.sampler.locate(frame)) {
      selection.chosen.forEach((entity, i) => this.fillDial(this.dials[i], entity));
    }
    if (this.whole) this.updateLap();
    else this.updateTraces(frame);
  }

  /** @param {number} frame */
  build(frame) {
    this.dirty = false;
    this.laps = "";
    for (const { chart } of this.charts) chart.destroy();
    this.charts = [];
    const { recording, selection } = this.context;
    if (selection.chosen.length === 0) {
      const leader = make(
        "button",
        { type: "button", class: "button primary" },
        "Select the first two",
      );
      leader.addEventListener("click", () =>
        selection.set([...this.context.track.order.slice(0, 2)]),
      );
      this.element.replaceChildren(
        make(
          "p",
          { class: "hint" },
          "Select up to six in the table or on the map to see their telemetry.",
        ),
        leader,
      );
      return;
    }
    const live = make(
      "button",
      { type: "button", "aria-pressed": String(!this.whole) },
      `Last ${SECONDS} s`,
    );
    const lap = make("button", { type: "button", "aria-pressed": String(this.whole) }, "Whole lap");
    live.addEventListener("click", () => this.setWhole(false));
    lap.addEventListener("click", () => this.setWhole(true));
    const modes = make(
      "div",
      { class: "segmented feed-tools", role: "group", "aria-label": "Time range" },
      live,
      lap,
    );
    modes.hidden = !recording.isRace;
    this.dials = selection.chosen.map((entity) => this.dial(entity));
    const places = make("div");
    this.element.replaceChildren(
      make("div", { class: "gauges" }, ...this.dials.map((dial) => dial.element)),
      modes,
      legend(this.context),
      places,
    );
    const styles = lineStyles(this.context);
    for (const channel of CHANNELS) {
      if (recording.field[channel.name] < 0) continue;
      const unit = channel.name === "speed" ? this.speedUnit() : (UNITS[channel.name] ?? "");
      const place = make("div");
      places.append(
        make(
          "div",
          { class: "chart-block" },
          make("h3", {}, channel.label, make("small", {}, unit)),
          place,
        ),
      );
      const chart = makeChart(
        place,
        {
          height: channel.height,
          range: channel.range,
          sync: "telemetry",
          series: styles.map((style) => ({ ...style, stepped: channel.stepped })),
          formatY: (v) =>
            channel.name === "rpm" ? `${Math.round(v / 1000)}k` : String(Math.round(v)),
          formatX: this.whole ? (v) => `${Math.round(v)} m` : (v) => `${v} s`,
          axisX: channel.name === "speed",
          splitsY: channel.name === "drs" ? [0, 1] : undefined,
          marker: () => this.marker,
        },
        [[], ...styles.map(() => [])],
      );
      this.charts.push({ chart, channel });
    }
    if (!this.whole) this.updateTraces(frame);
  }

  /** @param {boolean} whole */
  setWhole(whole) {
    this.whole = whole;
    this.dirty = true;
  }

  speedUnit() {
    const { recording } = this.context;
    const unit = recording.layout.fields[recording.field.speed]?.unit ?? "";
    return unit === "km/h" ? speedUnit() : unit;
  }

  /** @param {number} value in the field's unit */
  speed(value) {
    const { recording } = this.context;
    return recording.layout.fields[recording.field.speed]?.unit === "km/h" ? speedIn(value) : value;
  }

  /** @param {number} entity */
  dial(entity) {
    const { recording } = this.context;
    const info = recording.entities[entity];
    const speed = document.createTextNode("–");
    const gear = make("span");
    const throttle = make("i");
    const brake = make("i");
    const throttleText = make("span");
    const brakeText = make("span");
    const element = make(
      "div",
      { class: "gauge" },
      make("div", { class: "who" }, info.code),
      make("div", { class: "speed" }, speed, make("small", {}, ` ${this.speedUnit()} `), gear),
    );
    if (recording.field.throttle >= 0) {
      element.append(
        make(
          "div",
          { class: "pedals" },
          make("span", {}, "Throttle"),
          make("span", { class: "meter" }, throttle),
          throttleText,
          make("span", {}, "Brake"),
          make("span", { class: "meter brake" }, brake),
          brakeText,
        ),
      );
    }
    element.style.borderLeftColor = info.colour;
    return { element, speed, gear, throttle, brake, throttleText, brakeText };
  }

  /** @param {ReturnType<Telemetry["dial"]> | undefined} dial @param {number} entity */
  fillDial(dial, entity) {
    if (dial === undefined) return;
    const { sampler, field } = this.context.recording;
    const speed = sampler.held(field.speed, entity);
    setText(dial.speed, Number.isFinite(speed) ? this.speed(speed).toFixed(0) : "–");
    const gear = sampler.held(field.gear, entity);
    const drs = sampler.held(field.drs, entity);
    setText(
      dial.gear,
      `${Number.isFinite(gear) ? (gear === 0 ? "N" : `gear ${gear}`) : ""}${drs >= DRS_OPEN ? " · DRS" : ""}`,
    );
    for (const [bar, text, value] of /** @type {[HTMLElement, HTMLElement, number][]} */ ([
      [dial.throttle, dial.throttleText, sampler.held(field.throttle, entity)],
      [dial.brake, dial.brakeText, sampler.held(field.brake, entity)],
    ])) {
      const part = Number.isFinite(value) ? Math.min(Math.max(value / 100, 0), 1) : 0;
      bar.style.transform = `scaleX(${part})`;
      setText(text, Number.isFinite(value) ? `${Math.round(value)} %` : "–");
    }
  }

  /** @param {number} frame */
  updateTraces(frame) {
    const { engine, recording, selection } = this.context;
    const { sampler, field } = recording;
    const rate = engine.frameRate;
    this.marker = NaN;
    const columns = this.charts.map(() =>
      selection.chosen.map(() => new Array(SAMPLES).fill(null)),
    );
    for (let s = 0; s < SAMPLES; s++) {
      const ago = (SAMPLES - 1 - s) * (SECONDS / SAMPLES);
      this.times[s] = -ago;
      const at = frame - ago * rate;
      if (at < 0 || !sampler.locate(at, 16)) continue;
      this.charts.forEach(({ channel }, c) => {
        selection.chosen.forEach((entity, i) => {
          columns[c][i][s] = this.value(channel.name, sampler.held(field[channel.name], entity));
        });
      });
    }
    this.charts.forEach(({ chart }, c) => chart.setData([this.times, ...columns[c]]));
  }

  /** @param {FieldName} name @param {number} value */
  value(name, value) {
    if (!Number.isFinite(value)) return null;
    if (name === "speed") return this.speed(value);
    return name === "drs" ? Number(value >= DRS_OPEN) : value;
  }

  /** The current laps of the selected entities, from REST; a line marks the place of the first. */
  updateLap() {
    const { recording, selection, api } = this.context;
    const { sampler, field } = recording;
    const wanted = selection.chosen.map((entity) => [entity, sampler.held(field.lap, entity)]);
    const key = wanted.join(";");
    const progress = sampler.value(field.progress, selection.chosen[0]);
    this.marker = (progress - Math.floor(progress)) * this.lapLength;
    if (key === this.laps) {
      for (const { chart } of this.charts) chart.redraw(false, false);
      return;
    }
    this.laps = key;
    void Promise.all(
      wanted.map(([entity, lap]) =>
        Number.isFinite(lap) && lap > 0
          ? api.telemetry(recording.entities[entity].code, lap)
          : null,
      ),
    ).then(
      (laps) => {
        if (this.laps === key && this.whole) this.drawLaps(laps);
      },
      (error) => {
        this.element.prepend(
          make(
            "p",
            { class: "hint", role: "status" },
            `This lap could not be loaded: ${error.message}`,
          ),
        );
      },
    );
  }

  /** @param {(LapTelemetry | null)[]} laps */
  drawLaps(laps) {
    const first = laps.find((lap) => lap !== null);
    if (first === undefined) return;
    this.lapLength = first.length;
    /** @type {number[]} */
    let longest = [];
    for (const lap of laps) {
      if (lap !== null && lap.distance.length > longest.length) longest = lap.distance;
    }
    for (const { chart, channel } of this.charts) {
      chart.setData([
        longest,
        ...laps.map((lap) =>
          longest.map((_distance, i) => {
            const value = lap?.channels[channel.name]?.[i];
            return value === undefined || value === null ? null : this.value(channel.name, value);
          }),
        ),
      ]);
    }
  }
}
