// @ts-check
/** Kinds of events. */

/** @typedef {import("./api.js").RaceEvent} RaceEvent */

/** @param {RaceEvent} event @returns {string} name of its colour, "" for none */
export function tone(event) {
  const text = `${event.value} ${event.kind} ${event.message}`.toLowerCase();
  if (/\bred\b|retirement/.test(text)) return "red";
  if (/yellow|safety.?car|\bvsc\b/.test(text)) return "yellow";
  if (/blue/.test(text)) return "blue";
  if (/green|clear|\bstart\b/.test(text)) return "green";
  if (/fastest/.test(text)) return "purple";
  return "";
}

/** Blue flags are shown to cars that are about to be lapped, dozens in every race. @param {RaceEvent} event */
export function isBlueFlag(event) {
  return event.kind === "flag" && tone(event) === "blue";
}

/** Whether to announce it. Overtakes and blue flags come by the dozen: they are only listed. @param {RaceEvent} event */
export function isNews(event) {
  return event.kind !== "overtake" && tone(event) !== "blue";
}
