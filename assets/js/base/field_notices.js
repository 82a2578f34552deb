// Notices beside the field they concern: why a press failed, and how a number box corrected its input.
import { html, say } from "./shapes.js";

// Part -> its start button; errors appear below its row.
/** Part -> its start button. @type {Record<string, string>} */
const STARTS = { chat: "send", score: "score-run", search: "search-run", compare: "compare-run",
  attribution: "attribution-run", advice: "advice-run", perplexity: "perplexity-run", questions: "questions-run",
  tasks: "tasks-run", course: "course-run", size: "size-run", formscores: "formscores-run", spectrum: "spectrum-run",
  adding: "use-models" };
const CLAIMED_MS = 600; // Gradio shows an error's notice first, and then reports that the run has failed
const READ_MS = 1500;
let newest = { text: "", at: -Infinity };

/** @param {any} anchor @param {string} text */
export const noteAt = (anchor, text) => {
  let note = anchor?.nextElementSibling;
  if (!note?.matches(".field-note")) {
    if (!anchor || !text) return;
    note = html("p", { class: "field-note", role: "alert" });
    anchor.after(note);
  }
  say(note, text);
  note.hidden = !text;
};
/** @param {string} part */
const rowOf = (part) => {
  const button = document.getElementById(STARTS[part]);
  return button?.closest(".buttons") ?? button;
};
const close = () => { for (const button of document.querySelectorAll(".toast-close")) button.click(); };
// A run failed: show the notice beside its start button.
/** @param {string} part */
export const failed = (part) => {
  const notice = newest;
  newest = { text: "", at: -Infinity };
  if (!rowOf(part) || performance.now() - notice.at > CLAIMED_MS) return; // it was stopped: no error
  noteAt(rowOf(part), notice.text);
  close();
};
// The next press removes the notices.
window.addEventListener("click", (event) => {
  const id = event.target?.closest?.("button")?.id;
  const part = id && Object.keys(STARTS).find((name) => STARTS[name] === id);
  if (part) noteAt(rowOf(part), "");
  if (!event.target?.closest?.(".toast-wrap") && performance.now() - newest.at > READ_MS) close();
}, true);
/** @param {ParentNode | null | undefined} place */
const clear = (place) => {
  for (const note of place?.querySelectorAll(".field-note") ?? []) { note.hidden = true; say(note, ""); }
};
window.addEventListener("input", (event) => clear(event.target?.closest?.(".pane, .view, .box, #advanced")), true);
// The controls were set to another merge: what was corrected before is not there any more.
window.addEventListener("dppa:replaced", () => clear(document));

function watch() {
  const wrap = document.querySelector(".toast-wrap");
  if (!wrap) { requestAnimationFrame(watch); return; }
  new MutationObserver(() => {
    const texts = [...wrap.querySelectorAll('.toast-body.error [data-testid="toast-text"]')];
    if (texts.length) newest = { text: texts[texts.length - 1].textContent, at: performance.now() };
  }).observe(wrap, { childList: true, subtree: true });
}
watch();
