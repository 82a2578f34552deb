// The sentences above the plots, made from the numbers in them. Knows no element.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { percent, three } = dppa.shapes;

  const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / Math.max(numbers.length, 1);
  const label = (reference) => dppa.names[reference]?.label ?? reference;
  const WHERE = { q: "query", k: "key", v: "value", o: "output", gate: "gate", up: "up", down: "down" };
  const matrix = (kind) => (WHERE[kind] ? `${WHERE[kind]} matrices` : kind);

  // cells: [{layer, kind, numel, value, kept}] -> the third of the layers, or the kind, that leads.
  function leader(cells, pick) {
    const groups = new Map();
    for (const cell of cells) {
      const key = pick(cell);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(cell.value);
    }
    const ranked = [...groups].map(([key, values]) => [key, mean(values)]).sort((a, b) => b[1] - a[1]);
    return { best: ranked[0], worst: ranked[ranked.length - 1] };
  }
  function thirds(cells) {
    const layers = [...new Set(cells.map((cell) => cell.layer))].sort((a, b) => a - b);
    const third = (cell) => {
      const place = layers.indexOf(cell.layer) / Math.max(layers.length - 1, 1);
      return place < 0.34 ? "Early" : place > 0.66 ? "Late" : "Middle";
    };
    return leader(cells, third);
  }
  const spread = ({ best, worst }) => (best[1] > 0 ? (best[1] - worst[1]) / best[1] : 0);

  function heatmap(quantity, cells, focus, rate, energy) {
    const who = label(focus);
    const byThird = thirds(cells);
    const byKind = leader(cells, (cell) => cell.kind);
    const at = `At ${percent(rate)}`;
    const [top, low] = [byKind.best, byKind.worst];
    if (quantity === "significance") {
      if (spread(byThird) > spread(byKind)) return `${byThird.best[0]} layers of ${who} stand out most`;
      return spread(byKind) < 0.03 ? `All matrices of ${who} stand out alike`
        : `The ${matrix(top[0])} of ${who} stand out most`;
    }
    if (quantity === "mean") {
      if (spread(byThird) > spread(byKind)) return `${byThird.best[0]} layers of ${who} changed most`;
      return spread(byKind) < 0.03 ? `All of ${who} changed alike`
        : `The ${matrix(top[0])} of ${who} changed most`;
    }
    if (quantity === "energy") {
      return `${at}, ${who} retains ${percent(energy)} of its change's energy, least in the ${matrix(low[0])}`;
    }
    if (spread(byKind) < 0.01) return `${at}, every kind of matrix in ${who} keeps the same share`;
    if (quantity === "rate") {
      return `${at}, the ${matrix(top[0])} of ${who} lose most (${percent(top[1])}), the ${matrix(low[0])} least (${percent(low[1])})`;
    }
    return `${at}, the ${matrix(top[0])} of ${who} keep most (${percent(top[1])}), the ${matrix(low[0])} least (${percent(low[1])})`;
  }

  // kept: share kept per layer, in the order of `layers`.
  function kept(layers, shares) {
    const most = shares.indexOf(Math.max(...shares));
    const least = shares.indexOf(Math.min(...shares));
    if (shares[most] - shares[least] < 0.005) return `Every layer keeps ${percent(mean(shares))}`;
    return `Layer ${layers[most]} keeps ${percent(shares[most])}, layer ${layers[least]} only ${percent(shares[least])}`;
  }

  function distribution(focus, rate, threshold, energy) {
    if (rate === 0) return `Nothing of ${label(focus)} is dropped`;
    return `The ${percent(1 - rate)} above |d| ≈ ${three(threshold)} hold ${percent(energy)} of ${label(focus)}'s energy`;
  }

  dppa.words = { heatmap, kept, distribution, label };
  dppa.QUANTITIES = {
    significance: {
      title: "significance", unit: "share of outliers", text: smallPercent,
      how: "Colour: share of a matrix's changes larger than 5 times its mean change. Bar in each cell: share kept.",
    },
    density: {
      title: "density", unit: "share kept", text: percent,
      how: "Colour and bar: share of each matrix's changes that is kept. Significant matrices keep more.",
    },
    rate: {
      title: "pruning rate", unit: "share dropped", text: percent,
      how: "Colour: share of each matrix's changes that is dropped. Bar in each cell: share kept.",
    },
    mean: {
      title: "mean |d|", unit: "mean |d|, in units of the weights", text: three,
      how: "Colour: mean size of a change, domain model minus base. Bar in each cell: share kept.",
    },
    energy: {
      title: "retained energy", unit: "share of Σd² kept", text: percent,
      how: "Colour: share of the squared change that survives pruning. Bar in each cell: share kept.",
    },
  };
  // Outliers are rare: two decimals below one percent.
  function smallPercent(share) { return share < 0.01 ? `${(100 * share).toFixed(2)}\u2009%` : percent(share); }
})();
