// @ts-check
/** Named events and their listeners. */

/** @template {object} Events what each event, by its name, tells its listeners */
export class Emitter {
  constructor() {
    /** @type {{[Name in keyof Events]?: ((detail: Events[Name]) => void)[]}} */
    this.listeners = {};
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name @param {(detail: Events[Name]) => void} listener
   */
  on(name, listener) {
    const known = this.listeners[name];
    if (known === undefined) this.listeners[name] = [listener];
    else known.push(listener);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {undefined extends Events[Name] ? [] : [Events[Name]]} detail nothing, where the event
   *   tells nothing
   */
  emit(name, ...detail) {
    const told = /** @type {Events[Name]} */ (detail[0]);
    for (const listener of this.listeners[name] ?? []) listener(told);
  }
}
