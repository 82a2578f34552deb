// The plots together: drawing of each frame, the sentences, the tip, the table for screen readers.
// frame_values.js computes a frame; each plot is in its own file.
import { explain } from "../base/glossary_bubbles.js";
import { html, svg, say, put, percent, percent1, level, three, count } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { atRate } from "../session/densities.js";
import { override } from "../session/overrides.js";
import { pageNow } from "../session/page_mode.js";
import { redraw, paint, paints, part, server } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import * as tables from "../session/tables.js";
import { partners, isPair, partner, directionsButton } from "./conflict.js";
import { distributionPlot } from "./distribution.js";
import * as frame from "./frame_values.js";
import { barsPlot, fillTwin, heatmapPlot, layerWords, twinTable } from "./heatmap.js";
import * as words from "./plot_sentences.js";
import { buildSparsity } from "./sparsity.js";

const SIDE_BY_SIDE = 560;

// --- the views of the middle column, one at a time --------------------------------------------------
part("views", ({ host }) => {
  const buttons = [...host.querySelectorAll("button[data-view]")];
  const show = (/** @type {string} */ name) => {
    document.body.dataset.view = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.view === name));
    redraw();
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      show(button.dataset.view ?? "");
      button.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }
  show("modules");
  paint(() => {
    const { tab } = server.opens;
    if (!tab) return;
    delete server.opens.tab;
    show(tab);
  });
});

// --- the part ------------------------------------------------------------------------------------
part("plots", ({ host, outer, get, watch }) => {
  host.replaceChildren();
  host.setAttribute("data-plots", "");
  const bar = html("div", { class: "plot-bar" }, host);
  const quantity = select(bar, "quantity", "Show", "What the colour of a cell means.");
  const focus = select(bar, "focus", "of", "The domain model that is drawn: the one touched last.");
  focus.before(html("span", { class: "swatch", "aria-hidden": "true" }));
  const partner = select(bar, "partner", "with", "Whom it is compared with, element by element.");
  partner.addEventListener("change", () => controls.set({ partner: partner.value }));
  directionsButton(bar);
  const clearButton = html("button", { type: "button", class: "small", id: "own-clear", hidden: "" }, bar);
  clearButton.addEventListener("click", () => override(Object.keys(controls.state.overrides), null));
  const modules = html("div", {}, host);
  const sparsity = buildSparsity(html("div", { id: "panel-sparsity", hidden: "" }, host));
  const pair = html("div", { class: "pair" }, modules);
  const first = figure(pair, "heatmap",
    "Heatmap of layers and modules. Arrow keys move from cell to cell, Enter opens one.");
  const second = figure(pair, "kept", "Share kept per layer, stacked by partition.");
  html("section", { id: "drill-place", hidden: "" }, modules); // filled by matrix.js
  const third = figure(modules, "distribution",
    "Distribution of the size of the changes. Plus and minus zoom, arrows move.");
  first.root.setAttribute("tabindex", "0");
  third.root.setAttribute("tabindex", "0");
  const reset = html("button", { type: "button", class: "zoom-reset", hidden: "" }, third.box, "Reset zoom");
  const tip = html("div", { class: "tip", hidden: "" }, first.box);
  const announcement = html("output", { class: "sr", "aria-live": "polite" }, host);
  const twin = twinTable(modules, () => { const view = frame.view(); if (view) fill(view); });
  const fill = (/** @type {any} */ view) => fillTwin(twin, view, captionOf(view));

  let /** @type {any} */ pointed = null;
  let /** @type {any} */ view = null;
  const heatmap = heatmapPlot(first.root, (index) => { pointed = index; showTip(true); }, undefined, (index, byKey) => {
    const { layer, kind } = view.cells[index];
    controls.set({ picked: { layer, kind }, arrival: { byKey } });
  });
  const bars = barsPlot(second.root);
  const distribution = distributionPlot(third.root, (/** @type {any} */ zoomed) => { reset.hidden = !zoomed; });
  reset.addEventListener("click", () => distribution.reset());
  quantity.addEventListener("change", () => controls.set({ quantity: quantity.value }));
  focus.addEventListener("change", () => controls.set({ focus: focus.value }));

  function showTip(aloud = false) {
    const cell = pointed === null || !view ? null : view.cells[pointed];
    tip.hidden = !cell;
    if (!cell) return;
    const kept = view.shows === "whole" ? []
      : [`kept ${percent1(cell.kept)} · ${percent(cell.energy)} of the squared change`];
    const met = cell.meets ? words.meets(cell, view.pruned) : [];
    const merged = cell.changed === null ? []
      : [`changed ${percent1(cell.changed)} · of ${words.label(controls.state.focus)} ${percent(cell.along)} in the `
        + `merge`];
    const lines = [
      `layer ${layerWords(view.table, cell.layer)}, ${cell.kind} · ${count(cell.numel)} weights`,
      ...(cell.own === null ? [] : [`◆ its own pruning rate: ${level(cell.own)}`]), ...kept, ...met, ...merged,
      ...(met.length ? []
        : [`significance ${three(100 * cell.significance)}\u202f% · mean ${words.score().short} ${three(cell.mean)}`]),
    ];
    while (tip.children.length > lines.length) tip.lastChild.remove();
    while (tip.children.length < lines.length) html("div", {}, tip);
    lines.forEach((line, i) => say(tip.children[i], line));
    const box = heatmap.boxOf(pointed);
    const left = Math.min(Math.max(box.x + box.width / 2 - 105, 0), first.root.clientWidth - 210);
    tip.style.transform = `translate(${left}px, ${box.y + box.height + 6}px)`;
    if (aloud && document.activeElement === first.root) say(announcement, lines.join("; "));
  }

  // Sizes are measured when the page changes, never in a frame that draws.
  let /** @type {any} */ sizes = null;
  const measure = () => {
    const width = Math.floor(host.clientWidth);
    if (!width) return;
    const side = width >= SIDE_BY_SIDE;
    pair.classList.toggle("side", side);
    const left = side ? Math.floor((width - 24) * 0.62) : width;
    sizes = { heatmap: left, kept: side ? width - 24 - left : width, distribution: width };
    redraw();
  };
  new ResizeObserver(measure).observe(host);
  measure();

  let sequence = 0, settle = 0, painted = "";
  paint((input) => {
    syncChoices(quantity, focus);
    syncPartner(partner);
    const overridden = Object.keys(controls.state.overrides).length;
    clearButton.hidden = overridden === 0;
    say(clearButton, `◆ ${overridden} overridden${controls.pruner() ? "" : ", not used by this method"} · clear`);
    if (!sizes || !tables.table()) return;
    view = frame.makeView();
    const colour = server.names[controls.state.focus]?.colour ?? "var(--d-accent)";
    if (colour !== painted) {
      painted = colour;
      host.style.setProperty("--focus", colour);
      host.style.setProperty("--model", colour);
    }
    const isSparsity = document.body.dataset.view === "sparsity";
    modules.hidden = quantity.parentElement.hidden = isSparsity;
    sparsity.panel.hidden = !isSparsity;
    say(focus.parentElement.querySelector("span:not(.swatch)"),
      isSparsity ? "Model" : pageNow() === "stage" ? "Matrices of" : "of");
    if (isSparsity) partner.parentElement.hidden = true;
    if (isSparsity) sparsity.draw(view, sizes.distribution); else drawModules();
    report(input);
  });
  function drawModules() {
    heatmap.draw(view, sizes.heatmap);
    bars(view, sizes.kept);
    distribution.draw(view, sizes.distribution);
    titles(view);
    showTip();
    clearTimeout(settle);
    settle = setTimeout(() => fill(view), 150);
  }
  function titles(/** @type {any} */ now) {
    say(first.title, words.heatmap(now, controls.state.focus));
    explain(first.how, words.readHeatmap(now));
    say(second.title, words.layers(now));
    explain(second.how, words.readLayers(now));
    say(third.title, words.distribution(now, controls.state.focus));
    explain(third.how, words.readDistribution(now));
  }
  function report(/** @type {any} */ input) {
    sequence += 1;
    const rate = String(+controls.state.rate);
    const { focus: model, method, significance } = controls.state;
    const now = { rate, sequence, focus: model, quantity: view.quantity, counting: view.counting, significance,
      exact: view.exact, method, shows: view.shows };
    for (const [name, value] of Object.entries(now)) {
      put(host, `data-${name}`, value);
    }
    put(outer, "data-ready", "true");
    const detail = { rate: +rate, sequence, exact: view.exact, input };
    paints.push({ ...detail, drawn: performance.now() });
    if (paints.length > 500) paints.shift();
    window.dispatchEvent(new CustomEvent("dppa:paint", { detail }));
  }
  watch(tables.takeTables);
  tables.takeTables(get());
});

// --- what the three plots of every model show ------------------------------------------------------
/** @type {Record<string, any>} */
const rowsOf = {
  heatmap: () => {
    const view = frame.view();
    if (!view) return null;
    const { title, unit = title } = words.QUANTITIES[view.quantity];
    const bar = view.shows === "whole" ? "changed by the merge (share)" : "kept (share)";
    return {
      columns: ["model", "layer", "module", "weights (count)", title.includes(unit) ? title : `${title} (${unit})`,
        bar],
      rows: view.cells.map((/** @type {MatrixCell} */ cell) =>
        [controls.state.focus, cell.layer, cell.kind, cell.numel, cell.value, cell.kept]),
    };
  },
  kept: () => {
    const view = frame.view();
    if (!view) return null;
    const names = view.bands.map((/** @type {any} */ _, /** @type {number} */ k) =>
      (view.bands.length > 1 ? `partition ${k + 1}: ${view.axis}` : view.axis));
    return {
      columns: ["model", "layer", ...names.map((/** @type {string} */ text) => `${text} (share)`)],
      rows: view.table.layers.map((/** @type {number | null} */ layer, /** @type {number} */ i) =>
        [controls.state.focus, layer,
          ...view.bands.map((/** @type {any} */ band, /** @type {number} */ k) =>
            band[i] - (k ? view.bands[k - 1][i] : 0))]),
    };
  },
  distribution: () => {
    const view = frame.view();
    if (!view) return null;
    const { edges, histogram, kept_histogram: kept, count } = view.table;
    const level = view.levels.length - 1;
    const stays = (/** @type {any} */ b) =>
      (level < 0 ? null : view.shows === "random" ? 1 - view.levels[level]
        : atRate(kept, b, count, view.levels[level]));
    const { short } = words.score();
    return {
      columns: ["model", `${short} from`, `${short} to`, "changes (count)", "of all changes (share)",
        "kept of these (share)"],
      rows: Array.from(histogram,
        (n, b) => [controls.state.focus, edges[b], edges[b + 1], n, n / view.numel, stays(b)]),
    };
  },
};

/** @param {Element} parent @param {string} id @param {any} label @param {any} title */
function select(parent, id, label, title) {
  const wrap = html("label", { class: "choice", title }, parent);
  html("span", {}, wrap, label);
  return html("select", { id }, wrap);
}
/** @param {Element} parent @param {string} id @param {any} label */
function figure(parent, id, label) {
  const box = html("section", { class: `plot plot-${id}` }, parent);
  const title = html("h3", { class: "plot-title" }, box);
  const root = svg("svg", { id, role: "img", "aria-label": label }, box);
  const how = html("p", { class: "how" }, box);
  saveable(box, id, rowsOf[id], () => root);
  return { box, title, root, how };
}
// Models that take part come first; the others can be shown too, and are marked as off.
let offered = "";
/** @param {any} quantity @param {any} focus */
function syncChoices(quantity, focus) {
  const on = new Set(controls.state.models.filter((model) => model.on).map((model) => model.ref));
  const names = Object.keys(server.tables).sort((a, b) => Number(on.has(b)) - Number(on.has(a)));
  const texts = names.map((name) => words.label(name) + (on.has(name) ? "" : " (off)"));
  const key = JSON.stringify([names, texts]);
  if (key !== offered) {
    offered = key;
    focus.replaceChildren();
    names.forEach((name, i) => html("option", { value: name }, focus, texts[i]));
  }
  if (focus.value !== controls.state.focus) focus.value = controls.state.focus;
  const all = frame.quantities(), merged = tables.outcome() !== null;
  const kinds = `${all}/${merged}/${words.score().short}`;
  if (quantity.dataset.kinds !== kinds) {
    quantity.dataset.kinds = kinds;
    quantity.replaceChildren();
    for (const name of all) {
      const later = frame.isAfter(name) && !merged;
      html("option", { value: name, ...(later && { disabled: "" }) }, quantity,
        words.QUANTITIES[name].title + (later ? " (once merged)" : ""));
    }
  }
  if (quantity.value !== frame.quantity()) quantity.value = frame.quantity();
}

let compared = "";
/** @param {any} choice */
function syncPartner(choice) {
  const names = partners();
  choice.parentElement.hidden = !isPair(frame.quantity());
  const texts = names.map(words.label);
  const key = JSON.stringify([names, texts]);
  if (key !== compared) {
    compared = key;
    choice.replaceChildren();
    if (names.length > 1) html("option", { value: "" }, choice, "all others");
    names.forEach((name, i) => html("option", { value: name }, choice, texts[i]));
  }
  const reference = names.length === 1 ? names[0] : partner();
  if (choice.value !== reference) choice.value = reference;
}

// The caption of the heatmap as a table.
/** @param {any} view */
function captionOf(view) {
  const { title } = words.QUANTITIES[view.quantity];
  const at = view.shows === "whole" ? "" : ` at a pruning rate of ${level(view.rate)}`;
  const rateNote = view.cells.some((/** @type {MatrixCell} */ cell) => cell.marked) ? "; ◆ has a rate of its own" : "";
  return `${title} of ${words.label(controls.state.focus)}${at}${rateNote}`;
}
