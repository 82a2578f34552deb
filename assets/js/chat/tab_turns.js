// Turns of the chat that the visitor's tab answers by itself: greedy answers of embedded models and their merges.
// All else, and whatever the tab cannot read, the server answers.
import * as controls from "../session/controls.js";
import * as tables from "../session/tables.js";
import { isLearned, isRight } from "../tab/marks.js";
import { areFetched, knows, mergeNow, rendered, wishFor } from "../tab/words.js";
import { label } from "../plots/plot_sentences.js";
import { exampleOf } from "../pinned/answer.js";
import { isRunning, talk } from "./answer.js";

const MERGED = "merged", EARLIER = "recipe:"; // as components/work/question.py
const MOST_TOKENS = 256, MOST_LETTERS = 2000, MOST_SEED = 2 ** 31 - 1, LEAST_TOP_P = 0.05, MOST_TURNS = 20;

/** @typedef {{prompt: string, targets: string[], max_tokens: number, temperature: number, top_p: number, seed: number,
 *   conversation: boolean, system: string}} ChatQuestion */

/** Merges of the tab's answers; those of a recipe can be compared with. @type {WeakMap<object, TabMerge>} */
const mergeOf = new WeakMap();
/** Turn -> its question as each model read it. @type {WeakMap<object, (target: string) => string>} */
const prompts = new WeakMap();
/** @type {Map<string, TabMerge>} */
const byRecipe = new Map();

/** Whether the tab answered a turn. @param {any} turn */
export const isOfTab = ({ answers }) => answers[0].source === "tab";
/** Whether it was asked before this page was loaded anew: nothing continues it. @param {any} turn */
const isBefore = ({ answers }) => answers.some((/** @type {any} */ answer) => answer.before);
const shuffled = (/** @type {any[]} */ pair) => (Math.random() < 0.5 ? pair : pair.reverse());
const within = (/** @type {any} */ x, /** @type {number} */ low, /** @type {number} */ high) =>
  Number.isInteger(x) && low <= x && x <= high;
/** An untouched box holds nothing. @param {string | null} text */
const trimmed = (text) => text?.trim() ?? "";
const fits = (/** @type {string} */ text) => [...text].length <= MOST_LETTERS && !/\p{Surrogate}/u.test(text);
/** Others are drawn, refused or corrected by the server. @param {ChatQuestion} question */
const isPlain = ({ prompt, max_tokens, temperature, top_p, seed, system }) =>
  temperature === 0 && within(max_tokens, 1, MOST_TOKENS) && within(seed, 0, MOST_SEED) && top_p >= LEAST_TOP_P
  && top_p <= 1 && prompt !== "" && fits(prompt) && fits(system);

/** What the worker needs to know of a target; null if the server must answer. @param {string} target */
function partOf(target) {
  const merge = target === MERGED ? mergeNow() : byRecipe.get(target.slice(EARLIER.length));
  return merge ? { merge } : knows(target) ? { model: target } : null;
}
/** The note about questions of a kind that the embedded models never saw. @param {string} prompt */
function outside(prompt) {
  const { base, models } = controls.state, isEmbedded = [base, ...models.map(({ ref }) => ref)].every(knows);
  return isLearned(prompt, talk.learned) || !isEmbedded ? "" : talk.learned.note;
}
/** Questions of earlier turns that a model answered to the end, with its answers. */
const saidBefore = (/** @type {any[]} */ turns, /** @type {string} */ target) =>
  turns.flatMap(({ prompt, answers }) => answers
    .filter((/** @type {any} */ answer) => answer.target === target && answer.state === "done" && answer.text)
    .map(({ text }) => [prompt, text]));

function answerOf(/** @type {string} */ target) {
  const isMerge = target === MERGED || target.startsWith(EARLIER);
  return { target, label: !isMerge ? label(target) : target === MERGED ? MERGED : "earlier merge",
    recipe: isMerge ? target.slice(EARLIER.length) : "", key: target === MERGED ? controls.key() : "", source: "tab",
    state: "waiting", text: "", note: "", prompt: "", tokens: 0, seconds: 0, loss: 0, ends: [], entropy: [],
    right: null };
}

/**
 * A question as a turn, and what writes its answers; null if the server must answer.
 * @param {ChatQuestion} question @param {any[]} turns The conversation so far.
 */
export function turnInTab(question, turns) {
  const asked = { ...question, prompt: trimmed(question.prompt), system: trimmed(question.system) };
  const { prompt, targets, ...settings } = asked, { base, models } = controls.state, { against } = talk;
  const offered = [MERGED, base, ...models.map(({ ref }) => ref)];
  const names = against ? shuffled([MERGED, against]) : offered.filter((name) => targets.includes(name));
  const parts = /** @type {any[]} */ (names.map(partOf));
  if (!names.length || !isPlain(asked) || parts.includes(null) || against === EARLIER + tables.recipe()
    || !areFetched(parts)) return null;
  const before = settings.conversation ? turns.filter((turn) => !isBefore(turn)).slice(-MOST_TURNS) : [];
  const answers = names.map(answerOf), item = exampleOf(prompt);
  answers.forEach((answer, i) => { if (parts[i].merge) mergeOf.set(answer, parts[i].merge); });
  const id = crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
  const turn = { id, prompt, answers, settings, earlier: before.length, blind: against !== "",
    expected: item?.answer ?? "", outside: outside(prompt) };
  const promptOf = (/** @type {string} */ name) => rendered(prompt, saidBefore(before, name), settings.system);
  const limit = settings.max_tokens;
  const wishes = names.map((name, i) => ({ ...parts[i], key: answers[i].key, limit, prompt: promptOf(name) }));
  prompts.set(turn, promptOf);
  return { turn, write: writing(answers, wishes, (reply) => (item ? isRight(item, reply) : null)) };
}

/**
 * The worker writes one answer after the other, without waiting for the page to draw them.
 * @param {any[]} answers @param {any[]} wishes @param {(reply: string) => boolean | null} mark
 * @returns {(changed: () => void, failed: () => void) => () => void} Begins; returns what stops it.
 */
const writing = (answers, wishes, mark) => (changed, failed) => {
  let over = false;
  answers.forEach((answer, at) => {
    const { prompt } = wishes[at];
    wishFor(`chat ${at}`, wishes[at], ({ kind, why, text, tokens, seconds, loss, ends, entropy, last }) => {
      if (over) return;
      if (kind === "failed") { over = true; failed(); return; }
      if (kind === "merged") Object.assign(answer, { state: "writing", prompt });
      if (kind === "refused") Object.assign(answer, { state: "failed", note: why });
      if (kind === "words") Object.assign(answer, { text, tokens, seconds, loss, ends, entropy });
      if (last) Object.assign(answer, { state: "done", right: mark(text) });
      if (kind !== "fulfilled" && kind !== "plans") changed();
    });
  });
  changed();
  return () => {
    over = true;
    for (const answer of answers) if (isRunning(answer)) answer.state = "stopped";
    changed();
  };
};

/** Note recipes that the server has told since. @param {any[]} turns @returns {boolean} Whether there are any. */
export function findRecipes(turns) {
  const unknown = turns.flatMap(({ answers }) => answers)
    .filter(({ key, recipe }) => key && !recipe && tables.recipe(key));
  for (const answer of unknown) {
    answer.recipe = tables.recipe(answer.key);
    const merge = mergeOf.get(answer);
    if (merge) byRecipe.set(answer.recipe, merge);
  }
  return unknown.length > 0;
}
/** The merge that wrote an answer, or that of now, and the prompts. @param {any} turn @param {any} answer */
export const readerOf = (turn, answer) => (prompts.has(turn)
  ? [mergeOf.get(answer) ?? (answer.recipe ? null : mergeNow()), prompts.get(turn)] : []);
/** Whether only the tab knows a recipe: the server cannot draw answers of it. @param {string} recipe */
export const isOnlyHere = (recipe) => byRecipe.has(recipe);

/** What the server needs of turns that it does not know. @param {any[]} turns @param {Set<string>} known */
export const forServer = (turns, known) =>
  turns.filter((turn) => isOfTab(turn) && !isBefore(turn) && !known.has(turn.id))
    .map(({ id, prompt, earlier, settings: { system }, answers }) => ({ id, prompt, earlier, system,
      answers: answers.filter(({ state, text }) => state === "done" && text)
        .map(({ target, text }) => [target, text]) }));
