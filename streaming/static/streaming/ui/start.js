// @ts-check
/** The large Play button over the picture of a session that has not been played yet. */

import { byId } from "./elements.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */

export class StartButton {
  /** @param {Engine} engine */
  constructor(engine) {
    this.engine = engine;
    this.button = byId("start");
    this.played = false;
    this.button.addEventListener("click", () => {
      if (engine.growing) engine.goLive();
      else engine.play();
      // This button disappears: move the focus to the button that pauses.
      const control = document.querySelector("#buttons .play");
      if (control instanceof HTMLElement) control.focus({ preventScroll: true });
    });
    engine.on("status", () => this.show());
    this.show();
  }

  show() {
    const { engine } = this;
    if (engine.playing || engine.live || engine.status === "ended") this.played = true;
    const ready = engine.status === "paused" || engine.status === "buffering";
    this.button.hidden = this.played || !ready || engine.frameCount === 0;
  }
}
