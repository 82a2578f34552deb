// The strip of the stage: every step of the merge, live; each opens the view that shows it large.
import { html, put, say } from "../base/shapes.js";
import { pinnedNow } from "../pinned/answer.js";
import { strip } from "./strip.js";
import * as controls from "../session/controls.js";
import { fitsStage, openPage, pageNow } from "../session/page_mode.js";
import { paint, part, server } from "../session/parts.js";

/** Station -> the view or pane of the workbench that it opens, and its name there. @type {Record<string, string[]>} */
const DOORS = { models: ["view", "modules", "all models"], delta: ["view", "sparsity", "every change"],
  prune: ["view", "modules", "every matrix"], amplify: ["view", "sparsity", "every partition"],
  add: ["view", "compare", "distances"], answer: ["pane", "chat", "the chat"] };

/** @param {Element} station @param {string} name */
function door(station, name) {
  const [kind, target, label] = DOORS[name];
  const title = station.querySelector("h3");
  title?.replaceChildren();
  const button = html("button", { type: "button", class: "door", title: `Opens ${label} on the workbench.` }, title,
    name);
  button.addEventListener("click", () => {
    openPage("workbench");
    /** @type {HTMLElement | null} */ (document.querySelector(`[data-${kind}="${target}"]`))?.click();
    document.getElementById("work")?.scrollIntoView();
  });
}

/** @param {HTMLElement} station */
function lastAnswer(station) {
  const text = html("p", { class: "strip-answer" }, station);
  return () => {
    const { answer } = pinnedNow(), isLate = document.querySelector(".pinned")?.getAttribute("data-late") === "true";
    const isWritten = Boolean(answer?.text) && !isLate; // of the merge before
    say(text, isWritten ? answer.text : "…");
    put(text, "data-right", isWritten ? answer.right ?? "" : "");
  };
}

part("strip", ({ host }) => {
  host.replaceChildren();
  const draw = strip(host, lastAnswer);
  for (const station of host.querySelectorAll(".station"))
    door(station, /** @type {HTMLElement} */ (station).dataset.station ?? "");
  let wasFit = true;
  paint(() => {
    const isFit = fitsStage();
    if (wasFit && !isFit && server.exact && pageNow() === "stage") openPage("workbench", false);
    wasFit = isFit;
    if (pageNow() === "stage" && controls.state.models.every(({ ref }) => server.tables[ref])) draw();
  });
});
