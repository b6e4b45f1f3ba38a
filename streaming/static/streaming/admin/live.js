// @ts-check
// Keeps the admin's live pages up to date, in place: once a second it fetches the same address with
// ?fragment=1 and changes what differs. Selection, sort, scroll position, open details and focus
// stay. Without this script the pages work and are as old as their last load.

const EVERY_MS = 1000;
const GIVE_UP_MS = 5000;

const state = /** @type {HTMLElement | null} */ (document.querySelector("[data-live-state]"));
const form = document.getElementById("changelist-form");

/**
 * Show whether the figures are live; `role="status"` is read aloud only when the words change.
 * @param {string} text @param {boolean} live
 */
function showState(text, live) {
  if (!state) return;
  state.classList.toggle("live-off", !live);
  if (state.dataset.text !== text) state.textContent = text;
  state.dataset.text = text;
}

/**
 * Make `row` look like `fresh` without touching its checkbox.
 * @param {HTMLTableRowElement} row @param {HTMLTableRowElement} fresh
 */
function updateRow(row, fresh) {
  const cells = [...row.cells];
  const freshCells = [...fresh.cells];
  if (cells.length !== freshCells.length) {
    row.replaceChildren(...freshCells);
    return;
  }
  freshCells.forEach((cell, at) => {
    if (at === 0) return;
    if (cells[at].innerHTML !== cell.innerHTML) cells[at].replaceChildren(...cell.childNodes);
    if (cells[at].className !== cell.className) cells[at].className = cell.className;
    if (cells[at].title !== cell.title) cells[at].title = cell.title;
  });
}

/**
 * Bring the rows of the table to those of `fresh`, in their order.
 * @param {HTMLTableSectionElement} body @param {HTMLTableSectionElement} fresh
 */
function updateRows(body, fresh) {
  const known = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const focused = document.activeElement;
  let next = body.firstElementChild;
  for (const row of [...fresh.rows]) {
    let here = known.get(row.dataset.id);
    known.delete(row.dataset.id);
    if (here) updateRow(here, row);
    else here = document.adoptNode(row);
    if (here === next) next = next.nextElementSibling;
    else body.insertBefore(here, next);
  }
  for (const gone of known.values()) gone.remove();
  const moved = focused !== document.activeElement && document.contains(focused);
  if (focused instanceof HTMLElement && moved) {
    focused.focus({ preventScroll: true });
  }
}

/**
 * Replace a part of the page, unless it has the keyboard's focus.
 * @param {Element} part @param {Element} fresh
 */
function updatePart(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const focused = document.activeElement;
  if (focused && focused !== document.body && part.contains(focused)) return;
  const closed = new Set();
  const opened = new Set();
  for (const details of disclosures(part)) {
    (details.open ? opened : closed).add(details.id);
  }
  for (const details of disclosures(fresh)) {
    if (opened.has(details.id)) details.open = true;
    if (closed.has(details.id)) details.open = false;
  }
  const scrolled = [...part.querySelectorAll(".results")].map((box) => box.scrollLeft);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".results").forEach((box, at) => {
    box.scrollLeft = scrolled[at] ?? 0;
  });
}

/** @param {Element} part @returns {NodeListOf<HTMLDetailsElement>} those that can be told apart */
function disclosures(part) {
  return part.querySelectorAll("details[id]");
}

/**
 * Trusted Types, where the browser has them; TypeScript's library does not know them yet.
 * @type {{ createPolicy(name: string, rules: { createHTML(html: string): string }):
 *   { createHTML(html: string): string } } | undefined}
 */
const policies = Reflect.get(window, "trustedTypes");

// The page's security policy lets only this turn a string into HTML.
const pages = policies?.createPolicy("replay-live", { createHTML: (html) => html });

/** @param {string} html what this site answered to `refresh` */
function update(html) {
  const fresh = new DOMParser().parseFromString(pages?.createHTML(html) ?? html, "text/html");
  const body = rowsOf(document);
  const freshBody = rowsOf(fresh);
  if (body && freshBody) updateRows(body, freshBody);
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const name = part.getAttribute("data-live-part");
    const other = fresh.querySelector(`[data-live-part="${name}"]`);
    if (other) updatePart(part, other);
  }
  countSelected();
  const problem = document.querySelector("[data-live-part] .errornote");
  showState(problem ? "Not live: see the message below." : "Live: updated every second.", !problem);
}

/** @param {Document} page @returns {HTMLTableSectionElement | null} */
function rowsOf(page) {
  return page.querySelector("tbody[data-live-rows]");
}

async function refresh() {
  const address = new URL(window.location.href);
  address.searchParams.set("fragment", "1");
  const answer = await fetch(address, {
    headers: { accept: "text/html" },
    redirect: "error",
    signal: AbortSignal.timeout(GIVE_UP_MS),
  });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  update(await answer.text());
}

async function run() {
  let failures = 0;
  for (;;) {
    const began = performance.now();
    if (document.hidden) {
      showState("Not live: this tab is hidden.", false);
      await new Promise((seen) => {
        document.addEventListener("visibilitychange", seen, { once: true });
      });
      continue;
    }
    try {
      await refresh();
      failures = 0;
    } catch (error) {
      failures += 1;
      showState(
        `Not live: ${error instanceof Error ? error.message : error}. Trying again.`,
        false,
      );
    }
    const pause = EVERY_MS * Math.min(1 + failures, 5) - (performance.now() - began);
    await new Promise((over) => setTimeout(over, Math.max(pause, 100)));
  }
}

/** @returns {HTMLInputElement[]} */
function boxes() {
  return [...document.querySelectorAll("input")].filter((input) => input.matches(".action-select"));
}

/** @returns {HTMLInputElement | null} the box that selects all others */
function boxOfAll() {
  return document.querySelector("input#action-toggle");
}

function countSelected() {
  const counter = document.querySelector("[data-live-selected]");
  if (!counter) return;
  const all = boxes();
  const selected = all.filter((box) => box.checked);
  for (const box of all) box.closest("tr")?.classList.toggle("selected", box.checked);
  const text = `${selected.length} of ${all.length} selected`;
  if (counter.textContent !== text) counter.textContent = text;
  const toggle = boxOfAll();
  if (toggle) toggle.checked = all.length > 0 && selected.length === all.length;
}

if (form) {
  form.addEventListener("change", (event) => {
    const toggle = boxOfAll();
    if (toggle && event.target === toggle) {
      for (const box of boxes()) box.checked = toggle.checked;
    }
    countSelected();
  });
  countSelected();
}

/** @returns {HTMLDetailsElement[]} the filters whose lists are open */
function openFilters() {
  return [...document.querySelectorAll("details")].filter((filter) =>
    filter.matches(".live-filter[open]"),
  );
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

if (state) void run();
