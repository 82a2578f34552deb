// The few controls of a figure.
import { html, put, say, level, three, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { server } from "../session/parts.js";
import { touch } from "./asking.js";

/**
 * A slider with its name and its value in words.
 * @param {Element} parent @param {string} name @param {number[]} span Lowest, highest, step.
 * @param {(value: number) => void} take
 */
export function slider(parent, name, [min, max, step], take) {
  const row = html("label", { class: "figure-slider", "data-control": name }, parent);
  const title = html("span", { class: "figure-name" }, row);
  const range = html("input", { type: "range", min, max, step }, row);
  const output = html("output", {}, row);
  range.addEventListener("input", () => take(+range.value));
  return (/** @type {string} */ label, /** @type {number} */ value, /** @type {string} */ text) => {
    say(title, label);
    say(output, text);
    if (+range.value !== value) range.value = value;
    put(range, "aria-valuetext", text);
    range.style.setProperty("--filled", `${(100 * (value - min)) / (max - min)}%`);
  };
}

/**
 * A list of choices.
 * @param {Element} parent @param {string} name @param {string} title
 * @param {[string, string][]} choices Value and text.
 * @param {(value: string) => void} take
 */
export function list(parent, name, title, choices, take) {
  const row = html("label", { class: "figure-list", "data-control": name }, parent);
  html("span", { class: "figure-name" }, row, title);
  const select = html("select", {}, row);
  for (const [value, text] of choices) html("option", { value }, select, text);
  select.addEventListener("change", () => take(select.value));
  return { row, select };
}

/** Pruning rate, method, and a factor for each partition. @param {Element} parent @param {boolean} hasFactors */
export function mergeInputs(parent, hasFactors) {
  const rateControl = controls.controlOf("rate");
  const rate = slider(parent, "rate", rateControl.span, (value) => {
    touch();
    controls.move("rate", value);
  });
  const method = list(parent, "method", "Method", server.methods.map(({ name, title }) => [name, title]), (value) => {
    touch();
    controls.set({ method: value });
  });
  const [, most = 1] = controls.controlOf("partitions").span;
  const factors = !hasFactors ? [] : Array.from({ length: most }, (_, k) => {
    const show = slider(parent, `factor-${k + 1}`, controls.schema.factor, (value) => {
      touch();
      controls.set({ factors: controls.factorsFor(controls.state.factors).map((x, i) => (i === k ? value : x)) });
    });
    return { show, row: parent.lastElementChild };
  });
  return () => {
    const prunes = controls.pruner() !== null, levels = controls.levels();
    parent.querySelector('[data-control="rate"]')?.toggleAttribute("hidden", !prunes);
    rate("Pruning rate", controls.state.rate, `${+controls.state.rate.toFixed(2)}${THIN}%`);
    if (method.select.value !== controls.state.method) method.select.value = controls.state.method;
    factors.forEach(({ show, row }, k) => {
      row?.toggleAttribute("hidden", !prunes || k >= levels.length);
      if (k >= levels.length) return;
      const share = k ? levels[k - 1] - levels[k] : 1 - levels[0];
      const factor = controls.factorsFor(controls.state.factors)[k];
      show(levels.length === 1 ? "Amplify all that stays"
        : `Amplify ${k ? "next" : "top"} ${level(share)}`, factor, `×${THIN}${three(factor)}`);
    });
  };
}

/** The model that is drawn. @param {Element} parent */
export function modelInput(parent) {
  const { row, select } = list(parent, "model", "Drawn model",
    Object.keys(server.tables).map((ref) => [ref, server.names[ref].label]), controls.look);
  row.firstElementChild?.prepend(html("span", { class: "swatch", "aria-hidden": "true" }), " ");
  return () => { if (select.value !== controls.state.focus) select.value = controls.state.focus; };
}
