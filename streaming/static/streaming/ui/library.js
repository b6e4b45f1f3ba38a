// @ts-check
/** The library page: filters, readable durations, and the progress of imports. */

import { spokenDuration } from "./format.js";
import { toggleTheme } from "./settings.js";

const POLL = 2000;

const form = /** @type {HTMLFormElement} */ (document.getElementById("filters"));
for (const select of form.querySelectorAll("select")) {
  select.addEventListener("change", () => form.requestSubmit());
}
const files = document.body.dataset.files !== undefined;
form.addEventListener("submit", (event) => {
  if (files) {
    // No server would search.
    event.preventDefault();
    filterCards();
    return;
  }
  // Empty filters are left out of the address.
  for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (
    form.querySelectorAll("input, select")
  )) {
    if (field.value === "") field.disabled = true;
  }
});
addEventListener("pageshow", () => {
  for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (
    form.querySelectorAll("input, select")
  ))
    field.disabled = false;
});

document.getElementById("theme-button")?.addEventListener("click", toggleTheme);

for (const element of /** @type {NodeListOf<HTMLElement>} */ (
  document.querySelectorAll("[data-seconds]")
)) {
  element.textContent = spokenDuration(Number(element.dataset.seconds));
}

/** Show the cards that the filters choose. */
function filterCards() {
  const chosen = new FormData(form);
  const text = String(chosen.get("q") ?? "").toLowerCase();
  let shown = 0;
  for (const card of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".card"))) {
    const { kind, year, title = "" } = card.dataset;
    card.hidden =
      !title.toLowerCase().includes(text) ||
      !["", kind].includes(String(chosen.get("kind") ?? "")) ||
      !["", year].includes(String(chosen.get("year") ?? ""));
    if (!card.hidden) shown += 1;
  }
  const count = document.querySelector(".results [role=status]");
  if (count !== null) count.textContent = `${shown} session${shown === 1 ? "" : "s"}`;
}

/** Show the progress of imports; reload the page when one ends. */
async function followImports() {
  const loading = /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll(".card[data-state=importing], .card[data-state=pending]")
  );
  if (loading.length === 0 || document.hidden) return;
  for (const card of loading) {
    const response = await fetch(`/api/sessions/${card.dataset.slug}`);
    if (!response.ok) continue;
    /** @type {{loading: boolean, progress: number}} */
    const session = await response.json();
    if (!session.loading) {
      location.reload();
      return;
    }
    const bar = card.querySelector("progress");
    if (bar !== null) bar.value = session.progress;
  }
}

setInterval(() => void followImports(), POLL);
