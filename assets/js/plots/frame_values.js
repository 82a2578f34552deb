// The values that one frame draws, from the table or from the exact plan.
import { superscript } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { atRate, cellsOf, drawn, holdOn, lookUp, makesUp } from "../session/densities.js";
import * as tables from "../session/tables.js";
import { PAIRS, isPair, meetingNow, partners } from "./conflict.js";
import * as words from "./plot_sentences.js";

// The values of a cell: some are known beforehand, the others after a merge.
/** @type {Record<string, any>} */
const BEFORE = { whole: ["significance", "mean", "relative"] };
const AFTER = ["along", "changed"];
export const quantities = () => {
  const tableQuantities = BEFORE[controls.shows()] ?? ["significance", "density", "rate", "mean", "relative", "energy"];
  const both = partners().length ? PAIRS : [];
  return [...tableQuantities, ...both, ...(controls.shows() === "plan" && !controls.staged() ? [] : AFTER)];
};
/** @param {any} quantity */
export const isAfter = (quantity) => AFTER.includes(quantity);
export const quantity = () => {
  const choice = controls.state.quantity;
  const available = quantities().includes(choice) && (tables.outcome() || !AFTER.includes(choice));
  return available ? choice : "mean";
};

/** @type {any} */
let latest = null;
/** The values of the latest frame; null before the first. */
export const view = () => latest;
export const makeView = () => (latest = viewNow());
/** The values of another model in this frame. @param {string} reference */
export const viewOf = (reference) => {
  const { focus } = controls.state;
  controls.state.focus = reference;
  const values = viewNow();
  controls.state.focus = focus;
  return values;
};
function viewNow() {
  const table = tables.table();
  const shows = controls.shows();
  const levels = shows === "whole" ? [] : controls.levels();
  const rate = levels[levels.length - 1] ?? 0;
  const plan = shows === "plan" ? tables.exactPlan() : null;
  const outcome = outcomeOf(tables.outcome());
  const cells = cellsOf(table);
  const drawnQuantity = quantity();
  const meeting = isPair(drawnQuantity) ? meetingNow() : null;
  const pruned = shows === "plan" ? rate : 0; // other methods do not say which elements stay
  const hold = holdOn(table, cells, controls.held());
  const numel = hold.all;
  const rates = levels.map((level) => makesUp(hold, level, rate));
  const exact = plan ? new Map(plan.cells.map((/** @type {any} */ [layer, kind, k, e]) => [`${layer}/${kind}`, [k, e]]))
    : null;
  let kept = 0, energy = 0, weight = 0;
  for (const cell of cells) {
    const [changed, , along] = outcome?.get(`${cell.layer}/${cell.kind}`) ?? [null, null, null];
    const pair = exact?.get(`${cell.layer}/${cell.kind}`)
      ?? (shows === "plan" ? lookUp(table, cell, rate, rate, rates[rates.length - 1])
        : [drawn(cell, rate), drawn(cell, rate)]);
    cell.kept = shows === "whole" ? changed : pair[0];
    cell.energy = pair[1];
    cell.changed = changed;
    cell.along = along;
    cell.meets = meeting && meeting(cell.index, pruned && cell.own !== null ? Math.max(pruned, 0.01) : pruned);
    cell.value = /** @type {Record<string, any>} */ ({
      significance: cell.significance, density: pair[0], rate: 1 - pair[0], mean: cell.mean,
      relative: cell.relative, energy: cell.energy, changed, along,
      overlap: cell.meets?.overlap ?? null, conflict: cell.meets?.conflict ?? null,
    })[drawnQuantity];
    kept += pair[0] * cell.numel; energy += cell.energy * cell.squares; weight += cell.squares;
  }
  const changed = outcome ? cells.reduce((sum, cell) => sum + cell.changed * cell.numel, 0) / numel : null;
  const share = plan ? plan.kept / plan.numel : kept / numel;
  return {
    table, levels, rates, rate, cells, numel, shows, share, changed, quantity: drawnQuantity, pruned,
      picked: controls.state.picked,
    counting: isPair(drawnQuantity) && !meeting, met: meeting && totalOf(cells),
    exact: shows === "plan" ? plan !== null : tables.isCurrent(),
    key: `${table.layers}/${table.kinds}`,
    pair: `${controls.state.base}|${controls.state.focus}|${controls.state.significance}|${table.edges[0]}`,
    kept: plan ? plan.kept : kept,
    energy: plan ? plan.energy : weight ? energy / weight : 1,
    thresholds: plan ? plan.thresholds : shows !== "plan" ? []
      : rates.map((levelRate) => [0, 1, 2].map((row) => atRate(table.thresholds, row, table.count, levelRate))),
    scale: scaleOf(cells, drawnQuantity),
    ...barsOf({ table, shows, cells, levels, rates, plan, share, changed }),
  };
}
// Over all cells: from counts of elements, not the mean of shares.
/** @param {any} cells */
function totalOf(cells) {
  const sum = (/** @type {string} */ name) =>
    cells.reduce((/** @type {any} */ total, /** @type {any} */ { meets, numel }) => total + meets[name] * numel, 0);
  const kept = sum("kept"), both = sum("both"), opposed = sum("opposed");
  return { overlap: kept ? both / kept : null, conflict: both ? opposed / both : null };
}
// "layer/kind" -> [share of weights changed, mean change, share of the focused model's delta in it].
/** @param {any} outcome */
function outcomeOf(outcome) {
  if (!outcome) return null;
  const model = outcome.models.indexOf(controls.state.focus);
  return new Map(outcome.cells.map((/** @type {any} */ [layer, kind, changed, mean, along]) =>
    [`${layer}/${kind}`, [changed, mean, along[model] ?? 0]]));
}
// Meaning of the layers' bars: the kept share; or the change by the merge; or the place of the change.
/** @param {any} options */
function barsOf({ table, shows, cells, levels, rates, plan, share, changed }) {
  if (shows === "plan" || shows === "random") {
    const last = levels[levels.length - 1];
    const bands = plan?.bands
      ?? levels.map((/** @type {any} */ level, /** @type {number} */ k) =>
        keptByLayer(table, cells,
          (/** @type {MatrixCell} */ cell) =>
            (shows === "random" ? drawn(cell, level) : lookUp(table, cell, level, last, rates[k])[0])));
    return { bands, middle: share, axis: "share of the layer's changes kept" };
  }
  const sums = (/** @type {any} */ value) =>
    table.layers.map((/** @type {any} */ _, /** @type {number} */ l) =>
      cells.filter((/** @type {MatrixCell} */ cell) => cell.l === l)
      .reduce((/** @type {number} */ sum, /** @type {MatrixCell} */ cell) => sum + value(cell), 0));
  if (changed !== null) {
    const all = sums((/** @type {MatrixCell} */ cell) => cell.numel);
    const bands = [sums((/** @type {MatrixCell} */ cell) => cell.changed * cell.numel)
      .map((/** @type {number} */ sum, /** @type {number} */ l) => (all[l] ? sum / all[l] : 0))];
    return { bands, middle: changed, axis: "share of the layer's weights changed" };
  }
  const sizes = sums((/** @type {MatrixCell} */ cell) => cell.mean * cell.numel);
  const total = sizes.reduce((/** @type {any} */ a, /** @type {any} */ b) => a + b, 0) || 1;
  return { bands: [sizes.map((/** @type {any} */ size) => size / total)], middle: 1 / table.layers.length,
    axis: "share of the model's change, by |d|" };
}
/** @param {RateTable} table @param {any} cells @param {any} share */
function keptByLayer(table, cells, share) {
  const kept = table.layers.map(() => 0), all = table.layers.map(() => 0);
  for (const cell of cells) {
    kept[cell.l] += share(cell) * cell.numel;
    all[cell.l] += cell.numel;
  }
  return kept.map((/** @type {number} */ sum, /** @type {number} */ l) => (all[l] ? sum / all[l] : 0));
}
// Shares run from 0 to 100 %, so that a colour has the same meaning at every rate and for every model.
/** @param {any} cells @param {any} quantity */
function scaleOf(cells, quantity) {
  const { text, title, unit = title } = words.QUANTITIES[quantity];
  const values = cells.map((/** @type {MatrixCell} */ cell) => cell.value)
    .filter((/** @type {any} */ value) => value !== null);
  const whole = ["density", "rate", "energy", "changed", "overlap"].includes(quantity);
  let low = whole ? 0 : Math.min(...values), high = whole ? 1 : Math.max(...values);
  // Two independent models would have opposite signs in half of the weights that both change.
  if (quantity === "conflict") { low = 0; high = high > 0.5 ? 1 : 0.5; }
  if (quantity === "along") { low = Math.min(low, 0); high = Math.max(high, 1); }
  if (quantity !== "mean" || !(high > 0)) return { low, high, text, unit, cell: text };
  // Small numbers share one power of ten, named once below.
  const power = Math.floor(Math.log10(high));
  const scaled = (/** @type {any} */ value) => (value / 10 ** power).toFixed(2);
  return { low, high, text: scaled, cell: scaled, unit: `mean ${words.score().short}, times 10${superscript(power)}` };
}
