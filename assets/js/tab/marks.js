// Whether a reply is right, as dppa_core/tasks/items.py reads it.

const MOST_DIGITS = 18;

/** The value of a decimal digit of any script: ten of them stand in a row. @param {string} digit */
function digitOf(digit) {
  let from = /** @type {number} */ (digit.codePointAt(0)), value = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(--from))) value++;
  return value % 10;
}

/** @type {Record<string, (text: string) => string | null>} */
const READERS = {
  last_number(text) {
    const digits = [...text.match(/\p{Nd}+/gu)?.at(-1) ?? ""];
    return digits.length && digits.length <= MOST_DIGITS ? digits.map(digitOf).join("").replace(/^0+(?=.)/, "") : null;
  },
  letter_in_brackets: (text) => /\(([AB])\)/.exec(text)?.[1] ?? null,
};

/** The one label that a text names. @param {string} text @param {string[]} labels */
function onlyLabel(text, labels) {
  const words = new Set(text.toLowerCase().match(/\p{L}+/gu)), named = labels.filter((label) => words.has(label));
  return named.length === 1 ? named[0] : null;
}

/** Whether a reply says what the answer says. @param {TabItem} item @param {string} reply */
export function isRight({ answer, read }, reply) {
  const said = (/** @type {string} */ text) =>
    (Array.isArray(read) ? onlyLabel(text, read) : READERS[read](text));
  return said(reply) !== null && said(reply) === said(answer);
}

/**
 * Whether a question is of a kind that the embedded models learned: dppa_core/tasks/prompt_recognition.py.
 * @param {string} question @param {{wording: string, most: number}} learned
 */
export const isLearned = (question, { wording, most }) => [...question].length <= most
  && new RegExp(`^(?:${wording})$`, "i").test(question.trim().split(/\s+/).join(" "));
