// @ts-check
/** "Manage": rename a session, change who may watch, its import's report, cancel, retry, delete. */

import { row } from "./add_recording.js";
import { Api } from "./api.js";
import { refreshCards } from "./cards.js";
import { byId, make, makeDialog } from "./elements.js";
import { reportParts } from "./report.js";
import { asker } from "./requests.js";

/** @param {string} text @param {string} [look] */
function button(text, look = "button") {
  return make("button", { type: "button", class: look }, text);
}

export class ManageSession {
  /** @param {string} csrf @param {(text: string) => void} announce */
  constructor(csrf, announce) {
    this.ask = asker(csrf);
    this.announce = announce;
    this.slug = "";
    this.title = make("input", { type: "text", id: "session-title", maxlength: "200" });
    this.access = make("select", { id: "manage-access" });
    const accesses = /** @type {HTMLTemplateElement} */ (byId("accesses"));
    this.access.append(accesses.content.cloneNode(true));
    this.save = make("button", { type: "submit", class: "button primary" }, "Save");
    this.note = make("p", { role: "status" });
    this.cancel = button("Cancel the import");
    this.retry = button("Import again");
    this.remove = button("Delete…");
    this.sure = button("Delete it for good", "button danger");
    this.keep = button("Keep it");
    this.confirm = make(
      "div",
      { class: "field-row" },
      make("p", {}, "The recording is deleted, and whoever watches it is disconnected."),
      this.sure,
      this.keep,
    );
    this.report = make("div", { class: "about" });
    const form = make(
      "form",
      { class: "add-form" },
      row("session-title", "Title", this.title),
      row("manage-access", "Who may watch", this.access),
      make("div", { class: "field-row" }, this.save, this.cancel, this.retry, this.remove),
    );
    this.dialog = makeDialog(
      "manage",
      "Manage a recording",
      form,
      this.confirm,
      this.note,
      this.report,
    );
    const path = () => `/api/sessions/${encodeURIComponent(this.slug)}`;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = { title: this.title.value, access: this.access.value };
      void this.does("Saved.", () => this.ask("PATCH", path(), wanted));
    });
    this.cancel.onclick = () =>
      void this.does("The import was cancelled.", () => this.ask("POST", `${path()}/cancel`));
    this.retry.onclick = () =>
      void this.does("The import has begun again.", () => this.ask("POST", `${path()}/retry`));
    this.remove.onclick = () => this.asks(true);
    this.keep.onclick = () => this.asks(false);
    this.sure.onclick = () => void this.does("Deleted.", () => this.ask("DELETE", path()));
    byId("found").addEventListener("click", (event) => {
      const card = /** @type {Element} */ (event.target).closest(".card-manage")?.closest("li");
      if (card) void this.open(card);
    });
  }

  /** @param {HTMLElement} card */
  async open(card) {
    const { slug = "", title = "", access = "", state } = card.dataset;
    this.slug = slug;
    this.title.value = title;
    this.access.value = access;
    this.note.textContent = "";
    this.asks(false);
    this.cancel.hidden = state !== "pending" && state !== "importing";
    this.retry.hidden = state !== "failed";
    this.report.replaceChildren();
    this.dialog.showModal();
    const api = new Api(slug);
    const session = await api.session();
    if (this.slug !== slug || session === null) return;
    const running = session.job?.state === "queued" || session.job?.state === "running";
    this.cancel.hidden = !running;
    this.retry.hidden = session.job?.state !== "failed";
    /** @type {HTMLElement[]} */
    const parts = [];
    if (session.job?.error) parts.push(make("h3", {}, "Why the last import failed"));
    if (session.job?.error) parts.push(make("p", { class: "problem" }, session.job.error));
    // Without a recording there is none.
    const report = session.version === "" ? null : await api.report();
    if (report !== null) parts.push(make("h3", {}, "Import"), ...reportParts(report));
    this.report.replaceChildren(...parts);
  }

  /** @param {boolean} asking whether it is to be deleted */
  asks(asking) {
    this.confirm.hidden = !asking;
    this.remove.hidden = asking;
    (asking ? this.keep : this.remove).focus();
  }

  /** Do it, show it on the page and close; or say why not. @param {string} done @param {() => Promise<unknown>} work */
  async does(done, work) {
    try {
      await work();
    } catch (error) {
      this.note.textContent = error instanceof Error ? error.message : String(error);
      return;
    }
    this.dialog.close();
    await refreshCards();
    this.announce(done);
  }
}
