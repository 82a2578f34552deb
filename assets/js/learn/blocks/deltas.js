// Blocks on a delta: a corner of one matrix in three pictures, sizes by layer, and its concentration in
// few weights.
import { html, percent, percent1, THIN } from "../../base/shapes.js";
import { select, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";
import { cells, pointed } from "../rows_and_cells.js";

const four = (x) =>
  (x === 0 ? "0" : x.toFixed(Math.abs(x) < 0.9995 ? 3 : 2).replace("0.", ".")
    .replace("-", Math.abs(x) < 0.0005 ? "" : "−"));

block("delta-excerpt", ({ host, result, ask, write }) => {
  let data = result;
  const bar = html("div", { class: "plot-bar" }, host);
  const grid = html("div", { class: "cells-row" }, host);
  const status = html("p", { class: "how", role: "status" }, host);
  const change = byChoice(host, ask, { model: data.model, module: data.module }, draw, (problem) => {
    status.textContent = problem;
  });
  select(bar, "Model", result.models.map((row) => [row.model, row.label]), result.model, (model) => change({ model }));
  select(bar, "Matrix", result.modules.map((name) => [name, name]), result.module, (module) => change({ module }));
  const label = () => result.models.find((row) => row.model === data.model).label;
  const specs = () => {
    const top = Math.max(...[data.base, data.finetuned].flat(2).map(Math.abs)) || 1;
    return [["W: the base", data.base], [`Wₜ: ${label()}`, data.finetuned], ["d = Wₜ − W: the delta", data.delta]]
      .map(([title, values]) => ({ name: "corner", title, values, top, text: four }));
  };
  const tables = specs().map((spec, i) => {
    if (i) html("span", { class: "cells-sign", "aria-hidden": "true" }, grid, i === 1 ? "→" : "=");
    return cells(grid, spec);
  });
  let at = [0, 0];
  function tell() {
    const [r, c] = at;
    tables.forEach((table) => table.update({ marked: (row, column) => row === r && column === c }));
    const [rows, columns] = data.shape;
    status.textContent = `Row ${r + 1}, column ${c + 1}: ${data.sums[r][c]}. `
      + `These are ${data.base.length}${THIN}×${THIN}${data.base[0].length} of the ${rows}${THIN}×${THIN}${columns} `
        + `entries of the matrix ${data.module}. All three share one scale; 0 is nearest to the background.`;
  }
  function draw(next) {
    data = next;
    write(data);
    specs().forEach((spec, i) => tables[i].update(spec));
    tell();
  }
  pointed(grid, (place) => { at = place; tell(); });
  tell();
});

block("delta-sizes", ({ host, result }) => {
  const { models } = result;
  const largest = Math.max(...models.flatMap((model) => model.layers.map(([, size]) => size)));
  const top = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1].find((limit) => limit >= largest)
    ?? Math.ceil(largest);
  const layers = models[0].layers.map(([layer]) => layer);
  const order = [...models].sort((a, b) => b.relative - a.relative);
  lines(host, {
    name: "delta-by-layer",
    label: "Size of the delta by layer",
    title: `${order[0].label} moved farthest: its delta is ${percent(order[0].relative)} of the base's size`,
    x: { label: "layer", low: layers[0], high: layers[layers.length - 1], step: 1, ticks: layers, text: String },
    y: { label: "‖d‖ / ‖W‖", low: 0, high: top, text: percent },
    series: models.map(({ label, colour, layers: points }, i) =>
      ({ label, colour, points, marks: true, dash: ["none", "7 4", "2 4"][i % 3] })),
    slider: "Read at layer",
    at: layers[0],
    how: "Height: ‖d‖ divided by ‖W‖, over all matrices of a layer.",
  });
});

block("delta-energy", ({ host, result }) => {
  const { models } = result;
  const titleOf = (share) =>
    `The largest ${percent(share)} of math's changes hold ${percent(models[0].energy[Math.round(100 * share)])} of the `
    + `squared change`;
  const plot = lines(host, {
    name: "delta-energy",
    label: "Share of the squared change held by the largest changes",
    title: titleOf(0.2),
    x: { label: "share of the weights, largest |d| first", low: 0, high: 1, step: 0.01, text: percent },
    y: { label: "share of Σ d²", low: 0, high: 1, text: percent1, tick: percent },
    series: [
      ...models.map(({ label, colour, energy }, i) => ({
        label, colour, dash: ["none", "7 4", "2 4"][i % 3], points: energy.map((y, k) => [k / (energy.length - 1), y]),
      })),
      { label: "if all were equally large", colour: "var(--d-edge)", dash: "4 4", points: [[0, 0], [1, 1]] },
    ],
    slider: "Weights kept",
    at: 0.2,
    onAt: (share) => plot.update({ title: titleOf(share) }),
    how: "If every change were as large as every other, the curve would be the dashed diagonal.",
  });
});
