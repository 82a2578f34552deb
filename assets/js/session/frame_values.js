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
          relative: table.relative[index], squares: table.squares[index], modules: table.modules[index],
        });
      }
    }));
    cached = { table, cells };
    return cells;
  }
  // --- rates of single matrices: those hold, and the others make up for them ------------------
  // A cell is held where all its matrices have one rate of their own; marked where any has.
  let free = { table: null, which: "", kept: [] }; // what the cells that are not held keep at every rate
  function holdOn(table, cells) {
    const rates = new Map(dppa.held());
    let all = 0, held = 0;
    for (const cell of cells) {
      cell.rates = cell.modules.map((name) => rates.get(name));
      const own = cell.rates.filter((rate) => rate !== undefined);
      cell.marked = own.length > 0;
      cell.own = cell.marked && own.length === cell.modules.length && own.every((rate) => rate === own[0]) ? own[0] : null;
      all += cell.numel;
      if (cell.own !== null) held += cell.numel * (1 - cell.own);
    }
    const any = cells.some((cell) => cell.own !== null);
    const which = any ? cells.map((cell) => +(cell.own !== null)).join("") : "";
    if (any && (free.table !== table || free.which !== which)) free = { table, which, kept: freeKept(table, cells) };
    return { all, held, any };
  }
  function freeKept(table, cells) {
    const loose = cells.filter((cell) => cell.own === null);
    return Array.from({ length: table.count }, (_, r) =>
      loose.reduce((sum, cell) => sum + cell.numel * table.density[cell.index * table.count + r], 0));
  }
  // The overall rate at which the cells that are not held would keep what the held ones leave over.
  function makesUp(hold, level, last) {
    if (!hold.any) return level;
    const wanted = (1 - level) * hold.all - hold.held * ((1 - level) / (1 - last));
    const { kept } = free;
    const r = kept.findIndex((value) => value <= wanted);
    if (r <= 0) return r < 0 ? 1 : 0;
    return (r - 1 + (kept[r - 1] - wanted) / (kept[r - 1] - kept[r])) / (kept.length - 1);
  }
  // Kept share and energy of a cell at one level: held cells by their own rate, others by the level's.
  function lookUp(table, cell, level, last, others) {
    if (cell.own === null) return [keptAt(table, cell, others), dppa.at(table.energy, cell.index, table.count, others)];
    const density = (1 - cell.own) * ((1 - level) / (1 - last));
    return [Math.min(density, table.nonzero[cell.index]), dppa.at(table.energy, cell.index, table.count, rateOf(table, cell, density))];
  }
  // Where a cell's own curve has a density, as an overall rate.
  function rateOf(table, cell, density) {
    const at = (r) => table.density[cell.index * table.count + r];
    let low = 0, high = table.count - 1;
    if (at(0) <= density) return 0;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (at(middle) > density) low = middle; else high = middle;
    }
    const step = at(low) - at(high);
    return (low + (step > 0 ? (at(low) - density) / step : 0)) / (table.count - 1);
  }
  // What is drawn keeps the share that its rate says: a matrix's own, or the common one.
  const drawn = (cell, level) => {
    const all = cell.rates.length || 1;
    const own = cell.rates.filter((rate) => rate !== undefined);
    return 1 - (own.reduce((sum, rate) => sum + rate, 0) + (all - own.length) * level) / all;
  };
  // Of every level of a view: [kept share, energy] of a cell, those of the levels before included.
  dppa.levelsOf = ({ table, levels, rates, shows }, cell) => levels.map((one, k) => (shows === "random"
    ? [drawn(cell, one), drawn(cell, one)] : lookUp(table, cell, one, levels[levels.length - 1], rates[k])));
  // Of every partition of a cell: [kept share, energy] between its level and the one before.
  dppa.partitionsOf = (view, cell) => {
    const found = dppa.levelsOf(view, cell);
    if (found.length) found[found.length - 1] = [cell.kept, cell.energy]; // exact where the plan is
    return found.map(([kept, energy], k) => (k ? [Math.max(kept - found[k - 1][0], 0), Math.max(energy - found[k - 1][1], 0)] : [kept, energy]));
  };
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
    const hold = holdOn(table, cells);
    const numel = hold.all;
    const rates = levels.map((one) => makesUp(hold, one, rate));
    const known = plan ? new Map(plan.cells.map(([layer, kind, k, e]) => [`${layer}/${kind}`, [k, e]])) : null;
    let kept = 0, energy = 0, weight = 0;
    for (const cell of cells) {
      const [changed, , along] = outcome?.get(`${cell.layer}/${cell.kind}`) ?? [null, null, null];
      const pair = known?.get(`${cell.layer}/${cell.kind}`)
        ?? (shows === "plan" ? lookUp(table, cell, rate, rate, rates[rates.length - 1]) : [drawn(cell, rate), drawn(cell, rate)]);
      cell.kept = shows === "whole" ? changed : pair[0];
      cell.energy = pair[1];
      cell.changed = changed;
      cell.along = along;
      cell.meets = meeting && meeting(cell.index, pruned && cell.own !== null ? Math.max(pruned, 0.01) : pruned);
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
      table, levels, rates, rate, cells, numel, shows, share, changed, quantity, pruned, picked: dppa.state.picked,
      counting: dppa.isPair(quantity) && !meeting, met: meeting && totalOf(cells),
      exact: shows === "plan" ? plan !== null : dppa.isCurrent(),
      key: `${table.layers}/${table.kinds}`, pair: `${dppa.state.base}|${dppa.state.focus}|${dppa.state.significance}|${table.edges[0]}`,
      kept: plan ? plan.kept : kept,
      energy: plan ? plan.energy : weight ? energy / weight : 1,
      thresholds: plan ? plan.thresholds : shows !== "plan" ? []
        : rates.map((one) => [0, 1, 2].map((row) => dppa.at(table.thresholds, row, table.count, one))),
      scale: scaleOf(cells, quantity),
      ...barsOf({ table, shows, cells, levels, rates, plan, share, changed }),
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
  function barsOf({ table, shows, cells, levels, rates, plan, share, changed }) {
    if (shows === "plan" || shows === "random") {
      const last = levels[levels.length - 1];
      const bands = plan?.bands ?? levels.map((level, k) => keptByLayer(table, cells, (cell) => (shows === "random" ? drawn(cell, level) : lookUp(table, cell, level, last, rates[k])[0])));
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
  function keptByLayer(table, cells, share) {
    const kept = table.layers.map(() => 0), all = table.layers.map(() => 0);
    for (const cell of cells) {
      kept[cell.l] += share(cell) * cell.numel;
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
