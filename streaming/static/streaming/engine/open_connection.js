// @ts-check
/** What a page's address is connected to: a server, or a folder of files. */

import { Connection } from "./connection.js";
import { FileConnection } from "./file_connection.js";

/** @typedef {import("./connection.js").Order} Order */
/** @typedef {import("./connection.js").Report} Report */

/**
 * @param {(report: Report, transfer?: Transferable[]) => void} post to the page
 * @returns {(order: Order) => void} gives it an order; the first one is "open"
 */
export function openConnection(post) {
  /** @type {Connection | FileConnection | null} */
  let connection = null;
  return (order) => {
    if (order.type === "open") {
      const server = /^wss?:/.test(order.url);
      connection = server ? new Connection(post) : new FileConnection(post);
    }
    connection?.handle(order);
  };
}
