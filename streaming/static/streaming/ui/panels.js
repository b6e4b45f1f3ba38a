// @ts-check
/** The tabs beside the picture; each is built when it is first shown. */

import { byId, make } from "./elements.js";
import { Feed } from "./feed.js";
import { setSetting, settings } from "./settings.js";

/**
 * @typedef {object} Context what a panel may use
 * @property {import("../engine/engine.js").Engine} engine
 * @property {import("./recording.js").Recording} recording
 * @property {import("./selection.js").Selection} selection
 * @property {import("./api.js").Api} api
 * @property {import("./track.js").Track} track
 * @property {(text: string) => void} announce to screen readers, politely
 */

/**
 * @typedef {object} Panel
 * @property {(frame: number, now: number) => void} [update] a few times a second, while shown
 * @property {() => void} [show] it is now to be seen
 * @property {() => void} [restyle] colours or size have changed
 */

/** @typedef {new (element: HTMLElement, context: Context) => Panel} PanelClass */
/** @typedef {{id: string, label: string, race: boolean, load: () => Promise<PanelClass>}} PanelKind */

/** Those with charts are loaded when they are first shown: to start the chart library takes
 * longer than to build the rest of the page. @type {PanelKind[]} */
const KINDS = [
  { id: "feed", label: "Race control", race: false, load: async () => Feed },
  {
    id: "telemetry",
    label: "Telemetry",
    race: false,
    load: async () => (await import("./telemetry.js")).Telemetry,
  },
  {
    id: "compare",
    label: "Compare laps",
    race: true,
    load: async () => (await import("./compare.js")).Compare,
  },
  {
    id: "strategy",
    label: "Strategy",
    race: true,
    load: async () => (await import("./strategy.js")).Strategy,
  },
];

/** @param {PanelKind} kind @param {import("./recording.js").Recording} recording */
function labelOf(kind, recording) {
  if (kind.id === "feed" && !recording.isRace) return "Events";
  return kind.id === "strategy" && recording.isTimed ? "Runs" : kind.label;
}

export class Panels {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    const kinds = KINDS.filter((kind) => context.recording.isRace || !kind.race);
    this.ids = kinds.map((kind) => kind.id);
    /** @type {Map<string, {tab: HTMLButtonElement, element: HTMLElement, kind: PanelKind,
     *   panel: Panel | null, loading: boolean}>} */
    this.entries = new Map();
    for (const kind of kinds) {
      const label = labelOf(kind, context.recording);
      const tab = make(
        "button",
        { type: "button", role: "tab", id: `tab-${kind.id}`, "aria-controls": `panel-${kind.id}` },
        label,
      );
      const element = make("div", {
        role: "tabpanel",
        id: `panel-${kind.id}`,
        class: "tab-panel",
        tabindex: "0",
        "aria-labelledby": tab.id,
      });
      tab.addEventListener("click", () => this.choose(kind.id));
      this.entries.set(kind.id, { tab, element, kind, panel: null, loading: false });
    }
    const all = [...this.entries.values()];
    byId("tabs").replaceChildren(...all.map((entry) => entry.tab));
    byId("tab-panels").replaceChildren(...all.map((entry) => entry.element));
    byId("tabs").onkeydown = (event) => this.arrow(event);
    this.current = "";
    this.choose(this.entries.has(settings.tab) ? settings.tab : "feed", false);
    new ResizeObserver(() => this.restyle()).observe(byId("tab-panels"));
  }

  /** @param {string} id @param {boolean} [keep] remember it */
  choose(id, keep = true) {
    this.current = id;
    if (keep) setSetting("tab", id);
    for (const [key, entry] of this.entries) {
      const chosen = key === id;
      entry.tab.setAttribute("aria-selected", String(chosen));
      entry.tab.tabIndex = chosen ? 0 : -1;
      entry.element.hidden = !chosen;
    }
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    if (entry.panel !== null) entry.panel.show?.();
    else void this.fill(entry);
  }

  /** Build the panel of a tab that is shown for the first time.
   * @param {{element: HTMLElement, kind: PanelKind, panel: Panel | null, loading: boolean}} entry */
  async fill(entry) {
    if (entry.loading) return;
    entry.loading = true;
    try {
      const PanelClass = await entry.kind.load();
      entry.panel = new PanelClass(entry.element, this.context);
      entry.panel.show?.();
    } catch (error) {
      entry.loading = false;
      const hint = `This could not be loaded: ${error instanceof Error ? error.message : error}`;
      entry.element.replaceChildren(make("p", { class: "hint" }, hint));
    }
  }

  /** @param {KeyboardEvent} event */
  arrow(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    const next =
      this.ids[(this.ids.indexOf(this.current) + step + this.ids.length) % this.ids.length];
    this.choose(next);
    this.entries.get(next)?.tab.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  /** Events, laps and stints have come. */
  tablesArrived() {
    for (const entry of this.entries.values()) {
      if (entry.panel !== null) entry.panel.show?.();
    }
  }

  /** A few times a second. The feed also runs unseen: it speaks. @param {number} frame @param {number} now */
  update(frame, now) {
    this.entries.get(this.current)?.panel?.update?.(frame, now);
    if (this.current !== "feed") this.entries.get("feed")?.panel?.update?.(frame, now);
  }

  restyle() {
    for (const entry of this.entries.values()) entry.panel?.restyle?.();
  }
}
