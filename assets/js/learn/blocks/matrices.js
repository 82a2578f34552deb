// The matrices of a transformer, as bars: the number of weights of each kind.
import { html, percent, count, THIN } from "../../base/shapes.js";
import { select } from "../charts.js";
import { block, byChoice } from "../frame.js";
import { bars } from "../rows_and_cells.js";

block("matrix-counts", ({ host, result, ask }) => {
  const bar = html("div", { class: "plot-bar" }, host);
  const problem = html("p", { class: "problem", role: "alert", hidden: "" }, host);
  const chart = bars(host, specOf(result));
  const fresh = byChoice(host, ask, {}, (next) => {
    chart.update(specOf(next));
    problem.hidden = true;
  }, (text) => {
    problem.textContent = text;
    problem.hidden = false;
  });
  select(bar, "Model", result.names.map((name) => [name, name]), result.of, (model) => fresh({ of: model }));
});
function specOf({ of: model, rows, layers, others, figures }) {
  const total = figures.weights;
  return {
    name: "matrices",
    title: `${model}: the MLP holds ${percent(figures.mlp)} of the weights in matrices, attention `
    + `${percent(figures.attention)}`,
    label: "Weights by kind of matrix",
    rows: rows.map(({ kind, part, shape, numel }) => ({
      label: kind, group: part, value: numel, text: `${percent(numel / total)} · ${shape.join(`${THIN}×${THIN}`)}`,
      colour: part === "attention" ? "#0072B2" : "#E69F00",
    })),
    how: `${layers} layers with ${rows.length} kinds of matrices each, ${count(total)} weights in all; `
    + `${count(others)} more lie in embeddings, head and norms. Numbers behind a bar: share, and rows × columns of `
    + `one.`,
  };
}
