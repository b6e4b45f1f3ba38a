// @ts-check
/** The player's page: brings engine, panels and input together and draws. */

import { Engine } from "../engine/engine.js";
import { Api } from "./api.js";
import { Controls } from "./controls.js";
import { part } from "./elements.js";
import { FlagSpans, SectorFlags } from "./flags.js";
import { listenToPointers } from "./gestures.js";
import { Information } from "./information.js";
import { listenToKeys } from "./keyboard.js";
import { Leaderboard } from "./leaderboard.js";
import { openPanels } from "./panels.js";
import { Recording } from "./recording.js";
import { Rooms } from "./rooms.js";
import { Selection } from "./selection.js";
import { onSetting, settings } from "./settings.js";
import { openSettings } from "./settings_dialog.js";
import { openShare, readAddress } from "./share.js";
import { StartButton } from "./start.js";
import { States } from "./states.js";
import { Timeline } from "./timeline.js";
import { Track } from "./track.js";

/** Milliseconds between two updates of a text: faster than anyone reads. */
const TEXT_INTERVAL = 200;

const slug = document.body.dataset.slug ?? "";
const api = new Api(slug);
const selection = new Selection();
const address = readAddress();
// First of all, so that the frames are on their way while the page is being built.
const engine = new Engine({
  socketUrl: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/sessions/${slug}/`,
  segmentsPath: (version) => api.segmentsPath(version),
  now: () => performance.now(),
});
/** @type {Recording | null} */
let recording = null;
/** @type {Leaderboard | null} */
let board = null;
/** @type {Information | null} */
let information = null;
/** @type {import("./panels.js").Panels | null} */
let panels = null;
/** @type {SectorFlags | null} */
let sectorFlags = null;
/** The recording is on the page with its panels, events and laps. */
let complete = false;
let frames = 0;
let fps = 0;
let fpsSince = performance.now();
/** main-thread time of our own per displayed frame, the last second's mean and largest (ms) */
const work = { sum: 0, most: 0, mean: 0, largest: 0 };

/** For scripts and tests: how things stand, as plain values. */
Object.defineProperty(window, "__replay", {
  get: () =>
    Object.freeze({
      status: engine.status,
      complete,
      frame: engine.frame,
      time: engine.time,
      speed: engine.speed,
      generation: engine.generation,
      buffered: engine.buffered,
      selected: selection.chosen.map((i) => recording?.entities[i].code ?? ""),
      fps,
      frameCount: engine.frameCount,
      room: engine.room,
      segments: engine.segments,
      decoding: engine.decoding,
      work: work.mean,
      longestWork: work.largest,
      roundTrip: engine.roundTrip,
      serverFrame: engine.clock.target(performance.now()),
    }),
});

new States(engine);
/** @type {() => void} */
let pageBuilt = () => undefined;
/** The server may be quicker than the page. @type {Promise<void>} */
const built = new Promise((resolve) => (pageBuilt = resolve));
engine.on("welcome", ({ again }) => {
  if (again) return;
  void built
    .then(open)
    .catch((error) => engine.fail(`The session could not be loaded: ${error.message}`));
});
await breath();

const track = new Track(
  /** @type {HTMLCanvasElement} */ (part("ground")),
  /** @type {HTMLCanvasElement} */ (part("cars")),
  selection,
);
const announcer = part("announcer");
const controls = new Controls(engine);
controls.say = (/** @type {string} */ text) => (announcer.textContent = text);
await breath();

const timeline = new Timeline(engine, selection, track);
listenToPointers(track, selection);
new StartButton(engine);
part("zoom-in").addEventListener("click", () => zoom(1.4));
part("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
part("zoom-fit").addEventListener("click", () => {
  setFollowing(false);
  track.camera.home();
});
part("follow").addEventListener("click", () => setFollowing(!track.following));
document.addEventListener("visibilitychange", () => engine.setVisible(!document.hidden));
addEventListener("replay-theme", restyle);
matchMedia("(prefers-color-scheme: light)").addEventListener("change", restyle);
onSetting((name) => {
  track.dirty = true;
  if (name === "skipRed") applySkips();
});
// The connection goes on after such an error; whoever listens to the page hears of it.
engine.on("error", (error) => controls.say(error.message));
engine.on("loop", () => (timeline.dirty = true));
await breath();

listenToKeys({ engine, controls, track, clear: () => selection.set([]) });
openShare(engine, selection, () => recording);
await breath();
const rooms = new Rooms(engine, (text) => controls.say(text));
openSettings();

/** What is read, not looked at: each a few times a second, and never two in one displayed frame.
 * @type {((frame: number, now: number) => void)[]} */
const texts = [
  (frame) => {
    controls.update(frame / engine.frameRate);
    timeline.describe(frame);
  },
  (frame) => information?.update(frame, frame / engine.frameRate),
  (frame, now) => board?.update(frame, now),
  (frame) => sectorFlags?.update(frame),
  (frame, now) => panels?.update(frame, now),
];
let nextText = 0;
let nextTextAt = 0;
pageBuilt();
requestAnimationFrame(animate);

/** @param {number} factor */
function zoom(factor) {
  track.camera.zoomAt(factor, track.camera.width / 2, track.camera.height / 2);
}

function restyle() {
  track.restyle();
  timeline.dirty = true;
  panels?.restyle();
}

/** @param {boolean} following */
function setFollowing(following) {
  track.following = following;
  part("follow").setAttribute("aria-pressed", String(following));
  if (following && selection.chosen.length === 0 && recording?.isRace) {
    selection.set([track.order[0]]);
  }
  if (following && track.camera.zoom < 3) track.camera.zoom = 5;
}

/** The red-flag spans that are jumped over. */
function applySkips() {
  const red = timeline.flags.filter((span) => span.flag === "red");
  controls.skipButton.hidden = red.length === 0;
  engine.skips = settings.skipRed ? red.map(({ from, to }) => [from, to]) : [];
}

/** Let the browser draw and take input between two steps, so that none of its tasks is long. */
function breath() {
  return new Promise((resolve) => setTimeout(resolve));
}

async function open() {
  const { layout, sampler } = engine;
  if (layout === null || sampler === null) return;
  const [detail, geometry] = await Promise.all([api.session(), api.geometry()]);
  if (detail === null) throw new Error("it is not there any more");
  // Under way while the page is being built.
  const tables = Promise.all([api.events(), api.laps()]);
  const opened = new Recording(layout, sampler, detail);
  recording = opened;
  // The playhead first: its frames are under way while the page is being built.
  selection.set(address.drivers.map((code) => opened.column(code)).filter((i) => i >= 0));
  if (address.speed !== null) engine.setSpeed(address.speed);
  if (address.time !== null) engine.seek(address.time * engine.frameRate);
  else if (opened.raceStartFrame > 0 && address.room === null) engine.seek(opened.raceStartFrame);
  if (address.room !== null) rooms.join(address.room);
  await breath();
  track.setRecording(opened, geometry);
  await breath();
  timeline.setRecording(opened);
  const flags = new FlagSpans(engine, opened, (spans) => {
    timeline.setFlags(spans);
    applySkips();
  });
  flags.scan();
  await breath();
  information = new Information(opened, track);
  await breath();
  board = new Leaderboard(opened, selection);
  await breath();
  panels = openPanels({ engine, recording: opened, selection, api, track, announcer, timeline });
  const [events, laps] = await tables;
  opened.events = events?.events ?? [];
  opened.setLaps(laps?.laps ?? [], laps?.stints ?? []);
  await breath();
  sectorFlags = new SectorFlags(opened, track);
  controls.setRecording(opened);
  timeline.setRecording(opened);
  board.tablesArrived();
  panels.tablesArrived();
  if (opened.isRace) {
    const grid = await api.standings(opened.raceStartFrame);
    board.setGrid(grid?.standings ?? []);
  }
  complete = true;
}

/** @param {number} now */
function animate(now) {
  requestAnimationFrame(animate);
  const begun = performance.now();
  draw(now);
  const spent = performance.now() - begun;
  work.sum += spent;
  work.most = Math.max(work.most, spent);
  frames += 1;
  if (now - fpsSince < 1000) return;
  fps = (frames * 1000) / (now - fpsSince);
  work.mean = work.sum / frames;
  work.largest = work.most;
  work.sum = work.most = frames = 0;
  fpsSince = now;
}

/** @param {number} now */
function draw(now) {
  const frame = engine.tick(now);
  if (recording === null) return;
  track.draw(frame);
  timeline.update(frame);
  if (now < nextTextAt) return;
  nextTextAt = now + TEXT_INTERVAL / texts.length;
  texts[nextText](frame, now);
  nextText = (nextText + 1) % texts.length;
}
