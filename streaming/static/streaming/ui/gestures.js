// @ts-check
/** Mouse and touch on the picture: pan, zoom, pinch, and select by a click. */

/** @typedef {import("./track.js").Track} Track */
/** @typedef {import("./selection.js").Selection} Selection */

/** Pixels that a pointer may move during a click. */
const CLICK = 6;

/** @param {Track} track @param {Selection} selection */
export function listenToPointers(track, selection) {
  const canvas = track.carsCanvas;
  /** @type {Map<number, {x: number, y: number}>} */
  const pointers = new Map();
  let travelled = 0;
  const place = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    return {
      x: (event.clientX - box.left) / track.magnification,
      y: (event.clientY - box.top) / track.magnification,
    };
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 0) travelled = 0;
    pointers.set(event.pointerId, place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      canvas.style.cursor = track.at(place(event).x, place(event).y) >= 0 ? "pointer" : "";
      return;
    }
    const now = place(event);
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    pointers.set(event.pointerId, now);
    if (pointers.size === 1) {
      if (travelled > CLICK) track.camera.pan(now.x - before.x, now.y - before.y);
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other === undefined) return;
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(now.x - other.x, now.y - other.y);
    if (was > 0) track.camera.zoomAt(is / was, (now.x + other.x) / 2, (now.y + other.y) / 2);
    track.camera.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = place(event);
    pointers.delete(event.pointerId);
    if (travelled > CLICK || event.button !== 0) return;
    const entity = track.at(at.x, at.y);
    if (entity >= 0) selection.toggle(entity);
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y } = place(event);
      track.camera.zoomAt(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)), x, y);
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    if (track.at(x, y) < 0) track.camera.zoomAt(2, x, y);
  });
}
