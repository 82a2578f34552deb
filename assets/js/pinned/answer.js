// The pinned question: its answer is written anew whenever the merge changes, while a slider moves
// and at rest. The tab writes it where it can; else the server, which leaves out moving sliders while it is busy.
import { html, put, say, sayProse } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { pageNow } from "../session/page_mode.js";
import { afterFrame, part, redraw, server } from "../session/parts.js";
import * as tables from "../session/tables.js";
import { isRight } from "../tab/marks.js";
import { ownItem } from "../tab/own_marks.js";
import { mergeNow, rendered, tab, wishFor } from "../tab/words.js";
import { noteOf, showMark, showSource } from "./answer_note.js";
import { hideNext, showNext } from "./next.js";
import { knowAnswers, otherAnswers } from "./other_answers.js";
import { changedWords, pieces } from "./tokens.js";

const REST_MS = 40, HELD_MS = 250, EVERY_MS = 60, PAINTED_MS = 20, PAUSE_MS = 2000, RETRY_MS = 1500, LOST_MS = 15_000,
  LATE_MS = 1000, RESTED_MS = 400;
const FOLLOWS = 5e7, AT_REST = 5e8; // weights of the largest model up to which an answer is written unasked
const KEY = "dppa.pinned.1", CUSTOM = "own";
const TOYS_KNOW = "A sum, a headline or a clause, as in the list: these models know nothing else. Then Enter";

/** Its state. `answer` is the newest one; `before` the text when the controls began to move. */
const pinned = { question: "", answer: /** @type {any} */ (null), before: "", key: "" };
/** @type {(question: string) => void} */
let choose = () => {};
/** Pin a question of the chat. @param {string} question */
export const pin = (question) => choose(question);
export const pinnedNow = () => pinned;
/** Examples of embedded models' questions, with their answers. @type {any[]} */
let toys = [];
/** The example with this question. @param {string} question */
export const exampleOf = (question) => toys.find(({ prompt }) => prompt === question);
/**
 * Questions that are offered.
 * @type {{domain: string, prompt: string, answer?: string, read?: any, line?: string}[]}
 */
let examples = [];
const example = () => examples.find(({ prompt }) => prompt === pinned.question);
/** How the pinned answer is marked; null where the page cannot. @returns {MarkedItem | null} */
function pinnedItem() {
  const { line, answer, read } = example() ?? {};
  if (line) return ownItem(line);
  return answer === undefined ? null : { answer, isRight: (reply) => isRight({ answer, read }, reply) };
}

const recalled = () => { try { return sessionStorage.getItem(KEY) ?? ""; } catch { return ""; } };
const keep = (question) => {
  try { sessionStorage.setItem(KEY, question); } catch { /* this tab remembers nothing */ }
};
const size = () =>
  Math.max(0, ...Object.values(server.tables).map((table) => table.numel?.reduce((a, b) => a + b, 0) ?? 0));

part("pinned", ({ host, get, put: send, trigger, watch }) => {
  host.replaceChildren();
  toys = get()?.examples ?? [];
  examples = toys;
  let lists = server.own;
  const box = html("section", { class: "pinned", "aria-label": "Pinned question and the merge's answer" }, host);
  const head = html("div", { class: "pinned-head" }, box);
  const line = html("div", { class: "choice", title: "Its answer is written anew whenever the merge changes." }, head);
  html("label", { for: "pinned-choice" }, html("h3", {}, line), "Ask the merge");
  const choice = html("select", { id: "pinned-choice" }, line);
  function offer() {
    choice.replaceChildren();
    for (const { domain, prompt } of examples) html("option", { value: prompt }, choice, `${domain}: ${prompt}`);
    html("option", { value: CUSTOM }, choice, "a question of your own …");
  }
  offer();
  const source = html("span", { class: "source", hidden: "" }, head);
  const mark = html("span", { class: "right-mark" }, head);
  const input = html("input",
    { type: "text", id: "pinned-own", maxlength: 2000,
      "aria-label": "A question of your own", hidden: "" }, box);
  const length = html("output", { class: "how", id: "pinned-length" }, box); // chat/chat.js counts
  const text = html("p", { class: "answer-text", id: "pinned-text", "data-living": "answer" }, box);
  const drawOthers = otherAnswers(box);
  knowAnswers(get()?.alone ?? {});
  const note = html("p", { class: "how", id: "pinned-note" }, box);
  const place = html("div", {}, box);
  const aloud = html("output", { class: "sr", "aria-live": "polite" }, box);

  text.addEventListener("keydown", (event) => {
    const tokens = [...text.children], now = tokens.indexOf(document.activeElement);
    const to = tokens[{ ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: tokens.length - 1 }[event.key] ?? -1];
    if (!to || now < 0) return;
    event.preventDefault();
    tokens[now].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });

  // --- which question ------------------------------------------------------------------------
  // By which the server marks the answer to a visitor's own question.
  const scorer = () => example()?.line ?? "";
  const isExample = (question) => examples.some(({ prompt }) => prompt === question);
  function showChoice() {
    choice.value = isExample(pinned.question) ? pinned.question : CUSTOM;
    input.hidden = choice.value !== CUSTOM;
    if (input.hidden || !pinned.question) say(length, "");
    if (!input.hidden) input.value = pinned.question;
    input.placeholder = controls.state.base === "zoo:base" ? TOYS_KNOW : "Type a question, then press Enter";
  }
  choose = (question) => {
    Object.assign(pinned, { question, answer: null, before: "", key: "" });
    wished = lastKey = "";
    server.question = question;
    keep(question);
    showChoice();
    draw();
    if (question) settle();
    redraw();
  };
  // A visitor's own questions stand in the place of the examples while there are some.
  function exchange() {
    const replaced = isExample(pinned.question);
    lists = server.own;
    examples = lists.length
      ? lists.flatMap(({ label: domain, prompts, lines: scorers }) =>
        prompts.map((prompt, i) => ({ domain, prompt, line: scorers[i] }))) : toys;
    offer();
    if (replaced && !isExample(pinned.question)) choose(examples[0].prompt);
    else showChoice();
  }
  choice.addEventListener("change", () => {
    choose(choice.value === CUSTOM ? "" : choice.value);
    if (choice.value === CUSTOM) input.focus();
  });
  input.addEventListener("change", () => {
    if (input.value.trim() && input.value !== pinned.question) choose(input.value.trim());
  });

  // --- when to ask -----------------------------------------------------------------------------
  /** @type {Record<string, any>} */
  const flying = { move: null, rest: null }; // {id, key, at} of the question on its way
  let number = 0, lastKey = "", moved = 0, askedAt = 0, pause = 0, later = "", timer = 0;
  const current = () => `${controls.key()} ${scorer()} ${pinned.question}`;
  const isFresh = () => pinned.key === current();
  const isFree = (kind) => !flying[kind] || performance.now() - flying[kind].at > LOST_MS;
  function ask(kind) {
    if (server.restoring) { settle(); return; } // the server would answer with the settings before
    askedAt = performance.now();
    flying[kind] = { id: ++number, key: current(), at: askedAt };
    send({ id: number, prompt: pinned.question, moving: kind === "move", line: scorer() });
    trigger(kind);
  }
  // A thumb that is held may pause: only a new place is asked for, without ending the answer on its way.
  let held = false, touched = false;
  const hold = () => { held = touched = true; };
  const release = () => { if (held) { held = false; settle(); } };
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, hold, true);
  for (const name of ["pointerup", "pointercancel", "keyup"]) document.addEventListener(name, release, true);
  document.addEventListener("input", () => { touched = true; wishEarly(); }, true);
  window.addEventListener("blur", release);
  // --- words by the tab: from the visitor's first touch on, as models are fetched for them ---------
  let wished = "", refused = "";
  const canMark = () => !scorer() || pinnedItem() !== null;
  const tabMerge = () => (touched && tab.state !== "failed" && refused !== current() && canMark() ? mergeNow() : null);
  const isTabs = () => tab.state === "ready" && tabMerge() !== null;
  function wish(/** @type {TabMerge} */ merge) {
    const key = current(), { question } = pinned, begun = performance.now();
    wished = key;
    wishFor("pinned", { merge, prompt: rendered(question), draft: pinned.answer?.ids ?? [] }, (message) => {
      if (message.kind === "failed" || message.kind === "refused") {
        refused = key;
        settle(0);
      }
      if (message.kind !== "words" || question !== pinned.question || (isFresh() && key !== current())) return;
      // A quick answer is shown as a whole: words that come and go at every step of a thumb cannot be read.
      if (!message.last && performance.now() - begun < LATE_MS) return;
      const item = pinnedItem(), right = item && message.last ? item.isRight(message.text) : null;
      const whole = message.last ? key : "";
      show({ ...message, right, expected: item?.answer, recipe: "", source: "tab" }, whole);
    });
  }
  function noteBefore() {
    if (lastKey && pinned.key === lastKey && performance.now() - moved > RESTED_MS)
      pinned.before = pinned.answer?.text ?? "";
  }
  // The worker begins while the plots of this frame are drawn.
  function wishEarly() {
    const merge = pinned.question && !isFresh() && wished !== current() && isTabs() ? tabMerge() : null;
    if (!merge) return;
    noteBefore();
    wish(merge);
  }
  function settle(delay = held ? HELD_MS : REST_MS) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!pinned.question || isFresh() || isTabs()) return;
      const isAwaited = !isFree("rest") || (flying.move?.key === current() && !isFree("move"));
      if (isAwaited || !server.exact || server.service.models === "starting") { settle(RETRY_MS); return; }
      if (size() > AT_REST) { later = "large"; draw(); return; }
      ask("rest");
    }, delay);
  }
  afterFrame(() => {
    const { question: linked } = server.opens;
    delete server.opens.question;
    if (linked) choose(linked);
    if (lists !== server.own) exchange();
    const key = current(), { answer } = pinned;
    if (key === lastKey) {
      if (answer && isFresh() && !answer.recipe) tables.noteMerged(answer.recipe = tables.recipe() ?? "");
      draw();
      return;
    }
    noteBefore();
    if (lastKey && pinned.key === lastKey) waitFor();
    lastKey = key;
    hideNext(place); // of the answer before
    moved = performance.now();
    if (!pinned.question || isFresh()) { draw(); return; }
    const merge = tabMerge();
    if (!merge) wished = ""; // the server answers; the merge before is wished for anew if it comes back
    else if (wished !== key) wish(merge);
    const ready = !isTabs() && server.exact && server.service.models !== "starting" && size() <= FOLLOWS;
    const due = () => isFree("move") && isFree("rest") && !isFresh() && moved - askedAt > EVERY_MS;
    if (ready && moved > pause && due()) setTimeout(() => { if (due()) ask("move"); }, PAINTED_MS); // plots first
    settle();
    draw();
  });

  // An answer of the merge before stays while newer ones follow a slider, and goes where none comes.
  let late = 0, spoken = 0;
  function waitFor() {
    clearTimeout(late);
    put(box, "data-late", false);
    late = setTimeout(() => put(box, "data-late", !isFresh() && tab.state !== "loading"), LATE_MS);
  }

  // --- answers -----------------------------------------------------------------------------------
  function take(value) {
    const kind = Object.keys(flying).find((name) => flying[name] && flying[name].id === value?.id);
    if (!kind) return;
    const { key } = flying[kind];
    flying[kind] = null;
    later = value.later ?? "";
    if (later && later !== "replaced" && kind === "move") pause = performance.now() + PAUSE_MS;
    if (!later && key.endsWith(` ${pinned.question}`) && !isFresh()) {
      tables.noteMerged(value.recipe);
      show({ ...value, source: "server" }, key);
    } else draw();
    if (isFresh()) return;
    if (kind === "move" && held && !later) { if (isFree("rest")) ask("move"); }
    else settle(later && later !== "replaced" ? RETRY_MS : 0);
  }
  function show(answer, key) {
    Object.assign(pinned, { answer, key });
    waitFor();
    clearTimeout(spoken);
    spoken = setTimeout(() => { if (isFresh()) say(aloud, answer.text ?? answer.trouble); }, RESTED_MS);
    draw();
    redraw();
  }
  watch(() => take(get()));

  // --- drawing -------------------------------------------------------------------------------------
  let drawn = "";
  function draw() {
    const { answer } = pinned, fresh = isFresh(), follows = fresh || (answer?.source === "tab" && isTabs());
    put(text, "data-state", fresh ? "whole" : "writing");
    put(text, "data-source", answer?.source ?? "");
    showSource(source, answer?.source);
    const { base } = controls.state;
    const isTurn = fresh && (answer?.source === "tab" || (touched && !tabMerge())); // the merge's words come first
    drawOthers([base, ...controls.deciding()], pinned.question, pinnedItem(), isTurn);
    put(box, "data-fresh", fresh);
    put(box, "data-recipe", answer?.recipe ?? "");
    put(box, "data-later", later);
    sayProse(note, noteOf(pinned, follows, later));
    if (fresh) put(box, "data-late", false);
    showMark(mark, follows ? answer?.right : null, answer?.expected);
    if (answer && !follows) say(mark, "…");
    const written = JSON.stringify([answer?.text, pinned.before]);
    if (written === drawn) return;
    drawn = written;
    const held = text.contains(document.activeElement);
    text.replaceChildren();
    if (!answer?.ends) { say(text, ""); return; }
    const changed = pinned.before ? changedWords(pinned.before, answer.text) : [];
    const letters = [...answer.text];
    for (const { piece, from, end } of pieces(answer)) {
      if (!piece) continue;
      const token = html("button",
        { type: "button", class: "word", tabindex: text.children.length ? -1 : 0, title: "What else might come here?" },
        text, piece);
      token.addEventListener("click",
        () => isFresh()
        && showNext(place,
          { prompt: pinned.question, text: letters.slice(0, from).join(""), recipe: answer.recipe, turn: "",
            token: piece }, tab.state === "ready" ? mergeNow() : null));
      token.classList.toggle("changed", changed.some((word) => word.from < end && from < word.end && piece.trim()));
    }
    if (held) text.firstElementChild?.focus({ preventScroll: true });
  }
  const first = recalled();
  choose(first || (pageNow() === "stage" && get()?.opens) || examples[0]?.prompt || "");
});
