// The spectrum of one model's delta: effective rank of every matrix as a heatmap, on a click its singular values; of
// two models also how far their leading directions overlap.
import { amounts, html, svg, say, put, px, percent, roundLogs, superscript, ticks } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { paint, part, server } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";
import * as tables from "../session/tables.js";
import { resultLegend, resultPlot } from "./experiment-plots.js";
import { fillTwin, heatmapPlot, layerWords, twinTable } from "./heatmap.js";
import * as words from "./plot_sentences.js";

/** @typedef {{layer: number, kind: string, matrices: number, directions: number, ranks: number[], at: number[],
 *   curves: {values: number[], energy: number[]}[], compared: number, overlap: number | null, chance: number}} Cell */
const OVERLAP = "overlap", OF_BOTH = "overlap of both";
let preferred = ""; // the measure that was chosen last

// --- the choice of one or two models -----------------------------------------------------------------
part("spectrum-choice", ({ host, put: send }) => {
  host.replaceChildren();
  const [first, second] = [["first", "Spectrum of", "The model whose directions are counted"],
    ["second", "with", "Another model, to see which directions both share"]].map(([key, label, title]) => {
    const wrap = html("label", { class: "choice", title }, host);
    html("span", {}, wrap, label);
    const select = html("select", { id: `spectrum-${key}` }, wrap);
    select.addEventListener("change", () => tell());
    return select;
  });
  const cost = html("p", { class: "how" }, host);
  const tell = () => {
    for (const option of second.options) option.disabled = option.value === first.value;
    if (second.value === first.value) second.value = "";
    send({ first: first.value, second: second.value });
    const models = [first.value, second.value].filter(Boolean)
      .map((ref) => ({ label: words.label(ref), ...server.names[ref]?.spectrum }));
    say(cost, `${models.filter(({ time }) => time).map(({ label, matrices, time }) =>
      `${label}: ${matrices} matrices, about ${time}`).join("; ")}. A second time it comes from the disk.`);
  };
  let offered = "";
  const openPair = () => {
    const { directions } = server.opens;
    if (!directions) return;
    delete server.opens.directions;
    [first.value, second.value] = directions;
    preferred = OF_BOTH;
    tell();
  };
  paint(() => {
    offer();
    openPair();
  });
  function offer() {
    const models = controls.state.models.map(({ ref }) => ref);
    const key = JSON.stringify(models.map((ref) => [ref, server.names[ref]]));
    if (key === offered || !models.length) return;
    offered = key;
    const [before, beside] = [first.value, second.value];
    const option = (/** @type {string} */ ref) => new Option(words.label(ref), ref);
    first.replaceChildren(...models.map(option));
    second.replaceChildren(new Option("no other model", ""), ...models.map(option));
    first.value = models.includes(before) ? before : models[0];
    second.value = models.includes(beside) ? beside : models.find((ref) => ref !== first.value) ?? "";
    tell();
  }
});

// --- words ---------------------------------------------------------------------------------------------
/** @param {number} x */
const about = (x) => (x >= 9.95 ? Math.round(x) : +x.toFixed(1));
/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);
/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
/** @param {any} result @param {Cell} cell */
const placeOf = (result, cell) => `layer ${layerWords(sourced(result), cell.layer)}, ${cell.kind}`;
/** @param {any} result */
const sourced = (result) => ({ sources: tables.sourcesOf(result.cells.map((/** @type {Cell} */ { layer }) => layer)) });
/** "math changed in about 12 directions of 256; law shares 3 of them." @param {any} result @param {Cell} cell */
function cellWords(result, cell) {
  const [first, second] = result.sides.map((/** @type {any} */ { label }) => label), [rank] = cell.ranks;
  const each = cell.matrices > 1 ? ` (mean of ${cell.matrices} matrices)` : "";
  const changed = `${first} changed in about ${about(rank)} directions of ${cell.directions}${each}`;
  if (!second || !rank) return changed;
  if (cell.overlap === null) return `${changed}; ${second} changed nothing`;
  const all = rank <= cell.compared;
  return `${changed}; ${second} shares ${about(cell.overlap * cell.compared)} of ${all ? "them"
    : `the strongest ${about(cell.compared)}`} (random ones: ${about(cell.chance * cell.compared)})`;
}
/** @param {any} result @param {any} measure */
function title(result, { name, value, text }) {
  const cells = result.cells.filter((/** @type {Cell} */ cell) => value(cell) !== null);
  if (!cells.length) return "Nothing to compare: a model changed no matrix";
  const most = cells.reduce((/** @type {Cell} */ a, /** @type {Cell} */ b) => (value(b) > value(a) ? b : a));
  const middle = median(cells.map(value)), [first, second] = result.sides.map((/** @type {any} */ { label }) => label);
  const place = `most in ${placeOf(result, most)} (${text(value(most))})`;
  if (name === OVERLAP)
    return `${capital(first)} and ${second} share ${percent(middle)} of their leading directions in the median matrix, `
      + place;
  const { label } = result.sides[name];
  const all = median(cells.map((/** @type {Cell} */ cell) => cell.directions));
  return `${capital(label)} changed in about ${about(middle)} of ${all} directions in the median matrix, ${place}`;
}
const RANK_HOW = "Colour, number: effective rank, the fewest directions that hold 90\u202f% of a matrix's squared "
  + "change. A click, or Enter, shows its singular values.";
/** @param {any} result */
const overlapHow = (result) => {
  const chance = median(result.cells.map((/** @type {Cell} */ cell) => cell.chance));
  return "Colour, number: mean squared cosine between the leading directions of both, at most 32 of each. 100\u202f% "
    + `is one space; random directions share ${percent(chance)}. A click, or Enter, shows the singular values.`;
};
/** @param {any} result */
const measuresOf = (result) => [
  ...result.sides.map((/** @type {any} */ { label }, /** @type {number} */ side) => ({
    name: side, title: `effective rank of ${label}`, unit: "effective rank, directions", how: RANK_HOW,
    value: (/** @type {Cell} */ cell) => cell.ranks[side], text: (/** @type {number} */ x) => String(about(x)) })),
  ...(result.sides.length > 1 ? [{ name: OVERLAP, title: OF_BOTH, unit: "overlap of directions, %",
    how: overlapHow(result), value: (/** @type {Cell} */ cell) => cell.overlap, text: percent }] : []),
];

// --- the singular values of one matrix -------------------------------------------------------------------
/** @param {number} log */
const amount = (log) => (log < -4.99 ? `10${superscript(Math.round(log))}` : String(+(10 ** log).toPrecision(2)));
/** Its curves: logarithms of the values, or shares of the energy. @param {any} result @param {Cell} cell */
function charts(result, cell) {
  const curve = (/** @type {(side: number) => (number | null)[]} */ ys) =>
    result.sides.map((/** @type {any} */ { label }, /** @type {number} */ side) =>
      ({ name: label, x: cell.at, y: ys(side), low: [], high: [], labels: [] }));
  const logs = (/** @type {number} */ side) => cell.curves[side].values.map((x) => (x > 0 ? Math.log10(x) : null));
  const all = result.sides.flatMap((/** @type {any} */ _side, /** @type {number} */ side) => logs(side))
    .filter((/** @type {number | null} */ x) => x !== null);
  const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 0];
  const apart = high > low ? 0 : 0.5; // one value alone, or none
  const x = { title: "direction, strongest first", unit: "",
    marks: [1, ...ticks(2, cell.directions, 6)] };
  const shares = curve((side) => cell.curves[side].energy.map((share) => 100 * share));
  return [
    { kind: "lines", x, y: { title: "singular value, logarithmic", unit: "", text: amount,
      axis: { low: low - apart, high: high + apart, marks: roundLogs([low - apart, high + apart]) } },
      series: curve(logs) },
    { kind: "lines", x, y: { title: "share of the squared change so far", unit: "%",
      axis: { low: 0, high: 100, marks: [0, 25, 50, 75, 90, 100] } }, series: shares },
  ];
}

part("spectrum", ({ host, get, watch }) => {
  host.replaceChildren();
  const runs = watchRuns(host, "spectrum", { label: "Decomposing", idle: "Not decomposed yet. It shows in how many "
    + "directions each matrix moved, and which of them two models share." });
  const box = html("section", { class: "plot plot-result plot-spectrum" }, host);
  const wrap = html("label", { class: "choice", title: "What the colour of a cell means" }, box);
  html("span", {}, wrap, "Show");
  const select = html("select", { id: "spectrum-measure" }, wrap);
  const heading = html("h3", { class: "plot-title" }, box);
  const root = svg("svg", { id: "spectrum-map", role: "img", tabindex: "0",
    "aria-label": "Spectrum by layer and module. Arrow keys move from cell to cell, Enter opens one." }, box);
  const how = html("p", { class: "how" }, box), tip = html("div", { class: "tip", hidden: "" }, box);
  const announcement = html("output", { class: "sr", "aria-live": "polite" }, host);
  const matrix = html("section", { class: "plot plot-result", id: "spectrum-matrix" }, host);
  const matrixTitle = html("h3", { class: "plot-title", tabindex: "-1" }, matrix);
  const legend = html("ul", { class: "legend" }, matrix);
  const curves = ["Singular values of one matrix.", "Share of the squared change, direction by direction."]
    .map((text) => svg("svg", { role: "img", "aria-label": text }, matrix));
  const below = html("p", { class: "how" }, matrix);
  let /** @type {any} */ result = null, /** @type {any[]} */ measures = [], /** @type {Cell | null} */ picked = null,
    /** @type {number | null} */ pointed = null, drawn = "";
  const measure = () => measures[select.selectedIndex] ?? measures[0];
  const map = heatmapPlot(root, (index) => { pointed = index; showTip(); }, amounts, (index, byKey) => {
    picked = result.cells[index];
    draw();
    if (byKey) matrixTitle.focus({ preventScroll: true });
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    curves[0].scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  });
  const twin = twinTable(box, () => { drawn = ""; draw(); });
  saveable(box, "spectrum", rows, () => root);
  saveable(matrix, "singular-values", curveRows, () => curves[0]);
  select.addEventListener("change", () => { preferred = select.value; draw(); });

  function showTip() {
    const cell = pointed === null ? null : result?.cells[pointed];
    tip.hidden = !cell;
    if (!cell) return;
    const text = capital(`${placeOf(result, cell)}: ${cellWords(result, cell)}`);
    say(tip, text);
    const { x, y, width, height } = map.boxOf(Number(pointed));
    const left = Math.min(Math.max(x + width / 2 - 130, 0), Math.max(root.clientWidth - 260, 0));
    tip.style.top = `${px(root.getBoundingClientRect().top - box.getBoundingClientRect().top + y + height + 6)}px`;
    tip.style.transform = `translate(${px(left)}px, 0)`;
    if (document.activeElement === root) say(announcement, text);
  }
  function draw() {
    const width = Math.floor(host.clientWidth), shown = measure();
    const key = [width, result?.id, shown?.name, picked?.layer, picked?.kind].join();
    if (!result || !width || key === drawn) return;
    drawn = key;
    const layers = [...new Set(result.cells.map((/** @type {Cell} */ { layer }) => layer))],
      kinds = [...new Set(result.cells.map((/** @type {Cell} */ { kind }) => kind))];
    const values = result.cells.map(shown.value).filter((/** @type {number | null} */ x) => x !== null);
    const view = {
      table: { layers, kinds, ...sourced(result) }, key: `${result.id}/${shown.name}`, picked,
      cells: result.cells.map((/** @type {Cell} */ cell) =>
        ({ layer: cell.layer, kind: cell.kind, l: layers.indexOf(cell.layer), value: shown.value(cell), kept: null })),
      scale: { low: 0, high: Math.max(...values, 0) || 1, text: shown.text, cell: shown.text, unit: shown.unit },
    };
    map.draw(view, width);
    fillTwin(twin, view, shown.title);
    say(heading, title(result, shown));
    say(how, shown.how);
    drawMatrix(width);
  }
  function drawMatrix(/** @type {number} */ width) {
    matrix.hidden = !picked;
    if (!picked) return;
    say(matrixTitle, capital(`${placeOf(result, picked)}: ${cellWords(result, picked)}`));
    const both = charts(result, picked);
    resultLegend(legend, both[0]);
    both.forEach((chart, at) => resultPlot(curves[at], chart, width));
    say(below, "Above: how strongly the change acts along each direction. Below: the share of the squared change that "
      + "the directions up to there hold; the effective rank is where it passes 90\u202f%.");
  }
  function rows() {
    if (!result) return null;
    return {
      columns: ["layer", "module", "directions (count)", ...measures.map((one) => one.title)],
      rows: result.cells.map((/** @type {Cell} */ cell) =>
        [cell.layer, cell.kind, cell.directions, ...measures.map(({ value }) => value(cell))]),
    };
  }
  function curveRows() {
    const cell = picked;
    if (!cell) return null;
    return {
      columns: ["model", "layer", "module", "direction", "singular value", "share of the squared change so far"],
      rows: result.sides.flatMap((/** @type {any} */ { label }, /** @type {number} */ side) => cell.at.map((at, i) =>
        [label, cell.layer, cell.kind, at, cell.curves[side].values[i], cell.curves[side].energy[i]])),
    };
  }
  function take(/** @type {any} */ next) {
    if (!runs.take(next)) return;
    if (next.result) {
      result = { ...next.result, id: next.id };
      measures = measuresOf(result);
      const { layer, kind } = picked ?? result.cells[0] ?? {};
      picked = result.cells.find((/** @type {Cell} */ cell) => cell.layer === layer && cell.kind === kind)
        ?? result.cells[0] ?? null;
      select.replaceChildren(...measures.map(({ title: text }) => new Option(text, text)));
    }
    put(host, "data-result", result !== null && result.cells.length > 0);
  }
  watch(take);
  take(get());
  new ResizeObserver(draw).observe(host);
  paint(() => {
    runs.paint("");
    if (measures.some(({ title: text }) => text === preferred)) select.value = preferred;
    draw();
  });
});
