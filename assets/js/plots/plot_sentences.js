// The sentences above the plots, computed from their numbers.
import { percent, percent1, level, three } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { server } from "../session/parts.js";
import { isNumbered } from "./heatmap.js";
import { isPair, partner, countFailed, meetingNow } from "./conflict.js";

/** @param {any} numbers */
const mean = (numbers) =>
  numbers.reduce((/** @type {any} */ a, /** @type {any} */ b) => a + b, 0) / Math.max(numbers.length, 1);
/** @param {string} reference */
export const label = (reference) => server.names[reference]?.label ?? reference;
/** @type {Record<string, any>} */
const KIND_NAMES = { q: "query", k: "key", v: "value", o: "output", gate: "gate", up: "up", down: "down" };

/** @param {any} names */
const list = (names) => (names.length < 2 ? names.join("")
  : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`);

// cells: [{layer, kind, numel, value, kept}] -> the third of the layers, or the kind, with most.
// Layers with the same displayed value as the first or last one are named together with it.
/** @param {any[]} cells @param {(cell: any) => any} pick @param {(x: number) => string} text */
function leader(cells, pick, text) {
  const groups = new Map();
  for (const cell of cells) {
    const key = pick(cell);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(cell);
  }
  const ranked = [...groups].map(([name, inside]) => ({
    name, value: mean(inside.map((/** @type {MatrixCell} */ cell) => cell.value)),
      kept: mean(inside.map((/** @type {MatrixCell} */ cell) => cell.kept)),
  })).sort((a, b) => b.value - a.value);
  const like = (/** @type {any} */ group) => ranked.filter((peer) => text(peer.value) === text(group.value));
  const end = (/** @type {any} */ group) =>
    ({ ...group, names: like(group).map((peer) => peer.name), kept: mean(like(group).map((o) => o.kept)) });
  return { best: end(ranked[0]), worst: end(ranked[ranked.length - 1]) };
}
/** @param {any} cells @param {(x: number) => string} text */
function thirds(cells, text) {
  const layers = [...new Set(cells.map((/** @type {MatrixCell} */ cell) => cell.layer))].sort((a, b) => a - b);
  const third = (/** @type {MatrixCell} */ cell) => {
    const place = layers.indexOf(cell.layer) / Math.max(layers.length - 1, 1);
    return place < 0.34 ? "Early" : place > 0.66 ? "Late" : "Middle";
  };
  return leader(cells, third, text);
}
/** @param {any} options */
const spread = ({ best, worst }) => (best.value > 0 ? (best.value - worst.value) / best.value : 0);
// Short enough for a title of two lines beside the other plot.
/** @param {any} options */
const kinds = ({ names }) =>
  (names.length > 2 ? `${names.length} kinds of`
    : list(names.map((/** @type {string} */ kind) => KIND_NAMES[kind] ?? kind)));
/** @param {any} those */
const matrices = (those) =>
  (those.names.length > 1 || KIND_NAMES[those.names[0]] ? `${kinds(those)} matrices` : those.names[0]);
/** @param {string} text */
const first = (text) => text[0].toUpperCase() + text.slice(1);
/** @param {any} options */
const layersOf = ({ names }) => `${list(names.map((/** @type {string} */ name) => name.toLowerCase()))} layers`;

/** @param {any} view @param {any} focus */
export function heatmap(view, focus) {
  const { quantity, cells, rate, energy, shows } = view;
  const who = label(focus);
  const { text } = QUANTITIES[quantity];
  const byThird = thirds(cells, text);
  const byKind = leader(cells, (/** @type {MatrixCell} */ cell) => cell.kind, text);
  const { best, worst } = byKind;
  const same = (/** @type {any} */ { best: most, worst: least }) => spread({ best: most, worst: least }) < 0.03
    || text(most.value) === text(least.value);
  const alike = same(byKind);
  const planned = shows === "plan";
  if (quantity === "significance" || quantity === "mean") {
    const changed = score().short === "|d|" ? "changed" : "has changes that weigh";
    const [has, most] = quantity === "significance" ? ["has outliers", "has most outliers"]
      : [changed, `${changed} most`];
    const late = !same(byThird) && spread(byThird) > spread(byKind);
    const and = (/** @type {any} */ share, subject = "they") => (planned ? `; ${subject} keep ${percent(share)}` : "");
    const everywhere = mean(cells.map((/** @type {MatrixCell} */ cell) => cell.kept));
    if (quantity === "significance" && cells.every((/** @type {any} */ { value }) => value === 0))
      return `${first(who)} has no outliers${and(everywhere, "its matrices")}`;
    if (quantity === "significance" && !late && text(best.value) === text(0))
      return `${first(who)} has hardly any outliers, ${text(0)} in every kind of matrix${and(everywhere)}`;
    if (!late && alike) return `${first(who)} ${has} alike in all matrices${and(everywhere)}`;
    const [place, kept] = late ? [layersOf(byThird.best), byThird.best.kept] : [matrices(best), best.kept];
    return `${first(who)} ${most} in its ${place}${and(kept)}`;
  }
  if (quantity === "relative") {
    if (alike) return `All matrices of ${who} moved ${percent(best.value)} of their size`;
    return `The ${matrices(best)} of ${who} moved furthest, ${percent(best.value)} of their size`;
  }
  if (isPair(quantity)) return pairs(view, who, byKind);
  if (quantity === "along") {
    const all = mean(cells.map((/** @type {MatrixCell} */ cell) => cell.along));
    const much = `${percent(all)} of ${who}'s change is in the merge`;
    return alike ? `${much}, alike in all matrices` : `${much}, most of it in ${matrices(best)}`;
  }
  if (quantity === "changed") {
    if (best.value - worst.value < 0.01) return `The merge changed ${percent(best.value)} of every kind of matrix`;
    return `The merge changed most of the ${matrices(best)} (${percent(best.value)}), least of the `
      + `${kinds(worst).replace(/ of$/, "")}`;
  }
  if (quantity === "energy") {
    if (!planned) return `${who} keeps about ${percent(energy)} of its squared change in every matrix`;
    return `${who} keeps ${percent(energy)} of its squared change, `
      + `${alike ? "alike in all matrices" : `${matrices(worst)} least`}`;
  }
  if (best.value - worst.value < 0.01)
    return `At ${level(rate)}, every kind of matrix in ${who} keeps about the same share`;
  const does = quantity === "rate" ? "lose" : "keep";
  return `${first(matrices(best))} ${does} most of ${who} (${percent(best.value)}), `
    + `${kinds(worst).replace(/ of$/, "")} least (${percent(worst.value)})`;
}

// About the drawn model and its partners, element by element.
export const others = () => partner() ? label(partner()) : "the others";
/** @param {any} options @param {string} who @param {any} options */
function pairs({ quantity, counting, met, pruned }, who, { best, worst }) {
  const [keeps, keep] = pruned ? ["keeps", "keep"] : ["changes", "change"];
  if (counting) {
    return `What ${who} and ${others()} both ${keep} ${countFailed() ? "could not be" : "is being"} counted`;
  }
  const place = best.value - worst.value < 0.01 ? "alike everywhere" : `${kinds(best).replace(/ of$/, "")} most`;
  if (quantity === "overlap") {
    if (met.overlap === null) return `${who} ${keeps} nothing`;
    const they = partner() ? `${others()} ${keeps}` : `${first(others())} each ${keep}`;
    return `${they} ${percent(met.overlap)} of what ${who} ${keeps}, ${place}`;
  }
  if (met.conflict === null) return `${who} and ${others()} ${keep} nothing in common`;
  return `${who} opposes ${others()} in ${percent(met.conflict)} of what both ${keep}, ${place}`;
}
// Two lines of the tip.
/** @param {any} options @param {any} pruned */
export function meets({ index, meets: now }, pruned) {
  const before = meetingNow()?.(index, 0);
  const share = (/** @type {any} */ value) => (value === null || value === undefined ? "–" : percent1(value));
  const was = (/** @type {any} */ value) => (pruned && before ? ` (unpruned ${share(value)})` : "");
  const they = `${partner() ? others() : "each other model"} ${pruned ? "keeps" : "changes"}`;
  return [
    `of those ${they} ${share(now.overlap)}${was(before?.overlap)}`,
    `with opposite signs ${share(now.conflict)}${was(before?.conflict)}`,
  ];
}

// The layers by the values of their bars; equal displayed values are named together.
/** @param {any} view */
export function layers(view) {
  const names = view.table.layers, shares = view.bands[view.bands.length - 1];
  const high = percent(Math.max(...shares)), low = percent(Math.min(...shares));
  const those = (/** @type {string} */ text) => {
    const matches = names.filter((/** @type {any} */ _, /** @type {number} */ i) => percent(shares[i]) === text);
    if (matches.length > 3) return `${matches.length} layers`;
    return `${matches.length > 1 ? "layers" : "layer"} ${list(matches)}`;
  };
  if (view.shows !== "whole") {
    if (high === low)
      return view.rate === 0 ? `Every layer keeps all ${high} that changed` : `Every layer keeps ${high}`;
    const top = those(high);
    return `${first(top)} ${top.startsWith("layer ") ? "keeps" : "keep"} ${high}, ${those(low)} only ${low}`;
  }
  if (view.changed !== null) {
    return high === low ? `The merge changed ${high} of every layer`
      : `The merge changed ${high} of ${those(high)}, ${low} of ${those(low)}`;
  }
  if (high === low) return `Every layer holds ${high} of the change`;
  const top = those(high);
  return `${first(top)} ${top.startsWith("layer ") ? "holds" : "hold"} ${high} of the change, ${those(low)} ${low}`;
}

/** @param {any} options @param {any} focus */
export function distribution({ rate, share, thresholds, energy, shows, table }, focus) {
  if (shows === "whole")
    return `Half of ${label(focus)}'s changes are larger than ${score().short} ≈ ${three(middle(table))}`;
  if (shows === "random") return `Of changes of every size, ${level(1 - rate)} are kept`;
  if (share === 1 || thresholds[thresholds.length - 1][1] === 0) return `Every change of ${label(focus)} is kept`;
  return `${first(label(focus))} keeps ${percent1(share)} of its changes, ${percent(energy)} of its squared change`;
}
// The median of |d|, assuming an even spread within its bin on the logarithmic axis.
/** @param {any} options */
function middle({ histogram, edges }) {
  const half = histogram.reduce((/** @type {any} */ a, /** @type {any} */ b) => a + b, 0) / 2;
  let below = 0, b = 0;
  while (b < histogram.length - 1 && below + histogram[b] < half) below += histogram[b++];
  const part = histogram[b] ? (half - below) / histogram[b] : 0;
  return edges[b] * (edges[b + 1] / edges[b]) ** part;
}

// --- how to read the plots ------------------------------------------------------------------
/** @param {any} options */
export function readHeatmap({ table, quantity, shows, changed, pruned }) {
  const how = isNumbered(table.layers.length) ? QUANTITIES[quantity].how
    : QUANTITIES[quantity].how.replace("Colour, number", "Colour");
  if (isPair(quantity)) return `${how} ${pruned ? "Before pruning: in the tip." : "Counted before pruning."}`;
  const moves = ["density", "rate", "energy"].includes(quantity);
  const bar = shows !== "whole" ? ` Bar: share kept${moves ? "" : ", which the slider moves"}.` : changed !== null
    ? " Bar: share changed." : "";
  return `${how}${bar}`;
}
/** @param {any} options */
export function readLayers({ shows, changed }) {
  if (shows === "plan") return "One bar per layer, the strongest [partition] darkest. Dashed: the mean of all layers.";
  if (shows === "random") return "One bar per layer. Dashed: the mean of all layers.";
  if (changed !== null) return "One bar per layer: weights that are not the base's. Dashed: the mean of all layers.";
  return "One bar per layer: its part of the sum of all [|d|]. Dashed: if all were alike.";
}
/** @param {any} options */
export function readDistribution({ shows }) {
  const height = `Height: share of all changes of ${score().of}.`;
  if (shows === "whole") return `${height} Drag to zoom.`;
  if (shows === "random") return `${height} Coloured: what is kept. Drag to zoom.`;
  return `${height} Coloured: what is kept, the strongest [partition] darkest. Lines: where each [level] cuts, in the `
    + `middle matrix; bands: in most. Drag to zoom.`;
}

// The score that ranks the changes, in the words of the last plot.
/** @type {Record<string, any>} */
const SCORES = {
  magnitude: { short: "|d|", axis: "size of a change |d|, in units of the weights (logarithmic)", of: "that [size |d|]",
    mean: "mean change" },
  fisher: { short: "|d| · √F", axis: "score of a change, |d| · √F (logarithmic)",
    of: "that score, the [size |d|] times the root of the [Fisher information]", mean: "mean score" },
  activation: { short: "|d| · ‖x‖", axis: "score of a change, |d| · ‖x‖ (logarithmic)",
    of: "that score, the [size |d|] times the size of its [input]", mean: "mean score" },
  random: { short: "the score", axis: "score of a change, drawn at random (logarithmic)", of: "that random score",
    mean: "mean score" },
};
export const score = () => SCORES[controls.state.significance];

/** @type {Record<string, any>} */
export const QUANTITIES = {
  significance: {
    title: "significance", unit: "significance: share of outliers", text: smallPercent,
    get how() {
      return `Colour, number: a matrix's own [significance], its share of [outliers] (over ${server.outliers} × the `
        + `${score().mean}); its layer's decides as well what is kept.`;
    },
  },
  density: {
    title: "density (share kept)", unit: "share kept", text: percent,
    how: "Colour, number: share of a matrix's changes that is kept. Higher [significance] keeps more, that of the "
    + "layer and of the matrix.",
  },
  rate: {
    title: "pruning rate", unit: "share dropped", text: percent,
    how: "Colour, number: share of a matrix's changes that is dropped.",
  },
  mean: {
    get title() { return `mean ${score().short}`; },
    text: three,
    get how() {
      if (score().short !== "|d|") return "Colour, number: mean score of a matrix's changes, by which they are ranked.";
      return "Colour, number: mean size of a change [|d|], domain model minus base.";
    },
  },
  relative: {
    title: "relative change ‖d‖/‖W‖", unit: "‖d‖ / ‖W‖: size of the change by that of the weights", text: percent1,
    how: "Colour, number: [length ‖d‖] of a matrix's change, by that of the base's weights, ‖W‖.",
  },
  overlap: {
    title: "overlap with others", unit: "share that both keep", text: percent,
    get how() {
      return `Colour, number: of the changes ${label(controls.state.focus)} keeps, the share `
        + `${partner() ? `${others()} keeps` : "another model keeps (mean of the pairs)"} too.`;
    },
  },
  conflict: {
    title: "conflict with others", unit: "share with opposite signs", text: percent,
    get how() {
      return `Colour, number: of the changes that both keep, the share with [opposite `
        + `signs]${partner() ? "" : ", all pairs together"}.`;
    },
  },
  energy: {
    title: "squared change kept", unit: "share of Σd² kept", text: percent,
    how: "Colour, number: share of a matrix's squared change, its [energy], that is kept.",
  },
  along: {
    title: "in the merge", unit: "share of the model's change in the merge", text: percent,
    how: "Colour, number: how far the merge went along the model's change; 100\u202f% is all of it.",
  },
  changed: {
    title: "changed by the merge", unit: "share of weights changed", text: percent,
    how: "Colour, number: share of a matrix's weights that are not the base's any more.",
  },
};
// Outliers are rare: two decimals below one percent.
/** @param {any} share */
function smallPercent(share) { return share < 0.01 ? `${(100 * share).toFixed(2)}\u202f%` : percent(share); }

/**
 * A score made here, and what was measured before: the one on more questions comes first.
 * @param {{text: string, questions: number}} scored @param {{text: string, questions: number} | null} before
 */
export const bothScores = (scored, before) => {
  if (!before) return scored.text;
  const ordered = before.questions > scored.questions ? [before, scored] : [scored, before];
  return ordered.map(({ text }) => text).join(" ");
};
