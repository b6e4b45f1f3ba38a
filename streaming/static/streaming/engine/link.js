// @ts-check
/** The page's way to its connection: through a worker, or on this thread where there is none. */

import { Connection } from "./connection.js";

/**
 * @param {(message: any) => void} receive
 * @returns {(order: object) => void} gives an order to the connection
 */
export function openLink(receive) {
  const direct = () => {
    const connection = new Connection((message) => queueMicrotask(() => receive(message)));
    return (/** @type {object} */ order) => connection.handle(order);
  };
  if (typeof Worker === "undefined") return direct();
  /** @type {object[]} */
  const orders = [];
  let send = (/** @type {object} */ order) => {
    orders.push(order);
    worker.postMessage(order);
  };
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  let alive = false;
  worker.onmessage = (event) => {
    alive = true;
    orders.length = 0;
    receive(event.data);
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
