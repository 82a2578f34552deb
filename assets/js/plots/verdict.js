// What this merge keeps, over the plots: as scored here, else what is known of it.
import { html, put, say } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import * as history from "../session/history.js";
import { paint, part, server } from "../session/parts.js";
import * as tables from "../session/tables.js";
import { bothScores } from "./plot_sentences.js";

/** Until the server knows it. */
const UNKNOWN = "What this merge keeps …";

/** The lesson with every method, from the leaderboard. */
const RANKED = "comparison";

part("verdict", ({ host, get }) => {
  host.replaceChildren();
  const box = html("details", { class: "verdict-box" }, host);
  const line = html("summary", {}, box), text = html("span", {}, line, UNKNOWN);
  html("p", { class: "how" }, box,
      "Prune to store or send each model's changes as a small file (a pack, under Export); the merged model does not "
      + "get smaller. Otherwise add whole changes (task arithmetic). "
    + "Score real models on questions of your own.");
  html("p", { class: "how others-folded" }, box, get()?.others ?? ""); // on a phone, in the place of the line below
  const more = html("p", { class: "how" }, box, `${get()?.purposes ?? ""} `);
  const evidence = html("button", { type: "button", class: "link", "data-leads": "experiments" }, more,
    "All experiments");
  evidence.addEventListener("click", () => document.querySelector('#views [data-view="experiments"]')?.click());
  say(html("span", {}, more), " · ");
  html("button", { type: "button", class: "link", "data-opens": RANKED }, more, "All methods, ranked");
  const row = html("div",
    { class: "shown-merges", role: "group", "aria-label": "Set the merge, and see what it keeps" }, host);
  html("span", { class: "shown-what" }, row, `Accuracy kept, whole or ${get()?.at ?? ""} pruned:`);
  const shows = (get()?.shows ?? [])
      .map((/** @type {any} */ { name, kept, how, recipe, state }, /** @type {any} */ place) => {
    if (place) html("span", { class: "shown-next", "aria-hidden": "true" }, row, "→");
    const button = html("button",
      { type: "button", class: "small",
        title: `${how} A click sets the controls to this merge; Undo brings back what was there.` }, row);
    html("span", {}, button, `${name} ${kept}`);
    button.addEventListener("click", () => history.goTo(state));
    return { button, recipe };
  });
  html("span", { class: "shown-others" }, row, get()?.others ?? "");
  const theirs = new Set((get()?.shows ?? [])
    .flatMap((/** @type {any} */ { state }) => state.models.map((/** @type {any} */ { ref }) => ref)));
  paint(() => {
    const { base, models } = controls.state;
    row.hidden = base !== "zoo:base" || !models.some(({ ref }) => theirs.has(ref));
    for (const { button, recipe } of shows) put(button, "aria-pressed", tables.recipe() === recipe);
    const current = tables.isCurrent(), { kept } = server;
    const scored = kept !== null && kept.recipe === tables.recipe();
    put(box, "data-fresh", current);
    put(box, "data-scored", scored);
    if (scored) say(text, bothScores(kept, current ? server.exact.measured : null));
    else say(text, current ? server.exact.verdict : UNKNOWN);
  });
});
