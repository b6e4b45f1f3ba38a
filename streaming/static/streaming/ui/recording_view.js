// @ts-check
/** One recording on the page: its picture, timeline, leaderboard and panels. */

import { FlagSpans, SectorFlags } from "./flags.js";
import { Information } from "./information.js";
import { Leaderboard } from "./leaderboard.js";
import { Panels } from "./panels.js";
import { Recording } from "./recording.js";
import { settings } from "./settings.js";
import { yieldToBrowser } from "./tasks.js";

/** @typedef {import("./api.js").Geometry} Geometry */

/** Milliseconds between two updates of a text: faster than anyone reads. */
const TEXT_INTERVAL = 200;

/**
 * @typedef {object} RecordingParts
 * @property {import("../engine/engine.js").Engine} engine
 * @property {import("./selection.js").Selection} selection
 * @property {import("./api.js").Api} api
 * @property {import("./player.js").Page} page
 * @property {import("../engine/layout.js").Layout} layout
 * @property {import("../engine/interpolate.js").Sampler} sampler
 * @property {import("./api.js").SessionDetail} detail
 */

/** Milliseconds between two looks for new events of a live session. */
const EVENTS_EVERY = 5000;

export class RecordingView {
  /** @param {RecordingParts} parts */
  constructor({ engine, selection, api, page, layout, sampler, detail }) {
    this.engine = engine;
    this.selection = selection;
    this.api = api;
    this.page = page;
    this.recording = new Recording(layout, sampler, detail);
    /** it is on the page with its panels, events and laps */
    this.complete = false;
    // Made by `build`, one after another.
    this.information = /** @type {Information | null} */ (null);
    this.board = /** @type {Leaderboard | null} */ (null);
    this.panels = /** @type {Panels | null} */ (null);
    this.sectorFlags = /** @type {SectorFlags | null} */ (null);
    /** Texts, each updated a few times a second, and never two in one displayed frame.
     * @type {((frame: number, now: number) => void)[]} */
    this.texts = [
      (frame) => {
        page.controls.update(frame / engine.frameRate);
        page.timeline.describe(frame);
      },
      (frame) => this.information?.update(frame, frame / engine.frameRate),
      (frame, now) => this.board?.update(frame, now),
      (frame) => this.sectorFlags?.update(frame),
      (frame, now) => this.panels?.update(frame, now),
    ];
    this.nextText = 0;
    this.nextTextAt = 0;
  }

  /** Begin where the page's address says. @param {import("./share.js").Address} address */
  goTo({ drivers, speed, time, room }) {
    const { engine, recording, selection } = this;
    selection.set(drivers.map((code) => recording.column(code)).filter((i) => i >= 0));
    if (speed !== null) engine.setSpeed(speed);
    if (time !== null) engine.seek(time * engine.frameRate);
    else if (recording.raceStartFrame > 0 && room === null) engine.seek(recording.raceStartFrame);
    if (room !== null) this.page.rooms.join(room);
  }

  /** Put it on the page, in short tasks. @param {Geometry | null} geometry */
  async build(geometry) {
    const { api, engine, page, recording, selection } = this;
    const { announce, controls, timeline, track } = page;
    // On their way while the page is being built.
    const tables = Promise.all([api.events(), api.laps()]);
    await yieldToBrowser();
    track.setRecording(recording, geometry);
    await yieldToBrowser();
    timeline.setRecording(recording);
    const flags = new FlagSpans(engine, recording, (spans) => {
      timeline.setFlags(spans);
      this.applySkips();
    });
    flags.scan();
    await yieldToBrowser();
    this.information = new Information(recording, track, api);
    await yieldToBrowser();
    this.board = new Leaderboard(recording, selection);
    await yieldToBrowser();
    this.panels = new Panels({ engine, recording, selection, api, track, announce });
    const [events, laps] = await tables;
    recording.events = events?.events ?? [];
    recording.setLaps(laps?.laps ?? [], laps?.stints ?? []);
    await yieldToBrowser();
    this.sectorFlags = new SectorFlags(recording, track);
    controls.setRecording(recording);
    timeline.setRecording(recording);
    this.board.tablesArrived();
    this.panels.tablesArrived();
    if (engine.growing) this.followEvents();
    else if (recording.isRace && !recording.isTimed) {
      const grid = await api.standings(recording.raceStartFrame);
      this.board.setGrid(grid?.standings ?? []);
    }
    this.complete = true;
  }

  /** Of a live session: show what happens while it goes on. */
  followEvents() {
    const { api, engine, recording } = this;
    const timer = setInterval(async () => {
      if (!engine.growing) clearInterval(timer);
      const found = await api.events();
      if (found === null || found.events.length === recording.events.length) return;
      recording.events = found.events;
      this.page.timeline.setRecording(recording);
      this.panels?.tablesArrived();
    }, EVENTS_EVERY);
  }

  /** Skip red flags while playing, if the setting says so. */
  applySkips() {
    const { controls, timeline } = this.page;
    const red = timeline.flags.filter((span) => span.flag === "red");
    controls.skipButton.hidden = red.length === 0;
    this.engine.skips = settings.skipRed ? red.map(({ from, to }) => [from, to]) : [];
  }

  /** Once per displayed frame. @param {number} frame @param {number} now milliseconds */
  draw(frame, now) {
    this.page.track.draw(frame);
    this.page.timeline.update(frame);
    if (now < this.nextTextAt) return;
    this.nextTextAt = now + TEXT_INTERVAL / this.texts.length;
    this.texts[this.nextText](frame, now);
    this.nextText = (this.nextText + 1) % this.texts.length;
  }
}
