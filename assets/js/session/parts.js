// Elements that Gradio mounts and a script fills.

/**
 * What a part is built from. Values travel as JSON text: Gradio copies a structure number by number at every event.
 * @typedef {object} Part
 * @property {HTMLElement} host Where it draws.
 * @property {HTMLElement} outer What Gradio, or the page, holds it in.
 * @property {(event: string) => void} trigger Tells Python of an event.
 * @property {() => any} get The value as it is.
 * @property {(value: any) => void} put Gives Python a value.
 * @property {(callback: (value: any) => void) => void} watch Tells of every value that Python gives.
 */

/** @type {Record<string, (part: Part) => void>} */
const parts = {};

/**
 * Says how the part of a name is built, once Gradio has mounted it.
 * @param {string} name @param {(part: Part) => void} build
 */
export const part = (name, build) => { parts[name] = build; };

/** @param {any} text */
const parse = (text) => (typeof text === "string" && text ? JSON.parse(text) : null);

/**
 * What Gradio runs for each of them.
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
