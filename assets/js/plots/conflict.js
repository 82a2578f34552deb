// Overlap and conflict of the drawn model with others: requests counts while they are shown.
// The server counts every pair once, at all rates; the slider then needs no request.
import { html } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { atRate } from "../session/densities.js";
import { redraw, paint, part, server, setActivity } from "../session/parts.js";
import * as tables from "../session/tables.js";

const ASK_MS = 150; // after the last move

/** The counts of the drawn model and others, on request. */
export const PAIRS = ["overlap", "conflict"];
/** @param {any} quantity */
export const isPair = (quantity) => PAIRS.includes(quantity);

// The other models that take part; none if the drawn one does not take part.
export const partners = () => {
  const all = controls.deciding();
  return all.includes(controls.state.focus) ? all.filter((name) => name !== controls.state.focus) : [];
};
export const partner = () => {
  const all = partners();
  return all.length === 1 ? all[0] : all.includes(controls.state.partner) ? controls.state.partner : "";
};

let countedPairs = { key: "", pairs: new Map() }; // pairs of one setting; "first|second" -> arrays
let lastQuestion = ""; // the last question

/** @param {any} value */
function take(value) {
  if (!value) return;
  if (value.pairs) {
    setActivity("conflict", "idle");
    if (controls.fits(value.settings)) {
      const key = controls.settingsKey();
      if (countedPairs.key !== key) countedPairs = { key, pairs: new Map() };
      for (const pair of value.pairs) countedPairs.pairs.set(`${pair.first}|${pair.second}`, unpacked(pair));
    }
    lastQuestion = ""; // an answer to an older question is followed by another one
  }
  redraw();
}
const ARRAYS = ["kept_first", "kept_second", "both", "opposed"];
/** @param {any} pair */
const unpacked = (pair) => Object.fromEntries(ARRAYS.map((name) => [name, tables.unpack(pair[name])]));
/** @param {any} first @param {any} second */
function between(first, second) {
  const counts = countedPairs.pairs.get(`${first}|${second}`);
  if (counts) return { kept: counts.kept_first, both: counts.both, opposed: counts.opposed };
  const turned = countedPairs.pairs.get(`${second}|${first}`);
  return turned ? { kept: turned.kept_second, both: turned.both, opposed: turned.opposed } : null;
}
// A negative coefficient flips the signs of a model's changes: those that agreed become opposed.
/** @param {string} name @param {number} layer */
function turnedRound(name, layer) {
  const model = controls.state.models.find((m) => m.ref === name);
  return model !== undefined && controls.coefficientAt(model, layer) < 0;
}

// Weights that the drawn model and a partner both keep: a function of (cell, rate), or null while not
// counted. Shares of the cell's elements, summed over the pairs.
export const meetingNow = () => {
  const { focus } = controls.state, table = tables.table(), partnerRef = partner();
  const others = partnerRef ? [partnerRef] : partners();
  if (!table || !others.length || countedPairs.key !== controls.settingsKey()) return null;
  const turned = (/** @type {string} */ name) =>
    table.layers.map((/** @type {number} */ layer) => turnedRound(focus, layer) !== turnedRound(name, layer));
  const pairs = others.map((name) => ({ arrays: /** @type {any} */ (between(focus, name)), turned: turned(name) }));
  if (pairs.some(({ arrays }) => arrays === null)) return null;
  return (/** @type {number} */ cell, /** @type {number} */ rate) => {
    const at = (/** @type {any} */ values) => atRate(values, cell, table.count, rate);
    const sum = { kept: 0, both: 0, opposed: 0 };
    for (const { arrays, turned } of pairs) {
      const both = at(arrays.both), opposed = at(arrays.opposed);
      sum.kept += at(arrays.kept);
      sum.both += both;
      sum.opposed += turned[Math.floor(cell / table.kinds.length)] ? both - opposed : opposed;
    }
    return { ...sum, overlap: sum.kept > 0 ? sum.both / sum.kept : null, conflict: sum.both > 0 ? sum.opposed / sum.both
      : null };
  };
};
// The request has failed; a notice said why.
export const countFailed = () => server.activity.conflict === "idle" && lastQuestion !== ""
  && lastQuestion === question();
const question = () => JSON.stringify([controls.settingsKey(), controls.deciding()]);

/** A button that compares the drawn model and a partner by directions. @param {HTMLElement} bar */
export function directionsButton(bar) {
  const button = html("button", { type: "button", class: "small", id: "by-directions",
    title: "How far both moved in the same directions of each matrix: the view Spectrum." }, bar, "By directions");
  button.addEventListener("click", () => {
    server.opens.directions = [controls.state.focus, partner() || partners()[0]];
    /** @type {HTMLElement | null} */ (document.querySelector('#views [data-view="spectrum"]'))?.click();
  });
  paint(() => {
    const shown = isPair(controls.state.quantity) && document.body.dataset.view !== "sparsity";
    button.hidden = !shown || !partners().length;
  });
}

part("conflict", ({ get, watch, trigger }) => {
  let timer = 0;
  const ask = () => {
    if (!isPair(controls.state.quantity) || meetingNow() || server.activity.conflict === "counting") return;
    if (!server.exact || !partners().length) return;
    if (question() === lastQuestion) return; // do not repeat a failed request
    lastQuestion = question();
    setActivity("conflict", "counting");
    trigger("count");
  };
  watch(take);
  take(get());
  paint(() => {
    if (!isPair(controls.state.quantity) || meetingNow()) return;
    clearTimeout(timer);
    timer = setTimeout(ask, ASK_MS);
  });
});
