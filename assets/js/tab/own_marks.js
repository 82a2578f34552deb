// How a visitor's own question is marked; dppa_core/tasks/own_items.py is the definition. Expressions are the server's.

const LETTERS = "ABCDEFGHIJ", MOST_READ = 2000;
const W = "[\\p{L}\\p{N}_]", NOT_W = "[^\\p{L}\\p{N}_]";
const NUMBER = new RegExp(`(?<!${W}|[.,])-?(?:\\d{1,3}(?:,\\d{3})+|\\d+)(?:\\.\\d+)?|\\d+(?:\\.\\d+)?`, "gu");

const plain = (/** @type {string} */ text) =>
  text.toLowerCase().trim().split(/\s+/).join(" ").replace(/\.+$/, "").trim();
const names = (/** @type {string} */ text, /** @type {string} */ part) => part !== ""
  && new RegExp(`(?<!${W})${part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}(?!${W})`, "u").test(text);

/** The last number, without what does not change its value. @param {string} text */
function lastNumber(text) {
  const number = [...text].slice(-MOST_READ).join("").match(NUMBER)?.at(-1)?.replaceAll(",", "");
  if (number === undefined) return null;
  const [whole, fraction = ""] = number.replace("-", "").split("."), end = fraction.replace(/0+$/, "");
  const size = whole.replace(/^0+(?=.)/, "") + (end && `.${end}`);
  return number.startsWith("-") && size !== "0" ? `-${size}` : size;
}

/** The letter that a reply chooses; null for none or several. @param {string} reply @param {string[]} choices */
function chosenLetter(reply, choices) {
  const all = LETTERS.slice(0, choices.length);
  for (const form of [`^${NOT_W}*([${all}${all.toLowerCase()}])(?:${NOT_W}*$|[).:,])`,
    `(?<!${W})(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?: is)?${NOT_W}+([${all}])(?!${W})`, `\\(([${all}])\\)`]) {
    const named = new Set([...reply.matchAll(new RegExp(form, "gu"))].map(([, letter]) => letter.toUpperCase()));
    if (named.size) return named.size === 1 ? [...named][0] : null;
  }
  const named = [...all].filter((_, i) => names(plain(reply), plain(choices[i])));
  return named.length === 1 ? named[0] : null;
}

/**
 * The right answer, and how a reply is marked; null where only the server can tell.
 * @param {string} line Of a file of questions, as the server wrote it.
 * @returns {{answer: string, isRight: (reply: string) => boolean} | null}
 */
export function ownItem(line) {
  const { answer, scorer, choices = [] } = JSON.parse(line), right = LETTERS[choices.indexOf(answer)];
  const cut = (/** @type {string} */ reply) => [...reply].slice(0, MOST_READ).join("");
  /** @type {Record<string, (reply: string) => boolean>} */
  const scorers = {
    exact: (reply) => plain(reply) === plain(answer) && plain(reply) !== "",
    number: (reply) => lastNumber(reply) !== null && lastNumber(reply) === lastNumber(answer),
    contains: (reply) => names(plain(cut(reply)), plain(answer)),
    choice: (reply) => chosenLetter(cut(reply.trim()), choices) === right,
  };
  return Object.hasOwn(scorers, scorer) ? { answer: choices.length ? right : answer, isRight: scorers[scorer] } : null;
}
