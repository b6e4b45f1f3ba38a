// @ts-check
/** The message over the picture while importing, waiting, reconnecting, ended or failed. */

import { byId, make, setText } from "./elements.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */

export class States {
  /** @param {Engine} engine */
  constructor(engine) {
    this.engine = engine;
    this.curtain = byId("curtain");
    this.message = byId("curtain-message");
    this.progress = /** @type {HTMLProgressElement} */ (byId("curtain-progress"));
    this.actions = byId("curtain-actions");
    this.spinner = /** @type {HTMLElement} */ (this.curtain.querySelector(".spinner"));
    this.loading = { progress: 0, message: "" };
    engine.on("status", () => this.show());
    engine.on("loading", (loading) => {
      this.progress.value = loading.progress;
      this.loading = loading;
    });
    this.shown = "";
    this.show();
  }

  show() {
    const { engine } = this;
    document.body.dataset.status = engine.status;
    let kind = "none";
    let text = "";
    switch (engine.status) {
      case "connecting":
        kind = "blocking";
        text =
          engine.problem !== ""
            ? `${engine.problem} Trying again…`
            : engine.opening
              ? "Live: waiting for the first frame…"
              : "Connecting…";
        break;
      case "importing": {
        kind = "blocking";
        const { progress, message } = this.loading;
        text = `Importing: ${Math.round(progress)} %. ${message}`;
        break;
      }
      case "buffering":
        kind = "small";
        text =
          engine.playing && engine.atEdge(engine.frame)
            ? "Waiting for live data…"
            : "Loading frames…";
        break;
      case "reconnecting":
        kind = "small";
        text =
          engine.buffered > 1
            ? "Connection lost. Playing buffered data while reconnecting…"
            : `${engine.problem || "Connection lost."} Reconnecting…`;
        break;
      case "ended":
        kind = "small";
        text = "End of the recording";
        break;
      case "error":
        kind = "blocking";
        text = engine.problem || "Something went wrong.";
        break;
    }
    this.curtain.dataset.open = String(kind !== "none");
    this.curtain.dataset.kind = kind;
    this.progress.hidden = engine.status !== "importing";
    this.spinner.hidden = engine.status === "ended" || engine.status === "error";
    if (text !== "") setText(this.message, text);
    if (this.shown !== engine.status) this.offer();
    this.shown = engine.status;
  }

  /** Offer what a person can do about it. */
  offer() {
    this.actions.replaceChildren();
    if (this.engine.status === "error") {
      const again = make("button", { type: "button", class: "button primary" }, "Try again");
      again.addEventListener("click", () => location.reload());
      const all = make("a", { class: "button", href: "/" }, "All sessions");
      this.actions.append(again, " ", all);
    } else if (this.engine.status === "ended") {
      const again = make("button", { type: "button", class: "button" }, "Watch again");
      again.addEventListener("click", () => {
        if (this.engine.speed < 0) this.engine.setSpeed(-this.engine.speed);
        this.engine.seek(0);
        this.engine.play();
      });
      this.actions.append(again);
    }
  }
}
