// Blind comparisons: two answers without names, a vote, and a tally of votes per recipe, kept in this browser.
import { html, say, put } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { redraw, paint, part } from "../session/parts.js";
import * as tables from "../session/tables.js";
import * as words from "../plots/plot_sentences.js";
import { talk } from "./answer.js";
import { isOnlyHere } from "./tab_turns.js";

const KEY = "dppa.votes.1";
const MOST_ROWS = 40, FEW = 30;
const SIDES = ["left", "right"];
const EARLIER = "recipe:";

// --- the tally: {recipe, against, better, same, worse, at}; storage may be full, off, or anybody's text ----
const whole = (n) => Number.isInteger(n) && n >= 0 && n < 1e6;
const word = (text, longest) => typeof text === "string" && text.length > 0 && text.length <= longest;
function fine(row) {
  return row && word(row.recipe, 64) && word(row.against, 200) && [row.better, row.same, row.worse].every(whole)
    && Number.isFinite(row.at);
}
function load() {
  try {
    const rows = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(rows) ? rows.filter(fine).slice(0, MOST_ROWS) : [];
  } catch { return []; }
}
let rows = load();
function keep(next) {
  rows = next;
  try {
    if (rows.length) localStorage.setItem(KEY, JSON.stringify(rows));
    else localStorage.removeItem(KEY);
  } catch { /* it lasts as long as this page, then */ }
  redraw();
}
window.addEventListener("storage", ({ key }) => { if (key === KEY) { rows = load(); redraw(); } }); // another tab voted
const total = (row) => row.better + row.same + row.worse;
const anecdote = (n) => (n < FEW ? `n = ${n}: an anecdote, no measurement` : `n = ${n}`);
const tallied = (row) => `${row.better} better, ${row.same} no difference, ${row.worse} worse `
  + `(${anecdote(total(row))})`;
function count(turn, choice) {
  const position = turn.answers.findIndex((answer) => answer.target === "merged");
  const rival = turn.answers[1 - position];
  const recipe = turn.answers[position].recipe;
  const against = rival.recipe ? `recipe ${rival.recipe.slice(0, 6)}` : rival.label.slice(0, 200);
  const old = rows.find((row) => row.recipe === recipe && row.against === against)
    ?? { recipe, against, better: 0, same: 0, worse: 0 };
  const column = choice === "same" ? "same" : choice === SIDES[position] ? "better" : "worse";
  const row = { ...old, [column]: old[column] + 1, at: Date.now() };
  rows = load(); // another tab may have voted
  keep([row, ...rows.filter((entry) => entry.recipe !== recipe || entry.against !== against)].slice(0, MOST_ROWS));
  return row;
}

// --- both authors are hidden until there is a vote, or no vote is possible -----------------------------------
export const votes = new Map(); // turn -> {choice: left, right or same; row of the tally}
const countable = (turn) => turn.answers.every((answer) => answer.state === "done");
const over = (turn) => turn.answers.every((answer) => ["done", "stopped", "failed"].includes(answer.state));
export const fineVote = (vote) => Boolean(vote) && [...SIDES, "same"].includes(vote.choice) && Boolean(fine(vote.row));
export const secretOf = (turn) => {
  if (!turn.blind || votes.has(turn.id)) return null;
  return over(turn) && !countable(turn) ? null : SIDES;
};
// The order of arrival would reveal the author: no text is shown before both have started.
export const heldBack = (turn) =>
  Boolean(turn.blind && !over(turn) && turn.answers.some((answer) => answer.state !== "done" && !answer.text));

export const ballotOf = (root, redraw) => {
  const box = html("div", { class: "ballot", role: "group", "aria-label": "Which answer is better?", hidden: "" },
    root);
  html("span", {}, box, "Which is better?");
  const verdict = html("p", { class: "verdict", role: "status", hidden: "" }, root);
  let /** @type {any} */ turn = null;
  for (const [choice, text] of [["left", "left"], ["right", "right"], ["same", "no difference"]]) {
    const button = html("button", { type: "button", "data-vote": choice }, box, text);
    button.addEventListener("click", () => {
      if (votes.has(turn.id)) return;
      votes.set(turn.id, { choice, row: count(turn, choice) });
      redraw();
      verdict.tabIndex = -1;
      verdict.focus(); // the buttons are gone
    });
  }
  return (next) => {
    turn = next;
    const vote = votes.get(turn.id);
    box.hidden = vote !== undefined || !countable(turn);
    verdict.hidden = !vote && (!over(turn) || countable(turn));
    if (!vote) { say(verdict, verdict.hidden ? "" : "No vote: not both answers are complete."); return; }
    const { choice, row } = vote;
    const phrase = choice === "same" ? "no difference"
      : `the ${choice} one, ${turn.answers[SIDES.indexOf(choice)].label}`;
    say(verdict,
      `You said: ${phrase}. Recipe ${row.recipe.slice(0, 6)} against ${row.against} so far: ${tallied(row)}.`);
  };
};

// --- the choice of the other model, and the tally below it ----------------------------------------------------
// The server draws answers, and knows only recipes that it merged.
const isGreedy = () =>
  Number(/** @type {any} */ (document.querySelector("#temperature input[type=range]"))?.value ?? 0) === 0;
function choices() {
  const { base, models } = controls.state;
  const current = tables.recipe();
  return [["", "off"], ...[base, ...models.map((model) => model.ref)].filter(Boolean)
    .map((name) => [name, `merged against ${words.label(name)}`]),
  ...talk.earlier.filter((recipe) => recipe !== current && (isGreedy() || !isOnlyHere(recipe)))
    .map((recipe) => [EARLIER + recipe, `merged against earlier recipe ${recipe.slice(0, 6)}`])];
}
function table(box) {
  box.replaceChildren();
  const view = html("table", { class: "tally" },
    html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tally of blind votes" }, box));
  html("caption", {}, view, "Blind votes of this browser: how often the merge was…");
  const head = html("tr", {}, html("thead", {}, view));
  for (const name of ["recipe", "against", "better", "same", "worse", "n"]) html("th", { scope: "col" }, head, name);
  const body = html("tbody", {}, view);
  for (const row of rows) {
    const tr = html("tr", { "data-recipe": row.recipe }, body);
    html("th", { scope: "row" }, tr, row.recipe.slice(0, 6));
    for (const value of [row.against, row.better, row.same, row.worse, total(row)]) html("td", {}, tr, String(value));
  }
  html("p", { class: "how" }, box,
    `Below ${FEW} votes a row is an anecdote: one person, a few questions. Score measures.`);
  const clear = html("button", { type: "button", class: "plain", id: "clear-votes" }, box, "Clear the votes");
  clear.addEventListener("click", () => keep([]));
}

part("duel", ({ host, put: send }) => {
  host.replaceChildren();
  html("label", { for: "against", class: "setting-name" }, host, "Blind comparison");
  const select = html("select", { id: "against", "aria-describedby": "against-help" }, host);
  html("p", { class: "how", id: "against-help" }, host,
    "Send then asks the merge and one other. Their answers come without names, in random order; you vote, and see "
      + "whose they were.");
  const tally = html("div", { class: "tally-box" }, host);
  const pane = host.closest("#chat-pane");
  const choose = (value) => {
    talk.against = value;
    send({ against: value });
    if (pane) put(pane, "data-duel", value !== "");
  };
  select.addEventListener("change", () => choose(select.value));
  let built = "", /** @type {any} */ drawn = null;
  paint(() => {
    const offered = choices(), key = JSON.stringify(offered);
    if (key !== built) {
      built = key;
      select.replaceChildren();
      for (const [value, text] of offered) html("option", { value }, select, text);
      if (!offered.some(([value]) => value === talk.against)) choose(""); // it has left the merge
      select.value = talk.against;
    }
    if (drawn !== rows) { drawn = rows; if (rows.length) table(tally); else tally.replaceChildren(); }
  });
});
