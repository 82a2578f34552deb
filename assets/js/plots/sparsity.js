// The fate of every weight of the drawn model: never changed, lost to the dtype, pruned, or in a
// partition; and the length of the rest. Stacked for all modules together and layer by layer.
import { explain } from "../base/glossary_bubbles.js";
import { html, svg, put, say, px, percent, percent1, three } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { partitionsOf } from "../session/densities.js";
import { redraw, part, server, setActivity } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import * as frame from "./frame_values.js";
import { shade } from "./heatmap.js";
import * as words from "./plot_sentences.js";

const LEFT = 44, TOP = 30, ROW = 22, GAP = 10, BOTTOM = 40;
const COUNT_MS = 250, AT_ONCE = 5e7; // weights up to which losses are counted automatically

/** @param {number} width */
const ratioOf = (width) => (width < 500 ? 150 : 190); // pixels for the lengths, beside the bars

// --- losses: counted by the server for what the controls say ------------------------------------
let /** @type {any} */ losses = null, /** @type {any} */ trigger = null, /** @type {any} */ send = null;
let lastQuestion = "", timer = 0;
const model = () => controls.state.models.find((m) => m.ref === controls.state.focus);
const weightNow = () => { const now = model(); return now && controls.weight(now); };
const question = () =>
  JSON.stringify(
    [controls.state.focus, controls.settingsKey(), controls.levels(), controls.factorsOf(controls.state.focus),
      weightNow(), controls.state.dtype]);
/** @param {any} value */
const answers = (value) =>
  JSON.stringify(
    [value.model, controls.fits(value.settings) && controls.settingsKey(), value.settings.levels, value.factors,
      value.weight, value.dtype_choice]) === question();
export const lossesNow = () => (losses && answers(losses) ? losses : null);
function ask() {
  if (!trigger || server.activity.losses !== "idle" || lossesNow()) return;
  lastQuestion = question();
  setActivity("losses", "counting");
  send(controls.state.focus);
  trigger("count");
}
part("losses", ({ get, put: hand, watch, trigger: fire }) => {
  [trigger, send] = [fire, hand];
  const take = (/** @type {any} */ value) => {
    if (!value?.settings) return;
    losses = value;
    if (!answers(value)) lastQuestion = "";
    setActivity("losses", "idle");
  };
  watch(take);
  take(get());
});
/** @param {any} view */
function countSoon(view) {
  if (lossesNow() || question() === lastQuestion || view.numel > AT_ONCE || view.shows !== "plan" || controls.staged())
    return;
  clearTimeout(timer);
  timer = setTimeout(ask, COUNT_MS);
}

// --- the numbers -----------------------------------------------------------------------------------
// Rows of shares: all modules together, then every layer. bands: [share kept, share lost] a partition.
/** @param {any} view */
export const sparsityOf = (view) => {
  const factors = controls.factorsOf(controls.state.focus);
  const loss = view.shows === "plan" ? lossesNow() : null;
  const rows = view.table.layers.map((/** @type {number | null} */ layer, /** @type {number} */ l) =>
    rowOf(view, `${layer}`, view.cells.filter((/** @type {MatrixCell} */ cell) => cell.l === l), factors,
      loss?.layers?.[l]));
  const all = loss?.layers?.length
    ? factors.map((_, k) => loss.layers.reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + row[k], 0))
    : undefined;
  return [rowOf(view, "all", view.cells, factors, all), ...rows];
};
/** @param {any} view @param {string} name @param {any} cells @param {any} factors @param {any} lost */
function rowOf(view, name, cells, factors, lost) {
  const numel = cells.reduce((/** @type {number} */ sum, /** @type {MatrixCell} */ cell) => sum + cell.numel, 0) || 1;
  const mean = (/** @type {any} */ value) =>
    cells.reduce((/** @type {number} */ sum, /** @type {MatrixCell} */ cell) => sum + value(cell) * cell.numel,
      0) / numel;
  const squares = cells.reduce((/** @type {number} */ sum, /** @type {MatrixCell} */ cell) => sum + cell.squares, 0);
  const parts = new Map(cells.map((/** @type {MatrixCell} */ cell) => [cell, partitionsOf(view, cell)]));
  const changed = mean((/** @type {MatrixCell} */ cell) => view.table.nonzero[cell.index]);
  const bands = factors.map((/** @type {any} */ factor, /** @type {number} */ k) => {
    const kept = view.shows === "whole" ? changed
      : mean((/** @type {MatrixCell} */ cell) =>
        (view.shows === "random" ? parts.get(cell)[k][0] * view.table.nonzero[cell.index] : parts.get(cell)[k][0]));
    return { factor, kept, lost: lost ? lost[k] / numel : 0 };
  });
  const kept = bands.reduce((/** @type {number} */ sum, /** @type {any} */ band) => sum + band.kept, 0);
  const length = (/** @type {any} */ weight) =>
      (squares ? Math.sqrt(cells.reduce((/** @type {number} */ sum, /** @type {MatrixCell} */ cell) =>
    sum
      + cell.squares * (view.shows === "whole" ? 1
        : parts.get(cell)
          .reduce((/** @type {any} */ s, /** @type {any} */ [, energy], /** @type {number} */ k) => s
            + energy * weight(k) ** 2, 0)), 0) / squares) : 0);
  return {
    name, never: Math.max(1 - changed, 0), pruned: Math.max(changed - kept, 0), kept, bands,
      counted: lost !== undefined,
    lost: bands.reduce((/** @type {number} */ sum, /** @type {any} */ band) => sum + band.lost, 0),
    before: length(() => 1),
    after: length((/** @type {number} */ k) => factors[k] ?? 1),
  };
}

// --- the panel ---------------------------------------------------------------------------------------
let /** @type {any} */ elements = null;
/** @param {any} panel */
export const buildSparsity = (panel) => {
  const box = html("section", { class: "plot plot-sparsity" }, panel);
  const title = html("h3", { class: "plot-title" }, box);
  const legend = html("ul", { class: "legend" }, box);
  const root = svg("svg", { id: "sparsity", role: "img", "aria-label": "What becomes of the weights, layer by layer" },
    box);
  const how = html("p", { class: "how" }, box);
  const line = html("p", { class: "losses-line", role: "status" }, box);
  const text = html("span", {}, line);
  const button = html("button", { type: "button", class: "small", id: "count-losses", hidden: "" }, line, "Count");
  button.addEventListener("click", ask);
  const details = html("details", { class: "twin-box" }, panel);
  html("summary", {}, details, "The same as a table");
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sparsity as a table" },
    details);
  const table = html("table", { class: "twin", id: "sparsity-table" }, scroll);
  details.addEventListener("toggle", redraw);
  elements = { title, legend, root, how, text, button, details, table, built: "", rows: [] };
  saveable(box, "sparsity", rowsOf, () => root);
  return { panel, draw };
};
const FILLS = { never: "var(--d-paper)", pruned: "url(#sparsity-pruned)", lost: "url(#sparsity-lost)" };
// Segments in the order of the bar: [key, share, fill].
/** @param {any} row */
function segments(row) {
  const count = row.bands.length;
  const kept = row.bands.map((/** @type {any} */ { kept, lost }, /** @type {number} */ k) =>
    [`band${k}`, Math.max(kept - lost, 0), shade(k, count)]);
  return [...kept, ["lost", row.lost, FILLS.lost], ["pruned", row.pruned, FILLS.pruned],
    ["never", row.never, FILLS.never]];
}
/** @param {any} rows @param {number} width @param {any} count */
function framed(rows, width, count) {
  const { root } = elements;
  const height = TOP + GAP + ROW * rows.length + BOTTOM;
  const ratio = ratioOf(width), span = width - LEFT - ratio, steps = span < 300 ? 2 : 4;
  root.replaceChildren();
  for (const [name, value] of [["viewBox", `0 0 ${width} ${height}`], ["width", width], ["height", height]])
    put(root, String(name), value);
  const defs = svg("defs", {}, root);
  pattern(defs, "sparsity-pruned", "M0 6L6 0", "var(--d-sunk)", "var(--d-edge)");
  pattern(defs, "sparsity-lost", "M0 0L6 6M0 6L6 0", "var(--d-card)", "var(--d-ink)");
  svg("text", { x: 0, y: TOP - 10, class: "axis" }, root, "layer");
  for (let i = 0; i <= steps; i++) {
    const x = px(LEFT + (span * i) / steps);
    svg("line", { x1: x, x2: x, y1: TOP - 4, y2: height - BOTTOM, class: "grid" }, root);
    svg("text", { x, y: height - BOTTOM + 16, class: "tick middle" }, root, `${(100 / steps) * i}\u202f%`);
  }
  svg("text", { x: px(LEFT + span / 2), y: height - 6, class: "axis middle" }, root, span < 300 ? "share of the weights"
    : "share of the weights in matrices");
  const from = width - ratio + 30, room = ratio - 76;
  svg("text", { x: px(from + room / 2), y: height - 6, class: "axis middle" }, root, "‖D'‖ ÷ ‖D‖");
  const ticks = [0, 1,
    2].map((i) => svg("text", { x: px(from + (room * i) / 2), y: height - BOTTOM + 16, class: "tick middle" }, root));
  const whole = svg("line", { class: "mean", y1: TOP - 4, y2: height - BOTTOM }, root);
  elements.rows = rows.map((/** @type {any} */ row, /** @type {number} */ i) => {
    const y = TOP + ROW * i + (i ? GAP : 0);
    svg("text", { x: LEFT - 8, y: y + ROW / 2 + 4, class: "tick end" }, root, row.name);
    const rects = Array.from({ length: count + 3 },
      () => svg("rect", { class: "segment", y: y + 3, height: ROW - 6 }, root));
    const line = svg("line", { class: "link", y1: y + ROW / 2, y2: y + ROW / 2 }, root);
    const before = svg("circle", { class: "before", cy: y + ROW / 2, r: 4 }, root);
    const after = svg("circle", { class: "after", cy: y + ROW / 2, r: 4 }, root);
    return { rects, line, before, after, text: svg("text", { x: width, y: y + ROW / 2 + 4, class: "tick end" }, root) };
  });
  return { from, room, ticks, whole };
}
/** @param {any} defs @param {string} id @param {any} path @param {any} ground @param {any} ink */
function pattern(defs, id, path, ground, ink) {
  const tile = svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" }, defs);
  svg("rect", { width: 6, height: 6, style: `fill:${ground}` }, tile);
  svg("path", { d: path, style: `stroke:${ink};stroke-width:1` }, tile);
}
/** @param {any} view @param {number} width */
function draw(view, width) {
  const rows = sparsityOf(view);
  const shape = `${width}/${view.key}/${rows[0].bands.length}`;
  if (shape !== elements.built) { elements.built = shape; elements.frame = framed(rows, width, rows[0].bands.length); }
  const { from, room, ticks, whole } = elements.frame;
  const top = Math.max(1, Math.ceil(2 * Math.max(...rows.map((row) => Math.max(row.before, row.after)))) / 2);
  ticks.forEach((/** @type {any} */ tick, /** @type {number} */ i) => say(tick, three((top * i) / 2)));
  const at = (/** @type {any} */ ratio) => px(from + (room * ratio) / top);
  put(whole, "x1", at(1)); put(whole, "x2", at(1));
  const span = width - LEFT - ratioOf(width);
  rows.forEach((row, i) => {
    const marks = elements.rows[i];
    let x = LEFT;
    segments(row).forEach(([key, share, fill], k) => {
      const rect = marks.rects[k];
      put(rect, "x", px(x)); put(rect, "width", px(share * span));
      put(rect, "data-part", key); put(rect, "data-row", row.name); put(rect, "data-value", +share.toFixed(6));
      if (rect.style.fill !== fill && rect.fillText !== fill) { rect.style.fill = fill; rect.fillText = fill; }
      x += share * span;
    });
    put(marks.line, "x1", at(row.before)); put(marks.line, "x2", at(row.after));
    put(marks.before, "cx", at(row.before)); put(marks.after, "cx", at(row.after));
    put(marks.after, "data-value", +row.after.toFixed(5)); put(marks.before, "data-value", +row.before.toFixed(5));
    say(marks.text, row.after.toFixed(2));
  });
  fillWords(view, rows);
  countSoon(view);
}

// --- words ---------------------------------------------------------------------------------------------
/** @param {any} view @param {any} rows */
function fillWords(view, rows) {
  const who = words.label(controls.state.focus), [all] = rows;
  const amplified = Math.abs(all.after - all.before) < 0.005 ? "" : ` (amplified ${percent(all.after)})`;
  say(elements.title, view.shows === "whole" ? `${who} changed ${percent(all.kept)} of its weights, and all of it stays`
    : `${percent(all.kept)} of ${who}'s weights keep a change, ${percent(all.before)} as long as the whole `
      + `one${amplified}`);
  explain(elements.how,
    "One bar per layer, all matrices together above. Circle: [length] of what is left, ‖D'‖, by that of the whole "
    + "change, ‖D‖, before (open) and after factors (filled); dashed: as long as the whole change.");
  const loss = lossesNow(), staged = controls.staged() || view.shows !== "plan";
  const counting = server.activity.losses === "counting";
  elements.button.hidden = staged || loss !== null || counting || view.numel <= AT_ONCE;
  say(elements.text,
      staged ? "Which changes are written is known after the merge: see \u201cchanged by the merge\u201d under Modules."
    : loss?.layers
      ? `Lost to the dtype: ${all.lost > 0 ? percent(all.lost) : "none"} of the weights, counted in the weights. They `
      + `are added to the base alone, in float32, and rounded to ${loss.dtype}.`
      : counting ? "Lost to the dtype: being counted in the weights …"
        : "Lost to the dtype: counted in the weights when the sliders rest.");
  legend(rows[0], loss?.layers);
  if (elements.details.open) fill(rows);
}
/** @param {any} row */
const names = (row) => [
  ...row.bands.map((/** @type {any} */ { factor }, /** @type {number} */ k) =>
    `partition ${k + 1}, factor ${three(factor)}`), "lost to the dtype", "pruned",
  "never changed",
];
/** @param {any} row @param {any} counted */
function legend(row, counted) {
  const parts = segments(row), titles = names(row);
  const list = elements.legend;
  while (list.children.length > parts.length) list.lastChild.remove();
  while (list.children.length < parts.length) {
    const item = html("li", {}, list);
    const mark = svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, item);
    svg("rect", { width: 14, height: 14, class: "segment" }, mark);
    html("span", {}, item);
  }
  parts.forEach(([key, share, fill], i) => {
    const [mark, text] = list.children[i].children;
    if (mark.fillText !== fill) { mark.firstChild.style.fill = fill; mark.fillText = fill; }
    say(text, `${titles[i]}: ${key === "lost" && !counted ? "–" : percent1(share)}`);
  });
}
function rowsOf() { // the drawn values, for a file
  const view = frame.view();
  if (!view) return null;
  const rows = sparsityOf(view);
  return {
    columns: ["model", "layer", ...names(rows[0]).map((name) => `${name} (share)`), "‖D'‖ ÷ ‖D‖ before factors",
      "‖D'‖ ÷ ‖D‖ after factors"],
    rows: rows.map((row) => [controls.state.focus, row.name,
      ...segments(row).map(([key, share]) => (key === "lost" && !row.counted ? null : share)), row.before, row.after]),
  };
}
/** @param {any} rows */
function fill(rows) {
  const head = ["layer", ...names(rows[0]), "‖D'‖ ÷ ‖D‖ before", "after"];
  const { table } = elements;
  const key = JSON.stringify(head) + rows.length;
  if (table.key !== key) {
    table.key = key;
    table.replaceChildren();
    const line = html("tr", {}, html("thead", {}, table));
    for (const name of head) html("th", { scope: "col" }, line, name);
    const body = html("tbody", {}, table);
    table.cells = rows.map((/** @type {any} */ row) => {
      const line = html("tr", {}, body);
      html("th", { scope: "row" }, line, row.name);
      return head.slice(1).map(() => html("td", {}, line, "–"));
    });
  }
  rows.forEach((/** @type {any} */ row, /** @type {number} */ i) => {
    const texts = [...segments(row).map(([key, share]) => (key === "lost" && !row.counted ? "–" : percent1(share))),
      row.before.toFixed(3), row.after.toFixed(3)];
    texts.forEach((text, k) => say(table.cells[i][k], text));
  });
}
