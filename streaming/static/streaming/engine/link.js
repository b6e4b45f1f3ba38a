// @ts-check
/** The page's way to its connection: through a worker, or on this thread where there is none. */

import { openConnection } from "./open_connection.js";

/** @typedef {import("./connection.js").Order} Order */
/** @typedef {import("./connection.js").Report} Report */

const WORKER_SCRIPT = new URL("./worker.js", import.meta.url).href;

/**
 * Trusted Types, where the browser has them; TypeScript's library does not know them yet.
 * @type {{ createPolicy(name: string, rules: { createScriptURL(): string }):
 *   { createScriptURL(url: string): string } } | undefined}
 */
const trustedTypes = Reflect.get(globalThis, "trustedTypes");

// The page's security policy lets no other script be started from a string.
const scripts = trustedTypes?.createPolicy("replay-worker", {
  createScriptURL: () => WORKER_SCRIPT,
});

/**
 * @param {(report: Report) => void} receive
 * @returns {(order: Order) => void} gives an order to the connection
 */
export function openLink(receive) {
  const direct = () => openConnection((report) => queueMicrotask(() => receive(report)));
  if (typeof Worker === "undefined") return direct();
  /** @type {Order[]} */
  const orders = [];
  let send = (/** @type {Order} */ order) => {
    orders.push(order);
    worker.postMessage(order);
  };
  const worker = new Worker(scripts?.createScriptURL("") ?? WORKER_SCRIPT, { type: "module" });
  let alive = false;
  worker.onmessage = (event) => {
    alive = true;
    orders.length = 0;
    receive(/** @type {Report} */ (event.data));
  };
  worker.onerror = () => {
    if (alive) return;
    // A browser that has workers but cannot load this one: do the same work here.
    worker.terminate();
    const fallback = direct();
    send = fallback;
    for (const order of orders.splice(0)) fallback(order);
  };
  return (order) => send(order);
}
