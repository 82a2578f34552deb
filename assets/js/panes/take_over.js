// Taking over a merge that was measured: the controls are set to it, and a sentence says so.
import { sayProse } from "../base/shapes.js";
import * as history from "../session/history.js";
import { stateText } from "../session/session_value.js";

const ALREADY = "The controls have this setting already.";

/**
 * `over(state, label)` sets the controls, or says why not: `missing` without a state.
 * @param {HTMLElement} sentence @param {string} missing
 */
export function takesOver(sentence, missing) {
  let taken = "";
  const forget = () => { taken = ""; sayProse(sentence, ""); };
  // No longer true once the controls change, by Undo or by hand.
  history.onSettled(() => { if (taken && stateText(history.history().state) !== taken) forget(); });
  const over = (/** @type {any} */ state, /** @type {string} */ label, reason = missing) => {
    const refusal = state ? history.refusal() : reason;
    if (refusal) { sayProse(sentence, refusal); return; }
    if (stateText(state) === stateText(history.history().state)) { sayProse(sentence, ALREADY); return; }
    taken = stateText(state);
    history.goTo(state);
    sayProse(sentence, `Taken over: ${label}. Undo brings back what was there.`);
  };
  return { over, forget };
}
