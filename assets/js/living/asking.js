// One question and its answers: those that came with the page, and, from the first touch on, those of this tab.
import * as controls from "../session/controls.js";
import { redraw } from "../session/parts.js";
import { stateNow, stateText } from "../session/session_value.js";
import { isRight } from "../tab/marks.js";
import { knows, mergeNow, rendered, tab, wishFor } from "../tab/words.js";

export const MERGED = "merged";
/** @typedef {{text: string, state: "writing" | "whole", source: "file" | "tab", ids: number[], key: string}} Answer */

export const asking = { question: "", isTouched: false, trouble: "" };
/** Whose answer -> the newest. @type {Map<string, Answer>} */
const answers = new Map();
/** Whose answer -> what was wished last. @type {Map<string, string>} */
const wished = new Map();
/** @type {{examples: any[], alone: Record<string, any>, merged: {state: any, answers: Record<string, string>}[]}} */
let opening = { examples: [], alone: {}, merged: [] };

/** What came with the page. @param {typeof opening} given */
export const openWith = (given) => { opening = given; };
export const examples = () => opening.examples;

/** @param {string} whose */
const keyOf = (whose) => `${whose === MERGED ? controls.key() : whose} ${asking.question}`;

/** An answer that came with the page. @param {string} whose @returns {Answer | null} */
function drawn(whose) {
  const now = stateText(stateNow()), { question } = asking;
  const text = whose !== MERGED ? opening.alone[whose]?.[question]
    : opening.merged.find(({ state }) => stateText(state) === now)?.answers[question];
  return text === undefined ? null : { text, state: "whole", source: "file", ids: [], key: keyOf(whose) };
}

/** Whose answer -> the last that was there. @type {Map<string, Answer>} */
const shown = new Map();
/**
 * The newest answer; until there is one to these settings, the last one as "writing", null if there is none.
 * @param {string} whose @returns {Answer | null}
 */
export function answerOf(whose) {
  const key = keyOf(whose), own = answers.get(whose);
  const follows = whose === MERGED && asking.isTouched && tab.state === "ready"; // the tab writes every step
  const answer = own?.key === key ? own : follows ? own : drawn(whose) ?? own;
  if (answer?.key === key) shown.set(whose, answer);
  const last = shown.get(whose);
  if (last?.key === key) return last;
  return last?.key.endsWith(` ${asking.question}`) ? { ...last, state: "writing" } : null;
}

/** Whether a whole answer is right; null where that is unknown. @param {Answer | null} answer */
export function rightness(answer) {
  const example = opening.examples.find(({ prompt }) => prompt === asking.question);
  return answer?.state === "whole" && example ? isRight(example, answer.text) : null;
}

/** From now on the tab answers. */
export function touch() { asking.isTouched = true; redraw(); }
/** @param {string} question */
export function askAbout(question) { asking.question = question; redraw(); }

/** Wish for what is not there yet. @param {readonly string[]} others Models asked beside the merge. */
export function wishAll(others) {
  if (!asking.isTouched || !asking.question || tab.state === "failed") return;
  const merge = mergeNow();
  if (merge) wish(MERGED, { merge });
  if (answers.get(MERGED)?.state !== "whole") return; // the merge is answered first
  for (const model of others) if (!drawn(model) && knows(model)) wish(model, { model });
}

/** @param {string} whose @param {any} what */
function wish(whose, what) {
  const key = keyOf(whose);
  if (wished.get(whose) === key) return;
  wished.set(whose, key);
  const draft = answers.get(whose)?.ids ?? [];
  wishFor(whose, { ...what, prompt: rendered(asking.question), draft }, (message) => {
    if (message.kind === "refused") asking.trouble = message.why;
    if (message.kind === "words") {
      asking.trouble = "";
      answers.set(whose, { text: message.text, ids: message.ids, key, source: "tab",
        state: message.last ? "whole" : "writing" });
    }
    redraw();
  });
}
