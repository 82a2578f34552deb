// A range and a number box with one common value, and the name of a model beside them.
import { html } from "../base/shapes.js";
import { server } from "../session/server.js";

export const label = (reference) => server.names[reference]?.label ?? reference.replace(/^zoo:/, "");

// A range and a number box with one common value. onMove(value) is called at every step of either.
// The box may accept more than the range: `limits`.
export function slider(parent, { name, low, high, step, digits, value, limits = { min: low, max: high }, onMove }) {
  const box = html("div", { class: "slide" }, parent);
  const range = html("input", { type: "range", "aria-label": name, min: low, max: high, step }, box);
  const number = html("input", { type: "number", "aria-label": `${name}, as a number`, ...limits, step }, box);
  let shown = null;
  const text = (x) => (digits > 2 ? String(+x.toFixed(digits)) : x.toFixed(digits));
  const show = (x) => {
    if (x === shown) return;
    shown = x;
    range.value = x;
    range.style.setProperty("--filled", `${Math.min(Math.max((100 * (x - low)) / (high - low), 0), 100)}%`);
    if (document.activeElement !== number) number.value = text(x);
  };
  const clamp = (x) => Math.min(Math.max(x, limits.min), limits.max);
  range.addEventListener("input", () => { show(+range.value); onMove(+range.value); });
  number.addEventListener("input", () => {
    if (number.value.trim() === "" || Number.isNaN(+number.value)) return;
    show(clamp(+number.value));
    onMove(clamp(+number.value));
  });
  number.addEventListener("blur", () => { number.value = text(shown); });
  show(value);
  return { box, show };
}
