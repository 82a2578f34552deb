// Merges that fail: predicted and set up by one click, shown, named, explained, and repaired by a second one.
// The server computes the shown results on request; the tab writes the answers of models and merges that it knows.
import { html, say, put } from "../../base/shapes.js";
import { showSource } from "../../pinned/answer_note.js";
import { isRight } from "../../tab/marks.js";
import { knows, rendered, wishFor } from "../../tab/words.js";
import { table } from "./by_hand_walk.js";
import { block, did, solved } from "../frame.js";

const KINDS = { refusal: "The library refuses", warning: "The library warns", note: "The library says" };

block("break-it", ({ host, result, ask }) => {
  const names = result.cases.map(({ name }) => name);
  for (const scenario of result.cases) card(host, scenario, ask, () => solved(scenario.name, names));
}, { tasks: true });
function card(host, scenario, ask, done) {
  const box = html("section", { class: "break-case", "data-case": scenario.name, "data-state": "whole" }, host);
  html("h3", {}, box, scenario.title);
  html("p", {}, box, scenario.setting);
  html("p", { class: "asked" }, box, scenario.predict);
  const bar = html("div", { class: "hand-go", role: "group", "aria-label": "Predict, and break it" }, box);
  const breaks = scenario.options.map((text) => {
    const button = html("button", { type: "button", class: "small", "data-act": "break" }, bar, text);
    button.addEventListener("click", () => run(false, button));
    return button;
  });
  const news = html("p", { class: "how", role: "status" }, box);
  const both = html("div", { class: "break-both" }, box); // to compare: broken beside repaired
  const repairs = html("button", { type: "button", class: "small", "data-act": "repair", hidden: "" }, box,
    scenario.repair);
  repairs.addEventListener("click", () => run(true, repairs));
  const sides = ["broken", "repaired"].map((side) => html("div", { class: "break-shown", "data-side": side }, both));
  let predicted = ""; // the prediction, and whether it came true
  const free = (working) => {
    for (const control of breaks) control.disabled = working || Boolean(predicted);
    repairs.disabled = working;
  };
  async function run(repaired, button) {
    free(true);
    put(box, "data-state", "running");
    say(news, "Working …");
    try {
      const progress = (completed, total, stage) =>
        say(news, total ? `${stage} (${completed + 1} of ${total}) …` : `${stage} …`);
      const outcome = await ask({ case: scenario.name, repaired }, progress);
      const place = sides[Number(repaired)];
      place.replaceChildren();
      draw(place, scenario, outcome);
      put(box, "data-state", repaired ? "repaired" : "broken");
      if (!repaired) compare(button, outcome);
      did(`${scenario.name}/${repaired}`,
        `${scenario.title}${repaired ? `, repaired (${scenario.repair}):` : `: ${predicted}`} ${outcome.said}`);
      say(news, predicted);
      repairs.hidden = false;
    } catch (error) {
      say(news, error.message);
      put(box, "data-state", "failed");
    }
    free(false);
    if (document.activeElement === document.body) (button.disabled ? repairs : button).focus();
  }
  // The prediction beside what came true.
  function compare(button, { outcome }) {
    const choice = button.textContent;
    predicted = `You predicted: ${choice}. ${choice === outcome ? "Right." : `Not quite: ${outcome}.`}`;
    for (const control of breaks) {
      put(control, "aria-pressed", control === button);
      put(control, "data-verdict", control.textContent === outcome ? "right" : control === button ? "wrong" : "");
    }
    done();
  }
}
function draw(place, scenario, outcome) {
  html("h4", {}, place, outcome.repaired ? `Repaired: ${scenario.repair}` : scenario.fault);
  html("p", { class: "break-said" }, place, outcome.said);
  const plots = html("div", { class: "break-plots" }, place);
  for (const bars of outcome.bars) drawBars(plots, bars);
  for (const { kind, text } of outcome.messages) {
    const box = html("p", { class: "break-message", "data-kind": kind }, place);
    html("strong", {}, box, `${KINDS[kind]}: `);
    html("span", {}, box, text);
  }
  if (outcome.answers.length) drawAnswers(place, outcome, `${scenario.name} ${outcome.repaired}`);
  if (outcome.rows.length) table(place, outcome, scenario.title);
  html("p", {}, place, outcome.repaired ? scenario.repaired : scenario.why);
}
function drawBars(place, { title, high, bars, mark, mark_label: label }) {
  const box = html("figure", { class: "break-bars" }, place);
  html("figcaption", {}, box, title);
  const list = html("dl", {}, box);
  for (const bar of bars) {
    html("dt", {}, list, bar.label);
    const row = html("dd", { "data-tone": bar.tone }, list);
    const track = html("span", { class: "break-track", "aria-hidden": "true" }, row);
    html("i", {}, track).style.width = `${100 * Math.min(Math.max(bar.value / high, 0), 1)}%`;
    if (mark !== null) html("b", {}, track).style.left = `${(100 * mark) / high}%`;
    html("span", { class: "break-value" }, row, bar.shown);
  }
  if (mark !== null) html("p", { class: "how" }, box, `Line: ${label}.`);
}
function drawAnswers(place, { prompt, answers, item, limit }, name) {
  const chat = html("div", { class: "break-chat" }, place);
  html("p", { class: "break-prompt" }, chat, prompt);
  for (const { who, text, right, wish } of answers) {
    const line = html("p", { class: "break-answer" }, chat);
    html("strong", {}, line, who);
    const said = html("span", {}, line), mark = html("em", {}, line), sign = html("span", { class: "source" }, line);
    const show = (words, isGood, source) => {
      put(line, "data-right", isGood);
      put(line, "data-source", source);
      say(said, words || "(nothing: it ends at once)");
      say(mark, isGood ? "✓ right" : "✗ wrong");
      showSource(sign, source);
    };
    show(text, right, "server");
    if (!wish || !(wish.merge?.models ?? [wish]).every(({ model }) => knows(model))) continue;
    wishFor(`break ${name} ${who}`, { key: "", ...wish, limit, prompt: rendered(prompt) }, (message) => {
      if (message.kind === "words" && message.last) show(message.text, isRight(item, message.text), "tab");
    });
  }
}
