// Keeps the admin's live pages up to date, in place: once a second it fetches the same address with
// ?fragment=1 and changes what differs. Selection, sort, scroll position, open details and focus
// stay. Without this script the pages work and are as old as their last load.

const EVERY_MS = 1000;
const GIVE_UP_MS = 5000;

const state = document.querySelector("[data-live-state]");
const form = document.getElementById("changelist-form");

/** Tell whether the figures are live; `role="status"` speaks only when the words change. */
function tell(text, live) {
  if (!state) return;
  state.classList.toggle("live-off", !live);
  if (state.dataset.text !== text) state.textContent = text;
  state.dataset.text = text;
}

/** Make `row` look like `fresh` without touching its checkbox. */
function updateRow(row, fresh) {
  const cells = [...row.cells];
  const freshCells = [...fresh.cells];
  if (cells.length !== freshCells.length) {
    row.replaceChildren(...freshCells);
    return;
  }
  freshCells.forEach((cell, at) => {
    if (at === 0) return;
    if (cells[at].innerHTML !== cell.innerHTML) cells[at].innerHTML = cell.innerHTML;
    if (cells[at].className !== cell.className) cells[at].className = cell.className;
    if (cells[at].title !== cell.title) cells[at].title = cell.title;
  });
}

/** Bring the rows of the table to those of `fresh`, in their order. */
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
  if (focused && focused !== document.activeElement && document.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

/** Replace a part of the page, unless somebody is in it with the keyboard. */
function updatePart(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const focused = document.activeElement;
  if (focused && focused !== document.body && part.contains(focused)) return;
  const closed = new Set();
  const opened = new Set();
  for (const details of part.querySelectorAll("details[id]")) {
    (details.open ? opened : closed).add(details.id);
  }
  for (const details of fresh.querySelectorAll("details[id]")) {
    if (opened.has(details.id)) details.open = true;
    if (closed.has(details.id)) details.open = false;
  }
  const scrolled = [...part.querySelectorAll(".results")].map((box) => box.scrollLeft);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".results").forEach((box, at) => {
    box.scrollLeft = scrolled[at] ?? 0;
  });
}

function update(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const body = document.querySelector("[data-live-rows]");
  const freshBody = fresh.querySelector("[data-live-rows]");
  if (body && freshBody) updateRows(body, freshBody);
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const other = fresh.querySelector(`[data-live-part="${part.dataset.livePart}"]`);
    if (other) updatePart(part, other);
  }
  countSelected();
  const problem = document.querySelector("[data-live-part] .errornote");
  tell(problem ? "Not live: see the message below." : "Live: updated every second.", !problem);
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
      tell("Not live: this tab is hidden.", false);
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
      tell(`Not live: ${error.message}. Trying again.`, false);
    }
    const pause = EVERY_MS * Math.min(1 + failures, 5) - (performance.now() - began);
    await new Promise((over) => setTimeout(over, Math.max(pause, 100)));
  }
}

function boxes() {
  return [...document.querySelectorAll("input.action-select")];
}

function countSelected() {
  const counter = document.querySelector("[data-live-selected]");
  if (!counter) return;
  const all = boxes();
  const selected = all.filter((box) => box.checked);
  for (const box of all) box.closest("tr").classList.toggle("selected", box.checked);
  const text = `${selected.length} of ${all.length} selected`;
  if (counter.textContent !== text) counter.textContent = text;
  const toggle = document.getElementById("action-toggle");
  toggle.checked = all.length > 0 && selected.length === all.length;
}

if (form) {
  form.addEventListener("change", (event) => {
    if (event.target.id === "action-toggle") {
      for (const box of boxes()) box.checked = event.target.checked;
    }
    countSelected();
  });
  countSelected();
}

// A filter's list closes like any menu: with Escape, or by a click elsewhere.
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector(".live-filter[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll(".live-filter[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

if (state) run();
