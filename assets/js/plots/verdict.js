// What this merge keeps, over the plots: as scored here, else what is known of it.
import { html, put, say } from "../base/shapes.js";
import { paint, part, server } from "../session/parts.js";
import * as tables from "../session/tables.js";

part("verdict", ({ host }) => {
  host.replaceChildren();
  const box = html("details", { class: "verdict-box" }, host);
  const line = html("summary", {}, box), text = html("span", {}, line, "What this merge keeps …");
  html("span", { class: "more" }, line, " Prune to store or send small deltas.");
  const more = html("p", { class: "how" }, box, "Or prune to merge models that disturb each other; otherwise add whole deltas. "
    + "Their figures here are test scores at the coefficient that was best on the search questions. ");
  const evidence = html("button", { type: "button", class: "link" }, more, "All experiments");
  evidence.addEventListener("click", () => document.querySelector('#views [data-view="experiments"]')?.click());
  paint(() => {
    const current = tables.isCurrent(), { kept } = server;
    const scored = kept !== null && kept.recipe === tables.recipe();
    put(box, "data-fresh", current);
    put(box, "data-scored", scored);
    if (scored) say(text, `${kept.text} ${current ? server.exact.measured : ""}`.trim());
    else if (current) say(text, server.exact.verdict);
  });
});
