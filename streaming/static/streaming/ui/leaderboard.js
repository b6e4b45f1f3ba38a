// @ts-check
/** The order as a real table: position, gaps, laps, tyres, stops; rows move when places change. */

import { byId, make, setText } from "./elements.js";
import { gapTime, lapTime, words } from "./format.js";
import { onSetting, setSetting, settings, speedIn, speedUnit } from "./settings.js";
import { showTyre, TyreHistory } from "./tyres.js";

/** @typedef {import("./recording.js").Recording} Recording */
/** @typedef {import("./selection.js").Selection} Selection */

/** Milliseconds for which a gained or lost place is highlighted. */
const MARKED = 4000;
const MOVE_DURATION = 350;
const SECTOR_MARKS = /** @type {const} */ (["sector1_mark", "sector2_mark", "sector3_mark"]);
/** Beside the colours, for whoever cannot tell them apart. */
const MARK_LETTERS = /** @type {Record<string, string>} */ ({
  slower: "·",
  personal_best: "P",
  overall_best: "B",
});

/**
 * @typedef {object} Row
 * @property {HTMLTableRowElement} element
 * @property {Record<string, HTMLElement>} cells
 * @property {HTMLButtonElement} button
 * @property {HTMLElement} check
 * @property {HTMLElement} move
 * @property {Text} place
 * @property {HTMLElement} tyre
 * @property {HTMLElement} age
 * @property {HTMLElement} spoken name of the button that opens the tyre history
 * @property {number} position last shown
 * @property {number} changed when its place last changed
 */

export class Leaderboard {
  /** @param {Recording} recording @param {Selection} selection */
  constructor(recording, selection) {
    this.recording = recording;
    this.selection = selection;
    this.body = make("tbody");
    this.gapHead = make("th", { scope: "col" });
    /** places on the grid, to tell gains and losses */
    this.grid = /** @type {Map<number, number>} */ (new Map());
    this.order = "";
    /** row of each entity, from the top */
    this.places = recording.entities.map((_, i) => i);
    this.rowHeight = 0;
    new ResizeObserver(([entry]) => {
      this.rowHeight = entry.contentRect.height / Math.max(1, this.rows.length);
    }).observe(this.body);
    this.named = recording.entities.some((entity) => entity.name !== entity.code);
    this.described = this.named || recording.entities.some((entity) => entity.team !== "");
    this.reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
    const race = recording.isRace;
    const heads = recording.isTimed
      ? [
          make("th", { scope: "col", class: "left", abbr: "Position" }, "Pos"),
          make("th", { scope: "col", class: "left" }, "Driver"),
          make("th", { scope: "col" }, "Best"),
          this.gapHead,
          make("th", { scope: "col", class: "hide-small" }, "Last"),
          make("th", { scope: "col" }, "Sectors"),
          make("th", { scope: "col" }, "Tyre"),
          make("th", { scope: "col" }, "Laps"),
        ]
      : race
        ? [
            make("th", { scope: "col", class: "left", abbr: "Position" }, "Pos"),
            make("th", { scope: "col", class: "left" }, "Driver"),
            this.gapHead,
            make("th", { scope: "col" }, "Last"),
            make("th", { scope: "col", class: "hide-small" }, "Best"),
            make("th", { scope: "col" }, "Tyre"),
            make("th", { scope: "col", abbr: "Pit stops" }, "Pit"),
          ]
        : [
            make("th", { scope: "col", class: "left" }, "Code"),
            ...(this.described
              ? [make("th", { scope: "col", class: "left" }, this.named ? "Name" : "Team")]
              : []),
            ...(recording.field.speed >= 0 ? [make("th", { scope: "col" }, "Speed")] : []),
          ];
    this.tyres = new TyreHistory(recording);
    this.rows = recording.entities.map((_, i) =>
      recording.isTimed ? this.timedRow(i) : race ? this.raceRow(i) : this.plainRow(i),
    );
    this.body.append(...this.rows.map((row) => row.element));
    byId("board-scroll").replaceChildren(
      make(
        "table",
        { class: "leaderboard", "aria-labelledby": "board-title" },
        make("thead", {}, make("tr", {}, ...heads)),
        this.body,
      ),
    );
    setText(byId("board-title"), race ? "Leaderboard" : "Participants");
    byId("gap-switch").hidden = !race;
    for (const button of byId("gap-switch").querySelectorAll("button")) {
      button.addEventListener("click", () => {
        setSetting("gap", button.dataset.gap === "gap" ? "gap" : "interval");
      });
    }
    onSetting(() => this.showGapChoice());
    this.showGapChoice();
    selection.onChange(() => this.showSelection());
    this.showSelection();
  }

  /** @param {number} i @returns {Row} */
  raceRow(i) {
    const place = document.createTextNode("");
    const move = make("span", { class: "move" });
    const tyre = make("span", { class: "tyre", "aria-hidden": "true" });
    const age = make("span", { class: "tyre-age", "aria-hidden": "true" });
    const spoken = make("span", { class: "visually-hidden" });
    const history = make(
      "button",
      { type: "button", class: "tyre-button", "aria-haspopup": "dialog", "aria-expanded": "false" },
      tyre,
      age,
      spoken,
    );
    history.addEventListener("click", () => this.tyres.open(i, history));
    const cells = {
      position: make("td", { class: "pos left" }, place, move),
      gap: make("td"),
      last: make("td"),
      best: make("td", { class: "hide-small" }),
      tyre: make("td", {}, history),
      pits: make("td"),
    };
    const { head, button, check } = this.driverCell(i);
    const element = make(
      "tr",
      {},
      cells.position,
      head,
      cells.gap,
      cells.last,
      cells.best,
      cells.tyre,
      cells.pits,
    );
    return {
      element,
      cells,
      button,
      check,
      move,
      place,
      tyre,
      age,
      spoken,
      position: 0,
      changed: -Infinity,
    };
  }

  /** Of practice and qualifying. @param {number} i @returns {Row} */
  timedRow(i) {
    const row = this.raceRow(i);
    const sectors = [1, 2, 3].map(() => make("span", { class: "sector-mark" }));
    row.cells.sectors = make("td", { class: "sector-marks" }, ...sectors);
    row.cells.last.className = "hide-small";
    row.cells.best.className = "";
    row.element.replaceChildren(
      row.cells.position,
      row.element.children[1],
      row.cells.best,
      row.cells.gap,
      row.cells.last,
      row.cells.sectors,
      row.cells.tyre,
      row.cells.pits,
    );
    return row;
  }

  /** @param {number} i @returns {Row} */
  plainRow(i) {
    const cells = { name: make("td", { class: "left" }), speed: make("td") };
    const { head, button, check } = this.driverCell(i);
    const entity = this.recording.entities[i];
    cells.name.textContent = [this.named ? entity.name : "", entity.team]
      .filter((text) => text !== "")
      .join(", ");
    const element = make(
      "tr",
      {},
      head,
      ...(this.described ? [cells.name] : []),
      ...(this.recording.field.speed >= 0 ? [cells.speed] : []),
    );
    const none = make("span");
    return {
      element,
      cells,
      button,
      check,
      move: none,
      place: document.createTextNode(""),
      tyre: none,
      age: none,
      spoken: none,
      position: 0,
      changed: -Infinity,
    };
  }

  /** @param {number} i */
  driverCell(i) {
    const entity = this.recording.entities[i];
    const stripe = make("span", { class: "stripe" });
    stripe.style.backgroundColor = entity.colour;
    const check = make("span", { class: "check", "aria-hidden": "true" });
    const about = [entity.name, entity.team]
      .filter((t) => t !== "" && t !== entity.code)
      .join(", ");
    const button = make(
      "button",
      { type: "button", class: "driver", "aria-pressed": "false", title: about },
      stripe,
      entity.code,
      check,
    );
    if (about !== "") button.setAttribute("aria-label", `${entity.code}, ${about}`);
    button.addEventListener("click", () => this.selection.toggle(i));
    const head = make("th", { scope: "row", class: "left" }, button);
    return { head, button, check };
  }

  showGapChoice() {
    for (const button of byId("gap-switch").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.gap === settings.gap));
    }
    setText(this.gapHead, settings.gap === "gap" ? "Gap" : "Interval");
  }

  showSelection() {
    this.rows.forEach((row, i) => {
      const chosen = this.selection.has(i);
      row.element.classList.toggle("chosen", chosen);
      row.button.setAttribute("aria-pressed", String(chosen));
      setText(row.check, chosen ? "✓" : "");
    });
  }

  /** Laps and stints have come: update an open tyre history. */
  tablesArrived() {
    this.tyres.refresh();
  }

  /** @param {import("./api.js").Standing[]} standings at the start of the race */
  setGrid(standings) {
    for (const standing of standings) {
      if (standing.position !== null) {
        this.grid.set(this.recording.column(standing.entity), standing.position);
      }
    }
  }

  /** A few times a second. @param {number} frame @param {number} now milliseconds */
  update(frame, now) {
    const recording = this.recording;
    if (!recording.sampler.locate(frame)) return;
    if (recording.isRace) this.updateRace(frame, now);
    else this.updatePlain();
  }

  updatePlain() {
    const { sampler, field } = this.recording;
    this.rows.forEach((row, i) => {
      const speed = sampler.held(field.speed, i);
      const seen = !Number.isNaN(sampler.held(field.x, i));
      const unit = this.recording.layout.fields[field.speed]?.unit ?? "";
      let text = "–";
      if (Number.isFinite(speed)) {
        text =
          unit === "km/h"
            ? `${speedIn(speed).toFixed(0)} ${speedUnit()}`
            : `${speed.toFixed(1)} ${unit}`;
      }
      setText(row.cells.speed, seen ? text : "no data");
      row.element.classList.toggle("out", !seen);
    });
  }

  /** @param {number} frame @param {number} now */
  updateRace(frame, now) {
    const { sampler, field } = this.recording;
    let fastest = Infinity;
    for (let i = 0; i < this.rows.length; i++) {
      const best = sampler.held(field.best_lap_time, i);
      if (best > 0 && best < fastest) fastest = best;
    }
    const places = this.rows.map((_, i) => {
      const position = sampler.held(field.position, i);
      return Number.isFinite(position) ? position : 1000 + i;
    });
    const goOn = this.recording.placesThatGoOn(frame);
    this.rows.forEach((row, i) => {
      if (this.recording.isTimed) this.fillTimedRow(row, i, places[i], frame, goOn, now);
      else this.fillRow(row, i, places[i], fastest, now);
    });
    const order = this.rows.map((_, i) => i).sort((a, b) => places[a] - places[b]);
    const key = order.join();
    if (key !== this.order) {
      this.order = key;
      this.reorder(order);
    }
  }

  /** @param {Row} row @param {number} i @param {number} place @param {number} fastest @param {number} now */
  fillRow(row, i, place, fastest, now) {
    const { sampler, field } = this.recording;
    const status = sampler.held(field.status, i);
    const out = status === this.recording.carStatus.retired || place >= 1000;
    this.fillPlace(row, place, now);
    const start = this.grid.get(i);
    const moved = start === undefined || out ? 0 : start - place;
    setText(row.move, moved > 0 ? "▲" : moved < 0 ? "▼" : "");
    row.cells.position.title =
      moved === 0
        ? ""
        : `${Math.abs(moved)} place${Math.abs(moved) === 1 ? "" : "s"} ${moved > 0 ? "gained" : "lost"} since the start`;
    row.element.classList.toggle("out", out);
    setText(row.cells.gap, this.gapText(i, status, place, out));
    const last = sampler.held(field.last_lap_time, i);
    const best = sampler.held(field.best_lap_time, i);
    setText(row.cells.last, lapTime(last));
    setText(row.cells.best, lapTime(best));
    row.cells.best.className = best === fastest ? "hide-small time-purple" : "hide-small";
    row.cells.last.className =
      out || !(last > 0) ? "" : last === fastest ? "time-purple" : last === best ? "time-best" : "";
    this.fillTyre(row, i);
    const stops = sampler.held(field.pit_stops, i);
    setText(row.cells.pits, Number.isFinite(stops) ? String(stops) : "–");
  }

  /** @param {Row} row @param {number} place @param {number} now */
  fillPlace(row, place, now) {
    setText(row.place, place >= 1000 ? "–" : String(place));
    if (row.position !== 0 && place !== row.position) {
      row.changed = now;
      row.element.classList.toggle("gained", place < row.position);
      row.element.classList.toggle("lost", place > row.position);
    } else if (now - row.changed > MARKED) {
      row.element.classList.remove("gained", "lost");
    }
    row.position = place;
  }

  /**
   * Of practice and qualifying: the best lap, how far it is behind, the marks of the latest sectors.
   * @param {Row} row @param {number} i @param {number} place @param {number} frame
   * @param {number} goOn places that go on to the next part @param {number} now
   */
  fillTimedRow(row, i, place, frame, goOn, now) {
    const { sampler, field, carStatus } = this.recording;
    this.fillPlace(row, place, now);
    const eliminated = this.recording.eliminatedIn(this.recording.entities[i].code, frame);
    const classes = row.element.classList;
    classes.toggle("out", eliminated !== undefined);
    classes.toggle("drop", eliminated === undefined && place > goOn);
    classes.toggle("last-in", place === goOn);
    row.element.title = eliminated === undefined ? "" : `Eliminated in ${eliminated.name}`;
    const best = sampler.held(field.best_lap_time, i);
    const pit = sampler.held(field.status, i) === carStatus.pit;
    setText(row.cells.best, lapTime(best));
    row.cells.best.className = place === 1 && best > 0 ? "time-purple" : "";
    const gap = sampler.held(settings.gap === "gap" ? field.gap_to_leader : field.interval, i);
    const behind = place === 1 ? "" : gapTime(gap);
    setText(row.cells.gap, eliminated === undefined ? behind : `Out ${eliminated.name}`);
    setText(row.cells.last, pit ? "In pit" : lapTime(sampler.held(field.last_lap_time, i)));
    [field.sector1_mark, field.sector2_mark, field.sector3_mark].forEach((place_, k) => {
      const mark = sampler.held(place_, i);
      const element = /** @type {HTMLElement} */ (row.cells.sectors.children[k]);
      const name = this.recording.label(SECTOR_MARKS[k], mark) || "none";
      if (element.dataset.mark === name) return;
      element.dataset.mark = name;
      element.title = `Sector ${k + 1}: ${words(name).toLowerCase()}`;
      setText(element, MARK_LETTERS[name] ?? "");
    });
    this.fillTyre(row, i);
    const lap = sampler.held(field.lap, i);
    setText(row.cells.pits, Number.isFinite(lap) ? String(lap) : "–");
  }

  /** @param {number} i @param {number} status @param {number} place @param {boolean} out */
  gapText(i, status, place, out) {
    const { sampler, field, carStatus } = this.recording;
    if (out) return "OUT";
    if (status === carStatus.pit) return "IN PIT";
    if (place === 1) {
      const lap = sampler.held(field.lap, i);
      return status === carStatus.finished
        ? "WINNER"
        : Number.isFinite(lap)
          ? `Lap ${lap}`
          : "Leader";
    }
    return gapTime(sampler.held(settings.gap === "gap" ? field.gap_to_leader : field.interval, i));
  }

  /** @param {Row} row @param {number} i */
  fillTyre(row, i) {
    const { sampler, field } = this.recording;
    const tyre = this.recording.label("tyre", sampler.held(field.tyre, i));
    showTyre(row.tyre, tyre);
    const age = sampler.held(field.tyre_age, i);
    const known = Number.isFinite(age);
    setText(row.age, known ? String(age) : "");
    const label = `${words(tyre || "unknown")} tyre${known ? `, ${age} laps old` : ""}: history`;
    setText(row.spoken, label);
  }

  /** Move the rows into their order, gliding. @param {number[]} order */
  reorder(order) {
    const focused = document.activeElement;
    let previous = /** @type {Element | null} */ (null);
    for (const i of order) {
      const element = this.rows[i].element;
      const next = previous === null ? this.body.firstElementChild : previous.nextElementSibling;
      if (next !== element) this.body.insertBefore(element, next);
      previous = element;
    }
    if (focused instanceof HTMLElement && this.body.contains(focused))
      focused.focus({ preventScroll: true });
    // The rows are equally high: where each was follows from its place, without asking the browser,
    // which would have to lay out the whole page at once to answer.
    const places = this.places;
    order.forEach((entity, place) => {
      const distance = (places[entity] - place) * this.rowHeight;
      places[entity] = place;
      if (distance === 0 || this.reducedMotion.matches) return;
      this.rows[entity].element.animate(
        [{ transform: `translateY(${distance}px)` }, { transform: "none" }],
        { duration: MOVE_DURATION, easing: "ease-in-out" },
      );
    });
  }
}
