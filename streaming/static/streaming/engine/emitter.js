// @ts-check
/** Named events and who listens to them. */

export class Emitter {
  constructor() {
    /** @type {Map<string, ((detail: any) => void)[]>} */
    this.listeners = new Map();
  }

  /** @param {string} name @param {(detail: any) => void} listener */
  on(name, listener) {
    const known = this.listeners.get(name);
    if (known === undefined) this.listeners.set(name, [listener]);
    else known.push(listener);
  }

  /** @param {string} name @param {unknown} [detail] */
  emit(name, detail) {
    for (const listener of this.listeners.get(name) ?? []) listener(detail);
  }
}
