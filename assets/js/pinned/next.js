// The likeliest next tokens at one place of an answer: merge, base and domain models side by side.
// The temperature of Answer settings recolours the bars here, without the server.
import { html, put, say, percent } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { afterFrame, part, redraw, server } from "../session/parts.js";
import { knows, rendered, wishFor } from "../tab/words.js";

const STEPS = 20, WARMEST = 2; // the server sends the sums of all tokens at these temperatures
const UNSCALED_TEMPERATURE = 1; // shown for temperature 0, at which the likeliest token is always taken

/** @typedef {{prompt: string, text: string, recipe: string, turn: string}} Place The answer up to a token. */
/** @type {(place: Place) => void} */
let ask = () => {};
let serial = 0, value = /** @type {any} */ (null), drawn = "";
/** @type {any} */
let panel = null;

part("next", ({ put: send, trigger, watch, get }) => {
  ask = (place) => { send({ id: serial, ...place }); trigger("look"); };
  watch(() => {
    const next = get();
    if (next?.id !== serial || !next.rows) return;
    value = next;
    redraw();
  });
});

const stepOf = (t) => Math.round((t * STEPS) / WARMEST);
const currentTarget = () => {
  const slider = /** @type {HTMLInputElement | null} */ (document.querySelector("#temperature input[type=range]"));
  return stepOf(Math.min(Math.max(Number(slider?.value ?? 0), 0), WARMEST));
};
/** Probability of each next token. @param {any} row @param {number} step */
const sharesOf = (row, step) =>
  row.next.map(({ logit }) => Math.exp((logit * STEPS) / (step * WARMEST) - row.log_sums[step - 1]));
const labelOf = ({ text, end }) => (end ? "(end)" : text ? text.replace(/\s/g, "␣") : "(no text)");

function build() {
  const box = html("section", { class: "next", "aria-label": "Next tokens" });
  const head = html("div", { class: "next-head" }, box);
  const heading = html("h4", {}, head);
  const close = html("button", { type: "button", class: "small" }, head, "Close");
  close.addEventListener("click", () => box.remove());
  const grid = html("div", { class: "next-grid" }, box);
  const how = html("p", { class: "how" }, box);
  return { box, heading, grid, how };
}

/** Readings by the tab; the server's where one fails. @param {Place} place @param {TabMerge} merge */
function readHere(place, merge, models, promptOf) {
  const id = serial, rows = [], same = { key: "", reply: place.text };
  ["merged", ...models].forEach((target, i) => {
    const wish = { ...same, ...(i ? { model: target } : { merge }), prompt: promptOf(target) };
    wishFor(`next ${target}`, wish, (message) => {
      if (id !== serial) return;
      if (message.kind === "reading") {
        rows[i] = { target, ...message };
        value = { id, rows: rows.filter(Boolean) };
        redraw();
      } else if (message.kind === "failed" || message.kind === "refused") { serial += 1; ask(place); }
    });
  });
}

/**
 * Ask for the tokens that may stand at a place, and show them after an element.
 * @param {Element} after
 * @param {Place & {token: string}} place
 * @param {TabMerge | null} merge The merge that wrote the answer, where the tab can read it.
 * @param {(target: string) => string} promptOf The question as a model read it, in its template.
 */
export const showNext = (after, { token, ...place }, merge = null, promptOf = () => rendered(place.prompt)) => {
  panel ??= build();
  value = null;
  drawn = "";
  say(panel.heading, `Instead of “${token.trim() || "␣"}”`);
  after.after(panel.box);
  serial += 1;
  const { base, models: rows } = controls.state, models = [base, ...rows.map(({ ref }) => ref)];
  if (merge && models.every(knows)) readHere(place, merge, models, promptOf);
  else ask(place);
  redraw();
};

/** Close them where they are shown after an element. @param {Element} after */
export const hideNext = (after) => { if (panel?.box.previousElementSibling === after) panel.box.remove(); };

document.addEventListener("input", (event) => {
  if (/** @type {Element} */ (event.target).closest("#temperature")) redraw();
});
afterFrame(() => {
  if (!panel?.box.isConnected) return;
  const cold = currentTarget() === 0, step = currentTarget() || stepOf(UNSCALED_TEMPERATURE), rows = value?.rows ?? [];
  const key = JSON.stringify([step, cold, rows.length, value?.id]);
  if (key === drawn) return;
  drawn = key;
  put(panel.box, "aria-busy", !value);
  panel.grid.replaceChildren();
  for (const row of rows) column(panel.grid, row, step);
  say(panel.how, rows.length
    ? `The eight likeliest tokens, and their shares at temperature `
      + `${((step * WARMEST) / STEPS).toFixed(1)}${cold ? "; at 0, as set now, the first is always taken" : ""}. `
      + `Answer settings change it.`
    : "Reading the answer up to here …");
});

function column(grid, row, step) {
  const box = html("div", { class: "next-model", "data-target": row.target }, grid);
  const model = server.names[row.target];
  box.style.setProperty("--model", row.target === "merged" ? "var(--d-accent)" : model?.colour ?? "var(--d-base)");
  const head = html("p", {}, box);
  html("span", { class: "swatch", "aria-hidden": "true" }, head);
  html("strong", {}, head, row.target === "merged" ? "merged" : model?.label ?? row.target);
  if (row.note) { html("p", { class: "note" }, box, row.note); return; }
  const shares = sharesOf(row, step), list = html("ol", {}, box);
  row.next.forEach((next, i) => {
    const item = html("li", { "data-share": shares[i].toFixed(6) }, list);
    html("span", { class: "next-text", title: labelOf(next) }, item, labelOf(next));
    const bar = html("span", { class: "next-bar", "aria-hidden": "true" }, item);
    html("i", {}, bar).style.width = `${Math.max(100 * shares[i], shares[i] > 0 ? 1 : 0)}%`;
    html("span", { class: "next-share" }, item, percent(shares[i]));
  });
}
