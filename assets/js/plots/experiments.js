// Results of the paper's experiments, one at a time: question, answer, one plot; in a fold all else.
// Texts and names are inserted as text, never as markup.
import { html, svg, say, sayProse, put } from "../base/shapes.js";
import * as history from "../session/history.js";
import { paint, part } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import { stateText } from "../session/session_value.js";
import { resultValue, resultAxis, resultText, resultBounds, resultLegend, resultRows,
  resultPlot } from "./experiment-plots.js";

const number = resultValue, axis = resultAxis, tidy = resultText;
/** @param {any} seconds */
const minutes = (seconds) => (seconds >= 90 ? `${(seconds / 60).toFixed(1)} minutes` : `${Math.round(seconds)} s`);
// A paragraph; backticks mark a command, and stars a name; links are for the documents.
/** @param {Element} parent @param {string} kind @param {string} text */
function prose(parent, kind, text) {
  const paragraph = html("p", { class: kind }, parent);
  for (const part of tidy(text).replace(/\[([^\]]+)\]\([^)]+\)/g, "$1").split(/(`[^`]+`|\*[^\s*][^*]*\*)/)) {
    const tag = { "`": "code", "*": "em" }[part[0]];
    html(tag && part.length > 1 ? tag : "span", {}, paragraph, tag && part.length > 1 ? part.slice(1, -1) : part);
  }
}
const TOLD_MS = 12_000; // how long a notice stands over the plots
const LONG = 18, READ = 2; // rows; sentences on how to read the first plot, the others stand in the fold
/** @param {string} text */
const sentencesOf = (text) => text.split(/(?<=\.) (?=\D)/).filter(Boolean);
// The answer: its first sentence in bold.
/** @param {Element} parent @param {any} run */
function answer(parent, { short, finding }) {
  const [first, ...more] = sentencesOf(short || finding);
  if (first) prose(parent, "finding", first);
  if (more.length) prose(parent, "how", more.join(" "));
}
/** @param {Element} parent @param {any} sentences */
function bullets(parent, sentences) {
  const root = html("ul", { class: "findings-more" }, parent);
  for (const sentence of sentences) prose(html("li", {}, root), "", sentence);
}
/** @param {any} value @param {any} unit */
const worded = (value, unit) => (typeof value === "number" ? number(value, unit) : tidy(value ?? "–"));

// Adjacent plots of one measure share one scale.
/** @param {any} plots @param {any} plot */
function scaleOf(plots, plot) {
  const alike = plots.filter((/** @type {any} */ { kind, y }) =>
    kind === plot.kind && kind !== "heatmap" && axis(y) === axis(plot.y));
  return alike.length > 1 ? resultBounds(alike) : null;
}
/** @param {Element} parent @param {any} plot @param {string} name @param {any} bounds @param {any} pick */
function plotOf(parent, plot, name, bounds, pick) {
  const box = html("section", { class: `plot plot-result ${plot.marks?.length ? "wide" : ""}` }, parent);
  html("h3", { class: "plot-title" }, box, tidy(plot.title));
  resultLegend(html("ul", { class: "legend" }, box), plot);
  const root = svg("svg",
    { role: plot.places?.length ? "group" : "img", "aria-label": `${plot.title}. The fold below holds the numbers.` },
    box);
  if (plot.kind !== "heatmap"
    && plot.series.some((/** @type {any} */ series) => series.low.some((/** @type {any} */ end) => end !== null)))
    html("p", { class: "how" }, box, "Whiskers: 95\u202f% intervals.");
  if (plot.how) prose(box, "how", sentencesOf(plot.how).slice(0, READ).join(" "));
  if (plot.places?.flat().some((/** @type {any} */ place) => place && pick(place, "")))
    html("p", { class: "how" }, box, plot.kind === "heatmap" ? "Underlined: a click sets the controls to this merge."
      : "A click on a point or bar sets the controls to its merge, where the page can make it.");
  saveable(box, name, () => resultRows(plot), () => root);
  let drawn = 0;
  return () => {
    const width = Math.floor(box.clientWidth);
    if (width && width !== drawn) resultPlot(root, plot, (drawn = width), bounds, pick);
  };
}

// A number of items common to all cells is shown once, others in their cells' tips.
/** @param {RateTable} table */
const itemsOf = (table) =>
  [...new Set(table.rows.flatMap((/** @type {any} */ row) => row.cells.map((/** @type {MatrixCell} */ cell) => cell.n))
    .filter((/** @type {any} */ n) => n !== null))];
/** @param {any} tr @param {MatrixCell} cell @param {any} unit @param {any} first @param {any} every */
function cellOf(tr, cell, unit, first, every) {
  const td = html(first ? "th" : "td", first ? { scope: "row" } : {}, tr);
  html("span", {}, td, worded(cell.value, unit));
  // breaks after "to" in a narrow column
  if (cell.low !== null && cell.high !== null)
    html("span", { class: "muted" }, td, ` (${number(cell.low, unit)}\u00a0to ${number(cell.high, unit)})`);
  if (cell.note) html("span", { class: "muted note" }, td, cell.note.replace(" draws", "\u00a0draws"));
  if (cell.n !== null && every.length > 1) td.title = `${cell.n} items`;
}
// The name of a row: its first cells, up to the first measured one.
/** @param {any} options @param {any} columns */
function nameOf({ cells }, columns) {
  const end = cells.findIndex((/** @type {any} */ { n, low }) => n !== null || low !== null);
  return cells.slice(0, Math.max(end, 1)).map((/** @type {any} */ { value }, /** @type {number} */ k) => {
    const unit = columns[k].unit === "%" ? "\u202f%" : columns[k].unit && ` ${columns[k].unit}`;
    return k ? `${columns[k].title} ${worded(value, columns[k].unit)}${unit}` : worded(value, columns[k].unit);
  }).join(", ");
}
/** @param {Element} parent @param {RateTable} table @param {any} place @param {string} name @param {any} set */
function tableOf(parent, table, place, name, set) {
  const box = html("section", { class: "result-table" }, parent), about = html("p", { class: "how" }, box);
  const scroll = html("div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": table.title,
      "data-long": table.rows.length > LONG }, box);
  const root = html("table", {}, scroll), every = itemsOf(table),
    some = table.rows.some((/** @type {any} */ row) => row.recipe);
  say(about,
    `${table.title}${every.length === 1 ? `; ${every[0]} items each` : ""}. In brackets: 95\u202f% intervals.`);
  const head = html("tr", {}, html("thead", {}, root));
  table.columns.forEach((/** @type {any} */ column, /** @type {number} */ k) => {
    // the longest word of all heads
    html("th", { scope: "col" }, head, axis(column).replace("coefficient", "coeffi\u00adcient"));
    // in sight on a phone too
    if (some && !k) html("th", { scope: "col", title: "Set the controls to this merge" }, head, "set");
  });
  const body = html("tbody", {}, root);
  table.rows.forEach((/** @type {any} */ row, /** @type {number} */ i) => {
    const tr = html("tr", { "data-row": i }, body);
    row.cells.forEach((/** @type {MatrixCell} */ cell, /** @type {number} */ k) => {
      cellOf(tr, cell, table.columns[k].unit, k === 0, every);
      if (some && !k)
        setter(html("td", {}, tr), row, nameOf(row, table.columns),
          () => set({ table: place, row: i }, nameOf(row, table.columns)));
    });
  });
  saveable(box, name, () => ({
    columns: table.columns.flatMap((/** @type {any} */ column) =>
      [axis(column), ...["from", "to", "items", "note"].map((part) => `${column.title}: ${part}`)]),
    rows: table.rows.map((/** @type {any} */ row) =>
      row.cells.flatMap((/** @type {any} */ { value, low, high, n, note }) => [value, low, high, n, note])),
  }));
}
/** @param {any} td @param {any} row @param {any} mergeName @param {any} set */
function setter(td, row, mergeName, set) {
  if (!row.recipe) return;
  const fixed = history.refusal();
  html("button",
    { type: "button", class: "small",
      title: fixed || "Set the controls to this merge: its models, method, rates and coefficients",
      "aria-label": `Set the controls to the merge of ${mergeName}`, ...(fixed && { disabled: "" }) }, td,
      "Set").addEventListener("click", set);
}
/** @param {Element} parent @param {any} run @param {any} about */
function howOf(parent, run, about) {
  const box = html("section", { class: "result-how" }, parent);
  html("h3", { class: "plot-title" }, box, "How it was measured");
  prose(box, "", `${run.measured} The laboratory's report on all experiments is \`lab/docs/experiments.md\`.`);
  if (!run.answers) { html("pre", {}, box, run.made); return; }
  const { title, base, models, test_items: test, search_items: search } = about.setting;
  html("p", {}, box,
    `${title}: ${models.map((/** @type {any} */ { model, domain }) => `${model} (${domain})`).join(", ")} on ${base}; `
      + `${test ?? "all"} `
    + `test items a domain, ${search} search items for what is chosen.`);
  if (base.startsWith("zoo:"))
    html("p", {}, box,
      "Not run: the sets of the Hub, the paper's Llama 2 7B among them (dppa presets; dppa reproduce --preset).");
  const versions = Object.entries(about.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  prose(box, "",
      `This one: ${run.answers} answers, ${minutes(run.seconds.processor)} of processor, ${minutes(run.seconds.wall)} `
      + `by the clock, ${run.made || `on ${about.machine}`} (${versions})`
    + `${run.known ? `; ${run.known} answers were known before` : ""}.`);
  const options = about.command.match(/ --(?!(?:all|out) )[\w-]+ (?:'[^']*'|"[^"]*"|\S+)/g) ?? []; // each has one value
  html("pre", {}, box, `${about.command}\ndppa reproduce ${run.key}${options.join("")}   # this one alone`);
}

part("experiments", ({ host, get, put: send, watch, trigger }) => {
  host.replaceChildren();
  const chooser = (/** @type {string} */ name, /** @type {string} */ id) => {
    const choice = html("label", { class: "choice", hidden: "" }, host);
    html("span", {}, choice, name);
    return html("select", { id }, choice);
  };
  const models = chooser("Models", "experiment-models"), select = chooser("Experiment", "experiment-choice");
  const line = html("p", { class: "standing", role: "status" }, host, "Reading the results …");
  const body = html("div", { class: "result" }, host);
  let requested = false, /** @type {any} */ draws = [], /** @type {any} */ shownKey = null, modelSet = 0,
    mergeName = "", taken = "";
  const ask = (/** @type {any} */ event, /** @type {any} */ request) => { send(request); trigger(event); };
  select.addEventListener("change", () => {
    sayProse(line, "");
    ask("look", { models: modelSet, key: select.value });
  });
  models.addEventListener("change", () => {
    sayProse(line, "");
    ask("look", { models: Number(models.value), key: shownKey, or_first: true });
  });
  function set(/** @type {any} */ place, /** @type {any} */ name) {
    mergeName = name;
    sayProse(line, "");
    ask("take", { models: modelSet, key: shownKey, ...place });
  }
  function fill(/** @type {any} */ { list, about, shown: run, models: sets, chosen: place }) {
    if (host.dataset.shown === run.key && modelSet === place) return; // asked twice: what is open stays open
    modelSet = place;
    models.replaceChildren();
    for (const { title, place: value } of sets) html("option", { value }, models, title);
    models.value = String(modelSet);
    select.parentElement.hidden = false;
    models.parentElement.hidden = sets.length < 2;
    select.replaceChildren();
    for (const { key, number: place, title, not_run: why } of list)
      html("option", { value: key }, select, `${place}  ${title}${why ? " (not run)" : ""}`);
    shownKey = select.value = run.key;
    body.replaceChildren();
    put(host, "data-shown", run.key);
    html("p", { class: "question" }, body, tidy(run.question));
    if (run.not_run) prose(body, "problem", `Not run: ${run.not_run}`);
    answer(body, run);
    const pick = (/** @type {any} */ title) => (/** @type {any} */ [table, row], /** @type {any} */ cellName) =>
      (run.tables[table].rows[row].recipe && !history.refusal()
        ? () => set({ table, row }, `${title.split(" minus ")[0]}, ${cellName}`) : null);
    const plotIn = (/** @type {Element} */ place) => (/** @type {any} */ plot, /** @type {number} */ i) => {
      const name = `experiment-${run.number}-${run.plots.indexOf(plot) + 1}`;
      draws.push(plotOf(place, plot, name, i ? scaleOf(run.plots, plot) : null, pick(plot.title)));
      draws.at(-1)();
    };
    draws = [];
    const [first, ...others] = run.plots;
    if (first) plotIn(html("div", { class: "result-plots" }, body))(first, 0);
    const fold = html("details", { class: "result-more", ...(!run.finding && { open: "" }) }, body);
    html("summary", {}, fold, "All numbers, the other charts, and how it was measured");
    fold.addEventListener("toggle", () => {
      const inside = html("div", { class: "result" }, fold);
      bullets(inside, [...(run.short ? sentencesOf(run.finding) : []), ...sentencesOf(first?.how ?? "").slice(READ)]);
      others.forEach(plotIn(html("div", { class: "result-plots" }, inside)));
      run.tables.forEach((/** @type {RateTable} */ table, /** @type {number} */ i) =>
        tableOf(inside, table, i, `experiment-${run.number}-table-${i + 1}`, set));
      for (const omission of run.missing) prose(inside, "how", `Left out. ${omission}`);
      howOf(inside, run, about);
    }, { once: true });
  }
  function take(/** @type {any} */ value) {
    if (!value) return;
    if (value.refused) { sayProse(line, value.refused); models.value = String(modelSet); return; }
    if (value.list) { sayProse(line, ""); fill(value); }
    if (value.take) {
      taken = stateText(value.take);
      history.goTo(value.take);
      sayProse(line,
        `The controls are set to the merge of ${mergeName}, its models included. Undo brings back what was there.`);
      const notice = line.textContent;
      setTimeout(() => { if (line.textContent === notice) sayProse(line, ""); }, TOLD_MS); // it covers what lies below
    }
  }
  // No longer true once the controls change, by Undo or by hand.
  history.onSettled(() => {
    if (!taken || stateText(history.history().state) === taken) return;
    taken = "";
    sayProse(line, "");
  });
  watch(take);
  take(get());
  new ResizeObserver(() => { for (const draw of draws) draw(); }).observe(host);
  paint(() => {
    if (requested || document.body.dataset.view !== "experiments") return;
    requested = true;
    ask("look", { key: "" });
  });
});
