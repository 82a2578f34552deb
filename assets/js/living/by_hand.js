// One small matrix through a merge, from steps that the library has worked out for a grid of settings.
import { html, say } from "../base/shapes.js";
import { fetchGrid, onGrid } from "../learn/hands_on/by_hand_grid.js";
import { SETTINGS, STARTS } from "../learn/hands_on/by_hand_numbers.js";
import { walk } from "../learn/hands_on/by_hand_walk.js";
import { list, slider } from "./inputs.js";

/**
 * @param {HTMLElement} host
 * @param {{first: any, grids: Record<string, string>}} data The walk of the usual settings; and where those of the
 *   others are, by their start, fetched at the first move.
 */
export function byHandFigure(host, { first, grids }) {
  const box = html("div", { class: "lesson" }, host), inner = html("div", { class: "block-box" }, box);
  const place = html("div", { class: "block-box-inner" }, inner);
  const find = (/** @type {any} */ args) => onGrid(grids[args.start], args);
  async function ask(/** @type {any} */ args) {
    await fetchGrid(grids[args.start]).catch((error) => {
      throw new Error(`The other steps could not be fetched: ${error.message}`);
    });
    return find(args);
  }
  function edit(/** @type {Element} */ parent, /** @type {any} */ state, /** @type {(extra: any) => void} */ change) {
    const bar = html("div", { class: "figure-inputs" }, parent);
    const rows = SETTINGS.slice(0, 2).map(([name, label, low, high, step, text]) => {
      const show = slider(bar, name, [low, high, step], (value) => {
        state.value.settings[name] = value;
        draw();
        change({});
      });
      return () => show(label, state.value.settings[name], text(state.value.settings[name]));
    });
    list(bar, "numbers", "Numbers", STARTS, (start) => change({ start }));
    const note = html("p", { class: "how" }, parent);
    function draw() {
      for (const row of rows) row();
      const { unit } = state.value;
      note.hidden = unit === 1;
      say(note, `In units of ${unit}.`);
    }
    return { dirty: false, draw };
  }
  walk({ host: place, result: first, find, ask, edit });
  host.dataset.drawn = "by-hand";
}
