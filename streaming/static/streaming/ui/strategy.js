// @ts-check
/** The session as a whole: gaps, positions and tyres over the laps of a race, the runs of others. */

import { makeChart } from "./charts.js";
import { make } from "./elements.js";
import { lapTime, words } from "./format.js";
import { raceTrace } from "./laptimes.js";

/** @typedef {import("./charts.js").Chart} Chart */
/** @typedef {import("./panels.js").Context} Context */

/** Gaps beyond this (s) are cut off: lapped cars would squeeze all others together. */
const MOST_GAP = 120;

export class Strategy {
  /** @param {HTMLElement} element @param {Context} context */
  constructor(element, context) {
    this.element = element;
    this.context = context;
    this.charts = /** @type {Chart[]} */ ([]);
    this.lap = 0;
    context.selection.onChange(() => this.show());
  }

  restyle() {
    this.show();
  }

  show() {
    if (this.element.hidden) return;
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
    const { recording } = this.context;
    if (recording.laps.length === 0) {
      this.element.replaceChildren(make("p", { class: "hint" }, "This recording has no laps."));
      return;
    }
    if (recording.isTimed) {
      this.element.replaceChildren(...this.runs());
      return;
    }
    const codes = recording.entities.map((entity) => entity.code);
    const trace = raceTrace(recording.laps, codes, this.context.engine.frameRate);
    this.element.replaceChildren();
    const gaps = trace.gaps.map((row) =>
      row.map((gap) => (gap === null || gap > MOST_GAP ? null : gap)),
    );
    this.chart(
      "Gap to the leader",
      "s, at the end of each lap",
      260,
      trace.laps,
      gaps,
      (v) => `+${Math.round(v)}`,
    );
    this.chart("Position", "at the end of each lap", 260, trace.laps, trace.positions, (v) =>
      String(Math.round(v)),
    );
    this.element.append(this.stints());
  }

  /**
   * @param {string} title @param {string} unit @param {number} height
   * @param {number[]} laps @param {(number|null)[][]} rows @param {(v: number) => string} formatY
   */
  chart(title, unit, height, laps, rows, formatY) {
    const { recording, selection, engine } = this.context;
    const place = make("div");
    this.element.append(
      make("div", { class: "chart-block" }, make("h3", {}, title, make("small", {}, unit)), place),
    );
    const some = selection.chosen.length > 0;
    const seen = new Set();
    const chart = makeChart(
      place,
      {
        height,
        upsideDown: true,
        axisX: true,
        formatX: (v) => (Number.isInteger(v) ? `L${v}` : ""),
        formatY,
        sync: "strategy",
        marker: () => this.lap,
        pick: (lap) => {
          const frame = recording.lapStarts[Math.max(1, Math.round(lap))];
          if (frame !== undefined) engine.seek(frame);
        },
        series: recording.entities.map((entity, i) => {
          const second = seen.has(entity.colour);
          seen.add(entity.colour);
          const chosen = selection.has(i);
          return {
            label: entity.code,
            dash: second ? [6, 4] : undefined,
            width: chosen ? 3.5 : 1.5,
            colour: some && !chosen ? `${entity.colour}55` : entity.colour,
          };
        }),
      },
      [laps, ...rows],
    );
    this.charts.push(chart);
  }

  /** What each car drove from the pits to the pits, part by part, first of the order first. */
  runs() {
    const { recording, track } = this.context;
    const parts = recording.parts.map(({ name }) => name);
    return parts.map((part) => {
      const rows = [...track.order].flatMap((i) => {
        const own = (recording.runs[recording.entities[i].code] ?? []).filter(
          (run) => run.part === part,
        );
        return own.length === 0 ? [] : [this.runRow(i, own)];
      });
      return make(
        "table",
        { class: "data-table runs" },
        make("caption", {}, part === "" ? "Runs" : `Runs in ${part}`),
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            make("th", { scope: "col" }, "Driver"),
            make("th", { scope: "col" }, "Best"),
            make("th", { scope: "col" }, "Laps: out, push, slow, in"),
          ),
        ),
        make("tbody", {}, ...rows),
      );
    });
  }

  /** @param {number} i entity @param {import("./recording.js").Run[]} runs of it */
  runRow(i, runs) {
    const { recording, selection, engine } = this.context;
    const { code } = recording.entities[i];
    const best = Math.min(...runs.map((run) => run.best ?? Infinity));
    const bars = runs.map((run) => {
      const name = run.compound || "unknown";
      const age = run.tyre_age === null ? "" : `, ${run.tyre_age} laps old`;
      const time = run.best === null ? "no time" : `best ${lapTime(run.best)}`;
      const text =
        `${code}: ${words(name)} tyre${age}, laps ${run.lap_start} to ${run.lap_end} ` +
        `(${run.kinds.join(", ")}), ${time}`;
      const start = recording.lap(code, run.lap_start)?.start_frame ?? null;
      const bar = make(
        "button",
        { type: "button", class: "stint run", "data-tyre": name, title: text, "aria-label": text },
        ...run.kinds.map((kind) =>
          make("span", { class: "run-lap", "data-kind": kind }, kind.charAt(0).toUpperCase()),
        ),
      );
      if (start !== null) bar.addEventListener("click", () => engine.seek(start));
      return bar;
    });
    return make(
      "tr",
      { class: selection.has(i) ? "chosen" : "" },
      make("th", { scope: "row" }, code),
      make("td", {}, lapTime(best)),
      make("td", {}, make("div", { class: "run-line" }, ...bars)),
    );
  }

  /** Tyres as bars, first of the order first. */
  stints() {
    const { recording, track, selection } = this.context;
    const total =
      recording.totalLaps ?? Math.max(1, ...recording.stints.map((stint) => stint.lap_end));
    const rows = [...track.order].map((i) => {
      const { code } = recording.entities[i];
      const bars = recording.stints
        .filter((stint) => stint.entity === code)
        .map((stint) => {
          const name = stint.compound || "unknown";
          const text = `${words(name.toLowerCase())}, laps ${stint.lap_start} to ${stint.lap_end}`;
          const bar = make(
            "span",
            { class: "stint", "data-tyre": name.toLowerCase(), title: text },
            make(
              "span",
              { "aria-hidden": "true" },
              `${name.charAt(0).toUpperCase()} ${stint.lap_end - stint.lap_start + 1}`,
            ),
            make("span", { class: "visually-hidden" }, text),
          );
          bar.style.flexGrow = String(stint.lap_end - stint.lap_start + 1);
          return bar;
        });
      const line = make("div", { class: "stint-line" }, ...bars);
      const last = Math.max(
        0,
        ...recording.stints.filter((s) => s.entity === code).map((s) => s.lap_end),
      );
      line.style.width = `${Math.min(100, (100 * last) / total)}%`;
      return make(
        "tr",
        { class: selection.has(i) ? "chosen" : "" },
        make("th", { scope: "row" }, code),
        make("td", {}, line),
      );
    });
    return make(
      "table",
      { class: "data-table stints" },
      make("caption", {}, "Tyres"),
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          make("th", { scope: "col" }, "Driver"),
          make("th", { scope: "col" }, `Laps 1 to ${total}`),
        ),
      ),
      make("tbody", {}, ...rows),
    );
  }

  update() {
    if (this.element.hidden) return;
    const { recording } = this.context;
    const lap = recording.sampler.held(recording.field.leader_lap);
    if (!Number.isFinite(lap) || lap === this.lap) return;
    this.lap = lap;
    for (const chart of this.charts) chart.redraw(false, false);
  }
}
