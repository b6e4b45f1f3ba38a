// @ts-check
/** The buttons under the timeline, and the actions that they share with the keys. */

import { byId, make, setText } from "./elements.js";
import { isBlueFlag } from "./events.js";
import { clockTime, spokenDuration } from "./format.js";
import { setSetting, settings } from "./settings.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */
/** @typedef {import("./recording.js").Recording} Recording */

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];

const ICONS = {
  play: "M7 4v16l13-8z",
  pause: "M6 4h4v16H6zm8 0h4v16h-4z",
  back: "M18 5v14L8 12zM6 5h2v14H6z",
  forward: "M6 5v14l10-7zM16 5h2v14h-2z",
  full: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
  reverse: "M12 6V1L5 8l7 7v-5c3.3 0 6 2.7 6 6s-2.7 6-6 6v2c4.4 0 8-3.6 8-8s-3.6-10-8-10z",
  loop: "M7 7h10v3l4-4-4-4v3H5v6h2zm10 10H7v-3l-4 4 4 4v-3h12v-6h-2z",
};

/** @param {string} path */
function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

export class Controls {
  /** @param {Engine} engine @param {(text: string) => void} announce to screen readers */
  constructor(engine, announce) {
    this.engine = engine;
    this.announce = announce;
    /** @type {Recording | null} */
    this.recording = null;
    /** first end of a loop that is being marked, -1 for none */
    this.loopStart = -1;
    this.playButton = this.button("play", "Play", icon(ICONS.play), () => engine.toggle());
    this.playButton.setAttribute("aria-keyshortcuts", "Space K");
    this.reverseButton = this.button("", "Play backwards", icon(ICONS.reverse), () =>
      this.setSpeed(-engine.speed),
    );
    this.reverseButton.title = "Play backwards (R)";
    this.loopButton = this.button("wide-only", "Repeat a section", icon(ICONS.loop), () =>
      this.markLoop(),
    );
    this.loopButton.title = "Repeat a section: start, end, off (A)";
    this.skipButton = make(
      "button",
      {
        type: "button",
        class: "icon-button text-button wide-only",
        "aria-pressed": String(settings.skipRed),
      },
      "Skip red flags",
    );
    this.skipButton.addEventListener("click", () => {
      setSetting("skipRed", !settings.skipRed);
      this.skipButton.setAttribute("aria-pressed", String(settings.skipRed));
    });
    this.skipButton.hidden = true;
    this.speed = make("select", { "aria-label": "Speed", id: "speed" });
    for (const speed of SPEEDS) {
      this.speed.append(make("option", { value: String(speed) }, `${speed}×`));
    }
    this.speed.value = "1";
    this.speed.addEventListener("change", () => {
      this.setSpeed(Number(this.speed.value) * engine.direction);
    });
    this.clock = make("span", { class: "clock-text" });
    this.now = document.createTextNode("0:00");
    this.total = make("small");
    this.clock.append(this.now, this.total);
    this.lap = make("select", { "aria-label": "Jump to lap", class: "wide-only" });
    this.lap.hidden = true;
    this.lap.addEventListener("change", () => this.jumpToLap(Number(this.lap.value)));
    this.live = make("button", { type: "button", class: "button live-button" }, "Go live");
    this.live.hidden = true;
    this.behind = make("small", { class: "behind" });
    this.live.addEventListener("click", () => engine.goLive());
    const full = this.button("", "Fullscreen", icon(ICONS.full), () => this.fullscreen());
    full.title = "Fullscreen (F)";
    const jump = (/** @type {number} */ seconds, /** @type {boolean} */ wide) => {
      const button = make(
        "button",
        {
          type: "button",
          class: `icon-button text-button${wide ? " wide-only" : ""}`,
          "aria-label": `${Math.abs(seconds)} seconds ${seconds < 0 ? "back" : "forward"}`,
        },
        `${seconds < 0 ? "−" : "+"}${Math.abs(seconds)}`,
      );
      button.addEventListener("click", () => this.jump(seconds));
      return button;
    };
    const step = (/** @type {number} */ frames) => {
      const button = make(
        "button",
        {
          type: "button",
          class: "icon-button text-button wide-only",
          "aria-label": frames < 0 ? "One frame back" : "One frame forward",
        },
        frames < 0 ? "‹" : "›",
      );
      button.addEventListener("click", () => this.step(frames));
      return button;
    };
    const previous = this.button("wide-only", "Previous event", icon(ICONS.back), () =>
      this.toEvent(-1),
    );
    const next = this.button("wide-only", "Next event", icon(ICONS.forward), () => this.toEvent(1));
    byId("buttons").append(
      make(
        "div",
        { class: "group", role: "group", "aria-label": "Playback" },
        previous,
        jump(-60, true),
        jump(-10, false),
        jump(-5, true),
        step(-1),
        this.playButton,
        step(1),
        jump(5, true),
        jump(10, false),
        jump(60, true),
        next,
      ),
      this.clock,
      make("span", { class: "spacer wide-only" }),
      this.lap,
      this.skipButton,
      this.loopButton,
      this.behind,
      this.live,
      this.reverseButton,
      this.speed,
      full,
    );
    engine.on("status", () => this.show());
    engine.on("grown", () => this.show());
    this.show();
  }

  /** @param {string} kind @param {string} label @param {Node} content @param {() => void} act */
  button(kind, label, content, act) {
    const button = make(
      "button",
      { type: "button", class: `icon-button ${kind}`, "aria-label": label, title: label },
      content,
    );
    button.addEventListener("click", act);
    return button;
  }

  /** @param {Recording} recording */
  setRecording(recording) {
    this.recording = recording;
    const laps = recording.lapStarts;
    const { parts } = recording;
    this.lap.replaceChildren(make("option", { value: "" }, parts.length > 1 ? "Part…" : "Lap…"));
    parts.forEach(({ name }, i) => {
      if (parts.length > 1) this.lap.append(make("option", { value: String(i + 1) }, name));
    });
    for (let n = 1; n < laps.length; n++) {
      if (laps[n] !== undefined) this.lap.append(make("option", { value: String(n) }, `Lap ${n}`));
    }
    this.lap.hidden = laps.length < 2 && parts.length < 2;
    this.show();
  }

  /** Bring the buttons up to date. */
  show() {
    const { engine } = this;
    const playing = engine.playing;
    const label = playing ? "Pause" : "Play";
    if (this.playButton.getAttribute("aria-label") !== label) {
      this.playButton.setAttribute("aria-label", label);
      this.playButton.title = `${label} (space)`;
      this.playButton.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
    }
    this.reverseButton.setAttribute("aria-pressed", String(engine.speed < 0));
    const speed = String(Math.abs(engine.speed));
    if (![...this.speed.options].some((option) => option.value === speed)) {
      this.speed.append(make("option", { value: speed }, `${speed}×`));
    }
    this.speed.value = speed;
    this.live.hidden = !engine.growing;
    this.live.setAttribute("aria-pressed", String(engine.status === "live"));
    setText(this.total, ` / ${clockTime(Math.max(0, engine.frameCount - 1) / engine.frameRate)}`);
  }

  /** A few times a second. @param {number} time seconds */
  update(time) {
    setText(this.now, clockTime(time));
    const { engine } = this;
    const behind = engine.frameCount / engine.frameRate - time;
    const far = engine.growing && engine.status !== "live" && behind >= 1;
    setText(this.behind, far ? `${spokenDuration(behind)} behind` : "");
  }

  /** @param {number} seconds */
  jump(seconds) {
    this.engine.seek(this.engine.frame + seconds * this.engine.frameRate);
  }

  /** @param {number} frames */
  step(frames) {
    if (this.engine.playing || this.engine.ended) this.engine.pause();
    this.engine.seek(Math.round(this.engine.frame) + frames);
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.engine.setSpeed(speed);
    this.announce(`Speed ${Math.abs(speed)}${speed < 0 ? " backwards" : ""}`);
  }

  /** The next faster or slower of the offered speeds. @param {number} direction 1 or -1 */
  shiftSpeed(direction) {
    const now = Math.abs(this.engine.speed);
    const ordered = direction > 0 ? SPEEDS : [...SPEEDS].reverse();
    const next = ordered.find((speed) => (speed - now) * direction > 1e-9);
    if (next !== undefined) this.setSpeed(next * this.engine.direction);
  }

  /** To a lap, or to a part of a qualifying. @param {number} number */
  jumpToLap(number) {
    const { recording } = this;
    const frame = recording?.parts[number - 1]?.green_frame ?? recording?.lapStarts[number];
    if (frame !== undefined) this.engine.seek(frame);
    this.lap.value = "";
  }

  /** The next or previous event. @param {number} direction 1 or -1 */
  toEvent(direction) {
    const events = (this.recording?.events ?? []).filter(
      (event) => settings.blueFlags || !isBlueFlag(event),
    );
    // While playing, "previous" must not find the event that was reached a moment ago.
    const here =
      this.engine.frame - (direction < 0 && this.engine.playing ? this.engine.frameRate : 0);
    const found =
      direction > 0
        ? events.find((event) => event.frame > here + 0.5)
        : events.findLast((event) => event.frame < here - 0.5);
    if (found === undefined) return;
    this.engine.seek(found.frame);
    this.announce(found.message || found.kind);
  }

  /** Each call takes the next step: mark the start, mark the end, stop repeating. */
  markLoop() {
    const { engine } = this;
    if (engine.loop !== null) {
      engine.setLoop(null);
      this.announce("Repeat off");
    } else if (this.loopStart < 0) {
      this.loopStart = engine.frame;
      this.announce("Repeat starts here. Press again at the end.");
    } else {
      const ends = [this.loopStart, engine.frame].sort((a, b) => a - b);
      this.loopStart = -1;
      if (ends[1] - ends[0] >= engine.frameRate / 2) {
        engine.setLoop([ends[0], ends[1]]);
        this.announce("Repeating the section");
      }
    }
    this.loopButton.setAttribute(
      "aria-pressed",
      String(engine.loop !== null || this.loopStart >= 0),
    );
  }

  fullscreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void document.documentElement.requestFullscreen();
  }
}
