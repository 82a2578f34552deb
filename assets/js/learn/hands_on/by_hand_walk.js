// One small matrix through a whole merge: the steps, and the reader's predictions. Python computes every number.
import { html, say, put } from "../../base/shapes.js";
import { quiz } from "../quiz.js";
import { tied } from "../prose.js";
import { MOVES, SIDE, capital, moved, place, tint } from "./by_hand_numbers.js";

const GLYPHS = { far: "▲", kept: "✓", p1: "1", p2: "2", both: "+", against: "⇄", one: "·", out: "×", base: "" };
const escaped = (text) => { const box = html("i"); box.textContent = text; return box.innerHTML; };

/**
 * Draw the walk. `edit` builds what changes its numbers, `find` gives what is here already, else null, and `ask` waits
 * for it; `did` is told of answers, `solved` of right ones, and `before` holds the steps solved earlier; `kept` and
 * `keep`, if any, hold numbers and step from one visit to the next.
 * @param {any} options
 */
export function walk({ host, result, find, ask, edit, did = () => {}, kept = () => null, keep = () => {},
  solved = () => {}, before = {} }) {
  const last = kept();
  const state = { value: { ...result, ...last?.value }, step: result.steps[last?.step] ? last.step : 0, at: 1,
    seen: new Set(), open: new Set(), right: new Set(Object.keys(before)), timer: 0, asked: 0 };
  const editor = edit(host, state, change);
  editor.dirty = Boolean(last?.dirty);
  const remember = () => {
    const { start, settings, weights } = state.value;
    keep({ value: { start, settings, weights }, dirty: editor.dirty, step: state.step });
  };
  const nav = html("nav", { class: "hand-steps", "aria-label": "Steps of the merge" }, host);
  const count = html("p", { class: "how", role: "status" }, host);
  const panel = html("section", { class: "hand-step" }, host);
  const note = html("p", { class: "problem", role: "alert", hidden: "" }, host);
  const tabs = result.steps.map((step, i) => {
    const tab = html("button", { type: "button", class: "small", "data-step": step.key }, nav, String(i + 1));
    tab.addEventListener("click", () => { state.step = i; draw(); });
    return tab;
  });
  // An edit changes all steps: at once if they are here, else by a request, whose answer is dropped once outdated.
  function change(extra, soon = 0) {
    const { start, settings, weights } = state.value, serial = (state.asked += 1);
    const args = { start, ...settings, weights: editor.dirty ? weights : {}, ...extra };
    clearTimeout(state.timer);
    const here = find(args, state.value);
    if (here) return take(here, extra);
    state.timer = setTimeout(async () => {
      put(host, "data-busy", true);
      try {
        const value = find(args, state.value) ?? await ask(args);
        if (serial === state.asked) take(value, extra);
      } catch (error) {
        if (serial !== state.asked) return;
        keep(null);
        say(note, error.message);
        note.hidden = false;
        put(host, "data-busy", false);
      }
    }, soon);
  }
  function take(value, { start }) {
    if (start) state.open.clear();
    state.value = value;
    state.seen.clear();
    note.hidden = true;
    put(host, "data-busy", false);
    editor.draw();
    draw();
  }
  // The steps whose question is answered right, marked and counted.
  function mark() {
    const asking = state.value.steps.filter(({ question }) => question), { right } = state;
    state.value.steps.forEach(({ key, title }, i) => {
      put(tabs[i], "data-solved", right.has(key));
      put(tabs[i], "aria-label", `Step ${i + 1}: ${title}${right.has(key) ? " (answered)" : ""}`);
    });
    say(count, `${asking.filter(({ key }) => right.has(key)).length} of ${asking.length} questions answered right.`);
  }
  function answer(key, text, right) {
    did(key, text);
    if (!right) return;
    state.right.add(key);
    solved(key, state.value.steps.filter(({ question }) => question).map((step) => step.key));
    mark();
  }
  function draw() {
    mark();
    tabs.forEach((tab, i) => {
      if (i === state.step) put(tab, "aria-current", "step");
      else tab.removeAttribute("aria-current");
    });
    drawStep(panel, state, answer, (i) => { state.step = i; draw(); panel.querySelector("h3").focus(); });
    put(host, "data-step", state.value.steps[state.step].key);
    remember();
  }
  if (last) change({});
  editor.draw();
  draw();
}

// --- one step --------------------------------------------------------------------------------------
function drawStep(panel, state, answer, go) {
  const { steps } = state.value, step = steps[state.step];
  panel.replaceChildren();
  html("h3", { class: "plot-title", tabindex: "-1" }, panel, `${state.step + 1} of ${steps.length}. ${step.title}`);
  html("p", {}, panel, tied(step.text));
  html("p", { class: "hand-formula" }, panel, step.formula);
  const grids = html("div", { class: "hand-grids", "data-count": step.grids.length }, panel);
  const read = html("p", { class: "hand-read", role: "status", ...(!step.cells.length && { hidden: "" }) }, panel);
  const { question } = step;
  const waits = () => question && !state.seen.has(step.key) && !(question.veils && state.open.has(step.key));
  const veiled = () => waits() && question.veils; // the computed step would reveal the answer
  const hides = (grid, i) => waits() && question.grid === grid.name && question.cell === i;
  const tables = step.grids.map((grid) => drawGrid(grids, grid, step, (i) => hides(grid, i), veiled, state, tell));
  function tell(i) {
    state.at = i;
    tables.forEach((table) => table.at(i));
    if (!step.cells.length) return;
    const hidden = step.grids.some((grid) => hides(grid, i));
    say(read, `${capital(place(i))}: ${hidden || veiled() ? "answer first" : step.cells[i]}`);
  }
  const rest = html("div", { class: "hand-rest" }, panel);
  drawRest(rest, step, veiled(), () => {
    state.open.add(step.key);
    reveal();
    panel.querySelector("h3").focus({ preventScroll: true });
  });
  function reveal() {
    tables.forEach((table) => table.draw());
    tell(question.cell ?? state.at);
    drawRest(rest, step, false);
  }
  if (question) ask(panel, step, state, answer, () => { state.open.add(step.key); reveal(); });
  tell(state.at);
  const bar = html("div", { class: "hand-go" }, panel);
  for (const [i, text] of [[state.step - 1, "Step before"], [state.step + 1, "Next step"]]) {
    if (!steps[i]) continue;
    const button = html("button", { type: "button", class: "small" }, bar, text);
    button.addEventListener("click", () => go(i));
  }
}
// What is worked out below the grids; or that it waits.
function drawRest(box, step, waits, show) {
  box.replaceChildren();
  if (waits) {
    html("p", { class: "how" }, box, "The worked numbers would tell the answer. They come once you have answered.");
    html("button", { type: "button", class: "small", "data-act": "show" }, box, "Show them now")
      .addEventListener("click", show);
    return;
  }
  drawLegend(box, step);
  if (step.lines.length) {
    const list = html("ul", { class: "hand-lines" }, box);
    for (const line of step.lines) html("li", {}, list, tied(line));
  }
  if (step.table) drawTable(box, step.table, step.title);
}
function drawGrid(parent, grid, step, hides, veiled, state, tell) {
  const box = html("div", { class: "learn-cells" }, parent);
  html("h4", {}, box, grid.label);
  const table = html("table",
    { class: "cells hand-cells", role: "grid", "aria-label": grid.label, "data-grid": grid.name }, box);
  const top = Math.max(...grid.values.map(Math.abs)) || 1;
  const cells = grid.values.map((_, i) => {
    if (i % SIDE === 0) html("tr", { role: "row" }, table);
    const cell = html("td", { role: "gridcell", tabindex: "-1", "data-cell": i }, table.lastChild);
    cell.addEventListener("focus", () => tell(i));
    cell.addEventListener("click", () => cell.focus());
    cell.addEventListener("keydown", (event) => {
      if (!(event.key in MOVES)) return;
      event.preventDefault();
      cells[moved(i, event.key)].focus();
    });
    return cell;
  });
  const draw = () => cells.forEach((cell, i) => {
    const hidden = hides(i), mark = veiled() ? "" : grid.marks[i] ?? "";
    say(cell, hidden ? "?" : grid.shown[i]);
    put(cell, "data-mark", hidden ? "hidden" : mark);
    put(cell, "data-glyph", hidden ? "" : GLYPHS[mark] ?? "");
    put(cell, "aria-label",
      `${place(i)}: ${hidden ? "hidden" : `${grid.shown[i]}${step.legend[mark] ? `, ${step.legend[mark]}` : ""}`}`);
    if (hidden || mark === "out") {
      cell.style.background = "";
      cell.style.color = "";
    } else tint(cell, grid.values[i], top);
  });
  const at = (i) => cells.forEach((cell, k) => {
    put(cell, "tabindex", k === i ? 0 : -1);
    put(cell, "data-marked", k === i);
  });
  draw();
  at(state.at);
  return { draw, at };
}
function drawLegend(panel, step) {
  const used = new Set(step.grids.flatMap((grid) => grid.marks));
  const words = Object.entries(step.legend).filter(([mark]) => used.has(mark));
  if (!words.length) return;
  const list = html("ul", { class: "hand-legend" }, panel);
  for (const [mark, text] of words) {
    const row = html("li", {}, list);
    html("span", { "data-mark": mark, "data-glyph": GLYPHS[mark] ?? "", "aria-hidden": "true" }, row);
    html("span", {}, row, text);
  }
}
function drawTable(panel, { columns, rows }, title) {
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` },
    panel);
  const table = html("table", {}, scroll);
  const head = html("tr", {}, html("thead", {}, table));
  for (const column of columns) html("th", { scope: "col" }, head, column);
  const body = html("tbody", {}, table);
  for (const row of rows) {
    const line = html("tr", {}, body);
    row.forEach((text, i) => html(i ? "td" : "th", i ? {} : { scope: "row" }, line, text));
  }
}
export const table = drawTable;
function ask(panel, step, state, tell, reveal) {
  const { text, options, answer, why } = step.question;
  const choices = options.map((option, i) => ({ html: escaped(option), right: i === answer, why: escaped(why) }));
  const picks = []; // up to the right one: the others may be read afterwards
  quiz(panel, { html: escaped(text), choices }, step.key, undefined, (i) => {
    if (!picks.includes(answer)) picks.push(i);
    tell(step.key,
      `${step.title}. ${text} `
      + `${picks.map((k) => `${options[k]}: ${k === answer ? "right" : "not quite"}.`).join(" ")}`, i === answer);
    state.seen.add(step.key);
    reveal();
  });
}
