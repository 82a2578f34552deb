// The controls as components/session/fields.py lists them, in the page's head (components/widgets/scripts.py).

/**
 * @typedef {object} Control A row of the list; numbers are as on the page.
 * @property {string} key Its name in links and JSON, and of its value in `controls.state`.
 * @property {string} title
 * @property {string} element Id of its element.
 * @property {"models" | "plan" | "levels" | "tables" | "ranking" | "factors" | "method" | "weights"} changes
 * @property {[number, number, number] | []} span Lowest, highest, step; empty if it is no slider.
 * @property {number} scale Units of the page in one of JSON: 100 for per cent.
 * @property {any} default Null if it is no plain value.
 * @property {string[]} choices
 * @property {boolean} of_pruning Whether it is a setting of Dynamically Pruning.
 * @property {string} hidden_by The word in a class link that hides its slider.
 */
/**
 * @type {{version: number, controls: Control[], coefficient: [number, number, number], factor: [number, number, number],
 *   even_shares: number[][]}}
 */
export const schema = JSON.parse(document.getElementById("session-schema")?.textContent ?? "");

/** Those with a range. */
export const sliders = schema.controls.filter(({ span }) => span.length);
/** Choices for own models. */
export const ownControls = schema.controls.filter(({ changes }) => changes === "weights");
/** The settings of Dynamically Pruning, in the order of its parameters. */
export const pruningKeys = schema.controls.filter((control) => control.of_pruning).map(({ key }) => key);
/** @param {string} key @returns {Control} */
export const controlOf = (key) => /** @type {Control} */ (schema.controls.find((control) => control.key === key));
/** @param {readonly Control[]} controls @param {(control: Control) => any} value @returns {Record<string, any>} */
export const byKey = (controls, value) => Object.fromEntries(controls.map((control) => [control.key, value(control)]));
