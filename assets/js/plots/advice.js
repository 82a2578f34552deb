// Advice for these models: a verdict each, its figures, and the failure signs of the merge.
// Names and figures are inserted as text, never as markup.
import { html, say, put } from "../base/shapes.js";
import * as history from "../session/history.js";
import { paint, part, server } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { stateText } from "../session/session_value.js";
import { resultText } from "./experiment-plots.js";

const IDLE = "Not asked yet.";
/** @param {string} ref */
const named = (ref) => server.names[ref]?.label ?? ref.replace(/^zoo:/, "");

/** @param {Element} parent @param {any} summary @param {any} lines */
function fold(parent, summary, lines) {
  const box = html("details", {}, parent);
  html("summary", {}, box, summary);
  for (const line of lines) html("p", { class: "how" }, box, resultText(line));
}
/** @param {Element} parent @param {any} options */
function verdict(parent, { model, size, by, advice, why }) {
  const root = html("div", { class: "verdict-row", "data-model": model, "data-size": size }, parent);
  root.style.setProperty("--model", server.names[model]?.colour ?? "var(--d-base)");
  const line = html("p", {}, root);
  html("span", { class: "swatch", "aria-hidden": "true" }, line);
  html("strong", {}, line, ` ${named(model)}: `);
  html("span", {}, line, resultText(`${advice} (by the ${by})`));
  fold(root, "Figures", why);
}
/** @param {any} options */
const about = ({ name, model, found: finding, why }) =>
  `${name}${model ? `, ${named(model)}` : ""}: ${finding}; ${why}`;
/** @param {Element} parent @param {any} all */
function signs(parent, all) {
  if (!all.length) return;
  const symptoms = all.filter((/** @type {any} */ { found: finding }) => finding === "yes");
  const root = html("div", { class: "signs", "data-signs": symptoms.length }, parent);
  html("p", {}, root, symptoms.length ? `${symptoms.length} of ${all.length} failure signs of this merge show:`
    : `None of ${all.length} failure signs of this merge shows.`);
  for (const sign of symptoms) html("p", { class: "sign" }, root, resultText(about(sign)));
  const rest = all.filter((/** @type {any} */ sign) => !symptoms.includes(sign));
  if (rest.length) fold(root, symptoms.length ? "The others" : "What was checked", rest.map(about));
}

part("advice", ({ host, get, watch }) => {
  host.replaceChildren();
  const runs = watchRuns(host, "advice",
    { label: "Advising", idle: IDLE,
      changed: (recipe) => `Asked with recipe ${recipe}; the merge has changed since, and its failure signs may `
      + `have.` });
  const box = html("div", { class: "advised" }, host);
  const announcement = html("p", { class: "said", role: "status" }, host);
  let /** @type {any} */ result = null, taken = "";

  function tries(/** @type {Element} */ parent, /** @type {any} */ all) {
    if (!all.length) return;
    const row = html("div", { class: "tries", role: "group", "aria-label": "Set the merge to" }, parent);
    html("span", {}, row, "Set it to");
    for (const { label, take } of all) {
      html("button", { type: "button", class: "small" }, row, label).addEventListener("click", () => {
        taken = stateText(take);
        history.goTo(take);
        say(announcement, `Set to ${label}. Undo brings back what was there.`);
      });
    }
  }
  history.onSettled(() => {
    if (!taken || stateText(history.history().state) === taken) return;
    taken = "";
    say(announcement, "");
  });
  function accept(/** @type {any} */ next) {
    if (!runs.take(next) || !next.result) return;
    result = next.result;
    taken = "";
    say(announcement, "");
    box.replaceChildren();
    for (const model of result.models) verdict(box, model);
    tries(box, result.tries);
    signs(box, result.signs);
  }
  watch(accept);
  accept(get());
  paint(() => { runs.paint(result?.recipe); put(host, "data-result", Boolean(result)); });
});
