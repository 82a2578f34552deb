// The answers of unmerged models to one question, side by side. Each is written once, in the tab.
import { html, put, say } from "../base/shapes.js";
import { redraw, server } from "../session/parts.js";
import { plainModel } from "../session/session_value.js";
import { knows, rendered, wishFor } from "../tab/words.js";

const MOST_KEPT = 200;
/** Model and question -> its answer, or the newest part of it. @type {Map<string, {text: string, last: boolean}>} */
const answers = new Map();

/** Take over answers that are known already. @param {Record<string, Record<string, string>>} alone */
export const knowAnswers = (alone) => {
  for (const [model, texts] of Object.entries(alone))
    for (const [question, text] of Object.entries(texts)) answers.set(`${model} ${question}`, { text, last: true });
};

/** @param {string} model @param {string} question */
function write(model, question) {
  const key = `${model} ${question}`;
  if (answers.has(key)) return;
  if (answers.size > MOST_KEPT) answers.clear();
  answers.set(key, { text: "", last: false });
  wishFor(`alone ${model}`, { model, prompt: rendered(question) }, (message) => {
    if (message.kind === "words" && message.last) answers.set(key, message);
    else if (message.kind === "refused") answers.set(key, { text: message.why, last: true });
    else if (["replaced", "failed"].includes(message.kind)) answers.delete(key);
    if (message.last || message.kind === "refused") redraw();
  });
}

/**
 * The answer of a model.
 * @param {Element} host @param {string} ref As it is listed. @param {string} model Whole, as it answers.
 */
function cell(host, ref, model) {
  const box = html("li", { "data-model": model }, host);
  html("span", { class: "swatch", "aria-hidden": "true" }, box);
  const label = html("strong", {}, box), mark = html("span", { class: "other-mark", role: "img" }, box);
  return { ref, model, box, label, mark, text: html("span", { class: "said" }, box) };
}

/**
 * Cells below one another, or beside; the function draws them. A model in a form answers whole.
 * @param {Element} host
 * @returns {(models: string[], question: string, item: MarkedItem | null, writes: boolean) => void} Without `writes`
 *   nothing new is written.
 */
export function otherAnswers(host) {
  const list = html("ul", { class: "others", "aria-label": "The same question to the models before the merge" }, host);
  /** @type {ReturnType<typeof cell>[]} */
  let cells = [];
  return (models, question, item, writes) => {
    const known = models.filter((ref) => knows(plainModel(ref)));
    list.hidden = !known.length;
    if (cells.map(({ ref }) => ref).join() !== known.join()) {
      list.replaceChildren();
      cells = known.map((ref) => cell(list, ref, plainModel(ref)));
    }
    for (const { ref, model, box, label, mark, text } of cells) {
      const name = server.names[model]?.label ?? model.replace(/^zoo:/, "");
      box.style.setProperty("--model", server.names[ref]?.colour ?? "var(--d-base)");
      say(label, ref === model ? name : `${name}, whole`);
      if (writes && question) write(model, question);
      const answer = answers.get(`${model} ${question}`);
      const right = answer?.last && item ? item.isRight(answer.text) : null;
      put(box, "data-state", answer?.last ? "whole" : "writing");
      say(text, answer?.text ?? "");
      put(text, "title", answer?.text ?? "");
      say(mark, right === null ? "" : right ? "✓" : "✗");
      put(mark, "data-right", right ?? "");
      put(mark, "aria-label", right === null ? "not marked" : right ? "right" : "wrong");
    }
  };
}
