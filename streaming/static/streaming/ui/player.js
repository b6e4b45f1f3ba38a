// @ts-check
/** The player's page: brings engine, panels and input together and draws. */

import { Engine } from "../engine/engine.js";
import { Api } from "./api.js";
import { Controls } from "./controls.js";
import { byId } from "./elements.js";
import { FrameMeter } from "./frame_meter.js";
import { listenToPointers } from "./gestures.js";
import { listenToKeys } from "./keyboard.js";
import { PictureTools } from "./picture_tools.js";
import { Pictures } from "./pictures.js";
import { RecordingView } from "./recording_view.js";
import { Rooms } from "./rooms.js";
import { Selection } from "./selection.js";
import { onSetting } from "./settings.js";
import { openSettings } from "./settings_dialog.js";
import { openShare, readAddress } from "./share.js";
import { StartButton } from "./start.js";
import { States } from "./states.js";
import { yieldToBrowser } from "./tasks.js";
import { Timeline } from "./timeline.js";
import { Track } from "./track.js";

/**
 * The parts of the page that are there before any recording.
 * @typedef {object} Page
 * @property {Track} track
 * @property {Timeline} timeline
 * @property {Controls} controls
 * @property {Rooms} rooms
 * @property {(text: string) => void} announce to screen readers, politely
 */

class Player {
  /** @param {string} slug of the session @param {URL | null} files its folder, without a server */
  constructor(slug, files) {
    this.api = new Api(slug, files);
    this.selection = new Selection();
    this.meter = new FrameMeter(performance.now());
    /** @type {RecordingView | null} */
    this.view = null;
    // First of all, so that the frames are on their way while the page is being built.
    this.engine = new Engine({
      url: this.api.connection,
      segmentsPath: (version) => this.api.segmentsPath(version),
      now: () => performance.now(),
    });
    this.states = new States(this.engine);
    this.pictures = new Pictures(this.engine);
    Object.defineProperty(window, "__replay", { get: () => Object.freeze(this.describe()) });
  }

  start() {
    const page = this.build();
    this.engine.on("welcome", ({ again }) => {
      if (!again) void page.then((built) => this.open(built)).catch((error) => this.fail(error));
    });
    page.then(
      () => requestAnimationFrame((now) => this.animate(now)),
      (error) => this.fail(error),
    );
  }

  /** @param {unknown} error */
  fail(error) {
    const reason = error instanceof Error ? error.message : String(error);
    this.engine.fail(`The session could not be loaded: ${reason}`);
    // With its stack, for developers.
    console.error(error);
  }

  /** The player's state as plain values, for scripts and tests. */
  describe() {
    const { engine, meter, selection, view } = this;
    return {
      status: engine.status,
      complete: view?.complete ?? false,
      frame: engine.frame,
      time: engine.time,
      speed: engine.speed,
      generation: engine.generation,
      buffered: engine.buffered,
      selected: selection.chosen.map((i) => view?.recording.entities[i].code ?? ""),
      fps: meter.fps,
      frameCount: engine.frameCount,
      room: engine.room,
      segments: engine.segments,
      decoding: engine.decoding,
      work: meter.meanWork,
      longestWork: meter.longestWork,
      roundTrip: engine.roundTrip,
      serverFrame: engine.clock.target(performance.now()),
    };
  }

  /** Build what every recording needs, in short tasks. @returns {Promise<Page>} */
  async build() {
    const { engine, selection } = this;
    await yieldToBrowser();
    const ground = /** @type {HTMLCanvasElement} */ (byId("ground"));
    const cars = /** @type {HTMLCanvasElement} */ (byId("cars"));
    const track = new Track(ground, cars, selection);
    const announcer = byId("announcer");
    const announce = (/** @type {string} */ text) => {
      announcer.textContent = text;
    };
    const controls = new Controls(engine, announce);
    await yieldToBrowser();

    const timeline = new Timeline(engine, selection, track);
    listenToPointers(track, selection);
    new PictureTools(track, selection);
    new StartButton(engine);
    document.addEventListener("visibilitychange", () => engine.setVisible(!document.hidden));
    const restyle = () => {
      track.restyle();
      timeline.dirty = true;
      this.view?.panels?.restyle();
    };
    addEventListener("replay-theme", restyle);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", restyle);
    onSetting((name) => {
      track.dirty = true;
      if (name === "skipRed") this.view?.applySkips();
    });
    // The connection stays open after such an error.
    engine.on("error", (error) => announce(error.message));
    engine.on("loop", () => (timeline.dirty = true));
    await yieldToBrowser();

    listenToKeys({ engine, controls, track, announce, clear: () => selection.set([]) });
    openShare(engine, selection, () => this.view?.recording ?? null);
    await yieldToBrowser();
    const rooms = new Rooms(engine, announce);
    openSettings();
    return { track, timeline, controls, rooms, announce };
  }

  /** Show the recording that the engine has opened. @param {Page} page */
  async open(page) {
    const { layout, sampler } = this.engine;
    if (layout === null || sampler === null) return;
    const [detail, geometry] = await Promise.all([this.api.session(), this.api.geometry()]);
    if (detail === null) throw new Error("it is not there any more");
    const { engine, selection, api } = this;
    const view = new RecordingView({ engine, selection, api, page, layout, sampler, detail });
    this.view = view;
    // The playhead first: its frames are on their way while the page is being built.
    view.goTo(readAddress());
    await view.build(geometry);
  }

  /** @param {number} now */
  animate(now) {
    requestAnimationFrame((next) => this.animate(next));
    const begun = performance.now();
    const frame = this.engine.tick(now);
    this.view?.draw(frame, now);
    this.meter.drawn(now, performance.now() - begun);
  }
}

const { slug = "", files } = document.body.dataset;
new Player(slug, files === undefined ? null : new URL(files, location.href)).start();
