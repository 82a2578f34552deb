// Everything one frame draws, from the table or from the exact plan. Knows no element.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { superscript } = dppa.shapes;

  let cached = { table: null, cells: [] };
  function cellsOf(table) {
    if (cached.table === table) return cached.cells;
    const cells = [];
    table.layers.forEach((layer, l) => table.kinds.forEach((kind, m) => {
      const index = l * table.kinds.length + m;
      const numel = table.numel[index];
      if (numel > 0) {
        cells.push({
          layer, kind, l, index, numel, significance: table.significance[index], mean: table.mean_magnitude[index],
          relative: table.relative[index], squares: table.squares[index],
        });
      }
    }));
    cached = { table, cells };
    return cells;
  }
  const keptAt = (table, cell, rate) =>
    Math.max(Math.min(dppa.at(table.density, cell.index, table.count, rate), table.nonzero[cell.index]), 0);

  // What a cell can show: some is known beforehand, the rest once the method has merged.
  const BEFORE = { whole: ["significance", "mean", "relative"] };
  const AFTER = ["along", "changed"];
  const PAIRS = ["overlap", "conflict"]; // of the drawn model with others: counted on request
  const quantities = () => {
    const known = BEFORE[dppa.shows()] ?? ["significance", "density", "rate", "mean", "relative", "energy"];
    const both = dppa.partners().length ? PAIRS : [];
    return [...known, ...both, ...(dppa.shows() === "plan" && !dppa.staged() ? [] : AFTER)];
  };
  dppa.quantities = quantities;
  dppa.isAfter = (quantity) => AFTER.includes(quantity);
  dppa.isPair = (quantity) => PAIRS.includes(quantity);
  dppa.quantity = () => {
    const { quantity } = dppa.state;
    const there = quantities().includes(quantity) && (dppa.outcome() || !AFTER.includes(quantity));
    return there ? quantity : "mean";
  };

  dppa.makeView = () => {
    const table = dppa.table();
    const shows = dppa.shows();
    const levels = shows === "whole" ? [] : dppa.levels();
    const rate = levels[levels.length - 1] ?? 0;
    const plan = shows === "plan" ? dppa.exactPlan() : null;
    const outcome = outcomeOf(dppa.outcome());
    const cells = cellsOf(table);
    const quantity = dppa.quantity();
    const meeting = dppa.isPair(quantity) ? dppa.meeting() : null;
    const pruned = shows === "plan" ? rate : 0; // what stays of other methods is not known element by element
    const numel = cells.reduce((sum, cell) => sum + cell.numel, 0);
    const known = plan ? new Map(plan.cells.map(([layer, kind, k, e]) => [`${layer}/${kind}`, [k, e]])) : null;
    let kept = 0, energy = 0, weight = 0;
    for (const cell of cells) {
      const [changed, , along] = outcome?.get(`${cell.layer}/${cell.kind}`) ?? [null, null, null];
      const pair = known?.get(`${cell.layer}/${cell.kind}`)
        ?? (shows === "plan" ? [keptAt(table, cell, rate), dppa.at(table.energy, cell.index, table.count, rate)] : [1 - rate, 1 - rate]);
      cell.kept = shows === "whole" ? changed : pair[0];
      cell.energy = pair[1];
      cell.changed = changed;
      cell.along = along;
      cell.meets = meeting && meeting(cell.index, pruned);
      cell.value = {
        significance: cell.significance, density: pair[0], rate: 1 - pair[0], mean: cell.mean,
        relative: cell.relative, energy: cell.energy, changed, along,
        overlap: cell.meets?.overlap ?? null, conflict: cell.meets?.conflict ?? null,
      }[quantity];
      kept += pair[0] * cell.numel; energy += cell.energy * cell.squares; weight += cell.squares;
    }
    const changed = outcome ? cells.reduce((sum, cell) => sum + cell.changed * cell.numel, 0) / numel : null;
    const share = plan ? plan.kept / plan.numel : kept / numel;
    return {
      table, levels, rate, cells, numel, shows, share, changed, quantity, pruned,
      counting: dppa.isPair(quantity) && !meeting, met: meeting && totalOf(cells),
      exact: shows === "plan" ? plan !== null : dppa.isCurrent(),
      key: `${table.layers}/${table.kinds}`, pair: `${dppa.state.base}|${dppa.state.focus}|${dppa.state.significance}|${table.edges[0]}`,
      kept: plan ? plan.kept : kept,
      energy: plan ? plan.energy : weight ? energy / weight : 1,
      thresholds: plan ? plan.thresholds : shows !== "plan" ? []
        : levels.map((level) => [0, 1, 2].map((row) => dppa.at(table.thresholds, row, table.count, level))),
      scale: scaleOf(cells, quantity),
      ...barsOf({ table, shows, cells, levels, plan, share, changed }),
    };
  };
  // Of all cells together: numbers of elements, not the mean of shares.
  function totalOf(cells) {
    const sum = (name) => cells.reduce((total, { meets, numel }) => total + meets[name] * numel, 0);
    const kept = sum("kept"), both = sum("both"), opposed = sum("opposed");
    return { overlap: kept ? both / kept : null, conflict: both ? opposed / both : null };
  }
  // "layer/kind" -> [share of weights changed, mean change, share of the focused model's delta in it].
  function outcomeOf(outcome) {
    if (!outcome) return null;
    const model = outcome.models.indexOf(dppa.state.focus);
    return new Map(outcome.cells.map(([layer, kind, changed, mean, along]) =>
      [`${layer}/${kind}`, [changed, mean, along[model] ?? 0]]));
  }
  // What the bars of the layers say: what each keeps; or what the merge changed; or where the change lies.
  function barsOf({ table, shows, cells, levels, plan, share, changed }) {
    if (shows === "plan" || shows === "random") {
      const even = (level) => table.layers.map(() => 1 - level);
      const bands = plan?.bands ?? levels.map((level) => (shows === "random" ? even(level) : bandAt(table, cells, level)));
      return { bands, middle: share, axis: "share of the layer's changes kept" };
    }
    const sums = (value) => table.layers.map((_, l) => cells.filter((cell) => cell.l === l).reduce((sum, cell) => sum + value(cell), 0));
    if (changed !== null) {
      const all = sums((cell) => cell.numel);
      const bands = [sums((cell) => cell.changed * cell.numel).map((sum, l) => (all[l] ? sum / all[l] : 0))];
      return { bands, middle: changed, axis: "share of the layer's weights changed" };
    }
    const sizes = sums((cell) => cell.mean * cell.numel);
    const total = sizes.reduce((a, b) => a + b, 0) || 1;
    return { bands: [sizes.map((size) => size / total)], middle: 1 / table.layers.length, axis: "share of the model's change, by |d|" };
  }
  function bandAt(table, cells, level) {
    const kept = table.layers.map(() => 0), all = table.layers.map(() => 0);
    for (const cell of cells) {
      kept[cell.l] += keptAt(table, cell, level) * cell.numel;
      all[cell.l] += cell.numel;
    }
    return kept.map((sum, l) => (all[l] ? sum / all[l] : 0));
  }
  // Shares run from 0 to 100 %, so that a colour means the same at every rate and of every model.
  function scaleOf(cells, quantity) {
    const { text, title, unit = title } = dppa.QUANTITIES[quantity];
    const values = cells.map((cell) => cell.value).filter((value) => value !== null);
    const whole = ["density", "rate", "energy", "changed", "overlap"].includes(quantity);
    let low = whole ? 0 : Math.min(...values), high = whole ? 1 : Math.max(...values);
    // Two models without anything in common would be opposed in half of what both change.
    if (quantity === "conflict") { low = 0; high = high > 0.5 ? 1 : 0.5; }
    if (quantity === "along") { low = Math.min(low, 0); high = Math.max(high, 1); }
    if (quantity !== "mean" || !(high > 0)) return { low, high, text, unit, cell: text };
    // Small numbers share one power of ten, named once below.
    const power = Math.floor(Math.log10(high));
    const scaled = (value) => (value / 10 ** power).toFixed(2);
    return { low, high, text: scaled, cell: scaled, unit: `mean ${dppa.words.score().short}, times 10${superscript(power)}` };
  }
})();
