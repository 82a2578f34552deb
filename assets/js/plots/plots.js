// The plots together: what is drawn each frame, the sentences, the tip, the table for readers.
// Knows the view of a frame (frame_values.js); how each plot looks is in its own file.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, svg, say, put, percent, percent1, level, three, count } = dppa.shapes;
  const SIDE_BY_SIDE = 560;

  // --- the part ------------------------------------------------------------------------------------
  dppa.part("plots", ({ host, outer, get, watch }) => {
    host.replaceChildren();
    host.setAttribute("data-plots", "");
    const bar = html("div", { class: "plot-bar" }, host);
    const quantity = select(bar, "quantity", "Show", "What the colour of a cell means.");
    const focus = select(bar, "focus", "of", "The domain model that is drawn: the one touched last.");
    focus.before(html("span", { class: "swatch", "aria-hidden": "true" }));
    const partner = select(bar, "partner", "with", "Whom it is compared with, element by element.");
    partner.addEventListener("change", () => dppa.set({ partner: partner.value }));
    const own = html("button", { type: "button", class: "small", id: "own-clear", hidden: "" }, bar);
    own.addEventListener("click", () => dppa.override(Object.keys(dppa.state.overrides), null));
    const modules = html("div", {}, host);
    const sparsity = dppa.buildSparsity(html("div", { id: "panel-sparsity", hidden: "" }, host));
    const pair = html("div", { class: "pair" }, modules);
    const first = figure(pair, "heatmap", "Heatmap of layers and modules. Arrow keys move from cell to cell, Enter opens one.");
    const second = figure(pair, "kept", "Share kept per layer, stacked by partition.");
    html("section", { id: "drill-place", hidden: "" }, modules); // filled by matrix.js
    const third = figure(modules, "distribution", "Distribution of the size of the changes. Plus and minus zoom, arrows move.");
    first.root.setAttribute("tabindex", "0");
    third.root.setAttribute("tabindex", "0");
    const reset = html("button", { type: "button", class: "zoom-reset", hidden: "" }, third.box, "Reset zoom");
    const tip = html("div", { class: "tip", hidden: "" }, first.box);
    const told = html("output", { class: "sr", "aria-live": "polite" }, host);
    const twin = twinTable(modules);

    let pointed = null;
    let view = null;
    const heatmap = dppa.plots.heatmap(first.root, (index) => { pointed = index; showTip(true); }, undefined, (index, byKey) => {
      const { layer, kind } = view.cells[index];
      dppa.pick({ layer, kind }, byKey);
    });
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
      const met = cell.meets ? dppa.words.meets(cell, view.pruned) : [];
      const merged = cell.changed === null ? []
        : [`changed ${percent1(cell.changed)} · of ${dppa.words.label(dppa.state.focus)} ${percent(cell.along)} in the merge`];
      const lines = [
        `layer ${cell.layer}, ${cell.kind} · ${count(cell.numel)} weights`,
        ...(cell.own === null ? [] : [`◆ its own pruning rate: ${level(cell.own)}`]), ...kept, ...met, ...merged,
        ...(met.length ? [] : [`significance ${three(100 * cell.significance)}\u2009% · mean ${dppa.words.score().short} ${three(cell.mean)}`]),
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
      syncPartner(partner);
      const overridden = Object.keys(dppa.state.overrides).length;
      own.hidden = overridden === 0;
      say(own, `◆ ${overridden} overridden${dppa.pruner() ? "" : ", not used by this method"} · clear`);
      if (!sizes || !dppa.table()) return;
      view = dppa.makeView();
      const colour = dppa.names[dppa.state.focus]?.colour ?? "var(--d-accent)";
      if (colour !== painted) {
        painted = colour;
        host.style.setProperty("--focus", colour);
        host.style.setProperty("--model", colour);
      }
      const other = document.body.dataset.view === "sparsity";
      modules.hidden = quantity.parentElement.hidden = other;
      sparsity.panel.hidden = !other;
      if (other) partner.parentElement.hidden = true;
      if (other) sparsity.draw(view, sizes.distribution); else drawModules();
      report(input);
    });
    function drawModules() {
      heatmap.draw(view, sizes.heatmap);
      bars(view, sizes.kept);
      distribution.draw(view, sizes.distribution);
      titles(view);
      showTip();
      clearTimeout(settle);
      settle = setTimeout(() => fillTwin(twin, view), 150);
    }
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
      const now = { rate, sequence, focus: model, quantity: view.quantity, counting: view.counting, significance, exact: view.exact, method, shows: view.shows };
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
    const all = dppa.quantities(), merged = dppa.outcome() !== null;
    const kinds = `${all}/${merged}/${dppa.words.score().short}`;
    if (quantity.dataset.kinds !== kinds) {
      quantity.dataset.kinds = kinds;
      quantity.replaceChildren();
      for (const name of all) {
        const later = dppa.isAfter(name) && !merged;
        html("option", { value: name, ...(later && { disabled: "" }) }, quantity, dppa.QUANTITIES[name].title + (later ? " (once merged)" : ""));
      }
    }
    if (quantity.value !== dppa.quantity()) quantity.value = dppa.quantity();
  }

  let compared = "";
  function syncPartner(partner) {
    const names = dppa.partners();
    partner.parentElement.hidden = !dppa.isPair(dppa.quantity());
    const texts = names.map(dppa.words.label);
    const key = JSON.stringify([names, texts]);
    if (key !== compared) {
      compared = key;
      partner.replaceChildren();
      if (names.length > 1) html("option", { value: "" }, partner, "all others");
      names.forEach((name, i) => html("option", { value: name }, partner, texts[i]));
    }
    const chosen = names.length === 1 ? names[0] : dppa.partner();
    if (partner.value !== chosen) partner.value = chosen;
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
    say(twin.caption, `${title} of ${dppa.words.label(dppa.state.focus)}${at}${view.cells.some((cell) => cell.marked) ? "; ◆ has a rate of its own" : ""}`);
    view.cells.forEach((cell, i) => say(twin.cells[i], (cell.value === null ? "–" : view.scale.text(cell.value)) + (cell.marked ? " ◆" : "")));
  }
})();
