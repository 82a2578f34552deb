// Undo and redo: one step for every finished change, and two slots to switch between.
// States are values (session_value.js); the function given to `restoreBy` requests one.
import { redraw, paint, server } from "./parts.js";
import { schema } from "./controls.js";
import { stateText, stateNow, changeOf, adoptState } from "./session_value.js";
import * as tables from "./tables.js";

const SETTLED_MS = 500; // longer than the first pause of a key that is held down
const MOST_STEPS = 100;
const KEY = "dppa.slots.1";

/** @type {any[]} */
let past = [];
/** @type {any[]} */
let future = [];
let /** @type {any} */ now = null; // {state, text, slot}
/** @type {Record<string, SessionState | null>} */
let slots = { A: null, B: null };
let /** @type {any} */ before = null; // copy of all of the above until the server confirms
let held = false, timer = 0, lastText = "";
/** @type {(() => void)[]} */
const listeners = [];

/** @param {SessionState} state @param {any} slot */
const entry = (state, slot) => ({ state, text: stateText(state), slot });
const notify = () => { for (const listener of listeners) listener(); redraw(); };
const keepSlots = () => {
  slots[now.slot] = now.state;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ shown: now.slot, slots }));
  } catch { /* this tab remembers nothing */ }
};
function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    for (const name of ["A", "B"]) if (kept?.slots?.[name]?.v === schema.version) slots[name] = kept.slots[name];
    return kept?.shown === "B" ? "B" : "A";
  } catch { return "A"; }
}

// --- changes of the controls become steps once the controls rest -----------------------------------
for (const name of ["pointerdown", "pointerup", "pointercancel"]) {
  window.addEventListener(name, () => { held = name === "pointerdown"; }, true);
}
const busy = () => held || server.restoring || server.activity.see !== "idle";
const begun = () => server.trouble || (server.exact && tables.isCurrent());
function settle() {
  if (busy() || !now) { rest(); return; }
  const next = entry(stateNow(), now.slot);
  if (next.text === now.text) return;
  push(past, now);
  future = [];
  now = next;
  keepSlots();
  notify();
}
function rest() { clearTimeout(timer); timer = setTimeout(settle, SETTLED_MS); }
/** @param {any[]} list @param {any} step */
function push(list, step) {
  list.push(step);
  if (list.length > MOST_STEPS) list.shift();
}
// The first step leads back to the page's initial state, however early it is made.
function begin() {
  now = entry(stateNow(), recall());
  keepSlots();
  notify();
}
paint(() => {
  if (!now && !server.restoring && server.activity.see === "idle" && begun()) begin();
  const text = stateText(stateNow());
  if (text !== lastText) { lastText = text; rest(); }
});
// An unfinished change becomes a step before any other action.
function hasten() {
  clearTimeout(timer);
  const text = stateText(stateNow());
  if (now && !server.restoring && text !== now.text) {
    push(past, now);
    now = entry(stateNow(), now.slot);
    future = [];
  }
}

/** @type {(state: any) => void} */
let restore = () => {};
// Sets the function that requests a state from the server.
/** @param {(state: SessionState) => void} ask */
export const restoreBy = (ask) => { restore = ask; };

// --- going to a state -------------------------------------------------------------------------------
/** @param {any} step @param {any} change */
function go(step, change) {
  if (!server.restoring) before = { past: [...past], future: [...future], now, slots: { ...slots } };
  change();
  const same = step.text === now.text;
  now = step;
  keepSlots();
  if (!same || server.restoring) restore(step.state);
  notify();
}
export const undo = () => {
  hasten();
  if (!past.length) return false;
  slots[now.slot] = now.state;
  const step = past[past.length - 1];
  go(step, () => { past.pop(); push(future, now); });
  return true;
};
export const redo = () => {
  hasten();
  if (!future.length) return false;
  slots[now.slot] = now.state;
  const step = future[future.length - 1];
  go(step, () => { future.pop(); push(past, now); });
  return true;
};
let fixed = false;
// A class link hides some settings: nothing sets them all at once any more.
export const fixSettings = () => { fixed = true; };
/** Why nothing was set; empty while settings can be. */
export const refusal = () => (fixed ? "This link keeps the settings as they are." : "");
// Go to a chosen state: a preset, the start, the other slot. It is a step like any other.
/** @param {SessionState} state @param {any} [slot] */
export const goTo = (state, slot = now?.slot ?? "A") => {
  if (!now || fixed) return;
  window.dispatchEvent(new Event("dppa:replaced")); // base/field_notices.js hides what is told of old values
  hasten();
  const step = entry(state, slot);
  if (step.text === now.text && slot === now.slot) return;
  go(step, () => { push(past, now); future = []; });
};
/** @param {string} name */
export const showSlot = (name) => {
  if (!now || fixed || name === now.slot) return;
  hasten();
  slots[now.slot] = now.state;
  goTo(slots[name] ?? now.state, name);
};
export const history = () => ({
  ready: now !== null, state: now?.state ?? null, slot: now?.slot ?? "A", slots,
  back: past.length ? changeOf(past[past.length - 1].state, now.state) || `slot ${past[past.length - 1].slot}` : null,
  forth: future.length ? changeOf(now.state, future[future.length - 1].state)
  || `slot ${future[future.length - 1].slot}` : null,
});
/** @param {() => void} listener */
export const onSettled = (listener) => listeners.push(listener);
// The server refused: restore everything.
export const takeBack = () => {
  if (!before) return;
  ({ past, future, now, slots } = before);
  before = null;
  keepSlots();
  adoptState(now.state);
  notify();
};
export const agreed = () => { before = null; };

// --- keys, outside of text boxes ------------------------------------------------------------------------
let hidden = false;
// A class link hides Undo: no key does it, either.
export const hideHistory = () => { hidden = true; };
const TEXTS = "textarea, select, [contenteditable], input:not([type=range], [type=checkbox], [type=radio], "
  + "[type=button])";
window.addEventListener("keydown", (event) => {
  if (hidden || !(event.ctrlKey || event.metaKey) || event.altKey || event.target?.closest?.(TEXTS)) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) undo();
  else if (key === "y" || key === "z") redo();
  else return;
  event.preventDefault();
});
