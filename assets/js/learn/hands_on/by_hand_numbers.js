// The numbers of the small matrix, to edit, and what its grids share.
import { signs, html, say, put } from "../../base/shapes.js";
import { showSource } from "../../pinned/answer_note.js";
import { select } from "../charts.js";

export const SIDE = 6;
const WAIT_MS = 250;
/** @type {[string, string][]} */
export const STARTS = [["heavy", "made up, a few stand out"], ["random", "made up, none stands out"],
  ["real", "from math and finance"]];
/** @type {[string, string, number, number, number, (x: number) => string][]} */
export const SETTINGS = [
  ["rate", "Pruning rate", 0.5, 0.95, 0.05, (x) => `${Math.round(100 * x)}\u202f%`],
  ["factor", "Factor of partition 1", 0, 4, 0.5, (x) => `×\u202f${+x.toFixed(1)}`],
  ["first", "Coefficient of A", -2, 2, 0.1, (x) => String(+x.toFixed(1)).replace("-", "−")],
  ["second", "Coefficient of B", -2, 2, 0.1, (x) => String(+x.toFixed(1)).replace("-", "−")],
];
const SOURCES = { tab: "This tab looked the steps up. The server was not asked.",
  server: "The server computed the steps." };
const SIDES = [["base", "Base W"], ["A", "Model A"], ["B", "Model B"]];
export const MOVES = { ArrowUp: -SIDE, ArrowDown: SIDE, ArrowLeft: -1, ArrowRight: 1 };
export const place = (i) => `row ${Math.floor(i / SIDE) + 1}, column ${(i % SIDE) + 1}`;
export const capital = (text) => text[0].toUpperCase() + text.slice(1);
// The cell that an arrow key leads to; the same at an edge.
export function moved(i, key) {
  const next = i + MOVES[key];
  const sideways = Math.abs(MOVES[key]) === 1;
  const inside = next >= 0 && next < SIDE * SIDE && (!sideways || Math.floor(next / SIDE) === Math.floor(i / SIDE));
  return inside ? next : i;
}
export function tint(cell, value, top) {
  const share = 0.5 + 0.5 * Math.min(Math.max(value / top, -1), 1);
  cell.style.background = signs.colour(share);
  cell.style.color = signs.ink(share);
}

export function buildEditor(host, state, change) {
  const editor = { dirty: false, side: "base", draw };
  const bar = html("div", { class: "plot-bar" }, host);
  select(bar, "Numbers", STARTS, state.value.start, (start) => {
    editor.dirty = false;
    change({ start, weights: {} });
  });
  const undo = html("button", { type: "button", class: "small", hidden: "" }, bar, "Take back my numbers");
  undo.addEventListener("click", () => { editor.dirty = false; change({ weights: {} }); });
  const source = html("span", { class: "source" }, bar);
  const columns = html("div", { class: "hand-columns" }, host);
  const box = html("details", { class: "hand-editor", ...(window.innerWidth > 900 && { open: "" }) }, columns);
  html("summary", {}, box, "Edit the numbers");
  const sides = html("div", { class: "hand-sides", role: "group", "aria-label": "Which matrix" }, box);
  const buttons = SIDES.map(([name, label]) => {
    const button = html("button", { type: "button", class: "small" }, sides, label);
    button.addEventListener("click", () => { editor.side = name; draw(); });
    return button;
  });
  const grid = html("div", { class: "hand-inputs", role: "group" }, box);
  const inputs = Array.from({ length: SIDE * SIDE }, (_, i) => {
    const input = html("input", { type: "text", inputmode: "text", autocomplete: "off", spellcheck: "false" }, grid);
    input.addEventListener("keydown", (event) => {
      const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
      const { selectionStart: from, selectionEnd: to, value } = input;
      const leaves = to - from === value.length
        || (from === to && from === (event.key === "ArrowLeft" ? 0 : value.length));
      if (!(event.key in MOVES) || (across && !leaves)) return; // inside a number they move the caret
      event.preventDefault();
      const next = inputs[moved(i, event.key)];
      next.focus();
      next.select();
    });
    input.addEventListener("focus", () => { input.select(); state.at = i; });
    input.addEventListener("input", () => take(i, input));
    input.addEventListener("blur", draw);
    return input;
  });
  const problem = html("p", { class: "problem", role: "alert", hidden: "" }, box);
  const unit = html("p", { class: "how" }, box);
  const sliders = html("div", { class: "hand-settings" }, columns);
  const rows = SETTINGS.map((setting) => slider(sliders, setting, state, change));
  function take(i, input) {
    const typed = Number(input.value.trim().replace("−", "-").replace(",", "."));
    const good = input.value.trim() !== "" && Number.isFinite(typed) && Math.abs(typed) <= 9999;
    put(input, "aria-invalid", !good);
    problem.hidden = good;
    const stays = state.value.shown[editor.side][i];
    if (!good)
      return say(problem,
        `${capital(place(i))}: ${input.value.trim() ? `“${input.value.trim()}” is not` : "an empty cell is not"} a `
        + `number from −9999 to 9999, so ${stays} stays.`);
    editor.dirty = true;
    state.value.weights[editor.side][i] = typed;
    change({}, WAIT_MS);
  }
  function draw() {
    const { weights, shown: texts, unit: scaleUnit } = state.value;
    buttons.forEach((button, i) => put(button, "aria-pressed", SIDES[i][0] === editor.side));
    const label = SIDES.find(([name]) => name === editor.side)?.[1];
    put(grid, "aria-label", label);
    const top = Math.max(...weights[editor.side].map(Math.abs)) || 1;
    inputs.forEach((input, i) => {
      put(input, "aria-label", `${label}, ${place(i)}`);
      if (input !== document.activeElement) { input.value = texts[editor.side][i]; put(input, "aria-invalid", false); }
      tint(input, weights[editor.side][i], top);
    });
    const scale = scaleUnit === 1
      ? "Whole numbers to begin with, so that they can be followed by hand; yours may have decimals, such as 1.5."
      : `In units of ${scaleUnit}.`;
    undo.hidden = !editor.dirty;
    showSource(source, state.value.source ?? "server", { share: "", titles: SOURCES });
    say(unit, `${scale} Arrow keys go from cell to cell. Numbers from −9999 to 9999.`);
    rows.forEach((row) => row());
  }
  return editor;
}
function slider(parent, [name, label, low, high, step, text], state, change) {
  const id = `hand-${name}`;
  html("label", { for: id }, parent, label);
  const range = html("input", { type: "range", id, min: low, max: high, step }, parent);
  const read = html("output", { for: id }, parent);
  const draw = (value) => {
    say(read, text(value));
    put(range, "aria-valuetext", text(value));
    range.style.setProperty("--filled", `${(100 * (value - low)) / (high - low)}%`);
  };
  range.addEventListener("input", () => {
    state.value.settings[name] = +range.value;
    draw(+range.value);
    change({}, WAIT_MS / 2);
  });
  return () => { range.value = state.value.settings[name]; draw(state.value.settings[name]); };
}
