// @ts-check
/** Runs the connection in a worker: orders come in, reports go out. */

import { openConnection } from "./open_connection.js";

const handle = openConnection((report, transfer = []) => {
  self.postMessage(report, { transfer });
});

self.onmessage = (event) => {
  handle(/** @type {import("./connection.js").Order} */ (event.data));
};
