// One small matrix through a merge, from steps that the library has worked out for a grid of settings.
import { html, THIN } from "../base/shapes.js";
import { walk } from "../learn/hands_on/by_hand_walk.js";
import { slider } from "./inputs.js";

/**
 * @param {HTMLElement} host
 * @param {{first: any, url: string, rates: [number, number, number], factors: [number, number, number]}} data The walk
 *   of the usual settings, and where those of the others are, fetched at the first move.
 */
export function byHandFigure(host, { first, url, rates, factors }) {
  const box = html("div", { class: "lesson" }, host), inner = html("div", { class: "block-box" }, box);
  const place = html("div", { class: "block-box-inner" }, inner);
  /** @type {Promise<any> | null} */
  let fetched = null;
  async function ask(/** @type {{rate: number, factor: number}} */ { rate, factor }) {
    fetched ??= fetch(url).then((response) => response.json());
    const { settings, steps, parts } = await fetched.catch((error) => {
      fetched = null; // the next move tries again
      throw new Error(`The other steps could not be fetched: ${error.message}`);
    });
    const at = settings.findIndex(([r, f]) => Math.abs(r - rate) < 1e-9 && Math.abs(f - factor) < 1e-9);
    return { ...first, settings: { ...first.settings, rate, factor }, steps: steps[at].map((i) => parts[i]) };
  }
  function edit(/** @type {Element} */ parent, /** @type {any} */ state, /** @type {(extra: any) => void} */ change) {
    const bar = html("div", { class: "figure-inputs" }, parent);
    const set = (/** @type {string} */ name) => (/** @type {number} */ value) => {
      state.value.settings[name] = Math.round(100 * value) / 100;
      draw();
      change({});
    };
    const rate = slider(bar, "rate", rates, set("rate")), factor = slider(bar, "factor-1", factors, set("factor"));
    function draw() {
      const { settings } = state.value;
      rate("Pruning rate", settings.rate, `${Math.round(100 * settings.rate)}${THIN}%`);
      factor("Amplify partition 1", settings.factor, `×${THIN}${settings.factor}`);
    }
    return { dirty: false, draw };
  }
  walk({ host: place, result: first, ask, edit });
  host.dataset.drawn = "by-hand";
}
