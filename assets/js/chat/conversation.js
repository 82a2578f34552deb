// The conversation as a whole: colours of tokens, copy, download, and clear. Made in the browser.
import { meaning } from "../base/glossary_bubbles.js";
import { html, say, put } from "../base/shapes.js";
import { speedOf, FULL_BITS, iconButton, talk, copyText, retitle } from "./answer.js";
import { secretOf, votes } from "./blind_votes.js";

// The text for readers; names of a blind comparison appear only after the vote.
function plainTurn(turn) {
  const secret = secretOf(turn);
  const { max_tokens, temperature, top_p, seed, system } = turn.settings;
  return {
    question: turn.prompt,
    settings: { max_tokens, temperature, top_p, seed, ...(system && { system }) },
    ...(turn.earlier && { continues: turn.earlier }),
    ...(turn.blind ? { blind: true, vote: votes.get(turn.id)?.choice ?? null } : {}),
    answers: turn.answers.map((answer, i) => plainAnswer(answer, secret && secret[i])),
  };
}
function plainAnswer(answer, secret) {
  const content = { state: answer.state, text: answer.text, note: answer.note };
  if (secret) return { model: secret, ...content };
  const rate = speedOf(answer);
  return {
    model: answer.label, target: answer.target, recipe: answer.recipe || null, ...content,
    written_by: answer.source ?? "server",
    tokens: answer.tokens,
    tokens_per_second: rate === null ? null : +rate.toFixed(2),
    loss_nats_per_token: answer.tokens ? +answer.loss.toFixed(6) : null,
    token_ends: answer.ends, entropy_bits: answer.entropy, prompt: answer.prompt,
  };
}
const asJson = (turns) => JSON.stringify({ dppa_conversation: 1, turns: turns.map(plainTurn) }, null, 2) + "\n";

// A fence longer than any in the text, so that a model's text stays text in Markdown too.
function fenced(text) {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}
function answerLines(answer) {
  const recipe = answer.recipe ? `, recipe ${answer.recipe.slice(0, 12)}` : "";
  const numbers = answer.tokens
    ? [`${answer.tokens} tokens`,
        ...(answer.tokens_per_second === null ? [] : [`${answer.tokens_per_second} tokens per second`]),
      `loss ${answer.loss_nats_per_token} nats per token`] : [];
  const end = answer.state === "done" ? [] : [answer.state + (answer.note ? `: ${answer.note}` : "")];
  const model = answer.model.replace(/[\\`*_[\]<>#&]/g, "\\$&");
  return [`### ${model}${recipe}`, fenced(answer.text), [...numbers, ...end].join("; ")].filter(Boolean);
}
const asMarkdown = (turns) => {
  const parts = ["# A conversation of DPPA Studio"];
  turns.map(plainTurn).forEach((turn, i) => {
    const { max_tokens, temperature, top_p, seed } = turn.settings;
    parts.push(`## Question ${i + 1}`, fenced(turn.question),
      `Temperature ${temperature}, top-p ${top_p}, at most ${max_tokens} tokens, seed ${seed}.`);
    if (turn.blind)
      parts.push(turn.vote ? `Blind vote: ${turn.vote === "same" ? "no difference" : turn.vote}.`
        : "A blind comparison, not voted on.");
    parts.push(...turn.answers.flatMap(answerLines));
  });
  return parts.join("\n\n") + "\n";
};
function download(text, type, ending) {
  const stamp = new Date().toISOString().slice(0, 16).replace(/[-:]/g, "").replace("T", "-");
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = html("a", { href: address, download: `dppa-conversation-${stamp}.${ending}` }, document.body);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function legend(bar) {
  const key = html("div", { class: "entropy-key", hidden: "" }, bar);
  const word = html("span", { class: "legend-word" }, key, "entropy");
  meaning(word, "entropy");
  html("span", {}, key, "0");
  html("span", { class: "ramp", "aria-hidden": "true" }, key);
  html("span", {}, key, `${FULL_BITS}+ bits`);
  return key;
}
// turns() returns the shown turns; redraw() redraws the answers; forget() clears the conversation.
export const barOf = (host, { turns, redraw, forget }) => {
  const bar = html("div", { class: "talk-bar", role: "group", "aria-label": "Conversation", hidden: "" }, host);
  const key = legend(bar);
  const colours = iconButton(bar, "colours", "Colour each token by its entropy", "entropy");
  const copy = iconButton(bar, "copy", "Copy the conversation");
  const markdown = iconButton(bar, "down", "Download as Markdown", "md");
  const json = iconButton(bar, "down", "Download as JSON", "json");
  const clear = iconButton(bar, "bin", "Clear the conversation");
  put(colours, "aria-pressed", "false");
  colours.addEventListener("click", () => {
    talk.coloured = !talk.coloured;
    put(colours, "aria-pressed", talk.coloured);
    key.hidden = !talk.coloured;
    redraw();
  });
  copy.addEventListener("click", () => copyText(asMarkdown(turns()), copy));
  markdown.addEventListener("click", () => download(asMarkdown(turns()), "text/markdown", "md"));
  json.addEventListener("click", () => download(asJson(turns()), "application/json", "json"));
  // It cannot be undone, so it takes a second press.
  let armed = 0;
  const rest = () => {
    armed = 0;
    clear.classList.remove("armed");
    retitle(clear, "Clear the conversation");
    say(sure, "");
  };
  const sure = html("span", { class: "sure", role: "status" }, null);
  clear.before(sure);
  clear.addEventListener("click", () => {
    if (armed) { clearTimeout(armed); rest(); forget(); return; }
    clear.classList.add("armed");
    retitle(clear, "Press again to clear the conversation");
    say(sure, "Press again");
    armed = setTimeout(rest, 4000);
  });
  return bar;
};
