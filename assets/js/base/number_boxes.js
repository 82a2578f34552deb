// The number boxes beside Gradio's sliders accept only allowed numbers. While anything else is typed,
// nothing changes; on Enter or when the box is left, it returns to the last allowed number.
import { noteAt } from "./field_notices.js";
import { put, valueText } from "./shapes.js";

// only multiples of their step are allowed
const STEPS = "#score-limit, #search-limit, #search-trials, #max-tokens, #partitions";
/** @param {any} event */
const boxOf = (event) => event.target?.closest?.('input[data-testid="number-input"]');
/** @param {any} box */
const fits = (box) => {
  const text = box.value.trim(), value = +text;
  const whole = !box.closest(STEPS) || Number.isInteger((value - box.min) / box.step);
  return text !== "" && value >= +box.min && value <= +box.max && whole;
};
// The nearest number the slider allows.
/** @param {any} options @param {any} value @param {any} steps */
function nearest({ min, max, step }, value, steps) {
  const within = Math.min(Math.max(value, +min), +max);
  return steps ? +min + Math.round((within - min) / step) * step : within;
}
/** @param {any} event */
function settle(event) {
  const box = boxOf(event);
  if (!box || fits(box)) return;
  const block = box.closest(".block"), typed = box.value.trim(), steps = Boolean(box.closest(STEPS));
  box.value = typed === "" ? block.querySelector("input[type=range]").value : nearest(box, +typed, steps);
  box.dispatchEvent(new Event("input", { bubbles: true }));
  if (typed === "") return;
  const label = block.querySelector('[data-testid="block-info"]')?.textContent.trim() ?? "This box";
  const by = steps && +box.step > 1 ? `, in steps of ${box.step}` : "";
  noteAt(block, `${label}: ${box.min} to ${box.max}${by}. ${typed} became ${box.value}.`);
}
// In the capture phase, before Gradio and the state.
window.addEventListener("input", (event) => {
  const box = boxOf(event);
  if (box && !fits(box)) event.stopImmediatePropagation();
}, true);
// A decimal comma, which the browser silently drops if the page's language uses a point.
window.addEventListener("beforeinput", (event) => {
  if (event.data !== "," || !event.target?.matches?.('input[type="number"]')) return;
  event.preventDefault();
  document.execCommand("insertText", false, ".");
}, true);
window.addEventListener("keydown", (event) => { if (event.key === "Enter") settle(event); }, true);
window.addEventListener("blur", settle, true);
window.addEventListener("corrected", (event) => noteAt(event.target, /** @type {CustomEvent} */ (event).detail));

// --- what a screen reader says of Gradio's sliders; a value may be set by code, and a slider be unfolded ---
const GRADIO = "input[type=range][aria-label^='range slider for ']";
let soon = 0;
const tell = () => {
  soon = 0;
  for (const range of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(GRADIO))) {
    put(range, "aria-valuetext", valueText((range.ariaLabel ?? "").replace("range slider for ", ""), range.value));
  }
};
for (const name of ["input", "change", "click", "focusin", "dppa:paint"]) {
  window.addEventListener(name, () => { if (!soon) soon = requestAnimationFrame(tell); });
}
