// One answer of the chat: model, text, speed and sureness; its tokens coloured by entropy.
// Text of people and models is inserted as text, never as markup.
import { meaning } from "../base/glossary_bubbles.js";
import { html, svg, say, sayProse, put, percent1, three, THIN } from "../base/shapes.js";
import { showMark, showSource } from "../pinned/answer_note.js";
import { showNext } from "../pinned/next.js";
import { pieces } from "../pinned/tokens.js";
import * as controls from "../session/controls.js";
import { server } from "../session/parts.js";
import * as tables from "../session/tables.js";

const STATES = {
  waiting: "waits its turn …", loading: "loading the model …", merging: "merging the weights …", writing: "writing …",
  done: "", stopped: "stopped", failed: "failed",
};
const FEW = 20; // tokens below which a speed says little
const SHORTEST = 0.001; // seconds that are told at least
export const FULL_BITS = 5; // where the scale of colours ends
/** Mutable state set by several modules of the chat. */
export const talk = {
  coloured: false,
  /** Recipes of merged answers, the newest first. @type {string[]} */
  earlier: [],
  /** The other model of a blind comparison. */
  against: "",
  /** Wordings of the questions that the embedded models learned, up to a length, and a note about others. */
  learned: { wording: "", most: 0, note: "" },
};

// --- small buttons with a picture and a title ----------------------------------------------------
const ICONS = {
  copy: "M5 5V2h9v9h-3M2 5h9v9H2z", bin: "M2 4h12M6 4V2h4v2M4 4l1 10h6l1-10M7 7v4M9 7v4",
  down: "M8 2v8M4.5 7 8 10.5 11.5 7M2 13.5h12", prompt: "M2 3h12M2 6.5h8M2 10h12M2 13.5h5",
  pin: "M5 2h6M6 2v5L4 9.5h8L10 7V2M8 9.5v4.5",
  colours: "M2 11V5h4v6zM6 11V5h4v6zM10 11V5h4v6z", done: "M3 8.5 6.5 12 13 4",
};
export const iconButton = (parent, icon, title, text = "") => {
  const button = html("button", { type: "button", class: "icon", title, "aria-label": title }, parent);
  const picture = svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, button);
  const path = svg("path", { d: ICONS[icon] }, picture);
  if (text) html("span", {}, button, text);
  button.show = (name) => put(path, "d", ICONS[name]);
  return button;
};
export const retitle = (button, title) => { put(button, "title", title); put(button, "aria-label", title); };
// A page without https has no clipboard API: use the old way.
export const copyText = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = html("textarea", { class: "sr", "aria-hidden": "true" }, document.body);
    box.value = text;
    box.select();
    document.execCommand("copy");
    box.remove();
    button.focus();
  }
  button.show("done");
  setTimeout(() => button.show("copy"), 1500);
};

export const isRunning = ({ state }) => ["waiting", "loading", "merging", "writing"].includes(state);
/**
 * The one reason why no model answered, such as a question that is too long; empty otherwise.
 * @param {{state: string, note: string}[]} answers
 */
export const commonFailure = ([first, ...others]) =>
  (others.length && first.state === "failed"
    && others.every(({ state, note }) => state === "failed" && note === first.note) ? first.note : "");
export const speedOf = (answer) => (answer.seconds > 0 ? answer.tokens / answer.seconds : null);
function speed(answer) {
  const many = `${answer.tokens}${THIN}token${answer.tokens === 1 ? "" : "s"}`;
  if (!answer.tokens || (isRunning(answer) && !answer.seconds)) return many;
  const seconds = Math.max(answer.seconds, SHORTEST), time = seconds < 1 ? `${three(1000 * seconds)}${THIN}ms`
    : `${three(seconds)}${THIN}s`;
  return `${many} · ${answer.tokens < FEW ? time : `${three(answer.tokens / seconds)}${THIN}tokens/s`}`;
}
export const colourOf = (model) =>
  (model === "merged" ? "var(--d-accent)" : server.names[model]?.colour ?? "var(--d-base)");

// --- tokens: split at the ends sent by the server, in characters -----------------------------------
const quoted = (piece) => (piece ? `“${piece.replace(/\s/g, "␣")}”` : "(no text of its own)");
const tokenTitle = ({ piece, bits }, i, all) => `${quoted(piece)}: ${three(bits)}${THIN}${bits === 1 ? "bit" : "bits"} `
  + `· `
  + `token ${i + 1} of ${all.length}`;

function tokensIn(text, line, open) {
  let now = -1, words = [];
  const choose = (i) => {
    text.children[now]?.classList.remove("now");
    now = Math.min(Math.max(i, 0), words.length - 1);
    text.children[now]?.classList.add("now");
    say(line, words[now] ?? "");
  };
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && words[now]) open(now);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: words.length - 1 }[event.key];
    if (to === undefined || !words.length) return;
    event.preventDefault();
    choose(to);
  });
  text.addEventListener("click", (event) => { // a finger has no hover
    if (event.target.parentElement !== text) return;
    choose([...text.children].indexOf(event.target));
    open(now);
  });
  return (pieces) => {
    words = pieces.map(tokenTitle);
    text.replaceChildren();
    pieces.forEach(({ piece, bits }, i) => {
      const token = html("span", { class: piece ? "token" : "token mute", title: words[i], "data-bits": bits }, text,
        piece);
      token.style.setProperty("--share", `${(100 * Math.min(bits / FULL_BITS, 1)).toFixed(1)}%`);
    });
    if (now >= 0) choose(now);
  };
}

/**
 * @param {Element} grid @param {{id: string, prompt: string, expected: string}} turn
 * @param {(answer: any) => any[]} readerOf How the tab reads an answer of its own again.
 */
export const answerOf = (grid, turn, readerOf) => {
  const root = html("article", { class: "answer" }, grid);
  const head = html("header", {}, root);
  html("span", { class: "swatch", "aria-hidden": "true" }, head);
  const name = html("strong", {}, head);
  const recipe = html("span", { class: "tag" }, head);
  const sign = html("span", { class: "source" }, head);
  const mark = html("span", { class: "right-mark" }, head);
  const copy = iconButton(head, "copy", "Copy this answer");
  const text = html("p", { class: "answer-text" }, root);
  const line = html("output", { class: "token-line", "aria-live": "polite", hidden: "" }, root);
  const stats = html("p", { class: "stats", hidden: "" }, root);
  const fast = html("span", { class: "speed" }, stats), surprise = html("span", { class: "sureness" }, stats);
  meaning(fast, "speed");
  meaning(surprise, "sureness");
  const note = html("p", { class: "note" }, root);
  let /** @type {any} */ latest = null, key = "";
  const tokens = tokensIn(text, line, (i) => {
    const { from, piece } = pieces(latest)[i];
    showNext(stats,
      { prompt: turn.prompt, turn: turn.id, text: [...latest.text].slice(0, from).join(""), recipe: latest.recipe,
        token: piece }, ...readerOf(latest));
  });
  copy.addEventListener("click", () => copyText(latest.text, copy));

  function write(answer, plain) {
    const whole = answer.ends.length > 0 && plain === answer.text, coloured = talk.coloured && whole;
    const split = coloured || (whole && answer.state === "done");
    const next = `${coloured} ${split} ${answer.ends.length} ${plain}`;
    if (next === key) return;
    key = next;
    put(text, "data-coloured", coloured);
    line.hidden = !coloured; // empty until a token is chosen
    put(text, "data-split", split);
    if (split) { tokens(pieces(answer)); return; }
    if (text.firstElementChild) text.replaceChildren();
    say(text, plain);
  }
  // secret: left or right, of an answer whose author is hidden; held: its text is hidden as well
  function fill(answer, current, secret, held) {
    latest = answer;
    const changed = answer.recipe ? answer.recipe !== current : answer.key !== controls.key();
    const stale = !secret && answer.target === "merged" && changed, source = answer.source === "tab" ? "tab" : "server";
    put(root, "data-state", answer.state);
    put(root, "data-source", source);
    showSource(sign, secret ? undefined : source, { share: "", by: "" });
    put(root, "data-target", secret || answer.target);
    put(root, "data-recipe", secret ? "" : answer.recipe);
    put(root, "data-stale", stale);
    root.style.setProperty("--model", secret ? "var(--d-edge)" : colourOf(answer.target));
    say(name, secret || answer.label);
    say(recipe, answer.recipe && !secret ? `recipe ${answer.recipe.slice(0, 6)}${stale ? " · stale" : ""}` : "");
    put(recipe, "title", stale ? "The sliders have moved since this answer." : "");
    showMark(mark, secret ? null : answer.right, turn.expected);
    const running = isRunning(answer);
    const plain = held ? "" : answer.text || (answer.state === "done" ? "(an empty answer)" : "");
    write(secret ? { ...answer, ends: [] } : answer, plain);
    text.hidden = !plain && !running;
    const split = text.dataset.split === "true";
    text.tabIndex = split ? 0 : -1;
    if (split) {
      put(text, "role", "group");
      put(text, "aria-label",
        `Tokens of the answer of ${answer.label}; arrow keys go through them, Enter shows what else might stand there`);
    }
    else { text.removeAttribute("role"); text.removeAttribute("aria-label"); text.removeAttribute("tabindex"); }
    copy.hidden = !plain || !answer.text;
    stats.hidden = Boolean(secret) || !answer.tokens;
    say(fast, speed(answer));
    say(surprise, `mean probability ${percent1(Math.exp(-answer.loss))}`);
    const unbegun = answer.state === "stopped" && !answer.text ? "stopped before its first word" : "";
    sayProse(note, answer.note || unbegun || STATES[secret && running ? "writing" : answer.state] || "");
    if (!secret && source === "server" && !answer.before && ["writing", "done"].includes(answer.state))
      tables.noteMerged(answer.recipe);
  }
  return { fill };
};

// --- the question as each model reads it -----------------------------------------------------------
export const promptsOf = (turn, names) => {
  const groups = new Map();
  turn.answers.forEach((answer, i) => {
    if (answer.prompt) groups.set(answer.prompt, [...(groups.get(answer.prompt) ?? []), names[i]]);
  });
  return [...groups].map(([text, readers]) => ({
    text, readers: readers.join(", "), plain: text === turn.prompt,
  }));
};
export const showPrompts = (box, groups) => {
  const key = JSON.stringify(groups);
  if (box.key === key) return;
  box.key = key;
  box.replaceChildren();
  if (!groups.length) html("p", { class: "how" }, box, "Known once a model begins to read.");
  for (const { text, readers, plain } of groups) {
    html("p", { class: "how" }, box, plain ? `Without a chat template, ${readers} reads the question as it stands:`
      : `In its chat template, read by ${readers}:`);
    html("pre", { tabindex: 0, "aria-label": `The question as read by ${readers}`, role: "region" }, box, text);
  }
};
