// @ts-check
/** The worker's shell around the connection: orders come in, samples go out. */

import { Connection } from "./connection.js";

const connection = new Connection((message, transfer) => {
  /** @type {any} */ (self).postMessage(message, transfer ?? []);
});

self.onmessage = (event) => connection.handle(event.data);
