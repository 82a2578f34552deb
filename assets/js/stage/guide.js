// The guided way over the stage: it points at a part, asks for a prediction, waits for one action, shows what followed.
import { html, put, say } from "../base/shapes.js";
import { pin } from "../pinned/answer.js";
import * as controls from "../session/controls.js";
import * as history from "../session/history.js";
import { openPage } from "../session/page_mode.js";
import { paint, part, redraw } from "../session/parts.js";
import { STEPS } from "./guide_steps.js";

const KEY = "dppa-guide";
const recalled = () => { try { return Number(localStorage.getItem(KEY) ?? 0); } catch { return 0; } };
const keep = (/** @type {number} */ place) => {
  try { localStorage.setItem(KEY, String(place)); } catch { /* a browser that keeps nothing */ }
};

const SETTLED_MS = 400; // until then the answer of the merge before may stand there
let place = -1, chosen = -1, since = 0, isDone = false;
/** The merge and the question that it begins with. @type {{state: SessionState, question: string}} */
let opens;
/** @type {HTMLElement | null} */
let panel = null;

function leave() {
  document.querySelector("[data-guided]")?.removeAttribute("data-guided");
  delete document.body.dataset.guide;
  panel?.remove();
  panel = null;
  place = -1;
  document.getElementById("guide-open")?.focus();
}

/** @param {number} next */
function go(next) {
  place = next;
  chosen = -1;
  since = 0;
  isDone = false;
  keep(next % (STEPS.length + 1));
  document.querySelector("[data-guided]")?.removeAttribute("data-guided");
  const box = /** @type {HTMLElement} */ (panel);
  box.replaceChildren();
  const step = STEPS[next];
  if (!step) { end(box); return; }
  const target = document.querySelector(step.at);
  target?.setAttribute("data-guided", step.hides ? "hidden" : "");
  document.body.dataset.guide = "predict";
  const isNarrow = window.innerWidth <= 900, isTop = step.at === (isNarrow ? "#sliders-box" : "#plots");
  put(box, "data-edge", isTop ? "top" : "bottom"); // it covers no target
  // On a phone the sliders stay at the lower edge: what they change is scrolled between them and the box.
  const seen = isNarrow && isTop ? document.getElementById("pinned") : target;
  seen?.scrollIntoView({ block: isNarrow ? "start" : "nearest" });
  head(box, `${next + 1} of ${STEPS.length}: ${step.title}`);
  html("p", {}, box, step.ask);
  const options = html("div", { class: "guide-options", role: "group", "aria-label": "Your prediction" }, box);
  const buttons = step.options.map((text, i) => {
    const button = html("button", { type: "button", class: "small" }, options, text);
    button.addEventListener("click", () => {
      chosen = i;
      document.body.dataset.guide = "act";
      for (const one of buttons) { one.disabled = true; put(one, "aria-pressed", one === button); }
      say(act, step.act);
      redraw();
    });
    return button;
  });
  const act = html("p", { class: "guide-act", role: "status" }, box, "Predict first.");
  html("p", { class: "guide-then", role: "status" }, box);
  const onward = html("button", { type: "button", class: "small guide-next", hidden: "" }, box,
    next + 1 < STEPS.length ? "Next" : "Finish");
  onward.addEventListener("click", () => go(next + 1));
}

/** @param {HTMLElement} box @param {string} text */
function head(box, text) {
  const line = html("div", { class: "guide-head" }, box);
  const title = html("h2", { tabindex: "-1" }, line, text);
  const button = html("button", { type: "button", class: "small", title: "Begins here again next time." }, line,
    "Leave");
  button.addEventListener("click", leave);
  title.focus({ preventScroll: true });
}

/** @param {HTMLElement} box */
function end(box) {
  head(box, "That is DPPA");
  html("p", {}, box, "Undo takes your steps back. The lessons explain each of them; the workbench has every control.");
  const lessons = html("button", { type: "button", class: "small", "data-opens": "delta" }, box, "Lessons");
  lessons.addEventListener("click", leave);
  const back = html("button", { type: "button", class: "small" }, box, "Back to the first merge");
  back.addEventListener("click", () => { history.goTo(opens.state); leave(); });
}

function begin() {
  if (panel) { leave(); return; }
  openPage("stage", false);
  const box = html("section", { class: "guide live", "aria-label": "Guided way" }, document.body);
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });
  panel = box;
  const from = recalled(), isResumed = from > 0 && Boolean(STEPS[from]);
  if (!isResumed) {
    history.goTo(opens.state);
    pin(opens.question);
  }
  go(isResumed ? from : 0);
}
part("guide", ({ host, get }) => {
  opens = get();
  const button = html("button", { type: "button", class: "small", id: "guide-open",
    title: "Eight stations, 15 minutes. It begins with the first merge; Undo brings yours back." }, host, "Guided way");
  button.addEventListener("click", begin);
});

paint(() => {
  const step = STEPS[place];
  if (!panel || !step || chosen < 0 || isDone || controls.state.base !== "zoo:base") return;
  if (step.done && !step.done()) { since = 0; return; }
  since ||= performance.now();
  if (step.done && performance.now() - since < SETTLED_MS) { setTimeout(redraw, SETTLED_MS); return; }
  isDone = true;
  const verdict = chosen === step.right ? "As you predicted. " : `Not so: ${step.options[step.right]}. `;
  say(/** @type {HTMLElement} */ (panel.querySelector(".guide-then")), verdict + step.outcome());
  /** @type {HTMLElement} */ (panel.querySelector(".guide-next")).hidden = false;
});
