// @ts-check
/** Long work in short tasks. */

/** Let the browser draw and take input between two steps, so that none of its tasks is long. */
export function yieldToBrowser() {
  return new Promise((resolve) => setTimeout(resolve));
}
