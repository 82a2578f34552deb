// The pinned question with all its answers: the merge's, the base's, and each domain model's.
import { html, put, say, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { server } from "../session/parts.js";
import { knows, tab } from "../tab/words.js";
import { MERGED, answerOf, askAbout, asking, examples, readSettings, rightness, touch, wishAll } from "./asking.js";
import { list } from "./inputs.js";

const CUSTOM = "own", LONGEST = 2000;

/** The choice of a question. @param {Element} parent */
export function questionInput(parent) {
  const choices = examples().map(({ domain, prompt }) =>
    /** @type {[string, string]} */ ([prompt, `${domain}: ${prompt}`]));
  const ask = (/** @type {string} */ question) => { askAbout(question); touch(); };
  const { row, select } = list(parent, "question", "Question", [...choices, [CUSTOM, "a question of your own …"]],
    (value) => { if (value === CUSTOM) { askAbout(""); field.hidden = false; field.focus(); } else ask(value); });
  const field = html("input", { type: "text", class: "figure-own", maxlength: LONGEST, hidden: "",
    placeholder: "Type a question, then press Enter", "aria-label": "A question of your own" }, parent);
  field.addEventListener("change", () => { if (field.value.trim()) ask(field.value.trim()); });
  row.classList.add("wide");
  return () => {
    const isExample = examples().some(({ prompt }) => prompt === asking.question);
    const value = isExample ? asking.question : CUSTOM;
    if (select.value !== value) select.value = value;
    field.hidden = isExample;
    if (!isExample && document.activeElement !== field) field.value = asking.question;
  };
}

/** @param {Element} parent @param {string} whose */
function card(parent, whose) {
  const isMerge = whose === MERGED, model = server.names[whose];
  const box = html("section", { class: "answer-card", "data-model": whose }, parent);
  box.style.setProperty("--model", isMerge ? "var(--d-accent)" : model.colour);
  const head = html("h3", {}, box);
  html("span", { class: "swatch", "aria-hidden": "true" }, head);
  html("span", {}, head, isMerge ? "The merge" : model.label);
  const mark = html("span", { class: "right-mark" }, head);
  const text = html("p", { ...(isMerge && { "data-living": "answer" }) }, box);
  return () => {
    const answer = answerOf(whose), right = rightness(answer);
    say(text, answer ? answer.text || "(nothing)" : "");
    put(text, "data-state", answer?.state ?? "writing");
    put(text, "data-source", answer?.source ?? "");
    say(mark, right === null ? "" : right ? "✓ right" : "✗ wrong");
    put(mark, "data-right", right ?? "");
  };
}

/** One sentence: where the words come from. */
function source() {
  const { state, share, why } = tab;
  if (state === "failed") return `This browser cannot run the models: ${why} The plots move all the same.`;
  if (!knows(controls.state.base)) return "This browser cannot run the models. The plots move all the same.";
  if (!controls.deciding().length) return "No model takes part: the merge is the base.";
  if (asking.trouble) return asking.trouble;
  if (state === "loading") return `Fetching the models, 20${THIN}MB, once: ${Math.round(100 * share)}${THIN}% …`;
  if (state === "ready") return "Merged and written in this tab.";
  return answerOf(MERGED) ? "Move a slider: the models then come into this tab and answer every step." : "";
}

/**
 * @param {HTMLElement} host
 * @param {HTMLElement | null} below Where it is said whence the words come, if no model is asked beside the merge.
 */
export function answers(host, below = null) {
  const { base } = controls.state, models = below ? [] : [base, ...controls.state.models.map(({ ref }) => ref)];
  const box = html("div", { class: "answer-cards" }, host);
  const cards = [MERGED, ...models].map((whose) => card(box, whose));
  const foot = html("p", { class: "how answer-foot" }, below ?? host);
  const line = html("span", { role: "status" }, foot);
  const merge = /** @type {HTMLElement} */ (box.firstElementChild);
  const start = html("button", { type: "button", class: "small", hidden: "" }, merge, `Let it answer (20${THIN}MB)`);
  start.addEventListener("click", touch);
  return () => {
    readSettings();
    wishAll(models);
    for (const draw of cards) draw();
    say(line, source());
    start.hidden = asking.isTouched || !asking.question || answerOf(MERGED) !== null;
  };
}
