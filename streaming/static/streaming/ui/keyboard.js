// @ts-check
/** Keyboard shortcuts, as in video players. */

import { byId, make, makeDialog } from "./elements.js";
import { setSetting, settings } from "./settings.js";

/** @typedef {import("./controls.js").Controls} Controls */
/** @typedef {import("./track.js").Track} Track */
/** @typedef {import("../engine/engine.js").Engine} Engine */

/** @type {[string[], string][]} */
const HELP = [
  [["Space", "K"], "Play or pause"],
  [["J", "L"], "10 seconds back, forward"],
  [["←", "→"], "5 seconds back, forward"],
  [["Shift ←", "Shift →"], "60 seconds back, forward"],
  [[",", "."], "One frame back, forward"],
  [["0", "…", "9"], "Jump to 0 to 90 %"],
  [["<", ">"], "Slower, faster"],
  [["R"], "Play backwards or forwards"],
  [["[", "]"], "Previous, next event"],
  [["A"], "Repeat a section: start, end, off"],
  [["M"], "Mute or unmute race control"],
  [["F"], "Fullscreen"],
  [["Esc"], "Clear the selection"],
  [["+", "−", "="], "Zoom in, zoom out, show everything"],
  [["Ctrl arrows"], "Move the picture while it has the focus"],
  [["?"], "This help"],
];

/**
 * @param {{engine: Engine, controls: Controls, track: Track, announce: (text: string) => void,
 *   clear: () => void}} parts
 */
export function listenToKeys({ engine, controls, track, announce, clear }) {
  const list = make("dl", { class: "keys" });
  for (const [keys, meaning] of HELP) {
    const term = make("dt");
    for (const key of keys) term.append(key === "…" ? " … " : make("kbd", {}, key), " ");
    list.append(term, make("dd", {}, meaning));
  }
  const help = makeDialog("help", "Keyboard", list);
  byId("help-button").addEventListener("click", () => help.showModal());

  /** @type {Record<string, () => void>} */
  const actions = {
    " ": () => engine.toggle(),
    k: () => engine.toggle(),
    j: () => controls.jump(-10),
    l: () => controls.jump(10),
    ArrowLeft: () => controls.jump(-5),
    ArrowRight: () => controls.jump(5),
    "Shift+ArrowLeft": () => controls.jump(-60),
    "Shift+ArrowRight": () => controls.jump(60),
    ",": () => controls.step(-1),
    ".": () => controls.step(1),
    "<": () => controls.shiftSpeed(-1),
    ">": () => controls.shiftSpeed(1),
    r: () => controls.setSpeed(-engine.speed),
    "[": () => controls.toEvent(-1),
    "]": () => controls.toEvent(1),
    a: () => controls.markLoop(),
    f: () => controls.fullscreen(),
    m: () => {
      setSetting("announce", !settings.announce);
      announce(settings.announce ? "Race control is read aloud" : "Muted");
    },
    "?": () => (help.open ? help.close() : help.showModal()),
    Escape: clear,
    "+": () => track.camera.zoomAt(1.3, track.camera.width / 2, track.camera.height / 2),
    "-": () => track.camera.zoomAt(1 / 1.3, track.camera.width / 2, track.camera.height / 2),
    "=": () => track.camera.home(),
    Home: () => engine.seek(0),
    End: () => engine.seek(engine.frameCount - 1),
  };
  for (let digit = 0; digit < 10; digit++) {
    actions[String(digit)] = () => engine.seek((digit / 10) * (engine.frameCount - 1));
  }

  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey && target.id === "cars" && event.key.startsWith("Arrow")) {
      const step = 60;
      const dx = event.key === "ArrowLeft" ? step : event.key === "ArrowRight" ? -step : 0;
      const dy = event.key === "ArrowUp" ? step : event.key === "ArrowDown" ? -step : 0;
      track.camera.pan(dx, dy);
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") !== null && event.key !== "?") return;
    if (isTyping(target)) return;
    const arrows = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
    const slider = target.id === "scrubber";
    // Lists, tabs and scrolling panels keep their arrow keys; buttons keep their space bar.
    if (arrows && !slider && target.closest("select, [role=tablist], #board-scroll, .tab-panel"))
      return;
    if (event.key === " " && target.closest("button, a, select, summary")) return;
    if (target instanceof HTMLSelectElement) return;
    const shifted = event.shiftKey && arrows ? `Shift+${event.key}` : event.key;
    const action = actions[shifted] ?? actions[event.key.toLowerCase()];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}

/** @param {HTMLElement} target */
function isTyping(target) {
  return (
    target instanceof HTMLTextAreaElement ||
    (target instanceof HTMLInputElement &&
      ["text", "search", "url", "number"].includes(target.type))
  );
}
