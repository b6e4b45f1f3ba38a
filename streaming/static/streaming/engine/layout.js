// @ts-check
/** Where each field of a schema lies in a decoded segment. */

/**
 * @typedef {object} FieldInfo a field as `welcome.schema.fields` describes it
 * @property {string} name
 * @property {string} unit
 * @property {number} scale quantity per integer step
 * @property {"cubic"|"linear"|"angle"|"held"} kind how values between two frames are found
 * @property {"entity"|"session"} [scope]
 * @property {string[]} [labels] names of the values 0, 1, 2…
 */

/** The order of fields and entities, fixed for a connection. */
export class Layout {
  /**
   * @param {FieldInfo[]} fields
   * @param {string[]} entities codes
   * @param {number} segmentFrames samples of a whole segment
   */
  constructor(fields, entities, segmentFrames) {
    this.fields = fields;
    this.entities = entities;
    this.segmentFrames = segmentFrames;
    /** columns of each field: the entities, or 1 */
    this.widths = fields.map((f) => (f.scope === "session" ? 1 : entities.length));
    /** columns before each field; a field's samples begin at `columns[i] * frames` */
    this.columns = /** @type {number[]} */ ([]);
    let total = 0;
    for (const width of this.widths) {
      this.columns.push(total);
      total += width;
    }
    this.totalColumns = total;
    this.byName = new Map(fields.map((f, i) => [f.name, i]));
  }

  /**
   * @param {string} name
   * @returns {number} position of the field, -1 where the recording has none of that name
   */
  index(name) {
    return this.byName.get(name) ?? -1;
  }
}
