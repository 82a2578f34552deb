// What a reader did: answers, acts and lessons done, stored in this browser only.
const KEPT = "dppa-learn";
const nothing = () => ({ answers: {}, tried: {}, done: {}, acts: {}, solved: {}, numbers: {}, five: {}, name: "" });

/** @returns {any} What the reader did. */
export function progress() {
  try {
    return { ...nothing(), ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") };
  } catch { return nothing(); }
}
export function keep(change) {
  const now = progress();
  change(now);
  try { localStorage.setItem(KEPT, JSON.stringify(now)); } catch { /* a browser that keeps nothing */ }
}
export const forget = () => keep((now) => Object.assign(now, nothing()));
/** The tasks of a lesson's block that are solved: key -> true. */
export const solvedOf = (lesson) => progress().solved[lesson] ?? {};
