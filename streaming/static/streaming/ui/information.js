// @ts-check
/**
 * The top bar: lap, session clock, track status, fastest lap, weather; and a dialog with what is
 * known of the recording: its final classification and its import's report.
 */

import { byId, make, makeDialog, setText } from "./elements.js";
import { clockTime, lapTime, words } from "./format.js";
import { reportParts } from "./report.js";
import { temperature, wind } from "./settings.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./api.js").Classified} Classified */
/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./track.js").Track} Track */

const COMPASS = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];

export class Information {
  /** @param {Recording} recording @param {Track} track @param {Api} api */
  constructor(recording, track, api) {
    this.recording = recording;
    this.api = api;
    document.getElementById("about")?.remove();
    this.aboutBody = make("div", { class: "about" });
    this.about = makeDialog("about", "About this recording", this.aboutBody);
    byId("about-button").onclick = () => this.showAbout();
    this.track = track;
    this.lap = byId("lap-counter");
    this.clock = byId("session-clock");
    this.flag = byId("flag");
    this.banner = byId("banner");
    this.fastest = byId("fastest-lap");
    const { field } = recording;
    byId("lap-fact").hidden = !recording.isRace;
    const label = byId("lap-fact").querySelector("dt");
    if (label !== null) setText(label, recording.isTimed ? "Session" : "Lap");
    byId("flag-fact").hidden = field.track_status < 0;
    byId("fastest-fact").hidden = field.best_lap_time < 0;
    const weather = byId("weather");
    /** @type {[HTMLElement, () => string][]} */
    this.weather = [];
    const add = (
      /** @type {string} */ label,
      /** @type {number} */ place,
      /** @type {() => string} */ text,
      optional = true,
    ) => {
      if (place < 0) return;
      const value = make("dd");
      weather.append(
        make("div", { class: `fact${optional ? " optional" : ""}` }, make("dt", {}, label), value),
      );
      this.weather.push([value, text]);
    };
    const held = (/** @type {number} */ place) => recording.sampler.held(place);
    const show = (/** @type {number} */ value, /** @type {(v: number) => string} */ format) =>
      Number.isFinite(value) ? format(value) : "–";
    weather.replaceChildren();
    add("Air", field.air_temperature, () => show(held(field.air_temperature), temperature), false);
    add(
      "Track",
      field.track_temperature,
      () => show(held(field.track_temperature), temperature),
      false,
    );
    add("Humidity", field.humidity, () => show(held(field.humidity), (v) => `${Math.round(v)} %`));
    add("Wind", field.wind_speed, () => {
      const from = held(field.wind_direction);
      const name = Number.isFinite(from) ? ` ${COMPASS[Math.round(from / 45) % 8]}` : "";
      return show(held(field.wind_speed), wind) + name;
    });
    add("Rain", field.rain, () => show(held(field.rain), (v) => (v > 0 ? "Rain" : "Dry")), false);
    weather.hidden = this.weather.length === 0;
  }

  /** A few times a second. @param {number} frame @param {number} time seconds */
  update(frame, time) {
    const { recording } = this;
    const { sampler, field } = recording;
    const start = recording.raceStartFrame / sampler.frameRate;
    setText(this.clock, clockTime(time - start));
    if (!sampler.locate(frame)) return;
    for (const [value, text] of this.weather) setText(value, text());
    this.updateLap(frame);
    if (field.track_status >= 0) this.updateFlag();
    if (field.best_lap_time >= 0) this.updateFastest();
  }

  async showAbout() {
    this.aboutBody.replaceChildren(make("p", {}, "Loading…"));
    this.about.showModal();
    const [final, report] = await Promise.all([this.api.classification(), this.api.report()]);
    /** @type {HTMLElement[]} */
    const parts = [];
    if (final !== null && final.order.length > 0) {
      parts.push(make("h3", {}, "Final classification"), classificationTable(final.order));
    }
    parts.push(make("h3", {}, "Import"));
    if (report === null) parts.push(make("p", {}, "There is no report of an import."));
    else parts.push(...reportParts(report));
    this.aboutBody.replaceChildren(...parts);
  }

  /** @param {number} frame */
  updateLap(frame) {
    if (this.recording.isTimed) {
      this.updatePart(frame);
      return;
    }
    const { sampler, field, totalLaps } = this.recording;
    let lap = sampler.held(field.leader_lap);
    if (!Number.isFinite(lap)) lap = this.recording.lapAt(frame);
    const shown = totalLaps === null ? lap : Math.min(lap, totalLaps);
    const text = `${Math.max(0, shown)}${totalLaps === null ? "" : ` / ${totalLaps}`}`;
    setText(this.lap, text);
  }

  /** The part of the session and its clock. @param {number} frame */
  updatePart(frame) {
    const { sampler, field } = this.recording;
    const name = this.recording.partAt(frame)?.name ?? "";
    const left = sampler.held(field.session_clock);
    setText(this.lap, `${name} ${Number.isFinite(left) ? clockTime(left) : ""}`.trim() || "–");
  }

  updateFlag() {
    const { sampler, field } = this.recording;
    const name = this.recording.label("track_status", sampler.held(field.track_status)) || "clear";
    if (this.flag.dataset.flag !== name) {
      this.flag.dataset.flag = name;
      setText(this.flag, words(name));
      this.track.setFlag(name);
      this.banner.dataset.flag = name;
      setText(this.banner, words(name));
      this.banner.hidden = name === "clear";
    }
  }

  updateFastest() {
    const { sampler, field, entities } = this.recording;
    let best = Infinity;
    let who = -1;
    for (let i = 0; i < entities.length; i++) {
      const time = sampler.held(field.best_lap_time, i);
      if (time > 0 && time < best) {
        best = time;
        who = i;
      }
    }
    setText(this.fastest, who < 0 ? "–" : `${entities[who].code} ${lapTime(best)}`);
  }
}

/** @param {Classified[]} order */
function classificationTable(order) {
  const rows = order.map(({ entity, position, road_position, status, penalty_seconds }) => {
    const marks = [];
    if (status !== "finished") marks.push(status);
    if (penalty_seconds > 0) marks.push(`+${penalty_seconds} s penalty`);
    if (position !== road_position) marks.push(`${road_position} on the road`);
    return make(
      "tr",
      {},
      make("td", {}, String(position)),
      make("td", {}, entity),
      make("td", {}, marks.join(", ")),
    );
  });
  const head = make("tr", {});
  for (const text of ["Place", "Who", "Stewards"]) head.append(make("th", { scope: "col" }, text));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}
