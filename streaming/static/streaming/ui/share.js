// @ts-check
/** Links to a moment of a session: making them and reading them. */

import { byId, make, makeDialog } from "./elements.js";
import { shareLinks } from "./share_links.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */
/** @typedef {import("./selection.js").Selection} Selection */
/** @typedef {import("./recording.js").Recording} Recording */

/**
 * What a page's address asks for; null where it says nothing.
 * @typedef {object} Address
 * @property {number | null} time seconds
 * @property {number | null} speed
 * @property {string[]} drivers codes
 * @property {string | null} room
 */

/**
 * @param {string} [search] the address from its "?" on
 * @returns {Address}
 */
export function readAddress(search = location.search) {
  const query = new URLSearchParams(search);
  const time = readTime(query.get("t"));
  const speed = Number(query.get("speed") ?? NaN);
  const sensible = Math.abs(speed) >= 0.05 && Math.abs(speed) <= 64;
  return {
    time,
    speed: sensible ? speed : null,
    drivers: (query.get("drivers") ?? "").split(",").filter((code) => code !== ""),
    room: /^[\w-]{1,64}$/.test(query.get("room") ?? "") ? query.get("room") : null,
  };
}

/** "754", "754.2", "12m34s", "1h2m3s" → seconds. @param {string | null} text */
function readTime(text) {
  if (text === null || text === "") return null;
  if (/^\d+(\.\d+)?s?$/.test(text)) return parseFloat(text);
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  if (parts === null) return null;
  return Number(parts[1] ?? 0) * 3600 + Number(parts[2] ?? 0) * 60 + Number(parts[3] ?? 0);
}

/**
 * @param {Engine} engine @param {Selection} selection @param {() => Recording | null} recording
 * @returns {string}
 */
function addressOf(engine, selection, recording) {
  const query = new URLSearchParams();
  query.set("t", engine.time.toFixed(1));
  if (engine.speed !== 1) query.set("speed", String(engine.speed));
  const codes = selection.chosen.map((i) => recording()?.entities[i].code ?? "");
  if (codes.length > 0) query.set("drivers", codes.join(","));
  return `${location.origin}${location.pathname}?${query}`;
}

/** @param {Engine} engine @param {Selection} selection @param {() => Recording | null} recording */
export function openShare(engine, selection, recording) {
  const field = make("input", { type: "url", readonly: "", "aria-label": "Link to this moment" });
  const copy = make("button", { type: "button", class: "button primary" }, "Copy");
  const note = make("p", { role: "status" });
  const dialog = makeDialog(
    "share",
    "Share this moment",
    make(
      "p",
      {},
      "The link opens this session at this time, with this speed and the selected drivers.",
    ),
    make("div", { class: "field-row" }, field, copy),
    note,
  );
  const { slug = "", csrf } = document.body.dataset;
  // The server gives the token to whoever may change the session.
  const links = csrf === undefined ? null : shareLinks(slug, csrf, copyText);
  if (links !== null) dialog.querySelector(".dialog-body")?.append(links.element);
  byId("share-button").addEventListener("click", () => {
    void links?.refresh();
    field.value = addressOf(engine, selection, recording);
    note.textContent = "";
    dialog.showModal();
    field.select();
  });
  copy.addEventListener("click", () => void copyText(field, note));
}

/** @param {HTMLInputElement} field @param {HTMLElement} note */
export async function copyText(field, note) {
  try {
    await navigator.clipboard.writeText(field.value);
    note.textContent = "Copied.";
  } catch (error) {
    // Pages without https, or without permission, may not write to the clipboard.
    field.select();
    note.textContent = `The browser did not allow copying (${error instanceof Error ? error.name : error}). Press Ctrl+C.`;
  }
}
