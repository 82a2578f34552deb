// What the merge keeps, as one number: as measured before, else measured in this tab once the controls rest.
import { html, put, say, percent, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { paint, redraw, server } from "../session/parts.js";
import * as tables from "../session/tables.js";
import { isRight } from "../tab/marks.js";
import { mergeNow, rendered, tab, wishFor } from "../tab/words.js";

const REST_MS = 700, NORMAL_95 = 1.96, MOST_KEPT = 100;
/**
 * @typedef {{items: (TabItem & {domain: string, prompt: string})[], own: Record<string, number>}} Asked
 *   Search questions, and how many of each domain its own model answers rightly.
 * @typedef {{kept: number, spread: number, questions: number, where: string}} Kept
 */

/** What was measured here. @type {Map<string, Kept>} */
const measured = new Map();

/** Mean over the domains of the merge's accuracy by the own model's, and half of its 95 % interval.
 * @param {Asked} asked @param {boolean[]} marks @returns {Kept} */
function retention({ items, own }, marks) {
  const domains = Object.keys(own);
  const parts = domains.map((domain) => {
    const mine = marks.filter((_, i) => items[i].domain === domain), n = mine.length;
    const share = mine.filter(Boolean).length / n, whole = own[domain] / n;
    return { kept: share / whole, variance: (share * (1 - share)) / n / whole ** 2 };
  });
  const sum = (/** @type {"kept" | "variance"} */ key) => parts.reduce((all, part) => all + part[key], 0);
  return { kept: sum("kept") / domains.length, spread: (NORMAL_95 * Math.sqrt(sum("variance"))) / domains.length,
    questions: items.length, where: "search questions, in this tab" };
}

/** @param {Element} host @param {Asked | undefined} asked */
export function keptFigure(host, asked) {
  const line = html("p", { class: "kept-figure" }, host);
  html("span", {}, line, "This merge keeps");
  const number = html("strong", { class: "kept-number", role: "status" }, line);
  html("span", {}, line, "of its models' own accuracy");
  const range = html("span", { class: "how" }, line);
  let timer = 0, waiting = "", done = 0;

  function measure(/** @type {string} */ key, /** @type {TabMerge} */ merge) {
    if (!asked) return;
    const marks = /** @type {boolean[]} */ ([]);
    const next = () => {
      if (controls.key() !== key || document.hidden) { waiting = ""; return; }
      const item = asked.items[done = marks.length];
      redraw();
      if (!item) {
        if (measured.size > MOST_KEPT) measured.clear();
        measured.set(key, retention(asked, marks));
        return;
      }
      wishFor("kept", { key: "", merge, prompt: rendered(item.prompt), draft: [] }, (message) => {
        if (message.kind === "words" && message.last) marks.push(isRight(item, message.text));
        if (message.kind === "fulfilled") next();
        if (["failed", "refused", "replaced"].includes(message.kind)) waiting = "";
      });
    };
    next();
  }
  function begin() {
    const key = controls.key(), merge = mergeNow();
    const isFree = tab.state === "ready" && !document.hidden && line.checkVisibility();
    if (key === waiting || measured.has(key) || !isFree || !merge) return;
    waiting = key;
    clearTimeout(timer);
    timer = setTimeout(() => { if (controls.key() === key) measure(key, merge); else waiting = ""; }, REST_MS);
  }
  paint(() => {
    const known = tables.isCurrent() ? server.exact.measured : null;
    const kept = known ? { ...known, where: "test questions" } : measured.get(controls.key());
    put(line, "data-known", Boolean(kept));
    if (kept) {
      say(number, percent(kept.kept));
      number.style.setProperty("--kept", percent(kept.kept).replace(THIN, ""));
      say(range, `±${THIN}${Math.max(1, Math.round(100 * kept.spread))}, on ${kept.questions.toLocaleString("en-US")} `
        + kept.where);
      return;
    }
    say(number, "…");
    number.style.removeProperty("--kept");
    if (tables.isCurrent() && asked) begin();
    say(range, waiting === controls.key() && asked ? `measuring: ${done} of ${asked.items.length} questions`
      : mergeNow() && tab.state !== "failed" ? "measuring, once this tab has the models"
        : "not measured: press Workbench, then Score");
  });
}
