// @ts-check
/** Formatting numbers, times and names for people. */

/** @param {number} seconds @returns {string} 1:02:03 or 2:03 */
export function clockTime(seconds) {
  const sign = seconds < 0 ? "−" : "";
  const whole = Math.floor(Math.abs(seconds));
  const h = Math.floor(whole / 3600);
  const m = Math.floor(whole / 60) % 60;
  const s = String(whole % 60).padStart(2, "0");
  return h > 0 ? `${sign}${h}:${String(m).padStart(2, "0")}:${s}` : `${sign}${m}:${s}`;
}

/** @param {number} seconds @returns {string} 1:23.456, – where there is none */
export function lapTime(seconds) {
  if (!Number.isFinite(seconds) || seconds <= 0) return "–";
  const thousandths = Math.round(seconds * 1000);
  const m = Math.floor(thousandths / 60_000);
  const rest = ((thousandths % 60_000) / 1000).toFixed(3);
  return m > 0 ? `${m}:${rest.padStart(6, "0")}` : rest;
}

/** @param {number} seconds @returns {string} +1.234, – where there is none */
export function gapTime(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds >= 60) return `+${lapTime(seconds).slice(0, -2)}`;
  return `+${seconds.toFixed(3)}`;
}

/** @param {number} seconds @returns {string} "+0.123" or "−0.123" */
export function difference(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  return `${seconds < 0 ? "−" : "+"}${Math.abs(seconds).toFixed(3)}`;
}

/** @param {number} seconds @returns {string} "2 h 4 min", "45 s" */
export function spokenDuration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} seconds @returns {string} "1 hour 2 minutes 3 seconds", for a screen reader */
export function spokenTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor(whole / 60) % 60, "minute"],
    [whole % 60, "second"],
  ];
  return parts
    .filter(([value, unit]) => value !== 0 || unit === "second")
    .map(([value, unit]) => `${value} ${unit}${value === 1 ? "" : "s"}`)
    .join(" ");
}

/** "virtual_safety_car" → "Virtual safety car" @param {string} name */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {number} bytes */
export function byteSize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
