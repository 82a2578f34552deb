// The kept share of every matrix, from the server's tables: the only arithmetic of plans in the browser.
// tests/e2e/test_scripts.py compares it with the server's plans. Imports nothing.

// Value of curve number `row` at a rate in [0, 1], by linear interpolation.
/** @param {any} values @param {number} row @param {number} count @param {number} rate */
export const atRate = (values, row, count, rate) => {
  const place = Math.min(Math.max(rate, 0), 1) * (count - 1);
  const low = Math.min(Math.floor(place + 1e-9), count - 1);
  const part = place - low;
  const first = values[row * count + low];
  if (part < 1e-9 || low + 1 >= count) return first;
  return first + part * (values[row * count + low + 1] - first);
};

/** @type {WeakMap<RateTable, MatrixCell[]>} */
const cached = new WeakMap();
/** Every matrix of a table. @param {RateTable} table @returns {MatrixCell[]} */
export function cellsOf(table) {
  const earlier = cached.get(table);
  if (earlier) return earlier;
  /** @type {MatrixCell[]} */
  const cells = [];
  table.layers.forEach((layer, l) => table.kinds.forEach((kind, m) => {
    const index = l * table.kinds.length + m;
    const numel = table.numel[index];
    if (numel > 0) {
      cells.push({
        layer, kind, l, index, numel, significance: table.significance[index], mean: table.mean_magnitude[index],
        relative: table.relative[index], squares: table.squares[index], modules: table.modules[index],
      });
    }
  }));
  cached.set(table, cells);
  return cells;
}
// --- rates of single matrices: these are fixed, and the others compensate ---------------------
/** @type {{table: RateTable | null, pattern: string, kept: number[]}} */
let free = { table: null, pattern: "", kept: [] }; // kept shares of cells that are not held, at every rate
/**
 * A cell is held if all its matrices have the same own rate; marked if any has one.
 * @param {RateTable} table @param {MatrixCell[]} cells @param {[string, number][]} overrides Module -> its own rate, a
 *   share.
 */
export function holdOn(table, cells, overrides) {
  const rates = new Map(overrides);
  let all = 0, held = 0;
  for (const cell of cells) {
    cell.rates = cell.modules.map((/** @type {string} */ name) => rates.get(name));
    const ownRates = cell.rates.filter((/** @type {number} */ rate) => rate !== undefined);
    cell.marked = ownRates.length > 0;
    cell.own = cell.marked && ownRates.length === cell.modules.length
      && ownRates.every((/** @type {number} */ rate) => rate === ownRates[0]) ? ownRates[0]
      : null;
    all += cell.numel;
    if (cell.own !== null) held += cell.numel * (1 - cell.own);
  }
  const any = cells.some((cell) => cell.own !== null);
  const pattern = any ? cells.map((cell) => +(cell.own !== null)).join("") : "";
  if (any && (free.table !== table || free.pattern !== pattern))
    free = { table, pattern, kept: freeKept(table, cells) };
  return { all, held, any, kept: free.kept };
}
/** @param {RateTable} table @param {MatrixCell[]} cells */
function freeKept(table, cells) {
  const loose = cells.filter((/** @type {MatrixCell} */ cell) => cell.own === null);
  return Array.from({ length: table.count }, (_, r) =>
    loose.reduce((/** @type {number} */ sum, /** @type {MatrixCell} */ cell) => sum
      + cell.numel * table.density[cell.index * table.count + r], 0));
}
// The overall rate at which the cells that are not held keep the rest of the budget.
/** @param {any} options @param {number} level @param {number} last */
export function makesUp({ any, all, held, kept }, level, last) {
  if (!any) return level;
  const keptCount = (1 - level) * all - held * ((1 - level) / (1 - last));
  const r = kept.findIndex((/** @type {any} */ value) => value <= keptCount);
  if (r <= 0) return r < 0 ? 1 : 0;
  return (r - 1 + (kept[r - 1] - keptCount) / (kept[r - 1] - kept[r])) / (kept.length - 1);
}
// Kept share and energy of a cell at one level: held cells by their own rate, others by the level's.
/**
 * @param {RateTable} table
 * @param {MatrixCell} cell
 * @param {number} level
 * @param {number} last
 * @param {number} others
 */
export function lookUp(table, cell, level, last, others) {
  if (cell.own === null) return [keptAt(table, cell, others), atRate(table.energy, cell.index, table.count, others)];
  const density = (1 - cell.own) * ((1 - level) / (1 - last));
  return [Math.min(density, table.nonzero[cell.index]),
    atRate(table.energy, cell.index, table.count, rateOf(table, cell, density))];
}
// The overall rate at which a cell's curve has a density.
/** @param {RateTable} table @param {MatrixCell} cell @param {number} density */
function rateOf(table, cell, density) {
  const at = (/** @type {number} */ r) => table.density[cell.index * table.count + r];
  let low = 0, high = table.count - 1;
  if (at(0) <= density) return 0;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) > density) low = middle; else high = middle;
  }
  const step = at(low) - at(high);
  return (low + (step > 0 ? (at(low) - density) / step : 0)) / (table.count - 1);
}
// Random pruning keeps the share given by the rate: a matrix's own, or the common one.
/** @param {MatrixCell} cell @param {number} level */
export const drawn = (cell, level) => {
  const all = cell.rates.length || 1;
  const ownRates = cell.rates.filter((/** @type {number} */ rate) => rate !== undefined);
  return 1 - (ownRates.reduce((/** @type {number} */ sum, /** @type {number} */ rate) => sum + rate, 0)
    + (all - ownRates.length) * level) / all;
};
// For every level of a view: [kept share, energy] of a cell, cumulative over the levels.
/** @param {any} options @param {MatrixCell} cell */
export const levelsOf = ({ table, levels, rates, shows }, cell) =>
    levels.map((/** @type {any} */ level, /** @type {number} */ k) => (shows === "random"
  ? [drawn(cell, level), drawn(cell, level)] : lookUp(table, cell, level, levels[levels.length - 1], rates[k])));
// For every partition of a cell: [kept share, energy] between its level and the one before.
/** @param {PlotView} view @param {MatrixCell} cell */
export const partitionsOf = (view, cell) => {
  const pairs = levelsOf(view, cell);
  if (pairs.length) pairs[pairs.length - 1] = [cell.kept, cell.energy]; // exact if the plan is
  return pairs.map((/** @type {any} */ [kept, energy], /** @type {number} */ k) =>
    (k ? [Math.max(kept - pairs[k - 1][0], 0), Math.max(energy - pairs[k - 1][1], 0)] : [kept, energy]));
};
/** @param {RateTable} table @param {MatrixCell} cell @param {number} rate */
const keptAt = (table, cell, rate) =>
  Math.max(Math.min(atRate(table.density, cell.index, table.count, rate), table.nonzero[cell.index]), 0);
// --- plans from the tab ------------------------------------------------------------------------
const sum = (/** @type {number[]} */ values) => values.reduce((total, value) => total + value, 0);

/** The value below which a share of the others lies. @param {number[]} sorted @param {number} share */
function quantile(sorted, share) {
  const place = share * (sorted.length - 1), low = Math.floor(place);
  return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

/**
 * The plan of a merge in the tab, in the form in which the server sends one (plan_value in components/work/figures.py).
 * @param {{planned: {kept: number[]}[], thresholds: number[][], energy: [number, number][]}} plan By level and module;
 *   energy of the last level, what stays and what there is.
 * @param {RateTable} table Of the same model.
 */
export function planValue({ planned, thresholds, energy }, table) {
  const cells = cellsOf(table), { kept } = planned[planned.length - 1], numel = sum(cells.map((cell) => cell.numel));
  const inLayer = (/** @type {number[]} */ values, /** @type {number} */ layer) =>
    sum(values.filter((_, i) => cells[i].l === layer));
  const share = (/** @type {number[]} */ [part, whole]) => (whole ? Math.min(part / whole, 1) : 1);
  return {
    cells: cells.map(({ layer, kind, numel: size }, i) => [layer, kind, kept[i] / size, share(energy[i])]),
    bands: planned.map((level) => table.layers.map((_, l) =>
      inLayer(level.kept, l) / inLayer(cells.map((cell) => cell.numel), l))),
    thresholds: thresholds.map((values) => {
      const sorted = [...values].sort((a, b) => a - b);
      return [0.1, 0.5, 0.9].map((part) => quantile(sorted, part));
    }),
    kept: sum(kept), numel, energy: share([sum(energy.map(([part]) => part)), sum(energy.map(([, whole]) => whole))]),
  };
}
