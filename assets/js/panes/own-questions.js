// A visitor's own questions: a row for each model, and the questions, filtered by model, right and wrong.
// Texts of people and models are inserted as text, never as markup.
import { byId, html, put as write, say, percent } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { paint, part, redraw, server } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import { plainModel } from "../session/session_value.js";
import { nameOf } from "../controls/forms.js";
import { measuredRuns, modelRow } from "./measured.js";

// --- the lists: one for all models, or one for each. The box holds the list that is looked at; all of them are
// sent beside it. Once they can be read, the chat and the pinned question offer them.
const ALL = "", REST_MS = 600;
/** Model reference, or ALL -> its text. @type {Record<string, string>} */
const lists = {};
let listKey = ALL;
const box = () => /** @type {HTMLTextAreaElement | null} */ (document.querySelector("#questions-text textarea"));
/** All texts that are not empty, as one to compare with. */
const listsText = () =>
  JSON.stringify(Object.entries({ ...lists, [listKey]: box()?.value ?? "" }).filter(([, text]) => text).sort());
/** The questions that a model without its own is asked: its list, else that of all. @param {string} model Whole. */
export const questionsOf = (model) => {
  const of = (/** @type {string} */ name) => ((name === listKey ? box()?.value : lists[name]) ?? "").trim();
  return of(model) || of(ALL);
};
/** @param {any} area @param {string} text */
function type(area, text) {
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value")?.set?.call(area, text);
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

part("question-lists", ({ host, put: send, trigger }) => {
  host.replaceChildren();
  const label = html("label", { class: "choice", title: "With a list for each model, what is kept of each is told" },
    host);
  html("span", {}, label, "Questions for");
  const choice = html("select", { id: "questions-for" }, label);
  const note = html("p", { class: "how", id: "questions-kept" }, host);
  let timer = 0, built = "";
  function tell() {
    lists[listKey] = box()?.value ?? "";
    send({ for: listKey, lists });
    clearTimeout(timer);
    timer = setTimeout(() => trigger("look"), REST_MS);
    redraw();
  }
  function open(name) {
    const area = box();
    if (!area) return;
    lists[listKey] = area.value;
    listKey = name;
    type(area, lists[name] ?? "");
  }
  document.addEventListener("input", (event) => { if (event.target === box()) tell(); });
  choice.addEventListener("change", () => open(choice.value));
  const named = (model) => nameOf(controls.state.models.find(({ ref }) => plainModel(ref) === model)?.ref ?? model);
  paint(() => {
    const models = controls.deciding().map(plainModel); // a list stays when its model is kept in another form
    if (listKey !== ALL && !models.includes(listKey)) open(ALL); // its list is kept, should the model come back
    const options = [ALL,
      ...models].map((ref) =>
        ({ ref, text: `${ref ? named(ref) : "all models"}${lists[ref]?.trim() ? " \u2713" : ""}` }));
    const key = JSON.stringify([options, listKey]);
    if (key === built) return;
    if (built && JSON.stringify(models) !== host.dataset.models) tell(); // other models are offered other questions
    built = key;
    write(host, "data-models", JSON.stringify(models));
    choice.replaceChildren();
    for (const { ref, text } of options) html("option", { value: ref }, choice, text);
    choice.value = listKey;
    const others = models.filter((ref) => lists[ref]?.trim());
    const common = !lists[ALL]?.trim() ? ""
      : `. Score asks the one for all models too; Search `
      + `${others.length < models.length ? "takes it for the others" : "leaves it out"}.`;
    say(note, others.length ? `${others.length} of ${models.length} models have a list${common}` : "");
  });
});

// Read by the server, whose form a prompt has.
part("own-examples", ({ get, watch }) => {
  const take = () => {
    const next = get() ?? [];
    if (JSON.stringify(next) === JSON.stringify(server.own)) return;
    server.own = next;
    redraw();
  };
  watch(take);
  take();
});

// --- the answers ------------------------------------------------------------------------------
const IDLE = "Not asked yet. The merge, plain merges, the domain models and the base answer the same questions.";
const kept = (completed, total) =>
  `Cancelled after ${completed} of ${total} answers. Those of models that had finished are `
  + `kept: ask again to go on.`;
const MOST_SHOWN = 200, LEAST = 10;
const SCORERS = { exact: "the whole reply", number: "its last number", choice: "its choice",
  contains: "anywhere in the reply", regex: "what the pattern finds" };
function openInChat(prompt) {
  const box = document.querySelector("#prompt textarea");
  if (!box) return;
  document.querySelector('#panes button[data-pane="chat"]')?.click();
  type(box, prompt);
  box.focus();
}

// A file is read here, into the box. The server receives all lists while one types, to offer their questions, and
// keeps none.
function opener(host) {
  const pick = html("button", { type: "button", class: "small", id: "questions-pick" }, host, "Open a file …");
  const file = html("input",
    { type: "file", id: "questions-file", accept: ".jsonl,.ndjson,.json,.csv,.txt", hidden: "", tabindex: -1,
      "aria-label": "File of questions" }, host);
  const note = html("p", { class: "how", role: "status" }, host);
  const textarea = () => /** @type {HTMLTextAreaElement} */ (box());
  async function read(upload) {
    if (!upload) return;
    const most = textarea().maxLength;
    const text = upload.size > 4 * most ? null : (await upload.text()).replace(/^\ufeff/, "");
    if (text === null || text.length > most) {
      say(note,
        `${upload.name} is too large: at most ${most.toLocaleString("en")} characters fit here. The command dppa `
        + `evaluate --items takes more.`);
      return;
    }
    if (text.includes("\0") || (text.match(/\ufffd/g) ?? []).length > text.length / 100) {
      say(note, `${upload.name} is not a text file in UTF-8: wanted are JSON lines or CSV.`);
      return;
    }
    type(textarea(), text);
    say(note, `${upload.name} stands above.`);
  }
  pick.addEventListener("click", () => file.click());
  file.addEventListener("change", async () => { await read(file.files[0]); file.value = ""; });
  const pane = byId("questions-box");
  pane.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  pane.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    read(event.dataTransfer.files[0]);
  });
}
function choiceOf(host, id, title, label) {
  const choice = html("label", { class: "choice", title }, host);
  html("span", {}, choice, label);
  return html("select", { id }, choice);
}

part("questions", ({ host, get, watch }) => {
  host.replaceChildren();
  opener(host);
  const runs = measuredRuns(host, "questions", IDLE, kept);
  const whole = html("div", { hidden: "" }, host);
  const earlier = html("p", { class: "how earlier" }, whole);
  const region = (label, kind = "") =>
    html("table", { class: `scores ${kind}` },
      html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, whole));
  const scores = region("Scores on your questions");
  const note = html("p", { class: "how" }, whole);
  const filters = html("div", { class: "question-filters" }, whole);
  const list = choiceOf(filters, "questions-list", "Which list the table shows", "List");
  const model = choiceOf(filters, "questions-model", "Whose answers the table marks", "Model");
  const marked = choiceOf(filters, "questions-marked", "Which questions the table shows", "Show");
  for (const name of ["all", "right", "wrong"]) html("option", { value: name }, marked, name);
  const table = region("Your questions, right and wrong", "own-items");
  const more = html("p", { class: "how" }, whole);
  let /** @type {any} */ result = null, starting = "", tableTexts = ""; // the texts of the newest run, and of the table
  document.addEventListener("click", (event) => {
    if (event.target?.closest?.("#questions-run")) starting = listsText();
  }, true);
  const saves = saveable(host, "own-questions", () => result && {
    recipe: result.recipe,
    columns: ["list", "question", "answer", "scorer",
      ...result.rows.flatMap(({ label }) => [`${label} (1 right, 0 wrong)`, `${label}: reply`])],
    rows: result.lists.flatMap(({ name, items }, k) =>
        items.map((item, i) => [name, item.question, item.answer, item.scorer,
      ...result.rows.flatMap(({ cells }) => [Number(cells[k].hits[i]), cells[k].replies[i] ?? ""])])),
  });
  saves.hidden = true;

  function heads(into, names) {
    into.replaceChildren();
    const row = html("tr", {}, html("thead", {}, into));
    for (const name of names) html("th", { scope: "col" }, row, name);
    return html("tbody", {}, into);
  }
  const interval = ([low, high]) => ` (${percent(low)}–${percent(high)})`;
  function figure(tr, text, ends) {
    const cell = html("td", {}, tr);
    html("span", { class: "score-number" }, cell, text);
    if (ends) html("span", { class: "muted" }, cell, interval(ends));
    return cell;
  }
  const askedOf = ({ name, items, all }) => {
    const whole = items.length < all
      ? `${items.length} of ${all} questions are asked here; the others are for searches.`
      : `All ${all} different questions are asked: fewer than ${result.divided} are not divided. If you search by `
      + `them, score on others.`;
    return result.lists.length > 1 ? `${name}: ${whole}` : whole;
  };
  function drawScores() {
    const several = result.lists.length > 1;
    const body = heads(scores,
      ["model", ...(several ? [...result.lists.map(({ name }) => name), "mean retention"] : ["right", "retention"])]);
    const enough = result.lists.every(({ items }) => items.length >= LEAST); // of fewer its interval says nothing
    for (const row of result.rows) {
      const tr = modelRow(body, row);
      for (const score of row.cells) {
        const cell = figure(tr, score.n < result.divided ? `${score.hits.filter(Boolean).length} of ${score.n}`
          : percent(score.accuracy), score.ci95);
        const share = score.n < LEAST ? undefined : score.retention;
        if (!several) figure(tr, share ? percent(share.value) : "–", share?.ci95);
        else if (share) html("span", { class: "muted kept" }, cell,
          `keeps ${percent(share.value)}${interval(share.ci95)}`);
      }
      const mean = enough ? row.mean_retention : undefined;
      if (several) figure(tr, mean ? percent(mean.value) : "–", mean?.ci95);
    }
    const divisor = several ? "by the model of the list, or by" : "by";
    say(note,
      `${result.lists.map(askedOf).join(" ")} In brackets: 95\u202f% intervals. Retention, from ${LEAST} questions on: `
      + `divided ${divisor} the domain model that answers best.`);
  }
  function drawItems() {
    const place = Number(list.value);
    const { hits, replies } = result.rows[Number(model.value)]?.cells[place] ?? { hits: [], replies: [] };
    const rows = result.lists[place].items.map((item, i) => ({ item, right: hits[i], reply: replies[i] ?? "–" }))
      .filter(({ right }) => marked.value === "all" || right === (marked.value === "right"));
    const body = heads(table, ["question, right answer and reply", "marked"]);
    for (const { item, right, reply } of rows.slice(0, MOST_SHOWN)) {
      const tr = html("tr", { "data-right": right }, body);
      const all = html("td", { class: "asked" }, tr);
      const open = html("button", { type: "button", class: "small question-open", title: "Put into the chat" }, all,
        item.question);
      open.addEventListener("click", () => openInChat(item.prompt));
      html("span", { class: "muted" }, all, `Right answer (${SCORERS[item.scorer]}): ${item.answer}`);
      html("span", { class: "reply" }, all, `Reply: ${reply}`);
      html("td", {}, tr, right ? "right" : "wrong");
    }
    const cut = rows.length > MOST_SHOWN ? ` The first ${MOST_SHOWN} are shown; the saved table has all.` : "";
    say(more, `${rows.length} of ${hits.length} questions.${cut} Click one to put it into the chat.`);
  }
  function refill(choice, labels) {
    const before = choice.value;
    choice.replaceChildren();
    labels.forEach((label, i) => html("option", { value: i }, choice, label));
    choice.value = before;
    if (!choice.value) choice.value = "0";
  }
  function draw() {
    refill(model, result.rows.map(({ label }) => label));
    refill(list, result.lists.map(({ name }) => name));
    list.parentElement.hidden = result.lists.length < 2;
    drawScores();
    drawItems();
  }
  for (const control of [list, model, marked]) control.addEventListener("change", drawItems);
  function accept(next) {
    if (!runs.take(next) || !next.result) return;
    result = next.result;
    tableTexts = starting;
    draw();
    whole.hidden = saves.hidden = false;
  }
  watch(accept);
  accept(get());
  paint(() => {
    runs.paint();
    say(earlier, tableTexts && listsText() !== tableTexts ? "Of the questions asked before, not of those above:" : "");
  });
});
