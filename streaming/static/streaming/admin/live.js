// @ts-check
// Keeps the admin's live pages up to date, in place: once a second it fetches the same address with
// ?fragment=1 and changes what differs. Selection, sort, scroll position, open details and focus
// stay. Without this script the pages work and are as old as their last load.

// idiomorph 0.8.0
import { Idiomorph } from "../vendor/idiomorph/idiomorph.esm.js";

const EVERY_MS = 1000;
const GIVE_UP_MS = 5000;
/** What the operator changes, not the server. */
const OPERATORS = new Set(["checked", "open", "selected", "value"]);

const state = document.querySelector("[data-live-state]");
const live = document.getElementById("live");

/**
 * Show whether the figures are live; `role="status"` is read aloud only when the words change.
 * @param {string} text @param {boolean} isLive
 */
function showState(text, isLive) {
  if (!state) return;
  state.classList.toggle("live-off", !isLive);
  if (state.textContent !== text) state.textContent = text;
}

/**
 * Replace the cells that differ. Two thousand figures change each second, none of which can have
 * the focus; matching each with its neighbours takes more than twice as long.
 * @param {HTMLTableRowElement} row @param {HTMLTableRowElement} fresh
 */
function updateCells(row, fresh) {
  const cells = [...row.cells];
  [...fresh.cells].forEach((cell, at) => {
    if (!cells[at].isEqualNode(cell)) cells[at].replaceWith(cell);
  });
}

/** @param {Node} node @returns {node is HTMLTableRowElement} whether it is a row of the list */
function isConnection(node) {
  return node instanceof HTMLTableRowElement && node.id !== "";
}

/** @param {Node} node @param {Node} fresh @returns {boolean} whether idiomorph is to go deeper */
function differs(node, fresh) {
  if (node instanceof HTMLElement && node.dataset.live === "keep") return false;
  // Most of a page is as it was a second ago: the browser compares faster than a script.
  if (node.isEqualNode(fresh)) return false;
  if (!isConnection(node)) return true;
  const row = /** @type {HTMLTableRowElement} */ (fresh);
  if (node.cells.length !== row.cells.length) return true;
  updateCells(node, row);
  return false;
}

/**
 * Trusted Types, where the browser has them; TypeScript's library does not know them yet.
 * @type {{ createPolicy(name: string, rules: { createHTML(html: string): string }):
 *   { createHTML(html: string): string } } | undefined}
 */
const policies = Reflect.get(window, "trustedTypes");

// The page's security policy lets only this turn a string into HTML.
const pages = policies?.createPolicy("replay-live", { createHTML: (html) => html });

/** @param {Element} root @param {string} html what this site answered to `refresh` */
function update(root, html) {
  const focused = document.activeElement;
  const fresh = new DOMParser().parseFromString(pages?.createHTML(html) ?? html, "text/html");
  Idiomorph.morph(root, [...fresh.body.childNodes], {
    morphStyle: "innerHTML",
    callbacks: {
      beforeNodeMorphed: differs,
      beforeAttributeUpdated: (name) => !OPERATORS.has(name),
    },
  });
  // A browser without `moveBefore` takes the focus from an element that moves.
  if (focused instanceof HTMLElement && focused !== document.activeElement) {
    focused.focus({ preventScroll: true });
  }
  countSelected();
}

/** @returns {Promise<boolean>} whether the page will change again */
async function refresh() {
  if (!live) return false;
  const address = new URL(window.location.href);
  address.searchParams.set("fragment", "1");
  const answer = await fetch(address, {
    headers: { accept: "text/html" },
    redirect: "error",
    signal: AbortSignal.timeout(GIVE_UP_MS),
  });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  update(live, await answer.text());
  if (live.querySelector("[data-live-final]")) {
    showState("Not live: this connection has closed.", false);
    return false;
  }
  const problem = live.querySelector(".errornote");
  showState(problem ? "Not live: see the message below." : "Live: updated every second.", !problem);
  return true;
}

async function run() {
  let failures = 0;
  for (let goesOn = true; goesOn;) {
    const began = performance.now();
    if (document.hidden) {
      showState("Not live: this tab is hidden.", false);
      await new Promise((seen) => {
        document.addEventListener("visibilitychange", seen, { once: true });
      });
      continue;
    }
    try {
      goesOn = await refresh();
      failures = 0;
    } catch (error) {
      failures += 1;
      const reason = error instanceof Error ? error.message : error;
      showState(`Not live: ${reason}. Trying again.`, false);
    }
    const pause = EVERY_MS * Math.min(1 + failures, 5) - (performance.now() - began);
    await new Promise((over) => setTimeout(over, Math.max(pause, 100)));
  }
}

/** @returns {NodeListOf<HTMLInputElement>} */
function boxes() {
  return document.querySelectorAll("input.action-select");
}

/** @returns {HTMLInputElement | null} the box that selects all others */
function boxOfAll() {
  return document.querySelector("input#action-toggle");
}

function countSelected() {
  const counter = document.querySelector("[data-live-selected]");
  const toggle = boxOfAll();
  if (!counter || !toggle) return;
  const all = [...boxes()];
  const selected = all.filter((box) => box.checked).length;
  const text = `${selected} of ${all.length} selected`;
  if (counter.textContent !== text) counter.textContent = text;
  toggle.checked = all.length > 0 && selected === all.length;
}

document.addEventListener("change", (event) => {
  const toggle = boxOfAll();
  if (toggle && event.target === toggle) {
    for (const box of boxes()) box.checked = toggle.checked;
  }
  countSelected();
});

/** @returns {NodeListOf<HTMLDetailsElement>} the filters whose lists are open */
function openFilters() {
  return document.querySelectorAll("details.live-filter[open]");
}

// A filter's list closes like any menu: with Escape, or by a click elsewhere.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const [filter] = openFilters();
  if (filter === undefined) return;
  filter.open = false;
  filter.querySelector("summary")?.focus();
});
document.addEventListener("click", (event) => {
  for (const filter of openFilters()) {
    if (event.target instanceof Node && !filter.contains(event.target)) filter.open = false;
  }
});

countSelected();
if (state) void run();
