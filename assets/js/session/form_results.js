// What was measured of each model's forms: bytes and kept energy, and how they answered. Answers outlive a reload of
// this tab, as long as the forms take the same bytes and keep the same energy.

const KEY = "dppa.forms.1", MOST_MODELS = 4, MOST_ROWS = 60;
/**
 * A form: `title` has the factor it was asked with, `form` has none; without `factor` it was not asked.
 * @typedef {{store: string, title: string, form: string, nbytes: number, energy: number, factor?: number,
 *   loss?: number, accuracy?: number}} FormRow
 * @typedef {{base: string, model: string, change: number, rows: FormRow[], best: Record<string, string[]>,
 *   enough: Record<string, string | null>, questions?: number, few?: string, searched?: number, domain?: string,
 *   own?: boolean, asked?: number, recalled?: boolean}} FormResult `few`: what so few questions cannot show; `asked`:
 *   sum of the own questions; `recalled`: not confirmed since.
 */

/** By base and model, the newest last. @type {Map<string, FormResult>} */
const results = new Map();
/** @param {{base: string, model: string}} result */
const keyOf = ({ base, model }) => `${base}\n${model}`;

/** @param {any} result */
const isResult = (result) => typeof result?.model === "string" && result.questions > 0 && Array.isArray(result.rows)
  && Array.isArray(result.best?.loss) && Boolean(result.enough);
function recall() {
  try {
    for (const result of JSON.parse(sessionStorage.getItem(KEY) ?? "[]"))
      if (isResult(result)) results.set(keyOf(result), { ...result, recalled: true });
  } catch { /* nothing is remembered */ }
}
function keep() {
  const asked = [...results.values()].filter(({ questions, rows }) => questions && rows.length <= MOST_ROWS);
  try { sessionStorage.setItem(KEY, JSON.stringify(asked.slice(-MOST_MODELS))); } catch { /* this tab forgets */ }
}
recall();

/** @param {FormResult} one @param {FormResult} other */
const agree = (one, other) => one.rows.every(({ store, nbytes, energy }) => {
  const same = other.rows.find((row) => row.store === store);
  return !same || (same.nbytes === nbytes && same.energy === energy);
});
/** Sizes with the answers of before. @param {FormResult} sizes @param {FormResult} asked @returns {FormResult} */
function joined(sizes, asked) {
  const answered = new Map(asked.rows.filter(({ factor }) => factor).map((row) => [row.store, row]));
  const rows = sizes.rows.filter(({ store }) => !answered.has(store));
  return {
    ...asked, ...sizes, recalled: false,
    rows: [...rows, ...answered.values()].sort((a, b) => a.nbytes - b.nbytes),
    best: { ...asked.best, ...sizes.best }, enough: { ...asked.enough, ...sizes.enough },
  };
}

/** What the server measured: sizes alone, or answers too. @param {FormResult} next */
export function takeForms(next) {
  const key = keyOf(next), before = results.get(key);
  results.delete(key);
  results.set(key, !next.questions && before?.questions && agree(before, next) ? joined(next, before) : next);
  keep();
}
/** What was measured of a model. @param {string} base @param {string} model Whole, whatever form it is kept in. */
export const formsOf = (base, model) => results.get(keyOf({ base, model }));
/** The best of the factors that a form was asked with, if it was. @type {(...names: string[]) => number | undefined} */
export const factorOf = (base, model, store) => formsOf(base, model)?.rows.find((row) => row.store === store)?.factor;
