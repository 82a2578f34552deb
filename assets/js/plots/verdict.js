// What this merge keeps, over the plots: as scored here, else what is known of it.
import { html, put, say } from "../base/shapes.js";
import { paint, part, server } from "../session/parts.js";
import * as tables from "../session/tables.js";

/** The lesson with every method, from the leaderboard. */
const RANKED = "comparison";

part("verdict", ({ host, get }) => {
  host.replaceChildren();
  const box = html("details", { class: "verdict-box" }, host);
  const line = html("summary", {}, box), text = html("span", {}, line, "What this merge keeps …");
  html("span", { class: "more" }, line, " Pruning makes packs smaller, not the merged model.");
  html("p", { class: "how" }, box, "Prune to store or send each model's changes as a small file (a pack, under Export), or to merge models that disturb each other in a sum. Otherwise add whole changes (task arithmetic). "
    + "Score real models on questions of your own.");
  const more = html("p", { class: "how" }, box, `${get()?.purposes ?? ""} `);
  const evidence = html("button", { type: "button", class: "link" }, more, "All experiments");
  evidence.addEventListener("click", () => document.querySelector('#views [data-view="experiments"]')?.click());
  say(html("span", {}, more), " · ");
  html("button", { type: "button", class: "link", "data-opens": RANKED }, more, "All methods, ranked");
  paint(() => {
    const current = tables.isCurrent(), { kept } = server;
    const scored = kept !== null && kept.recipe === tables.recipe();
    put(box, "data-fresh", current);
    put(box, "data-scored", scored);
    if (scored) say(text, `${kept.text} ${current ? server.exact.measured : ""}`.trim());
    else if (current) say(text, server.exact.verdict);
  });
});
