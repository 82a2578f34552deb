// Partitions of a pruned delta: the share of each, and the length of the delta for a factor of each.
import { html, say, three, percent, percent1, THIN } from "../../base/shapes.js";
import { select, slide, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";

const times = (x) => `×${THIN}${three(x)}`;
const CHOICES = [["[0.9,0.8]", "90 %, 80 % (paper)"], ["[0.8]", "80 % alone"],
  ["[0.95,0.9,0.85,0.8]", "95, 90, 85, 80 %"], ["[0.9,0.5]", "90 %, 50 %"], ["[0.95,0.9]", "95 %, 90 %"]];
const LARGEST = 4, STEP = 0.01;
// each that a slider can be at
const FACTORS = Array.from({ length: LARGEST / STEP + 1 }, (_, i) => +(i * STEP).toFixed(2));

block("partitions-by-hand", ({ host, result, ask }) => {
  let data = result, first = 1, second = 1;
  const bar = html("div", { class: "plot-bar" }, host);
  const fresh = byChoice(host, ask, { model: data.model, levels: data.levels }, (next) => {
    data = next;
    say(note, "");
    draw();
  }, (problem) => say(note, problem));
  select(bar, "Model", result.models.map((row) => [row.model, row.label]), result.model, (model) => fresh({ model }));
  select(bar, "Levels", CHOICES, JSON.stringify(result.levels), (levels) => fresh({ levels: JSON.parse(levels) }));
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Partitions as a table" },
    host);
  const table = html("table", {}, scroll);
  const squareOf = (k, factor) => factor ** 2 * data.partitions[k].energy;
  // The factor of every partition after the first is that of the lower slider.
  const length = (strongest, others) =>
    Math.sqrt(data.partitions.reduce((sum, _, k) => sum + squareOf(k, k ? others : strongest), 0));
  const spec = () => ({
    title: `With ${times(first)} for the `
    + `strongest${data.partitions.length > 1 ? ` and ${times(second)} for the rest` : ""} the delta is `
    + `${percent(length(first, second))} as long as before`,
    series: [
      { label: data.partitions.length > 1 ? `rest at ${times(second)}` : "strongest alone", colour: "#0072B2",
        points: FACTORS.map((factor) => [factor, length(factor, second)]) },
      ...(data.partitions.length > 1
        ? [
          { label: "all with the same factor", colour: "#009E73", dash: "7 4",
            points: FACTORS.map((factor) => [factor, length(factor, factor)]) }] : []),
      { label: "as long as the whole delta", colour: "var(--d-edge)", dash: "4 4", points: [[0, 1], [LARGEST, 1]] },
    ],
    how: "Length is ‖D’‖ / ‖d‖, over all matrices. It is no score: a delta may be as long as before and answer worse.",
  });
  const plot = lines(host, {
    name: "amplified-length",
    label: "Length of the amplified delta over the factor of the strongest partition",
    x: { label: "factor of the strongest partition", low: 0, high: LARGEST, step: STEP, text: times },
    y: { label: "‖D’‖ / ‖d‖", low: 0, high: 2.5, text: percent1, tick: percent },
    slider: "Strongest",
    at: first,
    onAt: (factor) => { first = factor; plot.update({ title: spec().title }); fill(); },
    ...spec(),
  });
  const rest = slide(host, "rest-factor", "The rest", [0, LARGEST, STEP], (factor) => { second = factor; draw(); });
  const note = html("p", { class: "how", role: "status" }, host);
  function fill() {
    table.replaceChildren();
    const head = html("tr", {}, html("thead", {}, table));
    for (const text of ["partition", "changes", "share of Σ d²", "factor", "factor² × share"])
      html("th", { scope: "col" }, head, text);
    const body = html("tbody", {}, table);
    const row = (cells) => {
      const line = html("tr", {}, body);
      cells.forEach((text, i) => html(i ? "td" : "th", i ? {} : { scope: "row" }, line, text));
    };
    let sum = 0;
    data.partitions.forEach(({ level, count, energy }, k) => {
      const factor = k ? second : first, square = squareOf(k, factor);
      sum += square;
      const from = k ? percent(1 - data.levels[k - 1]) : "0";
      row(
        [`P${k + 1}: ${from} to ${percent(1 - level)}`, count.toLocaleString("en-US"), percent1(energy), times(factor),
          three(square)]);
    });
    row(["together", "", "", "", `${three(sum)}, root ${three(Math.sqrt(sum))}`]);
  }
  function draw() {
    rest(second, times(second)).hidden = data.partitions.length < 2;
    plot.update(spec());
    fill();
  }
  draw();
});
