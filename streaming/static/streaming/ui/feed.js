// @ts-check
/** Race control messages and other events up to the playhead. */

import { make, setText } from "./elements.js";
import { isBlueFlag, isNews, tone } from "./events.js";
import { clockTime, words } from "./format.js";
import { setSetting, settings } from "./settings.js";

/** @typedef {import("./api.js").RaceEvent} RaceEvent */
/** @typedef {import("./panels.js").Context} Context */

/** Entries kept on the page. */
const SHOWN = 60;
/** After a jump farther than this (s) the events in between are not announced. */
const LIVE_SECONDS = 3;

/** What happens only in practice and qualifying. */
const TIMED = ["part_start", "part_end", "elimination", "lap_deleted"];

const FILTERS = /** @type {[string, string, (kind: string) => boolean][]} */ ([
  ["all", "All", () => true],
  [
    "control",
    "Race control",
    (kind) => ["race_control", "flag", "safety_car", "start", "finish", ...TIMED].includes(kind),
  ],
  ["pit", "Pits", (kind) => kind === "pit"],
  ["overtake", "Overtakes", (kind) => kind === "overtake"],
]);

/** The text of an event. Some recordings have only a name for it, others a sentence.
 * @param {RaceEvent} event @returns {string} */
function textOf(event) {
  const text = event.message || event.value || event.kind;
  return text.includes("_") ? words(text) : text;
}

export class Feed {
  /** @param {HTMLElement} element @param {Context} context */
  constructor(element, context) {
    this.context = context;
    this.filter = "all";
    this.list = make("ol", { class: "feed", reversed: "" });
    this.hint = make("p", { class: "hint" }, "No events yet.");
    this.events = /** @type {RaceEvent[]} */ ([]);
    this.count = -1;
    this.frame = 0;
    const tools = make("div", { class: "segmented", role: "group", "aria-label": "Show" });
    for (const [id, label] of FILTERS) {
      if (id === "overtake" && context.recording.isTimed) continue;
      const button = make(
        "button",
        { type: "button", "aria-pressed": String(id === "all") },
        label,
      );
      button.addEventListener("click", () => {
        this.filter = id;
        for (const other of tools.children)
          other.setAttribute("aria-pressed", String(other === button));
        this.show();
      });
      tools.append(button);
    }
    this.blue = make(
      "button",
      { type: "button", "aria-pressed": String(settings.blueFlags) },
      "Blue flags",
    );
    this.blue.addEventListener("click", () => {
      setSetting("blueFlags", !settings.blueFlags);
      this.blue.setAttribute("aria-pressed", String(settings.blueFlags));
      this.show();
    });
    this.more = make("div", { class: "segmented" }, this.blue);
    this.more.hidden = true;
    const bar = make("div", { class: "feed-tools" }, tools, this.more);
    bar.hidden = !context.recording.isRace;
    element.replaceChildren(bar, this.hint, this.list);
    context.engine.on("seek", () => (this.silent = true));
    this.silent = true;
  }

  show() {
    const accepts = FILTERS.find(([id]) => id === this.filter)?.[2] ?? (() => true);
    const { events } = this.context.recording;
    this.events = events.filter(
      (event) => accepts(event.kind) && (settings.blueFlags || !isBlueFlag(event)),
    );
    this.more.hidden = !events.some(isBlueFlag);
    this.count = -1;
    this.silent = true;
    setText(
      this.hint,
      this.context.recording.events.length === 0
        ? "This recording has no events."
        : "No events yet.",
    );
  }

  /** @param {number} frame */
  update(frame) {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle].frame <= frame) low = middle + 1;
      else high = middle;
    }
    const before = this.count;
    this.frame = frame;
    if (low === before) return;
    this.count = low;
    if (!this.silent && low > before) this.announce(before, low, frame);
    this.silent = false;
    this.render();
  }

  /** @param {number} from @param {number} to @param {number} frame */
  announce(from, to, frame) {
    const { engine, announce } = this.context;
    if (!settings.announce || !engine.playing || engine.speed < 0 || engine.speed > 2) return;
    const fresh = this.events
      .slice(from, to)
      .filter((event) => frame - event.frame < LIVE_SECONDS * engine.frameRate && isNews(event));
    if (fresh.length > 0) {
      announce(fresh.map(textOf).join(". "));
    }
  }

  render() {
    const { engine, recording } = this.context;
    const start = recording.raceStartFrame;
    const shown = this.events.slice(Math.max(0, this.count - SHOWN), this.count).reverse();
    this.hint.hidden = shown.length > 0;
    this.list.replaceChildren(
      ...shown.map((event, i) => {
        const at = make(
          "button",
          { type: "button", title: "Jump to this moment" },
          `${clockTime((event.frame - start) / engine.frameRate)}${event.lap ? ` · Lap ${event.lap}` : ""}`,
        );
        at.addEventListener("click", () => engine.seek(event.frame));
        const item = make(
          "li",
          { "data-tone": tone(event) },
          at,
          make(
            "span",
            { class: "feed-kind" },
            `${words(event.kind)}${event.entity ? ` · ${event.entity}` : ""}`,
          ),
          make("p", {}, textOf(event)),
        );
        if (i === 0) item.className = "newest";
        return item;
      }),
    );
  }
}
