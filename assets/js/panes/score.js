// The table of scores: a row per model, a column per domain, intervals drawn and written.
import { html, svg, say, sayProse, put, percent } from "../base/shapes.js";
import { redraw, paint, part, server, waits } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import { plainModel } from "../session/session_value.js";
import * as controls from "../session/controls.js";
import * as tables from "../session/tables.js";
import { resultText } from "../plots/experiment-plots.js";
import { about, left } from "../controls/status.js";
import { scoreMeasures, scoreReach, scorePlot } from "./score-plot.js";

const tidy = resultText;
const MEASURES = scoreMeasures;
const IDLE = "Not run yet. The merge, two plain merges (linear: the mean of the models; task arithmetic: the base plus "
  + "all changes), the domain models and the base answer the same unseen questions. If settings B differ from A, both "
  + "answer.";
const remaining = (seconds) => (seconds === null ? "" : about(seconds));
function stopped(cells) {
  const finished = cells.filter(Boolean).length;
  if (!finished) return "Stopped before a first cell was finished.";
  return `Stopped. ${finished} of ${cells.length} cells were finished and stand below; scoring again goes on from `
    + `them.`;
}
function words(value) {
  if (value.state === "running") {
    const parts = value.activity === "scoring" && value.total
      ? [value.what, `${value.done} of ${value.total} questions`, remaining(value.seconds_left)] : [`${value.what} …`];
    return parts.filter(Boolean).join(" · ");
  }
  if (value.state === "stopped") return stopped(value.rows.flatMap((row) => row.cells));
  const outcome = [value.sentence, tidy(value.comparison ?? "")].filter(Boolean).join(" ");
  const { recipe = "" } = value.rows.find(({ target }) => target === "merged") ?? {};
  const origin = outcome && recipe !== tables.recipe()
    ? `Of recipe ${recipe.slice(0, 6)}, not known to be the merge as it is now. ` : "";
  return value.note || origin + outcome || (value.state === "done" ? "Done." : IDLE);
}

part("score", ({ host, get, watch }) => {
  host.replaceChildren();
  const progress = html("div",
    { class: "progress", role: "progressbar", "aria-label": "Scoring", "aria-valuemin": 0, "aria-valuemax": 100 },
    host);
  const filled = html("div", {}, progress);
  const line = html("p", { class: "score-line", role: "status" }, host);
  const choice = html("label", { class: "choice", title: "What the table and the plot show" }, host);
  html("span", {}, choice, "Show");
  const select = html("select", { id: "score-measure" }, choice);
  for (const { name, title } of MEASURES) html("option", { value: name }, select, title);
  const measure = () => MEASURES.find(({ name }) => name === select.value) ?? MEASURES[0];
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of scores" }, host);
  const table = html("table", { class: "scores" }, scroll);
  const how = html("p", { class: "how" }, host);
  const box = html("section", { class: "plot plot-score" }, host);
  const heading = html("h3", { class: "plot-title" }, box);
  const drawing = svg("svg", { role: "img", "aria-label": "Scores with their intervals" }, box);
  let /** @type {any} */ value = null, built = "";
  const over = new Set(); // runs that have ended
  const KINDS = ["accuracy (share)", "95 % interval from (share)", "95 % interval to (share)", "questions (count)"];
  const MORE = ["retention (ratio)", "retention from", "retention to", "forgetting (share)", "forgetting from",
      "forgetting to",
    "loss (nats per token)", "loss from", "loss to"];
  const numbers = (interval) => (interval ? [interval.value, interval.low, interval.high] : [null, null, null]);
  const more = (details) => MEASURES.slice(1).flatMap((metric) => numbers(details && metric.cell(details)));
  const saves = saveable(host, "score", () => value && {
    columns: ["model", "recipe", ...value.domains.flatMap((domain) => KINDS.map((kind) => `${domain}: ${kind}`)),
        "mean accuracy (share)",
      ...value.domains.flatMap((domain) => MORE.map((kind) => `${domain}: ${kind}`)),
      "geometric mean retention (ratio)", "from", "to"],
    rows: value.rows.map(({ target, recipe, cells, mean }, i) => [
      target, recipe,
        ...cells.flatMap((cell) => (cell ? [cell.accuracy, cell.low, cell.high, cell.n] : [null, null, null, null])),
        mean,
      ...value.domains.flatMap((domain) => more(value.details?.[i].domains[domain])),
      ...numbers(value.details && MEASURES[1].of(value.details[i])),
    ]),
  }, () => drawing);
  select.addEventListener("change", () => { built = ""; build(); });

  const colour = (target) =>
    (target === "merged" ? "var(--d-accent)" : server.names[target]?.colour ?? "var(--d-base)");
  // Row by row: the model's scores, and the comparisons computed once all models have answered.
  const plotted = () => (value?.details ?? []).map((detail, i) => ({ ...value.rows[i], detail }));
  function head(domains, last) {
    const row = html("tr", {}, html("thead", {}, table));
    for (const name of ["model", ...domains, ...(last ? [last] : [])]) html("th", { scope: "col" }, row, name);
  }
  function figures(td, metric, interval, reach) {
    html("span", { class: "score-number" }, td, metric.text(interval.value));
    const between = html("span", { class: "muted" }, td,
      ` (${metric.brackets(interval.low)}${metric.name === "forgetting" ? "\u00a0to " : "–"}`);
    html("wbr", {}, between); // a narrow column has it in two lines
    between.append(`${metric.brackets(interval.high)})`);
    const bar = html("span", { class: "interval", "aria-hidden": "true" }, td);
    for (const [name, at] of [["--low", interval.low], ["--high", interval.high], ["--at", interval.value]]) {
      bar.style.setProperty(name, `${(100 * (at - reach.low)) / (reach.high - reach.low)}%`);
    }
  }
  function cell(parent, row, domain, interval, metric, reach) {
    const td = html("td", { "data-target": row.target, "data-domain": domain }, parent);
    if (!interval) { td.textContent = "–"; return; }
    put(td, `data-${metric.name}`, interval.value);
    figures(td, metric, interval, reach);
  }
  function build() {
    const metric = value.details ? measure() : MEASURES[0];
    const key = JSON.stringify(
      [value.rows, value.domains, value.limit, server.names, metric.name, Boolean(value.details)]);
    if (key === built) return;
    built = key;
    const reach = value.details ? scoreReach(value.details, metric) : { low: 0, high: 1 };
    table.replaceChildren();
    html("caption", {}, table, value.limit ? `Test ${metric.title}, ${value.limit} questions per domain`
      : `Test ${metric.title}`);
    head(value.domains, metric.last);
    const body = html("tbody", {}, table);
    const none = (detail) => detail
      && !value.domains.some((domain) => detail.domains[domain] && metric.cell(detail.domains[domain]));
    say(how, value.details?.some(none) ? `${metric.how} ${metric.few}` : metric.how);
    value.rows.forEach((row, index) => {
      const detail = value.details?.[index];
      if (none(detail)) return;
      const tr = html("tr", { "data-target": row.target }, body);
      tr.style.setProperty("--model", colour(row.target));
      const name = html("th", { scope: "row" }, tr);
      html("span", { class: "swatch", "aria-hidden": "true" }, name);
      html("span", {}, name, row.label);
      if (row.recipe) html("span", { class: "tag", "data-recipe": row.recipe, "data-target": row.target }, name);
      value.domains.forEach((domain, i) => {
        const interval = detail ? detail.domains[domain] && metric.cell(detail.domains[domain]) : row.cells[i]
          && { ...row.cells[i], value: row.cells[i].accuracy };
        cell(tr, row, domain, interval, metric, reach);
      });
      if (!metric.last) return;
      const mean = html("td", { class: "mean" }, tr), last = detail ? metric.of(detail) : null;
      if (last) figures(mean, metric, last, reach);
      else mean.textContent = row.mean === null || metric.name !== "accuracy" ? "–" : percent(row.mean);
    });
    box.hidden = choice.hidden = !value.details;
    for (const control of saves.querySelectorAll('[data-save]:not([data-save="csv"])')) control.hidden = !value.details;
    draw();
    stale();
  }
  function draw() {
    if (!value?.details) return;
    say(heading, `Test ${measure().title}, ${value.limit} questions per domain`);
    scorePlot(drawing, plotted(), value.domains, measure(), colour,
      Math.max(280, Math.min(box.clientWidth || 360, 620)));
  }
  let wide = 0; // its height follows from the drawing itself
  new ResizeObserver(() => { if (box.clientWidth !== wide) { wide = box.clientWidth; draw(); } }).observe(box);
  function stale() {
    const current = tables.recipe();
    for (const tag of table.querySelectorAll(".tag")) {
      const { recipe, target } = tag.dataset;
      say(tag, `${recipe.slice(0, 6)}${recipe === current || target !== "merged" ? "" : " · stale"}`);
    }
  }
  // A model that is asked, or was scored, has been merged.
  function noteMerged() {
    for (const row of value.rows) {
      const running = row.target === "merged" && value.state === "running" && value.activity === "scoring";
      if (row.recipe && (running || row.cells.some(Boolean))) tables.noteMerged(row.recipe);
    }
  }
  function take(next) {
    if (!next || !Array.isArray(next.rows)) return;
    if (next.state !== "running") over.add(next.id);
    else if (over.has(next.id)) return; // sent before the server received Stop
    value = next;
    put(host, "data-score-state", value.state);
    const share = value.total ? value.done / value.total : 0;
    put(progress, "aria-valuenow", Math.round(100 * share));
    filled.style.width = `${100 * share}%`;
    server.activity.score = value.state === "running" ? value.activity : "idle";
    left.score = value.activity === "scoring" ? value.seconds_left ?? undefined : undefined;
    server.scored = value.rows.find((row) => row.target === "merged" && row.cells.every(Boolean))?.recipe ?? null;
    if (value.verdict)
      server.kept = { recipe: server.scored, text: value.verdict, questions: value.limit * value.domains.length };
    noteMerged();
    scroll.hidden = saves.hidden = value.rows.length === 0;
    build();
    redraw();
  }
  watch(take);
  take(get());
  document.addEventListener("click", (event) => {
    if (event.target?.closest?.("#score-others button")) document.body.dataset.askAnyway = "true";
  });
  let last;
  paint(() => {
    const { models } = controls.state;
    put(document.body, "data-own-models", models.length > 0 && models.every(({ ref }) => !ref.startsWith("zoo:")));
    put(document.body, "data-taught", models.some(({ ref }) => plainModel(ref).startsWith("zoo:smollm2-")));
    put(document.body, "data-toys",
      models.some(({ ref }) => /^zoo:((apart|near)-)?(math|finance|law)$/.test(plainModel(ref))));
    const current = tables.recipe();
    if (current !== last) { last = current; stale(); }
    const activity = server.activity.score;
    progress.style.visibility = activity === "idle" ? "hidden" : "";
    put(progress, "data-moving", activity !== "scoring"); // the progress is not known yet
    sayProse(line, activity === "waiting" && value?.state !== "running" ? waits() : value ? words(value) : IDLE);
  });
});
