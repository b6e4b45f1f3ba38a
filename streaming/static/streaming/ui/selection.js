// @ts-check
/** The selected entities, which all panels share. */

/** More than this cannot be told apart in a chart. */
export const MOST_CHOSEN = 6;

export class Selection {
  constructor() {
    /** entity columns in the order in which they were chosen */
    this.chosen = /** @type {number[]} */ ([]);
    /** @type {(() => void)[]} */
    this.listeners = [];
  }

  /** @param {() => void} listener */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** @param {number} entity */
  has(entity) {
    return this.chosen.includes(entity);
  }

  /** @param {number} entity @param {boolean} alone drop the others */
  toggle(entity, alone = false) {
    const was = this.has(entity);
    if (alone) this.chosen = was && this.chosen.length === 1 ? [] : [entity];
    else if (was) this.chosen = this.chosen.filter((e) => e !== entity);
    else this.chosen = [...this.chosen, entity].slice(-MOST_CHOSEN);
    this.changed();
  }

  /** @param {number[]} entities */
  set(entities) {
    this.chosen = entities.slice(0, MOST_CHOSEN);
    this.changed();
  }

  changed() {
    for (const listener of this.listeners) listener();
  }
}
