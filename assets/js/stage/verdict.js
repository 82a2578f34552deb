// What this merge keeps, over the plots: as scored here, else what is known of it.
import { byId, html, put, say, percent, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import * as history from "../session/history.js";
import { paint, part, server } from "../session/parts.js";
import * as tables from "../session/tables.js";
import { keptFigure } from "./kept.js";
import { bothScores } from "../plots/plot_sentences.js";

/** Until the server knows it. */
const UNKNOWN = "What this merge keeps …";

/** The lesson with every method, from the leaderboard. */
const RANKED = "comparison";

part("verdict", ({ host, get }) => {
  const { shows = [], others = "", purposes = "", when = "", asked } = get() ?? {};
  host.replaceChildren();
  keptFigure(host, asked);
  html("p", { class: "when" }, host, when);
  const row = html("div",
    { class: "shown-merges", role: "group", "aria-label": "Set the merge, and see what it keeps" }, host);
  const what = html("span", { class: "shown-what" }, row);
  const rates = [...new Set(shows.map((/** @type {any} */ { rate }) => rate))];
  let near = rates[0], built = 0;
  /** @type {{button: HTMLButtonElement, recipe: string}[]} */
  let buttons = [];
  // Those at the measured rate that is nearest to the slider's.
  function build() {
    if (built === near) return;
    built = near;
    for (const child of [...row.children]) if (child !== what) child.remove();
    say(what, `For comparison, ${percent(near)} pruned or whole:`);
    buttons = shows.filter((/** @type {any} */ { rate }) => rate === near)
        .map((/** @type {any} */ { name, kept, how, recipe, state }, /** @type {number} */ place) => {
      if (place) html("span", { class: "shown-next", "aria-hidden": "true" }, row, "→");
      const button = html("button", { type: "button", class: "small",
        title: `${how} A click sets the controls to this merge; Undo brings back what was there.` }, row);
      html("span", {}, button, `${name} ${percent(kept)}`);
      button.style.setProperty("--kept", percent(kept).replace(THIN, ""));
      button.addEventListener("click", () => history.goTo(state));
      return { button, recipe };
    });
    html("span", { class: "shown-others" }, row, others);
  }
  const box = html("details", { class: "verdict-box" }, host);
  const line = html("summary", {}, box), text = html("span", {}, line, UNKNOWN);
  html("p", { class: "how" }, box, when);
  html("p", { class: "how others-folded" }, box, others); // on a phone, in the place of the line above
  const more = html("p", { class: "how" }, box, `${purposes} `);
  const evidence = html("button", { type: "button", class: "link", "data-leads": "experiments" }, more,
    "All experiments");
  evidence.addEventListener("click", () => document.querySelector('#views [data-view="experiments"]')?.click());
  say(html("span", {}, more), " · ");
  html("button", { type: "button", class: "link", "data-opens": RANKED }, more, "All methods, ranked");
  const theirs = new Set(shows.flatMap((/** @type {any} */ { state }) =>
    state.models.map((/** @type {any} */ { ref }) => ref)));
  paint(() => {
    const { base, models } = controls.state, rate = controls.rate();
    if (controls.pruner())
      near = rates.reduce((best, one) => (Math.abs(one - rate) < Math.abs(best - rate) ? one : best), rates[0]);
    build();
    row.hidden = base !== "zoo:base" || !models.some(({ ref }) => theirs.has(ref));
    for (const { button, recipe } of buttons) put(button, "aria-pressed", tables.recipe() === recipe);
    const current = tables.isCurrent(), { kept } = server;
    const scored = kept !== null && kept.recipe === tables.recipe();
    put(box, "data-fresh", current);
    put(box, "data-scored", scored);
    if (scored) say(text, bothScores(kept, current ? server.exact.measured : null));
    else say(text, current ? server.exact.verdict : UNKNOWN);
  });
});

part("small-changes", ({ host, get }) => {
  const { text = "", label = "", preset = "" } = get() ?? {};
  host.replaceChildren();
  const line = html("p", {}, host, `${text} `), button = html("button", { type: "button", class: "link" }, line, label);
  button.addEventListener("click", () => {
    const choice = /** @type {HTMLSelectElement} */ (byId("preset-choice"));
    choice.value = preset;
    choice.dispatchEvent(new Event("change"));
    window.scrollTo(0, 0);
  });
});
