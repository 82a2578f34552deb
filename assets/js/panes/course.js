// The course of a training run: the loss of its checkpoints, and of the mean of the last one, two, three …
import { html, say, svg } from "../base/shapes.js";
import { paint, part } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";
import { resultLegend, resultPlot, resultRows } from "../plots/experiment-plots.js";
import { opener } from "./perplexity.js";
import { takesOver } from "./take_over.js";

const IDLE = "Not measured yet. Each checkpoint reads the text, and each mean of the last two, three and more.";
const HOW = "Lower is better. A mean stands at the step of its first checkpoint. A click on it, or Enter, takes it "
  + "over. What decides is no test: score the mean on something else.";
const DIGITS = 5; // losses of neighbouring checkpoints differ little
const text = (/** @type {number} */ value) => String(+value.toPrecision(DIGITS));
const means = (/** @type {number} */ count) =>
  (count > 1 ? `the mean of the last ${count} checkpoints` : "the last checkpoint");

part("course", ({ host, get, watch }) => {
  host.replaceChildren();
  opener(host, "course");
  const runs = watchRuns(host, "course", { label: "Measuring", idle: IDLE });
  const box = html("section", { class: "plot plot-result", hidden: "" }, host);
  const heading = html("h3", { class: "plot-title" }, box), legend = html("ul", { class: "legend" }, box);
  const root = svg("svg", { id: "course-plot", role: "group", "aria-label": "Loss along the run." }, box);
  html("p", { class: "how" }, box, HOW);
  const sentence = html("p", { class: "said", role: "status" }, host);
  const take = html("button", { type: "button", class: "take-over", hidden: "" }, host, "Take over the best");
  const { over, forget } = takesOver(sentence, "");
  let /** @type {any} */ result = null, id = "", drawn = "";
  saveable(box, "course", () => resultRows(result.chart), () => root);

  const goes = (/** @type {any} */ count) => () => over(result.takes[count - 1], means(count), count > 1
    ? `More checkpoints than the page lists models. \`${result.command}${count}\` writes their mean as a recipe.`
    : "This run has one checkpoint: name it under Models.");
  take.addEventListener("click", () => goes(result.best)());
  function draw() {
    const width = Math.floor(box.clientWidth), key = `${width}/${id}/${JSON.stringify(result?.chart)}`;
    if (!width || !result || key === drawn) return;
    drawn = key;
    const { chart, takes } = result, counts = takes.map((_, i) => takes.length - i);
    resultLegend(legend, chart);
    resultPlot(root, { ...chart, y: { ...chart.y, text }, places: [[], counts] }, width, null, goes);
    say(heading, chart.title);
  }
  function accept(/** @type {any} */ next) {
    if (!runs.take(next) || !next.result) return;
    if (next.id !== id) forget();
    ({ result, id } = next);
    box.hidden = false;
    take.hidden = !result.best;
    draw();
  }
  watch(accept);
  accept(get());
  new ResizeObserver(draw).observe(host);
  paint(() => { runs.paint(""); draw(); });
});
