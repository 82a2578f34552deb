// Elements that Gradio mounts and a script fills.

/**
 * The input of a part. Values are JSON text: Gradio copies a structure number by number at every event.
 * @typedef {object} Part
 * @property {HTMLElement} host Where it draws.
 * @property {HTMLElement} outer Its container in Gradio or the page.
 * @property {(event: string) => void} trigger Tells Python of an event.
 * @property {() => any} get The current value.
 * @property {(value: any) => void} put Gives Python a value.
 * @property {(callback: (value: any) => void) => void} watch Calls back with every value from Python.
 */

/** @type {Record<string, (part: Part) => void>} */
const parts = {};

/**
 * Registers the function that builds a part once Gradio has mounted it.
 * @param {string} name @param {(part: Part) => void} build
 */
export const part = (name, build) => { parts[name] = build; };

/** @param {any} text */
const parse = (text) => (typeof text === "string" && text ? JSON.parse(text) : null);

/**
 * Called by Gradio for each part.
 * @param {string} name @param {HTMLElement} element @param {{value: any}} props
 * @param {(event: string) => void} trigger @param {(name: string, callback: () => void) => void} watch
 */
export const mount = (name, element, props, trigger, watch) => {
  const host = /** @type {HTMLElement} */ (element.querySelector(`[data-part="${name}"]`));
  const outer = /** @type {HTMLElement} */ (element.closest(`#${CSS.escape(host.dataset.outer || name)}`) || element);
  parts[name]({
    host, outer, trigger,
    get: () => parse(props.value),
    put: (value) => { props.value = JSON.stringify(value); },
    watch: (callback) => watch("value", () => callback(parse(props.value))),
  });
};
