// Quality against bytes: one mark per form and setting of a model's delta, and the line of those that no smaller file
// beats. A click, or Enter, keeps the model so.
import { THIN, byId, html, percent, percent1, put, roundLogs, say, svg, three } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { formsOf, takeForms } from "../session/form_results.js";
import { paint, part, redraw, server } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";
import { plainModel } from "../session/session_value.js";
import { questionsOf } from "./own-questions.js";
import { resultLegend, resultPlot, resultText } from "../plots/experiment-plots.js";
import { formWords, keepAs, nameOf, storeOf } from "../controls/forms.js";
import { chooseMethod } from "../controls/method.js";

const FORMS = { low_rank: "low rank", bits: "few bits", sparse: "largest elements", drawn: "drawn at random" };
const DPPA = "DPPA", SUMS = "sums", WHOLE = "whole model", FRONTIER = "no smaller file is better";
const SERIES = [FORMS.low_rank, FORMS.bits, FORMS.sparse, DPPA, SUMS, WHOLE, FORMS.drawn]; // one colour in all measures
const REAL = 1e8; // bytes from which on a model is like SmolLM2 rather than the embedded ones
const APART = 4; // pixels between the marks of a size, whose intervals would hide each other
const LARGE = 5e8; // weights from which on nothing is measured unasked
/** @type {Record<string, any>} */
const MEASURES = {
  energy: { title: "kept energy", unit: "%", y: (row) => 100 * row.energy, text: (row) => percent(row.energy) },
  accuracy: { title: "right answers", unit: "%", y: (row) => 100 * row.accuracy, text: (row) => percent(row.accuracy) },
  loss: { title: "loss of the right answers", unit: "nats per token", y: (row) => Math.log10(Math.max(row.loss, 1e-6)),
    text: (row) => three(row.loss) },
};
/** @type {Record<string, string>} */
const QUALITY = { energy: "of the changes' energy", accuracy: "right", loss: "nats per token" };
const HOW = "One mark per form and setting; left is smaller. The line joins those that no smaller file beats. A click, "
  + "or Enter, keeps the model so; a method that would prune it again gives way to Task arithmetic.";
const ENERGY = " Kept energy: share of the squares of the changes. Drawn at random has none to show: it enlarges what "
  + "it keeps. The questions tell.";

const OLD = " Answers to the questions of before: press Ask its questions for those of now.";
const NO_ANSWER = "the loss still tells which form is nearer";

/** @param {any} result */
const askedText = ({ questions, searched, domain }) => ` ${questions} questions of ${domain}. ${searched
  ? `Each form takes the factor (×) with the least loss on ${searched} others; a click sets it as the coefficient.`
  : "Too few to choose factors by: 40 questions are enough."}`;

const megabytes = (bytes) => `${three(bytes / 1e6)}${THIN}MB`;
const groupOf = ({ store }) => (!store ? WHOLE : store.includes("+") ? SUMS : store.includes("strength=") ? DPPA
  : FORMS[store.split("(")[0]] ?? SUMS);
/** Whether a model is kept as in a row: in its form; its answers are those of one factor. */
const isNow = ({ store, factor }, model, measure) => storeOf(model.ref) === store
  && (measure === "energy" || !factor || controls.weight(model) === factor);
const timesText = (weight) => (typeof weight !== "number" ? ", coefficients by layer"
  : weight === 1 ? "" : ` ×${THIN}${three(weight)}`);
/** How a model is kept now, and what that was measured to be. */
function nowText(result, model, measure, measures) {
  const row = result.rows.find(({ store }) => store === storeOf(model.ref)), { text } = MEASURES[measure];
  const form = row?.form ?? formWords(model.ref), now = `Now: ${form}${timesText(controls.weight(model))}`;
  if (!row) return `${now}. ${measures ? "Its bytes are being measured …" : "Not measured: press Measure sizes."}`;
  const size = `${now}, ${megabytes(row.nbytes)}`;
  if (isNow(row, model, measure) && isShown(measure, row))
    return `${size}, ${text(row)} ${QUALITY[measure]}.`;
  if (measure === "energy") return `${size}.`;
  return row.factor ? `${size}. Asked ×${THIN}${three(row.factor)} alone: a click on its mark sets that.`
    : `${size}. Not asked yet: press Ask its questions.`;
}
/** A number for a text, to see that it has changed. */
const sumOf = (text) => [...text].reduce((sum, letter) => (Math.imul(sum, 31) + (letter.codePointAt(0) ?? 0)) | 0, 7);
const isShown = (measure, row) => (measure === "energy" ? row.energy >= 0 : row[measure] !== undefined);
/** @param {any} rows @param {string} measure @param {any} best */
function chartOf(rows, measure, best) {
  const { title, unit, y } = MEASURES[measure], shown = rows.filter((row) => isShown(measure, row));
  const groups = SERIES.map((name) => ({ name, line: false, rows: shown.filter((row) => groupOf(row) === name) }));
  const front = { name: FRONTIER, line: true, rows: best };
  const series = [front, ...groups].filter((one) => one.rows.length);
  const logs = shown.map((row) => Math.log10(row.nbytes / 1e6)), ys = shown.map(y), log = measure === "loss";
  return {
    kind: "points",
    x: { title: "size", unit: "MB", marks: roundLogs(logs), text: (x) => three(10 ** x) },
    y: { title, unit, ...(log && { text: (v) => three(10 ** v),
      axis: { low: Math.min(...ys), high: Math.max(...ys), marks: roundLogs(ys) } }) },
    series: series.map((one) => ({
      name: one.name, line: one.line, x: one.rows.map((row) => Math.log10(row.nbytes / 1e6)), y: one.rows.map(y),
      low: [], high: [], labels: one.rows.map((row) => (row.store ? row.title : "")),
    })),
    places: series.map((one) => one.rows),
  };
}
/**
 * This much for this many megabytes.
 * @param {any} rows @param {string} measure @param {any} enough @param {string} name
 */
function sentence(rows, measure, enough, name) {
  if (!enough) return `${name} answers nothing right, whole or in a form: ${NO_ANSWER}`;
  const whole = rows.find(({ store }) => !store), { text } = MEASURES[measure];
  if (enough === whole)
    return `No smaller file is enough for ${name}: the whole model takes ${megabytes(whole.nbytes)}`;
  return `${name} kept as ${enough.title}: ${text(enough)} ${QUALITY[measure]} in ${megabytes(enough.nbytes)}, against `
    + `${measure === "energy" ? "" : `${text(whole)} in `}${megabytes(whole.nbytes)} of the whole model`;
}

/**
 * What some forms keep of deltas of other sizes, and where a model's own lies among them.
 * @param {any} plot @param {number} change @param {string} name
 */
function bySize(plot, change, name) {
  const log = (/** @type {number[]} */ xs) => xs.map(Math.log10), own = log([change, change]);
  const series = plot.series.map((/** @type {any} */ one) => ({ ...one, labels: [], x: log(one.x) }));
  return {
    kind: "lines", apart: APART,
    x: { title: plot.x.title, unit: "", text: (x) => three(10 ** x), marks: roundLogs([...series[0].x, ...own]) },
    y: plot.y,
    series: [...series, { name, x: own, y: [0, 100], line: true, low: [], high: [], labels: [] }],
  };
}

let /** @type {any} */ measured = null, /** @type {string} */ askedOf = ""; // the questions that were asked last
/** To the question that the merge, and each model by itself, answers. */
function toAnswer() {
  document.querySelector('#views button[data-view="modules"]')?.click();
  byId("pinned-choice").focus();
  byId("pinned").scrollIntoView({ block: "nearest" });
}
let /** @type {string} */ chosen = "", /** @type {(next: any) => void} */ accept = () => {};
const resultNow = () => formsOf(controls.state.base, chosen);

part("size-choice", ({ host, get, put: send }) => {
  host.replaceChildren();
  measured = get()?.measured ?? measured;
  const wrap = html("label", { class: "choice" }, host);
  html("span", {}, wrap, "Forms of");
  const select = html("select", { id: "size-model" }, wrap);
  const choose = (model) => {
    send({ model: (chosen = select.value = model) });
    redraw();
  };
  select.addEventListener("change", () => choose(select.value));
  let offered = "";
  paint(() => {
    const refs = controls.state.models.map(({ ref }) => ref), key = refs.map(plainModel).join("\n");
    if (key === offered || !refs.length) return;
    offered = key;
    select.replaceChildren(...refs.map((ref) => new Option(nameOf(ref), plainModel(ref))));
    choose(refs.map(plainModel).includes(chosen) ? chosen : plainModel(controls.state.focus || refs[0]));
  });
});

part("size", ({ host, get, watch }) => {
  host.replaceChildren();
  const runs = watchRuns(host, "size", { label: "Measuring", idle: "Not measured yet." });
  const box = html("section", { class: "plot plot-result", hidden: "" }, host);
  const wrap = html("label", { class: "choice", title: "What is good" }, box);
  html("span", {}, wrap, "Show");
  const select = html("select", { id: "size-measure" }, wrap);
  for (const [name, { title }] of Object.entries(MEASURES)) html("option", { value: name }, select, title);
  const heading = html("h3", { class: "plot-title" }, box), legend = html("ul", { class: "legend" }, box);
  const root = svg("svg",
    { role: "group", "aria-label": "Quality against size. The table below holds the numbers." }, box);
  const line = html("p", { class: "size-now" }, box);
  const now = html("span", { id: "size-now", role: "status" }, line);
  html("button", { type: "button", class: "link", "data-leads": "modules" }, line, "See its answer")
    .addEventListener("click", toAnswer);
  const how = html("p", { class: "how" }, box);
  saveable(box, "size", saved, () => root);
  const details = html("details", { class: "twin-box compared" }, box);
  html("summary", {}, details, "The plot as a table");
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Forms and sizes" },
    details);
  const table = html("table", { id: "size-table" }, scroll);
  const others = html("details", { class: "twin-box", id: "size-others", open: "" }, box);
  html("summary", {}, others, "Which form, for changes of which size");
  const othersHeading = html("h3", { class: "plot-title" }, others);
  const othersLegend = html("ul", { class: "legend" }, others);
  const othersRoot = svg("svg",
    { role: "img", "aria-label": "What forms keep, by the size of the change. Lesson 3 has its numbers." }, others);
  const othersHow = html("p", { class: "how" }, others);
  const taken = new Set(); // runs whose result is here
  let drawn = "", asked = "", picked = "", /** @type {any} */ shown = null;
  const rowsNow = () => resultNow()?.rows ?? [];
  const modelNow = () => controls.state.models.find(({ ref }) => plainModel(ref) === chosen);
  const refNow = () => modelNow()?.ref ?? "";
  const keepOf = (measure) => (row) => Object.assign(() => {
    if (controls.pruner()) { // it would prune what the form keeps, which was measured by itself
      controls.set({ first: false });
      chooseMethod("task_arithmetic");
    }
    keepAs(refNow(), row.store, row.factor);
  }, { does: "Keep the model so", chosen: isNow(row, modelNow(), measure) });

  function draw() {
    const result = resultNow(), width = Math.floor(box.clientWidth || host.clientWidth), model = modelNow();
    box.hidden = !result || !model;
    if (!result || !model) return;
    const wanted = picked || "accuracy", measure = result.best[wanted] ? wanted : "energy";
    const measures = server.activity.size !== "idle";
    const questions = result.own ? questionsOf(chosen) : "";
    const isOld = measure !== "energy" && questions !== "" && sumOf(questions) !== result.asked;
    put(box, "data-old", isOld);
    say(now, nowText(result, model, measure, measures));
    const key = [width, chosen, measure, model.ref, controls.weight(model), isOld].join();
    if (!width || (key === drawn && result === shown)) return;
    drawn = key;
    shown = result;
    for (const option of select.options) option.disabled = !result.best[option.value];
    select.value = measure;
    const keep = keepOf(measure), /** @type {(store: any) => any} */ rowOf = (store) =>
      result.rows.find((row) => row.store === store);
    const best = result.best[measure].map(rowOf).filter((row) => isShown(measure, row));
    const chart = chartOf(result.rows, measure, best);
    const rests = measure === "energy" ? "" : result.few ? `. ${result.few}` : `, on ${result.questions} questions`;
    say(heading, sentence(result.rows, measure, rowOf(result.enough[measure]), nameOf(model.ref)) + rests);
    const about = measure === "energy" ? ENERGY : `${isOld ? OLD : ""}${askedText(result)}`;
    say(how, `${HOW}${about} The changes of ${nameOf(model.ref)} are ${percent1(result.change)} as long as its weights `
      + "(‖d‖/‖W‖).");
    resultLegend(legend, chart);
    const held = [root, table].map((one) => one.contains(document.activeElement)); // what is drawn anew loses it
    resultPlot(root, chart, width, null, keep);
    fill(result.rows, best, measure, model);
    if (held[0]) root.querySelector("[data-chosen]")?.focus();
    if (held[1]) table.querySelector('[data-now="true"] button')?.focus();
    if (!measured || !result.change) return;
    const { nbytes: whole } = rowOf("");
    const [on, title] = measured.smollm2 && whole > REAL ? ["smollm2", "SmolLM2"] : ["embedded", "embedded"];
    const { plot, deltas } = measured[on], compared = bySize(plot, result.change, nameOf(model.ref));
    say(othersHeading, resultText(plot.title));
    resultLegend(othersLegend, compared);
    resultPlot(othersRoot, compared, width);
    say(othersHow, `${deltas} ${title} fine-tunes, each form with its best factor; upright: 95${THIN}% `
      + `intervals over them. The upright line is ${nameOf(model.ref)}. Measure your own: press Ask its questions.`);
  }
  function fill(rows, best, measure, model) {
    const isAsked = rows.some(({ factor }) => factor), keep = keepOf(measure);
    table.replaceChildren();
    html("caption", {}, table, "Best: no smaller file is as good.");
    const head = html("tr", {}, html("thead", {}, table)), body = html("tbody", {}, table);
    for (const name of ["form", "MB", "kept energy", ...(isAsked ? ["right", "loss"] : []), ""])
      html("th", { scope: "col" }, head, name);
    for (const row of rows) {
      const isKept = storeOf(model.ref) === row.store, alike = isNow(row, model, "loss");
      const tr = html("tr", { "data-store": row.store, "data-now": isKept }, body);
      const name = html("th", { scope: "row" }, tr);
      html("button", { type: "button", title: "Keep the model so" }, name, row.title)
        .addEventListener("click", keep(row));
      const cells = [three(row.nbytes / 1e6), row.energy < 0 ? "–" : percent(row.energy),
        ...(!isAsked ? [] : row.factor ? [percent(row.accuracy), three(row.loss)] : ["–", "–"])];
      const weight = controls.weight(model), times = typeof weight === "number" ? ` ×${THIN}${three(weight)}` : "";
      const notes = [!isKept ? "" : alike ? "now" : `now${times}`, best.includes(row) ? "best" : ""];
      for (const text of [...cells, notes.filter(Boolean).join(", ")]) html("td", {}, tr, text);
    }
  }
  function saved() {
    return {
      columns: ["form", "store", "factor", "MB", "kept energy (share)", "right (share)", "loss (nats per token)"],
      rows: rowsNow().map((row) => [row.title, row.store, row.factor ?? 1, row.nbytes / 1e6, row.energy,
        row.accuracy ?? null, row.loss ?? null]) };
  }
  accept = (next) => {
    if (!next.result || taken.has(next.id)) return; // a later Cancel sends it again
    taken.add(next.id);
    takeForms({ ...next.result, ...(next.result.questions && { asked: sumOf(askedOf) }) });
    if (next.result.questions) picked = "";
    redraw();
  };
  const take = (next) => { if (runs.take(next)) accept(next); };
  select.addEventListener("change", () => { picked = select.value; draw(); });
  watch(take);
  take(get());
  new ResizeObserver(draw).observe(host);
  const isLarge = () => (server.tables[refNow()]?.numel ?? []).reduce((sum, count) => sum + count, 0) > LARGE;
  paint(() => {
    const isOpen = document.body.dataset.view === "size", result = resultNow(), rows = rowsNow();
    const isMeasured = rows.some(({ store }) => store === storeOf(refNow())), key = controls.state.base + refNow();
    const isDue = (!isMeasured || result?.recalled) && asked !== key && server.activity.size === "idle" && !isLarge();
    if (isOpen && refNow() && isDue) {
      asked = key;
      byId("size-run").click();
    }
    runs.paint("");
    put(host, "data-result", rows.length > 0);
    put(byId("size-view"), "data-measured", isMeasured);
    if (isOpen) draw();
  });
});

part("formscores", ({ host, get, watch }) => {
  host.replaceChildren();
  let of = "";
  document.addEventListener("click", (event) => {
    if (event.target?.closest?.("#formscores-run")) askedOf = questionsOf(chosen);
  }, true);
  const runs = watchRuns(host, "formscores",
    { label: "Asking", idle: "Each form answers the model's own questions: loss and right answers then stand above." });
  const take = (next) => { if (runs.take(next)) accept(next); };
  watch(take);
  take(get());
  paint(() => {
    if (of !== chosen && server.activity.formscores === "idle") runs.take({ state: "idle" }); // said of another model
    if (server.activity.formscores === "idle") of = chosen;
    runs.paint("");
  });
});
