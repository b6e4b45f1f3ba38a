// @ts-check
/** The settings, which are kept in this browser. */

/**
 * @typedef {object} Settings
 * @property {"metric"|"imperial"} units
 * @property {"interval"|"gap"} gap
 * @property {string} tab
 * @property {boolean} labels
 * @property {boolean} trails
 * @property {boolean} corners
 * @property {boolean} announce
 * @property {boolean} skipRed
 * @property {boolean} blueFlags shown in the feed
 * @property {string} name shown to others in a room; "": the server chooses one
 */

/**
 * Those that are on or off.
 * @typedef {"labels"|"trails"|"corners"|"announce"|"skipRed"|"blueFlags"} SwitchName
 */

const KEY = "replay.settings";

/** @type {Settings} */
const DEFAULTS = {
  units: "metric",
  gap: "interval",
  tab: "feed",
  labels: true,
  trails: true,
  corners: true,
  announce: true,
  skipRed: false,
  blueFlags: false,
  name: "",
};

/**
 * What was stored, as far as it is sound: another version of this page may have written it, or a
 * person may have.
 * @param {string | null} text
 * @returns {Settings}
 */
export function readSettings(text) {
  const stored = parseObject(text);
  const flag = (/** @type {SwitchName} */ name) => {
    const value = stored[name];
    return typeof value === "boolean" ? value : DEFAULTS[name];
  };
  const words = (/** @type {"tab" | "name"} */ name) => {
    const value = stored[name];
    return typeof value === "string" ? value : DEFAULTS[name];
  };
  return {
    units: stored.units === "imperial" ? "imperial" : "metric",
    gap: stored.gap === "gap" ? "gap" : "interval",
    tab: words("tab"),
    labels: flag("labels"),
    trails: flag("trails"),
    corners: flag("corners"),
    announce: flag("announce"),
    skipRed: flag("skipRed"),
    blueFlags: flag("blueFlags"),
    name: words("name"),
  };
}

/** @param {string | null} text @returns {Record<string, unknown>} empty where it is no JSON object */
function parseObject(text) {
  try {
    /** @type {unknown} */
    const value = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {};
  }
}

export const settings = readSettings(localStorage.getItem(KEY));

/** @type {((name: keyof Settings) => void)[]} */
const listeners = [];

/** @param {(name: keyof Settings) => void} listener */
export function onSetting(listener) {
  listeners.push(listener);
}

/**
 * @template {keyof Settings} K
 * @param {K} name @param {Settings[K]} value
 */
export function setSetting(name, value) {
  settings[name] = value;
  localStorage.setItem(KEY, JSON.stringify(settings));
  for (const listener of listeners) listener(name);
}

/** Switch between light and dark, and remember it. */
export function toggleTheme() {
  const theme = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  localStorage.setItem("replay.theme", theme);
  dispatchEvent(new Event("replay-theme"));
}

/** @param {number} kmh @returns {number} in the chosen unit */
export function speedIn(kmh) {
  return settings.units === "imperial" ? kmh / 1.609344 : kmh;
}

export function speedUnit() {
  return settings.units === "imperial" ? "mph" : "km/h";
}

/** @param {number} celsius @returns {string} */
export function temperature(celsius) {
  return settings.units === "imperial"
    ? `${Math.round(celsius * 1.8 + 32)} °F`
    : `${Math.round(celsius)} °C`;
}

/** @param {number} metresPerSecond @returns {string} */
export function wind(metresPerSecond) {
  return settings.units === "imperial"
    ? `${Math.round(metresPerSecond * 2.236936)} mph`
    : `${metresPerSecond.toFixed(1)} m/s`;
}
