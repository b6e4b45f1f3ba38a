// @ts-check
/** Runs the connection in a worker: orders come in, reports go out. */

import { Connection } from "./connection.js";

const connection = new Connection((report, transfer = []) => {
  self.postMessage(report, { transfer });
});

self.onmessage = (event) => {
  const order = /** @type {import("./connection.js").Order} */ (event.data);
  connection.handle(order);
};
