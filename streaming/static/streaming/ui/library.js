// @ts-check
/** The library page: filters, readable durations, and the progress of imports. */

import { AddRecording } from "./add_recording.js";
import { Api } from "./api.js";
import { readableDurations, refreshCards } from "./cards.js";
import { setText } from "./elements.js";
import { ManageSession } from "./manage_session.js";
import { toggleTheme } from "./settings.js";

const POLL = 1000;

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

readableDurations(document);

const news = document.getElementById("news");
/** Say what happened to who cannot see it. @param {string} text */
function announce(text) {
  if (news !== null) news.textContent = text;
}

const csrf = document.body.dataset.csrf;
if (csrf !== undefined) {
  if (document.getElementById("add-button") !== null) new AddRecording(csrf, announce);
  new ManageSession(csrf, announce);
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

/** Show the progress of imports; draw their cards anew when one ends. */
async function followImports() {
  const loading = /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll(".card[data-state=importing], .card[data-state=pending]")
  );
  if (loading.length === 0 || document.hidden) return;
  for (const card of loading) {
    const session = await new Api(card.dataset.slug ?? "").session();
    if (session === null || !session.loading) {
      await refreshCards();
      const ready = session?.state === "ready";
      announce(`${card.dataset.title}: ${ready ? "ready to watch" : "the import has ended"}`);
      return;
    }
    const bar = card.querySelector("progress");
    const state = card.querySelector(".card-message");
    if (bar !== null) bar.value = session.progress;
    if (state !== null) setText(state, session.message);
  }
}

/** One look after the other, however long each takes. */
async function follow() {
  try {
    await followImports();
  } catch {
    // The server is away for a moment: the next look tells.
  }
  setTimeout(() => void follow(), POLL);
}
void follow();
