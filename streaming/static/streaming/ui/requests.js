// @ts-check
/** Requests that change something: JSON both ways, with the CSRF token. */

/** An answer that says no; its message is for people. */
export class Refused extends Error {}

/**
 * @param {string} csrf token that changes must send
 * @returns {(method: string, path: string, body?: object) => Promise<any>} asks, and returns the
 *   answer's body; throws `Refused` with what the server says, or why it did not answer
 */
export function asker(csrf) {
  return async (method, path, body) => {
    /** @type {Response} */
    let response;
    try {
      response = await fetch(path, {
        method,
        headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch {
      throw new Refused("The server does not answer. Try again in a moment.");
    }
    return answerOf(response.status, await response.text());
  };
}

/** @param {number} status @param {string} text @returns {any} the body; null where there is none */
export function answerOf(status, text) {
  /** @type {any} */
  let body = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    body = null;
  }
  if (status >= 200 && status < 300) return body;
  throw new Refused(body?.message ?? `The server answered ${status}.`);
}
