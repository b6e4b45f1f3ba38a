// @ts-check
/** "Add a recording": files are chosen or dropped, uploaded, and their import begun. */

import { cardOf, refreshCards } from "./cards.js";
import { filesOfDrop, filesOfInput } from "./chosen_files.js";
import { byId, make, makeDialog } from "./elements.js";
import { byteSize } from "./format.js";
import { answerOf, asker, Refused } from "./requests.js";

/** @typedef {import("./chosen_files.js").Chosen} Chosen */

/** Kinds of session that a server has, as importers understand them. */
const KINDS = [
  "race",
  "qualifying",
  "sprint",
  "sprint qualifying",
  "practice 1",
  "practice 2",
  "practice 3",
];
/** @type {Record<string, string>} */
const SERVERS = { openf1: "OpenF1" };

export class AddRecording {
  /** @param {string} csrf @param {(text: string) => void} announce */
  constructor(csrf, announce) {
    this.ask = asker(csrf);
    this.csrf = csrf;
    this.announce = announce;
    this.most = Number(byId("add-button").dataset.most);
    /** @type {Chosen[]} */
    this.chosen = [];
    /** @type {XMLHttpRequest | null} */
    this.request = null;

    this.files = make("input", { type: "file", multiple: "", id: "add-files" });
    this.folder = make("input", { type: "file", webkitdirectory: "", id: "add-folder" });
    this.what = make("p", { role: "status", class: "chosen" }, "Nothing is chosen yet.");
    this.title = make("input", { type: "text", id: "add-title", maxlength: "200" });
    this.access = make("select", { id: "add-access" });
    const accesses = /** @type {HTMLTemplateElement} */ (byId("accesses"));
    this.access.append(accesses.content.cloneNode(true));
    this.access.value = "private";
    this.bar = make("progress", { max: "1", value: "0", "aria-label": "Upload" });
    this.bar.hidden = true;
    this.problem = make("p", { role: "alert", class: "problem" });
    this.start = make("button", { type: "submit", class: "button primary" }, "Upload and import");
    this.stop = make("button", { type: "button", class: "button" }, "Cancel the upload");
    this.stop.hidden = true;
    const zone = make(
      "div",
      { class: "drop-zone" },
      make("p", {}, "Drop a file, an archive or a folder here, or choose:"),
      make(
        "div",
        { class: "field-row" },
        make("label", { class: "button file-button" }, "Files…", this.files),
        make("label", { class: "button file-button" }, "A folder…", this.folder),
      ),
      this.what,
    );
    const form = make(
      "form",
      { class: "add-form" },
      zone,
      make(
        "p",
        {},
        "A zip or tar of a recording, its tables, or one file. The content decides the format.",
      ),
      row("add-title", "Title", this.title),
      row("add-access", "Who may watch", this.access),
      this.bar,
      this.problem,
      make("div", { class: "field-row" }, this.start, this.stop),
    );
    const fetching = (byId("add-button").dataset.fetching ?? "").split(" ").filter(Boolean);
    const parts = fetching.length > 0 ? [form, this.fetchForm(fetching)] : [form];
    this.dialog = makeDialog("add-recording", "Add a recording", ...parts);
    this.files.addEventListener("change", () => this.choose(filesOfInput(this.files.files)));
    this.folder.addEventListener("change", () => this.choose(filesOfInput(this.folder.files)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.run();
    });
    this.stop.addEventListener("click", () => this.request?.abort());
    byId("add-button").addEventListener("click", () => this.dialog.showModal());
    this.acceptDrops();
  }

  /**
   * A session from a server that has it.
   * @param {string[]} formats importers that fetch
   */
  fetchForm(formats) {
    const format = make("select", { id: "fetch-format" });
    for (const name of formats) {
      format.append(make("option", { value: name }, SERVERS[name] ?? name));
    }
    const year = make("input", {
      type: "number",
      id: "fetch-year",
      min: "1950",
      max: "2100",
      required: "",
      value: String(new Date().getFullYear()),
    });
    const circuit = make("input", {
      type: "text",
      id: "fetch-circuit",
      maxlength: "60",
      required: "",
      placeholder: "for example monaco",
    });
    const kind = make("select", { id: "fetch-kind" });
    for (const name of KINDS) kind.append(make("option", {}, name));
    const problem = make("p", { role: "alert", class: "problem" });
    const form = make(
      "form",
      { class: "add-form" },
      row("fetch-format", "Server", format),
      row("fetch-year", "Year", year),
      row("fetch-circuit", "Circuit", circuit),
      row("fetch-kind", "Session", kind),
      problem,
      make("button", { type: "submit", class: "button primary" }, "Fetch and import"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      problem.textContent = "";
      const wanted = {
        format: format.value,
        year: Number(year.value),
        circuit: circuit.value.trim(),
        session: kind.value,
        access: this.access.value,
        title: this.title.value.trim(),
      };
      this.ask("POST", "/api/sessions", wanted)
        .then(({ session_id }) => this.begun(session_id))
        .catch((error) => (problem.textContent = error.message));
    });
    return make("details", {}, make("summary", {}, "Or fetch it from a server"), form);
  }

  /** Anywhere on the page: a file that misses a target would replace the page. */
  acceptDrops() {
    const carriesFiles = (/** @type {DragEvent} */ event) =>
      event.dataTransfer?.types.includes("Files") ?? false;
    addEventListener("dragover", (event) => {
      if (carriesFiles(event)) event.preventDefault();
    });
    addEventListener("drop", (event) => {
      if (!carriesFiles(event) || event.dataTransfer === null) return;
      event.preventDefault();
      if (!this.dialog.open && document.querySelector("dialog[open]") === null) {
        this.dialog.showModal();
      }
      void filesOfDrop(event.dataTransfer).then((files) => this.choose(files));
    });
  }

  /** @param {Chosen[]} files */
  choose(files) {
    if (files.length === 0 || this.request !== null) return;
    this.chosen = files;
    const size = this.size();
    const first = files[0].path.split("/")[0];
    const count = files.length === 1 ? "1 file" : `${files.length.toLocaleString("en")} files`;
    this.what.textContent = `${first}: ${count}, ${byteSize(size)}`;
    this.problem.textContent =
      size > this.most ? `At most ${byteSize(this.most)} can be uploaded at once.` : "";
  }

  size() {
    return this.chosen.reduce((sum, { file }) => sum + file.size, 0);
  }

  async run() {
    if (this.request !== null) return;
    if (this.chosen.length === 0) {
      this.problem.textContent = "Choose a file or a folder first.";
      this.files.focus();
      return;
    }
    if (this.size() > this.most) return;
    this.problem.textContent = "";
    this.busy(true);
    try {
      const { upload } = await this.upload();
      /** @type {Record<string, string>} */
      const wanted = { upload, access: this.access.value };
      if (this.title.value.trim() !== "") wanted.title = this.title.value.trim();
      const { session_id } = await this.ask("POST", "/api/sessions", wanted);
      await this.begun(session_id);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.problem.textContent = error.message;
    } finally {
      this.busy(false);
      if (this.dialog.open) this.start.focus();
    }
  }

  /** @param {string} slug */
  async begun(slug) {
    this.chosen = [];
    this.what.textContent = "Nothing is chosen yet.";
    this.title.value = this.files.value = this.folder.value = "";
    this.dialog.close();
    await refreshCards();
    const card = cardOf(slug);
    if (card === null) {
      // Filtered out, or on another page.
      location.assign("/");
      return;
    }
    this.announce("The import has begun.");
    card.querySelector("a")?.focus();
  }

  /** @param {boolean} busy */
  busy(busy) {
    this.bar.hidden = this.stop.hidden = !busy;
    this.start.disabled = this.files.disabled = this.folder.disabled = busy;
    this.bar.value = 0;
    if (busy) this.stop.focus();
  }

  /** @returns {Promise<{upload: string}>} throws `Refused` */
  upload() {
    return new Promise((resolve, reject) => {
      const body = new FormData();
      for (const { file, path } of this.chosen) body.append("file", file, path);
      // fetch does not tell how much it has sent.
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", "/api/uploads");
      request.setRequestHeader("X-CSRFToken", this.csrf);
      request.upload.onprogress = ({ loaded, total }) => {
        this.bar.value = loaded / total;
        this.what.textContent = `${byteSize(loaded)} of ${byteSize(total)} are uploaded.`;
      };
      request.onload = () => {
        try {
          resolve(answerOf(request.status, request.responseText));
        } catch (error) {
          reject(error);
        }
      };
      request.onerror = () =>
        reject(new Refused("The connection broke before all was uploaded. Try again."));
      request.onabort = () => reject(new Refused("The upload was cancelled."));
      request.onloadend = () => (this.request = null);
      request.send(body);
    });
  }
}

/** @param {string} id @param {string} label @param {HTMLElement} field */
export function row(id, label, field) {
  return make("div", { class: "field-row" }, make("label", { for: id }, label), field);
}
