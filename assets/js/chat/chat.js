// Questions and answers, side by side by model; example questions.
// Text of people and models is inserted as text, never as markup.
import { byId, html, say, sayProse, put } from "../base/shapes.js";
import { redraw, paint, part, server, waits } from "../session/parts.js";
import * as controls from "../session/controls.js";
import * as tables from "../session/tables.js";
import { pin } from "../pinned/answer.js";
import { runsInTab, stops } from "../controls/start_and_stop.js";
import { iconButton, answerOf, showPrompts, promptsOf, isRunning, commonFailure, talk } from "./answer.js";
import { ballotOf, secretOf, heldBack, votes } from "./blind_votes.js";
import { barOf } from "./conversation.js";
import { recall, endTurn, remember, typed } from "./restored_chat.js";
import { findRecipes, forServer, isOfTab, readerOf, turnInTab } from "./tab_turns.js";

const MOST_TURNS = 20;
let send = (/** @type {any} */ _question) => {};
/** A question is sent: it is answered here, or the server is asked. @param {any} question */
export const sends = (question) => send(question);

part("transcript", ({ host, get, watch, trigger, put: tell }) => {
  host.replaceChildren();
  const empty = html("p", { class: "empty" }, host,
    "Ask your own question or take one of these, then Send. Each question stands alone.");
  html("span", { "data-leads": "answers" }, empty, " Answer settings, below, can continue the conversation.");
  const bar = barOf(host, {
    turns: () => value.turns,
    redraw: () => repaint(),
    forget: () => {
      stops("chat");
      for (const { id } of value.turns) forgotten.add(id);
      take({ order: [], turns: [], activity: "idle" });
      document.querySelector("#prompt textarea")?.focus();
      trigger("forget");
    },
  });
  const list = html("div", { class: "turns" }, host);
  const queue = html("p", { class: "note waits", hidden: "" }, host);
  const stage = host.closest("#chat-stage");
  const announcement = html("output", { class: "sr", "aria-live": "polite" }, host);
  let turns = [];
  let value = { turns: recall() }; // asked before this page was loaded anew

  function turnOf(turn) {
    const root = html("section",
      { class: "turn", "data-turn": turn.id, "data-blind": turn.blind, "aria-label": "Question and answers" }, list);
    const head = html("div", { class: "turn-head" }, root);
    html("p", { class: "question" }, head, turn.prompt);
    if (turn.earlier)
      html("span", { class: "tag", title: "The models read the turns above too." }, head, `continues ${turn.earlier}`);
    const follow = iconButton(head, "pin", "Pin this question: its answer then follows the sliders");
    follow.addEventListener("click", () => pin(turn.prompt));
    const open = iconButton(head, "prompt", "Show the question as the models read it");
    const prompts = html("div", { class: "rendered", hidden: "" }, root);
    put(open, "aria-expanded", "false");
    open.addEventListener("click", () => {
      prompts.hidden = !prompts.hidden;
      put(open, "aria-expanded", !prompts.hidden);
      repaint();
    });
    if (turn.outside) html("p", { class: "note outside" }, root, turn.outside);
    const failed = html("p", { class: "note failed", hidden: "" }, root);
    const grid = html("div", { class: `answers n${Math.min(turn.answers.length, 3)}` }, root);
    const answers = turn.answers.map(() => answerOf(grid, turn, (answer) => readerOf(turn, answer)));
    return { id: turn.id, root, prompts, failed, grid, answers,
      ballot: turn.blind ? ballotOf(root, () => repaint()) : null };
  }
  function fillTurn(view, turn, current) {
    const secret = secretOf(turn), held = heldBack(turn);
    turn.answers.forEach((answer, i) => view.answers[i].fill(answer, current, secret?.[i], held));
    if (!view.prompts.hidden)
      showPrompts(view.prompts, promptsOf(turn, secret ?? turn.answers.map(({ label }) => label)));
    view.ballot?.(turn);
    const failure = commonFailure(turn.answers);
    view.failed.hidden = !failure;
    view.grid.hidden = Boolean(failure);
    sayProse(view.failed, failure && `No model answered. ${failure}`);
  }
  function repaint() {
    const current = tables.recipe();
    value.turns.forEach((turn, i) => fillTurn(turns[i], turn, current));
  }
  // Values sent before the server received Stop may arrive later: an ended turn stays ended.
  const running = (turn) => turn.answers.some(isRunning);
  const ended = new Map(), forgotten = new Set();
  function settled(turn) {
    if (!running(turn)) ended.set(turn.id, turn);
    return ended.get(turn.id) ?? turn;
  }
  // While a turn is written, only that one is sent. Turns that the server has forgotten stay: it knows
  // none from before a reload, and stores only the latest visitors.
  let known = new Set(); // turns that the server knows
  function whole(next) {
    const byTab = value.turns.filter(isOfTab); // of which the server knows only what a conversation needs
    const turnsById = new Map([...value.turns, ...next.turns, ...byTab].map((turn) => [turn.id, turn]));
    return [...turnsById.values()].filter(({ id }) => !forgotten.has(id))
      .map((turn) => (known.has(turn.id) || isOfTab(turn) ? turn : endTurn(turn, "stopped"))).slice(-MOST_TURNS);
  }
  // Keep a new turn in view from its question on, until it ends or the reader scrolls.
  let /** @type {any} */ pinned = null;
  const column = byId("side-column"), ask = byId("chat-ask");
  for (const name of ["wheel", "touchmove"]) column.addEventListener(name, () => { pinned = null; }, { passive: true });
  for (const name of ["pointerdown", "keydown"])
    host.addEventListener(name, () => { pinned = null; }, { passive: true });
  function reveal(element) {
    const scrolls = getComputedStyle(column).overflowY === "auto"; // else the page scrolls
    const top = (scrolls ? column.getBoundingClientRect().top : 0) + (parseFloat(getComputedStyle(bar).top) || 0)
      + bar.offsetHeight;
    const box = element.getBoundingClientRect(), hidden = box.bottom - ask.getBoundingClientRect().top;
    const by = box.top < top ? box.top - top : Math.min(hidden, box.top - top);
    if (by > 0 || box.top < top) (scrolls ? column : document.documentElement).scrollTop += by;
  }
  function follow() {
    const turn = turns.find(({ id }) => id === pinned);
    if (turn) reveal(turn.root);
    if (server.activity.chat === "idle") pinned = null;
  }
  function take(next) {
    if (!next || !Array.isArray(next.turns)) return;
    const all = whole(next).map(settled);
    value = { turns: all, activity: next.activity !== "idle" && all.some(running) ? next.activity : "idle" };
    bar.hidden = value.turns.length === 0;
    empty.hidden = value.turns.length > 0;
    if (stage) put(stage, "data-begun", empty.hidden); // the examples then make room for the answers
    const kept = new Map(turns.map((turn) => [turn.id, turn]));
    turns = value.turns.map((turn) => kept.get(turn.id) ?? turnOf(turn));
    const newest = turns[turns.length - 1];
    if (newest && !kept.has(newest.id)) pinned = newest.id;
    for (const [id, turn] of kept) if (!turns.some((view) => view.id === id)) {
      turn.root.remove();
      ended.delete(id);
      votes.delete(id);
    }
    const merged = value.turns.flatMap((turn) => turn.answers)
      .filter((a) => a.target === "merged" && a.text && a.recipe);
    server.answered = merged.length ? merged[merged.length - 1].recipe : null;
    talk.earlier =
      [...new Set(merged.filter((answer) => !answer.before).map((answer) => answer.recipe).reverse())].slice(0, 8);
    if (server.activity.chat !== value.activity && value.activity === "idle") {
      say(announcement, "The answers are complete.");
    }
    server.activity.chat = value.activity || "idle";
    if (server.activity.chat === "idle") remember(value.turns);
    put(host, "aria-busy", server.activity.chat !== "idle");
    repaint();
    follow();
    redraw();
  }
  const heard = (next) => {
    if (Array.isArray(next?.order)) known = new Set(next.order);
    take(next);
  };
  watch(heard);
  heard(get());

  // --- answers by the tab ----------------------------------------------------------------------
  let dirty = false;
  function askServer() {
    tell({ tab: forServer(value.turns, known) });
    trigger("ask");
  }
  send = (question) => {
    const inTab = turnInTab(question, value.turns);
    if (!inTab) { askServer(); return; }
    const { turn, write } = inTab;
    const show = (turns, activity) => take({ turns, activity });
    show([turn], "answering");
    runsInTab.chat = write(() => {
      dirty = true;
      redraw();
      if (running(turn)) return;
      delete runsInTab.chat;
      show([], "idle");
    }, () => { // the worker has ended: the server answers the whole question
      delete runsInTab.chat;
      forgotten.add(turn.id);
      show([], "waiting");
      askServer();
    });
  };
  window.addEventListener("pagehide", () => remember(value.turns));
  let last;
  paint(() => {
    const waiting = server.activity.chat === "waiting";
    if (queue.hidden === waiting) {
      queue.hidden = !waiting;
      if (waiting) reveal(queue);
    }
    if (waiting) say(queue, `Your question is ${waits()}`);
    // only the stale marks follow the sliders
    const current = `${tables.recipe()} ${controls.key()}`;
    if (findRecipes(value.turns)) take({ turns: [], activity: value.activity });
    if (current !== last || dirty) { last = current; dirty = false; repaint(); }
  });
});

// Gradio's box sends with Shift+Enter; this adds the keys of other chats.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || !(event.ctrlKey || event.metaKey)) return;
  if (!event.target?.matches?.("#prompt textarea")) return;
  event.preventDefault();
  byId("send").click();
});

// The box has a limit of characters: a note appears near and beyond it.
const counted = (number) => number.toLocaleString("en");
const BOXES = { prompt: ["prompt-length", ""], "attribution-prompt": ["attribution-length", "Question: "],
  "attribution-answer": ["attribution-length", "Answer: "], "pinned-own": ["pinned-length", ""] };
const BOX = Object.keys(BOXES).map((id) => `#${id} textarea, input#${id}`).join(", ");
let over = false;
document.addEventListener("paste", (event) => {
  const box = /** @type {any} */ (event.target);
  if (!box.matches?.(BOX)) return;
  const pasted = (event.clipboardData?.getData("text") ?? "").replace(/\r\n/g, "\n");
  over = box.value.length - (box.selectionEnd - box.selectionStart) + pasted.length > box.maxLength;
});
document.addEventListener("input", (event) => {
  const box = /** @type {any} */ (event.target);
  if (!box.matches?.(BOX)) return;
  const full = box.value.length >= box.maxLength;
  const end = !full ? "" : over ? ": the rest was cut" : ": more is cut";
  over = false;
  const near = box.value.length >= 0.9 * box.maxLength;
  const [place, name] = BOXES[box.closest("[id]:not(textarea)").id];
  say(document.getElementById(place),
    near ? `${name}${counted(box.value.length)} of ${counted(box.maxLength)} characters${end}` : "");
});

part("examples", ({ host, get, trigger }) => {
  host.replaceChildren();
  if (typed && !document.querySelector("#prompt textarea")?.value) { server.picked = typed; trigger("pick"); }
  talk.learned = get()?.learned ?? talk.learned;
  const long = [];
  let ownLists = server.own;
  function show({ domain, colour, prompts, articles }) {
    const group = html("div", { class: "example-group", role: "group", "aria-label": `Examples: ${domain}` }, host);
    group.style.setProperty("--model", colour);
    [...prompts, ...(articles?.prompts ?? [])].forEach((prompt, i) => {
      const button = html("button", { type: "button", class: "example", "data-domain": domain, title: prompt,
        "aria-label": `Example ${i + 1}, ${domain}: ${prompt}` }, group);
      const head = html("span", { class: "example-domain" }, button);
      html("span", { class: "swatch", "aria-hidden": "true" }, head);
      html("span", {}, head, domain);
      html("span", { class: "example-text" }, button, prompt);
      button.addEventListener("click", () => { server.picked = prompt; trigger("pick"); });
      if (i < prompts.length) return;
      button.classList.add("article");
      long.push({ button, bases: articles.bases });
    });
  }
  function fill() {
    host.replaceChildren();
    long.length = 0;
    const lists = ownLists.map(({ model, label, prompts }) =>
      ({ domain: label, colour: server.names[model]?.colour ?? "var(--d-base)", prompts: prompts.slice(0, 2) }));
    for (const group of lists.length ? lists : get()?.groups ?? []) show(group);
  }
  fill();
  paint(() => {
    if (ownLists !== server.own) { ownLists = server.own; fill(); }
    for (const { button, bases } of long) button.hidden = !bases.includes(controls.state.base);
  });
});
