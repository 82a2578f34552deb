// One question and its answers: those that came with the page, and, from the first touch on, those of this tab.
import { redraw } from "../session/parts.js";
import { stateNow, stateText } from "../session/session_value.js";
import { isRight } from "../tab/marks.js";
import { knows, mergeNow, rendered, tab, wishFor } from "../tab/words.js";

export const MERGED = "merged";
const QUICK_MS = 1000;
/**
 * @typedef {{text: string, state: "writing" | "whole", source: "file" | "tab", ids: number[], key: string,
 *   last: boolean}} Answer `last` says that no more words follow. */

export const asking = { question: "", isTouched: false, trouble: "" };
/** Whose answer -> the newest. @type {Map<string, Answer>} */
const answers = new Map();
/** Whose answer -> what was wished last. @type {Map<string, string>} */
const wished = new Map();
/**
 * @type {{examples: any[], alone: Record<string, any>, merged: {key: string, answers: Record<string, string>}[]}}
 */
let opening = { examples: [], alone: {}, merged: [] };

/** What came with the page. @param {any} data */
export const openWith = ({ examples: all, alone, merged }) => {
  opening = { examples: all, alone, merged: merged.map(({ state, answers: texts }) =>
    ({ key: stateText(state), answers: texts })) };
};
export const examples = () => opening.examples;

// The settings as text; read once a frame.
let settings = "";
/** @param {string} whose */
const keyOf = (whose) => `${whose === MERGED ? settings : whose} ${asking.question}`;
/** To be called before the answers of a frame are drawn. */
export function readSettings() { settings = stateText(stateNow()); }

/** An answer that came with the page. @param {string} whose @returns {Answer | null} */
function drawn(whose) {
  const { alone, merged } = opening, { question } = asking;
  const text = (whose === MERGED ? merged.find(({ key }) => key === settings)?.answers : alone[whose])?.[question];
  return text === undefined ? null : { text, state: "whole", source: "file", ids: [], key: keyOf(whose),
    last: true };
}

/** Whose answer -> the one last taken from the file. @type {Map<string, Answer>} */
const opened = new Map();
/**
 * The newest answer, "writing" if it is one to the settings before; null if there is none to this question.
 * @param {string} whose @returns {Answer | null}
 */
export function answerOf(whose) {
  const key = keyOf(whose), own = answers.get(whose);
  if (own?.key === key) return own;
  const follows = whose === MERGED && asking.isTouched && tab.state === "ready"; // the tab writes every step
  const file = follows ? null : drawn(whose);
  if (file) opened.set(whose, file);
  if (file) return file;
  const before = own ?? opened.get(whose);
  return before?.key.endsWith(` ${asking.question}`) ? { ...before, state: "writing" } : null;
}

/** Whether an answer is right; null where that is unknown. @param {Answer | null} answer */
export function rightness(answer) {
  const example = opening.examples.find(({ prompt }) => prompt === asking.question);
  const isShown = answer?.state === "whole" || (answer?.source === "tab" && answer.last);
  return answer && isShown && example ? isRight(example, answer.text) : null;
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
  const draft = answers.get(whose)?.ids ?? [], begun = performance.now();
  wishFor(whose, { ...what, prompt: rendered(asking.question), draft }, (message) => {
    if (message.kind === "refused") asking.trouble = message.why;
    // A quick answer is shown as a whole: words that come and go at every step of a thumb cannot be read.
    if (message.kind === "words" && (message.last || performance.now() - begun > QUICK_MS)) {
      asking.trouble = "";
      answers.set(whose, { text: message.text, ids: message.ids, key, source: "tab", last: message.last,
        state: message.last ? "whole" : "writing" });
    }
    redraw();
  });
}
