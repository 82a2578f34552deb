// The plots of one model: heatmap, kept share by layer, distribution.
import { explain } from "../base/glossary_bubbles.js";
import { html, svg, say, percent, percent1, count, three } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { distributionPlot } from "../plots/distribution.js";
import * as frame from "../plots/frame_values.js";
import { barsPlot, fillTwin, heatmapPlot, twinTable } from "../plots/heatmap.js";
import * as words from "../plots/plot_sentences.js";

/** @param {Element} host @param {string} id @param {string} label */
function figure(host, id, label) {
  const box = html("section", { class: `plot plot-${id}` }, host);
  const title = html("h2", { class: "plot-title" }, box);
  const root = svg("svg", { id, role: "img", tabindex: "0", "aria-label": label }, box);
  return { box, title, root, how: html("p", { class: "how" }, box) };
}

/** @param {HTMLElement} host */
export function heatmap(host) {
  const { box, title, root, how } = figure(host, "heatmap",
    "Heatmap, layers down, kinds of matrices across. Arrow keys move from cell to cell.");
  const tip = html("output", { class: "cell-words", "aria-live": "polite" }, box);
  const twin = twinTable(host, () => { const view = frame.view(); if (view) fill(view); });
  const fill = (/** @type {any} */ view) => fillTwin(twin, view, words.heatmap(view, controls.state.focus));
  let /** @type {any} */ view = null, /** @type {number | null} */ pointed = null;
  const map = heatmapPlot(root, (index) => { pointed = index; point(); });
  function point() {
    const cell = pointed === null || !view ? null : view.cells[pointed];
    say(tip, !cell ? "Point at a matrix, or go there with the arrow keys."
      : `Layer ${cell.layer}, ${cell.kind}, ${count(cell.numel)} weights: `
        + `${view.shows === "whole" ? "" : `keeps ${percent1(cell.kept)}, ${percent(cell.energy)} of the squared `
          + `change; `}significance ${three(100 * cell.significance)}\u202f%.`);
  }
  return (/** @type {any} */ next, /** @type {number} */ width) => {
    view = next;
    map.draw(view, width);
    say(title, words.heatmap(view, controls.state.focus));
    explain(how, words.readHeatmap(view));
    fill(view);
    point();
  };
}

/** @param {HTMLElement} host */
export function kept(host) {
  const { title, root, how } = figure(host, "kept", "Kept share of every layer, by partition");
  const bars = barsPlot(root);
  return (/** @type {any} */ view, /** @type {number} */ width) => {
    bars(view, width);
    say(title, words.layers(view));
    explain(how, words.readLayers(view));
  };
}

/** @param {HTMLElement} host */
export function distribution(host) {
  const { box, title, root, how } = figure(host, "distribution",
    "Distribution of the changes by size. Plus and minus zoom, arrow keys move, Escape shows all.");
  const reset = html("button", { type: "button", class: "zoom-reset", hidden: "" }, box, "Reset zoom");
  const plot = distributionPlot(root, (/** @type {boolean} */ zoomed) => { reset.hidden = !zoomed; });
  reset.addEventListener("click", () => plot.reset());
  return (/** @type {any} */ view, /** @type {number} */ width) => {
    plot.draw(view, width);
    say(title, words.distribution(view, controls.state.focus));
    explain(how, words.readDistribution(view));
  };
}
