// The sentences above the plots, made from the numbers in them. Knows no element.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { percent, level, three } = dppa.shapes;

  const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / Math.max(numbers.length, 1);
  const label = (reference) => dppa.names[reference]?.label ?? reference;
  const WHERE = { q: "query", k: "key", v: "value", o: "output", gate: "gate", up: "up", down: "down" };

  const list = (names) => (names.length < 2 ? names.join("")
    : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`);

  // cells: [{layer, kind, numel, value, kept}] -> the third of the layers, or the kind, that leads.
  // Those that read the same as the first or the last are named with it.
  function leader(cells, pick, text) {
    const groups = new Map();
    for (const cell of cells) {
      const key = pick(cell);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(cell);
    }
    const ranked = [...groups].map(([name, inside]) => ({
      name, value: mean(inside.map((cell) => cell.value)), kept: mean(inside.map((cell) => cell.kept)),
    })).sort((a, b) => b.value - a.value);
    const like = (one) => ranked.filter((other) => text(other.value) === text(one.value));
    const end = (one) => ({ ...one, names: like(one).map((other) => other.name), kept: mean(like(one).map((o) => o.kept)) });
    return { best: end(ranked[0]), worst: end(ranked[ranked.length - 1]) };
  }
  function thirds(cells, text) {
    const layers = [...new Set(cells.map((cell) => cell.layer))].sort((a, b) => a - b);
    const third = (cell) => {
      const place = layers.indexOf(cell.layer) / Math.max(layers.length - 1, 1);
      return place < 0.34 ? "Early" : place > 0.66 ? "Late" : "Middle";
    };
    return leader(cells, third, text);
  }
  const spread = ({ best, worst }) => (best.value > 0 ? (best.value - worst.value) / best.value : 0);
  // Short enough for a title of two lines beside the other plot.
  const kinds = ({ names }) => (names.length > 2 ? `${names.length} kinds of` : list(names.map((kind) => WHERE[kind] ?? kind)));
  const matrices = (those) => (those.names.length > 1 || WHERE[those.names[0]] ? `${kinds(those)} matrices` : those.names[0]);
  const first = (text) => text[0].toUpperCase() + text.slice(1);
  const layersOf = ({ names }) => `${list(names.map((name, i) => (i ? name.toLowerCase() : name)))} layers`;

  function heatmap(quantity, cells, focus, rate, energy) {
    const who = label(focus);
    const { text } = dppa.QUANTITIES[quantity];
    const byThird = thirds(cells, text);
    const byKind = leader(cells, (cell) => cell.kind, text);
    const { best, worst } = byKind;
    const alike = spread(byKind) < 0.03;
    if (quantity === "significance" || quantity === "mean") {
      const did = quantity === "mean" ? "changed" : "stand out";
      const late = spread(byThird) > spread(byKind);
      if (!late && alike) return `All matrices of ${who} ${did} alike, and keep ${percent(mean(cells.map((c) => c.kept)))}`;
      const [what, kept] = late ? [layersOf(byThird.best), byThird.best.kept] : [`The ${matrices(best)}`, best.kept];
      return `${what} of ${who} ${did} most, and keep ${percent(kept)}`;
    }
    if (quantity === "energy") {
      return `${who} keeps ${percent(energy)} of its energy, ${kinds(worst)} matrices least`;
    }
    if (best.value - worst.value < 0.01) return `At ${level(rate)}, every kind of matrix in ${who} keeps the same share`;
    const does = quantity === "rate" ? "lose" : "keep";
    return `${first(matrices(best))} ${does} most of ${who} (${percent(best.value)}), ${kinds(worst).replace(/ of$/, "")} least (${percent(worst.value)})`;
  }

  // kept: share kept per layer, in the order of `layers`; layers that read the same are named together.
  function kept(layers, shares) {
    const high = percent(Math.max(...shares)), low = percent(Math.min(...shares));
    if (high === low) return `Every layer keeps ${high}`;
    const those = (text) => {
      const found = layers.filter((_, i) => percent(shares[i]) === text);
      if (found.length > 3) return `${found.length} layers`;
      return `${found.length > 1 ? "layers" : "layer"} ${list(found)}`;
    };
    const top = those(high);
    return `${first(top)} ${top.startsWith("layer ") ? "keeps" : "keep"} ${high}, ${those(low)} only ${low}`;
  }

  function distribution(focus, rate, threshold, energy) {
    if (rate === 0 || threshold === 0) return `Every change of ${label(focus)} is kept`;
    return `The ${level(1 - rate)} above ${score().short} ≈ ${three(threshold)} hold ${percent(energy)} of ${label(focus)}'s energy`;
  }

  // What ranks the changes, in the words of the last plot.
  const SCORES = {
    magnitude: { short: "|d|", axis: "size of a change |d|, in units of the weights (logarithmic)", of: "that [size |d|]", mean: "mean change" },
    fisher: { short: "|d| · √F", axis: "score of a change, |d| · √F (logarithmic)", of: "that score, the [size |d|] times the root of the [Fisher information]", mean: "mean score" },
    activation: { short: "|d| · ‖x‖", axis: "score of a change, |d| · ‖x‖ (logarithmic)", of: "that score, the [size |d|] times the size of its [input]", mean: "mean score" },
    random: { short: "the score", axis: "score of a change, drawn at random (logarithmic)", of: "that random score", mean: "mean score" },
  };
  const score = () => SCORES[dppa.state.significance];

  dppa.words = { heatmap, kept, distribution, label, score };
  dppa.QUANTITIES = {
    significance: {
      title: "significance", unit: "significance: share of outliers", text: smallPercent,
      get how() {
        return `Colour, number: [significance], the share of [outliers] (over ${+dppa.state.k_module} × the ${score().mean}). Bar: share kept.`;
      },
    },
    density: {
      title: "density (share kept)", unit: "share kept", text: percent,
      how: "Colour, number and bar: share of a matrix's changes that is kept. Higher [significance] keeps more.",
    },
    rate: {
      title: "pruning rate", unit: "share dropped", text: percent,
      how: "Colour, number: share of a matrix's changes that is dropped. Bar: share kept.",
    },
    mean: {
      title: "mean |d|", unit: "mean |d|, in units of the weights", text: three,
      how: "Colour, number: mean size of a change [|d|], domain model minus base. Bar: share kept.",
    },
    energy: {
      title: "retained energy", unit: "share of Σd² kept", text: percent,
      how: "Colour, number: share of a matrix's [energy] (its squared changes) that is kept. Bar: share of changes kept.",
    },
  };
  // Outliers are rare: two decimals below one percent.
  function smallPercent(share) { return share < 0.01 ? `${(100 * share).toFixed(2)}\u2009%` : percent(share); }
})();
