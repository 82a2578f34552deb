// Details of one matrix, below the heatmap: sizes of its changes, its share of the whole, its rows and
// columns, and its own rate. Curves follow every slider; rows and columns follow at rest.
import { explain } from "../base/glossary_bubbles.js";
import { byId, html, svg, say, put, percent, percent1, level, count, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { atRate, levelsOf, partitionsOf } from "../session/densities.js";
import { override } from "../session/overrides.js";
import { paint, redraw, part, setActivity } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import * as tables from "../session/tables.js";
import { distributionPlot } from "./distribution.js";
import * as frame from "./frame_values.js";
import { layerWords } from "./heatmap.js";
import * as words from "./plot_sentences.js";

const ASK_MS = 200; // after the last move

// The server's values of one cell, with the input of the distribution plot.
/** @param {any} value */
function tableOf(value) {
  const [edges, histogram, threshold, energy] = ["edges", "histogram", "threshold",
    "energy"].map((name) => tables.unpack(value[name]));
  const rates = threshold.length, bins = histogram.length;
  const kept = new Float64Array(bins * rates);
  for (let r = 0; r < rates; r++) {
    let left = Math.min(value.numel * (1 - r / (rates - 1)), value.nonzero); // the largest first
    for (let b = bins - 1; b >= 0; b--) {
      const inside = Math.min(histogram[b], left);
      left -= inside;
      kept[b * rates + r] = histogram[b] ? inside / histogram[b] : 0;
    }
  }
  return { edges, histogram, threshold, energy, kept_histogram: kept, count: rates };
}

part("drill", ({ get, put: send, watch, trigger }) => {
  let /** @type {any} */ value = null, /** @type {any} */ table = null, /** @type {any} */ panel = null,
    lastQuestion = "", timer = 0;
  function take(/** @type {any} */ next) {
    if (!next || !next.edges) return;
    if (!value || value.model !== next.model || value.layer !== next.layer || value.kind !== next.kind) table = null;
    value = next;
    table ??= tableOf(next);
    setActivity("drill", "idle");
  }
  watch(take);
  take(get());
  const fits = (/** @type {any} */ { focus, picked }) => value !== null && value.model === focus
    && value.layer === picked.layer
    && value.kind === picked.kind;
  function askSoon() {
    const { focus, picked } = controls.state;
    const question = JSON.stringify([focus, picked, controls.settingsKey(), controls.levels()]);
    if (question === lastQuestion) return;
    lastQuestion = question;
    clearTimeout(timer);
    timer = setTimeout(() => {
      send({ model: focus, ...picked });
      trigger("look");
    }, value && fits(controls.state) ? ASK_MS : 0);
  }
  // Counted for the current controls.
  const fresh = () => value.lines && controls.fits(value.settings)
    && JSON.stringify(value.settings.levels) === JSON.stringify(controls.levels());

  paint(() => {
    const place = document.getElementById("drill-place"), view = frame.view();
    if (!place || !view) return;
    const { picked } = controls.state;
    const cell = picked
      && view.cells.find((/** @type {any} */ { layer, kind }) => layer === picked.layer && kind === picked.kind);
    place.hidden = !cell;
    if (!cell) return;
    panel ??= build(place);
    askSoon();
    draw(panel, view, cell, fits(controls.state) ? value : null, table, fits(controls.state) && fresh());
    if (controls.state.arrival) arrive(place, panel);
  });
  // It may lie below the fold, on a phone behind the pinned sliders.
  function arrive(/** @type {any} */ place, /** @type {any} */ { title }) {
    const phone = window.matchMedia("(max-width: 900px)").matches;
    if (controls.state.arrival.byKey) title.focus({ preventScroll: phone });
    controls.state.arrival = null;
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    place.scrollIntoView({ block: phone ? "start" : "nearest", behavior: calm ? "auto" : "smooth" });
  }
});

// --- the panel, built once -------------------------------------------------------------------
/** @param {any} place */
function build(place) {
  put(place, "aria-label", "One matrix closely");
  const head = html("div", { class: "drill-head" }, place);
  const title = html("h3", { class: "plot-title", tabindex: "-1" }, head);
  const close = html("button", { type: "button", class: "small", id: "drill-close" }, head, "Close");
  const heatmap = byId("heatmap");
  close.addEventListener("click", () => { heatmap.focus(); controls.set({ picked: null, arrival: null }); });
  for (const from of [place, heatmap]) {
    from.addEventListener("keydown", (/** @type {any} */ event) => {
      if (event.key === "Escape" && controls.state.picked) close.click();
    });
  }
  const grid = html("div", { class: "drill-grid" }, place);
  const left = html("div", { class: "plot" }, grid);
  const root = svg("svg",
    { id: "drill-distribution", role: "img", tabindex: "0",
      "aria-label": "Distribution of the size of this matrix's changes. Plus and minus zoom, arrows move." }, left);
  const reset = html("button", { type: "button", class: "zoom-reset", hidden: "" }, left, "Reset zoom");
  const distribution = distributionPlot(root, (/** @type {any} */ zoomed) => { reset.hidden = !zoomed; });
  reset.addEventListener("click", () => distribution.reset());
  const how = html("p", { class: "how" }, left);
  const right = html("div", { class: "drill-facts" }, grid);
  const facts = html("dl", {}, right);
  const inputs = buildOwn(right);
  const lines = html("div", { class: "drill-lines" }, place);
  const note = html("p", { class: "how", role: "status" }, place);
  saveable(place, "matrix", () => rowsOf(panel), () => root);
  /** @type {any} */
  const panel = { title, root, distribution, how, facts, inputs, lines, note, left, width: 0 };
  const measure = () => { panel.width = Math.floor(left.clientWidth); redraw(); };
  new ResizeObserver(measure).observe(left);
  measure();
  return panel;
}
/** @param {any} options */
function rowsOf({ table, cell }) { // the drawn values, for a file
  if (!table) return null;
  const { short } = words.score(), { edges, histogram, kept_histogram: kept, count: rates } = table;
  return {
    columns: ["model", "layer", "module", `${short} from`, `${short} to`, "changes (count)", "kept of these (share)"],
    rows: Array.from(histogram, (n, b) =>
      [controls.state.focus, cell.layer, cell.kind, edges[b], edges[b + 1], n, atRate(kept, b, rates, 1 - cell.kept)]),
  };
}
/** @param {Element} parent */
function buildOwn(parent) {
  const box = html("div", { class: "drill-own" }, parent);
  const label = html("label", { for: "own-rate", class: "setting-name" }, box, "Its own pruning rate (%)");
  const row = html("div", { class: "slide" }, box);
  const range = html("input", { type: "range", id: "own-rate", min: "0", max: "99", step: "1" }, row);
  const number = html("input",
    { type: "number", min: "0", max: "99", step: "1", "aria-label": "Its own pruning rate in percent" }, row);
  const follow = html("button", { type: "button", class: "small", id: "own-follow" }, box, "Follow the plan");
  const text = html("p", { class: "how" }, box);
  const inputs = { box, range, number, follow, text, modules: [], shown: "", parts: [label, row, follow] };
  const move = (/** @type {any} */ input) => {
    const rate = Number(input.value);
    if (input.value.trim() !== "" && rate >= 0 && rate <= 99) override(inputs.modules, rate / 100);
  };
  range.addEventListener("input", () => move(range));
  number.addEventListener("input", () => move(number));
  number.addEventListener("change", () => { // Enter, or left: only what the slider allows stays
    const typed = number.value.trim();
    number.value = typed === "" ? inputs.shown : Math.min(Math.max(+typed, +number.min), +number.max);
    if (typed !== "") move(number);
  });
  follow.addEventListener("click", () => override(inputs.modules, null));
  return inputs;
}

// --- one frame ---------------------------------------------------------------------------------
/** @param {any} panel @param {any} view @param {MatrixCell} cell
 * @param {any} value @param {RateTable} table @param {any} fresh */
function draw(panel, view, cell, value, table, fresh) {
  Object.assign(panel, { table, cell });
  const who = words.label(controls.state.focus);
  const levels = view.shows === "whole" ? [] : levelsOf(view, cell).map((/** @type {any} */ [kept]) => kept);
  if (levels.length && view.shows === "plan") levels[levels.length - 1] = cell.kept;
  say(panel.title, drillTitle(view, cell, who));
  explain(panel.how, readDrill(view));
  fill(panel.facts, factsOf(view, cell, who));
  if (table && panel.width > 0) {
    const rates = levels.map((/** @type {any} */ kept) => 1 - kept);
    const cuts = view.shows === "plan"
      ? rates.map((/** @type {number} */ rate) => Array(3).fill(atRate(table.threshold, 0, table.count, rate))) : [];
    const pair = `${controls.state.focus}|${cell.layer}|${cell.kind}|${controls.state.significance}`;
    panel.distribution.draw(
      { table, levels: rates, thresholds: cuts, numel: value?.numel ?? cell.numel, pair, shows: view.shows,
        axisTitle: `${words.score().short} (logarithmic)` }, panel.width);
  }
  drawOwn(panel.inputs, view, cell);
  drawLines(panel, value, fresh, who);
}
// [name, value] pairs.
/** @param {any} view @param {MatrixCell} cell @param {string} who */
function factsOf(view, cell, who) {
  const factors = controls.factorsOf(controls.state.focus);
  const changeOf = (/** @type {any} */ matrix) => partitionsOf(view, matrix)
    .reduce((/** @type {number} */ sum, /** @type {any} */ [, energy], /** @type {number} */ k) => sum
      + energy * (factors[k] ?? 1) ** 2, 0);
  const about = view.exact ? "" : "≈ ";
  const size = [["size of its change, ‖d‖/‖W‖", percent1(cell.relative)]];
  if (view.shows === "whole") return [["weights", count(cell.numel)], ...size];
  const change = changeOf(cell), add = (/** @type {number} */ sum, /** @type {any} */ matrix) =>
    sum + changeOf(matrix) * matrix.squares;
  const all = view.cells.reduce(add, 0);
  return [
    ["kept", `${about}${percent1(cell.kept)}, ${count(Math.round(cell.kept * cell.numel))} of ${count(cell.numel)}`],
    [`of all that ${who} keeps`, `${about}${percent1(view.kept ? (cell.kept * cell.numel) / view.kept : 0)}`],
    [`of ${who}'s squared change, amplified`, `${about}${percent1(all ? (change * cell.squares) / all : 0)}`],
    ["its squared change kept", `${about}${percent1(cell.energy)}`],
    ["its change after ÷ before, ‖D'‖/‖d‖", `${about}${percent1(Math.sqrt(change))}`],
    ...size,
  ];
}
/** @param {any} list @param {any} pairs */
function fill(list, pairs) {
  while (list.children.length > 2 * pairs.length) list.lastChild.remove();
  while (list.children.length < 2 * pairs.length) { html("dt", {}, list); html("dd", {}, list); }
  pairs.forEach((/** @type {any} */ [name, text], /** @type {number} */ i) => {
    say(list.children[2 * i], name);
    say(list.children[2 * i + 1], text);
  });
}
/** @param {any} inputs @param {any} view @param {MatrixCell} cell */
function drawOwn(inputs, view, cell) {
  inputs.modules = cell.modules;
  const possible = controls.pruner() !== null && cell.modules.length > 0;
  const rate = 100 * (cell.own ?? 1 - cell.kept);
  const text = inputs.shown = String(cell.own === null ? Math.round(rate) : +rate.toFixed(2));
  for (const part of inputs.parts) part.hidden = !possible;
  for (const input of [inputs.range, inputs.number]) {
    if (input.value !== text && !(input === inputs.number && document.activeElement === input)) input.value = text;
  }
  put(inputs.range, "aria-valuetext", `${text}${THIN}%`);
  inputs.range.style.setProperty("--filled", `${(100 * rate) / 99}%`);
  put(inputs.box, "data-own", cell.own !== null);
  inputs.follow.disabled = cell.own === null;
  say(inputs.text, ownWords(view, cell, possible));
}

// --- rows and columns ---------------------------------------------------------------------------
let /** @type {any} */ drawnLines = null;
/** @param {any} panel @param {any} value @param {any} fresh @param {string} who */
function drawLines(panel, value, fresh, who) {
  const lines = value?.lines ?? null;
  put(panel.lines, "data-fresh", Boolean(fresh));
  say(panel.note, linesWords(value, fresh, who));
  if (lines === drawnLines) return;
  if (lines === null && value) return; // earlier ones stay, dimmed, until the new ones arrive
  drawnLines = lines;
  panel.lines.replaceChildren();
  for (const moduleLines of lines ?? []) {
    for (const [name, place] of /** @type {[string, number][]} */ ([["row", 0], ["column", 1]]))
      list(panel.lines, moduleLines, name, place, lines.length > 1);
  }
}
/** @param {Element} parent @param {any} options @param {string} name @param {any} place @param {any} several */
function list(parent, { module, shape, rows, columns }, name, place, several) {
  const strongest = place ? columns : rows;
  const box = html("div", { class: "drill-list" }, parent);
  html("h4", {}, box, `Strongest ${name}s of ${shape[place]}${several ? ` in ${module}` : ""}`);
  const items = html("ol", {}, box);
  const top = Math.max(...strongest.map((/** @type {any} */ [, share]) => share), 1e-9);
  for (const [index, share, kept] of strongest) {
    const item = html("li", { title: `${kept} of ${shape[1 - place]} kept` }, items);
    html("span", {}, item, `${name} ${index}`);
    const bar = html("span", { class: "drill-bar" }, item);
    html("i", {}, bar).style.width = `${(100 * share) / top}%`;
    html("span", { class: "drill-share" }, item, percent1(share));
  }
  if (!strongest.length) html("li", {}, items, "nothing is kept");
  else html("p", { class: "how" }, box, `If all were alike: ${percent1(1 / shape[place])} each.`);
}

// --- words ---------------------------------------------------------------------------------------
/** @param {any} view @param {MatrixCell} cell @param {string} who */
const drillTitle = (view, cell, who) => {
  const name = `Layer ${layerWords(view.table, cell.layer)}, ${cell.kind}`;
  if (view.shows === "whole") return `${name} of ${who} moved ${percent(cell.relative)} of its size`;
  return `${name} keeps ${percent(cell.kept)} of its changes, `
    + `${percent1(view.kept ? (cell.kept * cell.numel) / view.kept : 0)} of all that ${who} keeps`;
};
/** @param {any} view */
const readDrill = (view) => {
  const lines = view.shows === "plan" ? " Lines: where its own rate cuts, [level] by level." : "";
  return `One matrix by itself. Height: share of its changes of that [size |d|].${lines} ‖d‖ is the [length] of all of `
    + `them together, ‖D'‖ of what is left.`;
};
/** @param {any} view @param {MatrixCell} cell @param {any} possible */
const ownWords = (view, cell, possible) => {
  if (!cell.modules.length)
    return "Many matrices share this cell. Give single ones a rate in a recipe, under overrides.";
  if (!possible) return "This method prunes nothing, so no matrix has a rate.";
  const together = `All matrices together keep ${view.exact ? "" : "≈ "}${percent1(view.share)}`;
  if (cell.own === null)
    return `It follows the plan: ${level(1 - cell.kept)} are dropped. Move the slider to give it a rate of its own, in `
    + `every model.`;
  const missed = view.exact && Math.abs(view.share - (1 - view.rate)) > 0.002;
  return `It holds this rate in every model, and the others make up for it. `
    + `${together}${missed ? `, not ${percent1(1 - view.rate)}: the others cannot make up for all of it` : ""}.`;
};
/** @param {any} value @param {any} fresh @param {string} who */
const linesWords = (value, fresh, who) => {
  if (!value || value.lines === null) return "Reading its rows and columns …";
  if (!value.lines.length) return "Many matrices share this cell: their rows and columns are not read.";
  const at = value.settings.pruning.length ? `at a pruning rate of ${level(value.settings.rate)}` : "before pruning";
  return `Share of this matrix's squared changes that ${who} keeps, ${at}, before factors; counted in the `
    + `weights${fresh ? "" : ", being counted anew"}.`;
};
