// @ts-check
/** The tyre history of a car, opened from its row by mouse, touch or keyboard. */

import { make } from "./elements.js";
import { words } from "./format.js";

/** @typedef {import("./recording.js").Recording} Recording */

/** The round mark of a compound. @param {HTMLElement} mark @param {string} tyre */
export function showTyre(mark, tyre) {
  if (mark.dataset.tyre === tyre) return;
  mark.dataset.tyre = tyre;
  mark.textContent = tyre === "" ? "–" : tyre.charAt(0).toUpperCase();
}

export class TyreHistory {
  /** @param {Recording} recording */
  constructor(recording) {
    this.recording = recording;
    this.box = make("div", {
      class: "tyre-history",
      popover: "auto",
      tabindex: "-1",
      role: "dialog",
    });
    document.body.append(this.box);
    this.opener = /** @type {HTMLElement | null} */ (null);
    /** whose history it is */
    this.entity = 0;
    this.box.addEventListener("toggle", (event) => {
      const open = /** @type {ToggleEvent} */ (event).newState === "open";
      this.opener?.setAttribute("aria-expanded", String(open));
    });
    // Esc closes the history only; elsewhere it clears the selection.
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") event.stopPropagation();
    });
  }

  /** @param {number} i entity @param {HTMLElement} opener */
  open(i, opener) {
    this.opener?.setAttribute("aria-expanded", "false");
    this.opener = opener;
    this.entity = i;
    this.fill();
    this.box.showPopover();
    const from = opener.getBoundingClientRect();
    const own = this.box.getBoundingClientRect();
    const below = from.bottom + 4 + own.height <= innerHeight;
    this.box.style.left = `${Math.max(6, Math.min(from.left, innerWidth - own.width - 6))}px`;
    this.box.style.top = `${below ? from.bottom + 4 : Math.max(6, from.top - 4 - own.height)}px`;
    this.box.focus({ preventScroll: true });
  }

  /** Show what has come while it is open. */
  refresh() {
    if (this.box.matches(":popover-open")) this.fill();
  }

  fill() {
    const title = `Tyres of ${this.recording.entities[this.entity].code}`;
    this.box.setAttribute("aria-label", title);
    this.box.replaceChildren(make("h3", {}, title), this.list(this.entity));
  }

  /** Only what has happened: a later stop is not to be told too early. @param {number} i */
  list(i) {
    const { sampler, field, entities, stints } = this.recording;
    const lap = Math.max(1, sampler.held(field.lap, i) || 1);
    const known = stints.filter(
      (stint) => stint.entity === entities[i].code && !(stint.lap_start > lap),
    );
    if (known.length === 0) return make("p", {}, "No tyre data yet.");
    return make(
      "ol",
      {},
      ...known.map((stint) => {
        const mark = make("span", { class: "tyre", "aria-hidden": "true" });
        const compound = (stint.compound || "unknown").toLowerCase();
        showTyre(mark, stint.compound ? compound : "");
        const over = stint.lap_end !== null && stint.lap_end < lap;
        const laps = over
          ? `laps ${stint.lap_start} to ${stint.lap_end}`
          : `since lap ${stint.lap_start}`;
        const used =
          (stint.tyre_age_at_start ?? 0) > 0
            ? `, ${stint.tyre_age_at_start} laps old when fitted`
            : "";
        return make("li", {}, mark, `${words(compound)}, ${laps}${used}`);
      }),
    );
  }
}
