// Ready tasks of lm-evaluation-harness: a table for each task, a row for each model, a column for each metric.
// Names are inserted as text, never as markup.
import { html, say, three } from "../base/shapes.js";
import { paint, part } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import { measuredRuns, modelRow } from "./measured.js";

const IDLE = "Not asked yet. The merge, plain merges, the domain models and the base are asked the same questions.";
const HOW = "Higher is better, unless a column says otherwise. In brackets: 95\u202f% intervals over the questions; a "
  + "value that is no mean over them has none.";
const kept = (completed, total) =>
  `Cancelled after ${completed} of ${total} models. Their results are kept: ask again to go on `
  + `with the others.`;
const WORDS =
  new Map(
    [["acc", "accuracy"], ["acc_norm", "accuracy, likelihoods divided by length"], ["exact_match", "exact match"]]);
function heading({ metric, higher_is_better: higher }) {
  const [name, ...filters] = metric.split(",");
  const label = WORDS.has(name) ? `${WORDS.get(name)} (${name})` : name;
  return [label, ...filters, ...(higher === false ? ["lower is better"] : [])].join(", ");
}

part("tasks", ({ host, get, watch }) => {
  host.replaceChildren();
  const runs = measuredRuns(host, "tasks", IDLE, kept);
  const tables = html("div", { hidden: "" }, host);
  const note = html("p", { class: "how", hidden: "" }, host);
  let /** @type {any} */ result = null;
  const saves = saveable(host, "ready-tasks", () => result && {
    recipe: result.recipe,
    columns: ["model", "task", "metric", "value", "95 % interval from", "95 % interval to", "questions"],
    rows: result.rows.flatMap((row) =>
      row.results.map((score) =>
        [row.label, score.task, score.metric, score.value, ...(score.ci95 ?? [null, null]), score.n])),
  });
  saves.hidden = true;
  function drawTask(task) {
    const first = result.rows[0].results.filter((score) => score.task === task);
    html("h3", {}, tables, `${task}, ${first[0].n} questions`);
    const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table of ${task}` },
      tables);
    const table = html("table", { class: "scores", "data-task": task }, scroll);
    const head = html("tr", {}, html("thead", {}, table));
    html("th", { scope: "col" }, head, "model");
    for (const score of first) html("th", { scope: "col" }, head, heading(score));
    const body = html("tbody", {}, table);
    for (const row of result.rows) {
      const tr = modelRow(body, row);
      for (const score of row.results.filter((entry) => entry.task === task)) {
        const cell = html("td", { "data-value": score.value }, tr);
        html("span", { class: "score-number" }, cell, score.value === null ? "–" : three(score.value));
        if (score.ci95) html("span", { class: "muted" }, cell, ` (${score.ci95.map(three).join("–")})`);
      }
    }
  }
  function accept(next) {
    if (!runs.take(next) || !next.result) return;
    result = next.result;
    tables.replaceChildren();
    for (const task of new Set(result.rows[0].results.map((score) => score.task))) drawTask(task);
    say(note, HOW);
    tables.hidden = note.hidden = saves.hidden = false;
  }
  watch(accept);
  accept(get());
  paint(runs.paint);
});
