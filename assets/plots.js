// The plots together: what is drawn each frame, the sentences, the tip, the table for readers.
// Knows the store's tables and plans; how each plot looks is in its own file.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, svg, say, put, superscript, percent, percent1, level, three, count } = dppa.shapes;
  const SIDE_BY_SIDE = 560;

  // --- the view: everything one frame needs, from the table or from the exact plan ----------------
  let cached = { table: null, cells: [] };
  function cellsOf(table) {
    if (cached.table === table) return cached.cells;
    const cells = [];
    table.layers.forEach((layer, l) => table.kinds.forEach((kind, m) => {
      const index = l * table.kinds.length + m;
      const numel = table.numel[index];
      if (numel > 0) {
        cells.push({ layer, kind, l, index, numel, significance: table.significance[index], mean: table.mean_magnitude[index] });
      }
    }));
    cached = { table, cells };
    return cells;
  }
  const keptAt = (table, cell, rate) =>
    Math.max(Math.min(dppa.at(table.density, cell.index, table.count, rate), table.nonzero[cell.index]), 0);

  // What a cell can show: some is known beforehand, the rest once the method has merged.
  const BEFORE = { whole: ["significance", "mean"] };
  const AFTER = ["along", "changed"];
  const quantities = () => {
    const known = BEFORE[dppa.shows()] ?? ["significance", "density", "rate", "mean", "energy"];
    return dppa.shows() === "plan" && !dppa.staged() ? known : [...known, ...AFTER];
  };
  dppa.quantity = () => {
    const { quantity } = dppa.state;
    const there = quantities().includes(quantity) && (dppa.outcome() || !AFTER.includes(quantity));
    return there ? quantity : "mean";
  };

  function makeView() {
    const table = dppa.table();
    const shows = dppa.shows();
    const levels = shows === "whole" ? [] : dppa.levels();
    const rate = levels[levels.length - 1] ?? 0;
    const plan = shows === "plan" ? dppa.exactPlan() : null;
    const outcome = outcomeOf(dppa.outcome());
    const cells = cellsOf(table);
    const quantity = dppa.quantity();
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
      cell.value = {
        significance: cell.significance, density: pair[0], rate: 1 - pair[0],
        mean: cell.mean, energy: cell.energy, changed, along,
      }[quantity];
      const power = cell.numel * cell.mean ** 2; // about its share of the energy
      kept += pair[0] * cell.numel; energy += cell.energy * power; weight += power;
    }
    const changed = outcome ? cells.reduce((sum, cell) => sum + cell.changed * cell.numel, 0) / numel : null;
    const share = plan ? plan.kept / plan.numel : kept / numel;
    return {
      table, levels, rate, cells, numel, shows, share, changed, quantity,
      exact: shows === "plan" ? plan !== null : dppa.isCurrent(),
      key: `${table.layers}/${table.kinds}`, pair: `${dppa.state.base}|${dppa.state.focus}|${dppa.state.significance}|${table.edges[0]}`,
      kept: plan ? plan.kept : kept,
      energy: plan ? plan.energy : weight ? energy / weight : 1,
      thresholds: plan ? plan.thresholds : shows !== "plan" ? []
        : levels.map((level) => [0, 1, 2].map((row) => dppa.at(table.thresholds, row, table.count, level))),
      scale: scaleOf(cells, quantity),
      ...barsOf({ table, shows, cells, levels, plan, share, changed }),
    };
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
    const values = cells.map((cell) => cell.value);
    const whole = ["density", "rate", "energy", "changed"].includes(quantity);
    let low = whole ? 0 : Math.min(...values), high = whole ? 1 : Math.max(...values);
    if (quantity === "along") { low = Math.min(low, 0); high = Math.max(high, 1); }
    if (quantity !== "mean" || !(high > 0)) return { low, high, text, unit, cell: text };
    // Small numbers share one power of ten, named once below.
    const power = Math.floor(Math.log10(high));
    const scaled = (value) => (value / 10 ** power).toFixed(2);
    return { low, high, text: scaled, cell: scaled, unit: `mean ${dppa.words.score().short}, times 10${superscript(power)}` };
  }

  // --- the part ------------------------------------------------------------------------------------
  dppa.part("plots", ({ host, outer, get, watch }) => {
    host.replaceChildren();
    host.setAttribute("data-plots", "");
    const bar = html("div", { class: "plot-bar" }, host);
    const quantity = select(bar, "quantity", "Show", "What the colour of a cell means.");
    const focus = select(bar, "focus", "of", "The domain model that is drawn: the one touched last.");
    focus.before(html("span", { class: "swatch", "aria-hidden": "true" }));
    const pair = html("div", { class: "pair" }, host);
    const first = figure(pair, "heatmap", "Heatmap of layers and modules. Arrow keys move from cell to cell.");
    const second = figure(pair, "kept", "Share kept per layer, stacked by partition.");
    const third = figure(host, "distribution", "Distribution of the size of the changes. Plus and minus zoom, arrows move.");
    first.root.setAttribute("tabindex", "0");
    third.root.setAttribute("tabindex", "0");
    const reset = html("button", { type: "button", class: "zoom-reset", hidden: "" }, third.box, "Reset zoom");
    const tip = html("div", { class: "tip", hidden: "" }, first.box);
    const told = html("output", { class: "sr", "aria-live": "polite" }, host);
    const twin = twinTable(host);

    let pointed = null;
    let view = null;
    const heatmap = dppa.plots.heatmap(first.root, (index) => { pointed = index; showTip(true); });
    const bars = dppa.plots.bars(second.root);
    const distribution = dppa.plots.distribution(third.root, (zoomed) => { reset.hidden = !zoomed; });
    reset.addEventListener("click", () => distribution.reset());
    quantity.addEventListener("change", () => dppa.set({ quantity: quantity.value }));
    focus.addEventListener("change", () => dppa.set({ focus: focus.value }));

    function showTip(aloud = false) {
      const cell = pointed === null || !view ? null : view.cells[pointed];
      tip.hidden = !cell;
      if (!cell) return;
      const kept = view.shows === "whole" ? [] : [`kept ${percent1(cell.kept)} · energy ${percent(cell.energy)}`];
      const merged = cell.changed === null ? []
        : [`changed ${percent1(cell.changed)} · of ${dppa.words.label(dppa.state.focus)} ${percent(cell.along)} in the merge`];
      const lines = [
        `layer ${cell.layer}, ${cell.kind} · ${count(cell.numel)} weights`, ...kept, ...merged,
        `significance ${three(100 * cell.significance)}\u2009% · mean ${dppa.words.score().short} ${three(cell.mean)}`,
      ];
      while (tip.children.length > lines.length) tip.lastChild.remove();
      while (tip.children.length < lines.length) html("div", {}, tip);
      lines.forEach((line, i) => say(tip.children[i], line));
      const box = heatmap.boxOf(pointed);
      const left = Math.min(Math.max(box.x + box.width / 2 - 105, 0), first.root.clientWidth - 210);
      tip.style.transform = `translate(${left}px, ${box.y + box.height + 6}px)`;
      if (aloud && document.activeElement === first.root) say(told, lines.join("; "));
    }

    // Sizes are measured when the page changes, never in a frame that draws.
    let sizes = null;
    const measure = () => {
      const width = Math.floor(host.clientWidth);
      if (!width) return;
      const side = width >= SIDE_BY_SIDE;
      pair.classList.toggle("side", side);
      const left = side ? Math.floor((width - 24) * 0.62) : width;
      sizes = { heatmap: left, kept: side ? width - 24 - left : width, distribution: width };
      dppa.redraw();
    };
    new ResizeObserver(measure).observe(host);
    measure();

    let sequence = 0, settle = 0, painted = "";
    dppa.paint((input) => {
      syncChoices(quantity, focus);
      if (!sizes || !dppa.table()) return;
      view = makeView();
      const colour = dppa.names[dppa.state.focus]?.colour ?? "var(--d-accent)";
      if (colour !== painted) {
        painted = colour;
        host.style.setProperty("--focus", colour);
        host.style.setProperty("--model", colour);
      }
      heatmap.draw(view, sizes.heatmap);
      bars(view, sizes.kept);
      distribution.draw(view, sizes.distribution);
      titles(view);
      showTip();
      clearTimeout(settle);
      settle = setTimeout(() => fillTwin(twin, view), 150);
      report(input);
    });
    function titles(now) {
      say(first.title, dppa.words.heatmap(now, dppa.state.focus));
      dppa.explain(first.how, dppa.words.readHeatmap(now));
      say(second.title, dppa.words.layers(now));
      dppa.explain(second.how, dppa.words.readLayers(now));
      say(third.title, dppa.words.distribution(now, dppa.state.focus));
      dppa.explain(third.how, dppa.words.readDistribution(now));
    }
    function report(input) {
      sequence += 1;
      const rate = String(+dppa.state.rate);
      const { focus: model, method, significance } = dppa.state;
      const now = { rate, sequence, focus: model, quantity: view.quantity, significance, exact: view.exact, method, shows: view.shows };
      for (const [name, value] of Object.entries(now)) {
        put(host, `data-${name}`, value);
      }
      put(outer, "data-ready", "true");
      const detail = { rate: +rate, sequence, exact: view.exact, input };
      dppa.paints.push({ ...detail, drawn: performance.now() });
      if (dppa.paints.length > 500) dppa.paints.shift();
      window.dispatchEvent(new CustomEvent("dppa:paint", { detail }));
    }
    watch(dppa.takeTables);
    dppa.takeTables(get());
    dppa.view = () => view;
  });

  function select(parent, id, label, title) {
    const wrap = html("label", { class: "choice", title }, parent);
    html("span", {}, wrap, label);
    return html("select", { id }, wrap);
  }
  function figure(parent, id, label) {
    const box = html("section", { class: `plot plot-${id}` }, parent);
    const title = html("h3", { class: "plot-title" }, box);
    const root = svg("svg", { id, role: "img", "aria-label": label }, box);
    const how = html("p", { class: "how" }, box);
    dppa.saveable(box, id, dppa.rowsOf[id], () => root);
    return { box, title, root, how };
  }
  // Those that take part come first; the others can be looked at too, and are called off.
  let offered = "";
  function syncChoices(quantity, focus) {
    const on = new Set(dppa.state.models.filter((model) => model.on).map((model) => model.ref));
    const names = Object.keys(dppa.tables).sort((a, b) => on.has(b) - on.has(a));
    const texts = names.map((name) => dppa.words.label(name) + (on.has(name) ? "" : " (off)"));
    const key = JSON.stringify([names, texts]);
    if (key !== offered) {
      offered = key;
      focus.replaceChildren();
      names.forEach((name, i) => html("option", { value: name }, focus, texts[i]));
    }
    if (focus.value !== dppa.state.focus) focus.value = dppa.state.focus;
    const all = quantities(), merged = dppa.outcome() !== null;
    const kinds = `${all}/${merged}/${dppa.words.score().short}`;
    if (quantity.dataset.kinds !== kinds) {
      quantity.dataset.kinds = kinds;
      quantity.replaceChildren();
      for (const name of all) {
        const later = AFTER.includes(name) && !merged;
        html("option", { value: name, ...(later && { disabled: "" }) }, quantity, dppa.QUANTITIES[name].title + (later ? " (once merged)" : ""));
      }
    }
    if (quantity.value !== dppa.quantity()) quantity.value = dppa.quantity();
  }

  // --- the same heatmap as a table --------------------------------------------------------------------
  function twinTable(host) {
    const details = html("details", { class: "twin-box" }, host);
    html("summary", {}, details, "The heatmap as a table");
    const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Heatmap as a table" }, details);
    const table = html("table", { class: "twin" }, scroll);
    const parts = { caption: html("caption", {}, table), head: html("thead", {}, table), body: html("tbody", {}, table) };
    const twin = { ...parts, details, key: "", cells: [] };
    details.addEventListener("toggle", () => { const view = dppa.view?.(); if (view) fillTwin(twin, view); });
    return twin;
  }
  function fillTwin(twin, view) {
    const { layers, kinds } = view.table;
    if (twin.key !== view.key) {
      twin.key = view.key;
      twin.head.replaceChildren(); twin.body.replaceChildren();
      const head = html("tr", {}, twin.head);
      for (const name of ["layer", ...kinds]) html("th", { scope: "col" }, head, name);
      const rows = layers.map((layer) => {
        const row = html("tr", {}, twin.body);
        html("th", { scope: "row" }, row, String(layer));
        return kinds.map(() => html("td", {}, row, "–"));
      });
      twin.cells = view.cells.map((cell) => rows[cell.l][kinds.indexOf(cell.kind)]);
    }
    if (!twin.details.open) return; // nobody reads it now
    const { title } = dppa.QUANTITIES[view.quantity];
    const at = view.shows === "whole" ? "" : ` at a pruning rate of ${level(view.rate)}`;
    say(twin.caption, `${title} of ${dppa.words.label(dppa.state.focus)}${at}`);
    view.cells.forEach((cell, i) => say(twin.cells[i], view.scale.text(cell.value)));
  }
})();
