// How many elements of each module a level keeps: what dppa_core/pruning plans, from the scores that the server
// measured. Python's plan is the definition; a test compares a thousand.

/** @typedef {{layer: number, numel: number}} Module */

const sum = (/** @type {number[]} */ values) => values.reduce((total, value) => total + value, 0);
const mean = (/** @type {number[]} */ values) => sum(values) / values.length;
const clip = (/** @type {number} */ x) => Math.min(Math.max(x, 0), 1);
const twelve = (/** @type {number} */ x) => nearest(x * 1e12) / 1e12;

/** The nearest whole number; of two, the even one. @param {number} x */
export function nearest(x) {
  const low = Math.floor(x), rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}

/** Shifts of density, the largest of them `strength`. @param {number[]} centred @param {number[]} scores */
function scaled(centred, scores, strength) {
  if (Math.min(...scores) === Math.max(...scores)) return centred.map(() => 0);
  const largest = Math.max(...centred.map(Math.abs));
  return centred.map((x) => (strength * x) / largest);
}

/** The shift of every module's density from the mean. @param {Module[]} modules @param {TabScores} scores */
function adjustments(modules, scores, strength) {
  const ofLayers = mean(scores.layer), ofModules = mean(scores.module), all = sum(modules.map(({ numel }) => numel));
  const relative = scores.module.map((score) => (ofModules ? score / ofModules : 0));
  const middle = sum(relative.map((score, i) => score * modules[i].numel)) / all;
  const byLayer = scaled(scores.layer.map((score) => score - ofLayers), scores.layer, strength);
  const byModule = scaled(relative.map((score) => (ofModules ? score - middle : 0)), scores.module, strength);
  return modules.map(({ layer }, i) => byLayer[layer] + byModule[i]);
}

/**
 * Densities whose weighted mean is the budget: one shift is added to all, and each is clipped to [0, 1].
 * @param {number[]} shifts @param {Module[]} modules @param {number} rate
 */
function densities(shifts, modules, rate) {
  const budget = (1 - rate) * sum(modules.map(({ numel }) => numel));
  const kept = (/** @type {number} */ c) => sum(shifts.map((shift, i) => clip(shift + c) * modules[i].numel));
  const knees = [...new Set(shifts.flatMap((shift) => [-shift, 1 - shift]))].sort((a, b) => a - b);
  let low = 0, high = knees.length - 1; // kept(knee) rises: bisect for the pair around the budget
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (kept(knees[middle]) <= budget) low = middle; else high = middle;
  }
  const [from, to] = [kept(knees[low]), kept(knees[high])];
  const common = to > from ? knees[low] + ((budget - from) / (to - from)) * (knees[high] - knees[low]) : knees[low];
  return shifts.map((shift) => twelve(clip(shift + common)));
}

/**
 * The plan of one model: the density of every module and the elements it keeps, by level.
 * @param {Module[]} modules @param {TabScores} scores
 * @param {number[]} levels Pruning rates, falling. @param {number} strength
 * @returns {{density: number[], kept: number[]}[]} One entry a level.
 */
export function plan(modules, scores, levels, strength) {
  const shifts = adjustments(modules, scores, strength);
  return levels.map((rate) => {
    const density = densities(shifts, modules, rate);
    return { density, kept: density.map((share, i) => Math.min(nearest(modules[i].numel * share), scores.nonzero[i])) };
  });
}
