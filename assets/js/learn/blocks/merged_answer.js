// A merge that answers as its sliders move: in the tab where it can, else by the server.
import { html, put, say, level, three, THIN } from "../../base/shapes.js";
import { showMark, showSource } from "../../pinned/answer_note.js";
import { controlOf, evenBands, schema } from "../../session/controls.js";
import { isRight } from "../../tab/marks.js";
import { evenMerge, knows, rendered, tab, wishFor } from "../../tab/words.js";
import { select, slide } from "../charts.js";
import { block, did } from "../frame.js";

const { span: [lowest = 0, highest = 99, step = 1], scale } = controlOf("rate");
const RESTED_MS = 800;
let blocks = 0;

/** @param {any} block */
function answerBlock({ host, args, result, ask }) {
  const { models, strength } = args, { examples } = result;
  const chosen = { rate: args.rate, factors: args.factors ?? [], question: result.question,
    ...(args.method && { method: args.method }) };
  const now = () => JSON.stringify(chosen);
  const levels = () => evenBands(chosen.rate, chosen.factors.length || 1);
  const example = () => examples.find(({ prompt }) => prompt === chosen.question);
  const inTab = !args.method && models.every(knows), byServer = () => !inTab || tab.state !== "ready";
  let shown = { ...result, ids: [], source: "server", key: now() }, wished = "", isAsking = false, rest = 0;

  // --- asking -----------------------------------------------------------------------------------
  function change(/** @type {Partial<typeof chosen>} */ changes) {
    if (changes.question) shown = { ...shown, ids: [] };
    Object.assign(chosen, changes);
    draw();
    if (inTab) wish();
    if (byServer()) askServer(); // else until the tab can
  }
  function wish() {
    const key = now();
    if (wished === key) return;
    wished = key;
    const merge = evenMerge(models, levels(), chosen.factors.length ? [...chosen.factors] : [1], strength);
    wishFor("lesson", { key: "", merge, prompt: rendered(chosen.question), draft: shown.ids }, (message) => {
      const { kind, text, ids, last } = message;
      if (kind === "failed") askServer();
      if (kind === "words" && last) take({ text, ids, right: isRight(example(), text), source: "tab" }, key);
    });
  }
  // One request at a time; afterwards the newest settings, if they are still without an answer.
  async function askServer() {
    if (isAsking) return;
    isAsking = true;
    const key = now();
    try { take({ ...await ask({ ...args, ...chosen }), ids: [], source: "server" }, key); } catch (error) {
      say(trouble, error.message);
    }
    isAsking = false;
    if (key !== now() && shown.key !== now() && byServer()) askServer();
  }
  function take(/** @type {any} */ answer, /** @type {string} */ key) {
    if (shown.key === now() && key !== now()) return;
    shown = { ...answer, key };
    say(trouble, "");
    draw();
    clearTimeout(rest);
    rest = setTimeout(() => did(chosen.question,
      `“${chosen.question}” at ${level(chosen.rate)} pruned: ${shown.text}`), RESTED_MS);
  }

  // --- drawing ----------------------------------------------------------------------------------
  const bar = html("div", { class: "plot-bar" }, host);
  select(bar, "Question", examples.map(({ domain, prompt }) => [prompt, `${domain}: ${prompt}`]), chosen.question,
    (question) => change({ question }));
  if (args.method) select(bar, "Pruned by", result.methods, chosen.method, (method) => change({ method }));
  const id = `answer-${(blocks += 1)}`;
  const rate = slide(host, `${id}-rate`, "Pruning rate", [lowest, highest, step],
    (value) => change({ rate: +(value / scale).toFixed(12) }));
  const factors = chosen.factors.map((_, k) =>
    slide(host, `${id}-factor-${k + 1}`, "", schema.factor, (value) =>
      change({ factors: chosen.factors.map((factor, i) => (i === k ? value : factor)) })));
  const head = html("p", { class: "answer-head" }, host);
  html("strong", {}, head, models.length > 1 ? "The merge answers" : "The pruned model answers");
  const source = html("span", { class: "source" }, head), mark = html("span", { class: "right-mark" }, head);
  const text = html("p", { class: "block-answer", role: "status", "data-living": "answer" }, host);
  const trouble = html("p", { class: "problem", role: "alert" }, host);
  function draw() {
    rate(chosen.rate * scale, level(chosen.rate));
    factors.forEach((draw, k) => {
      const share = k ? levels()[k - 1] - levels()[k] : 1 - levels()[0];
      const label = factors.length > 1 ? `${k ? "Next" : "Strongest"} ${level(share)}` : "All that stays";
      say(draw(chosen.factors[k], `×${THIN}${three(chosen.factors[k])}`).firstElementChild, label);
    });
    const isFresh = shown.key === now();
    say(text, shown.text || "(nothing: it ends at once)");
    put(text, "data-state", isFresh ? "whole" : "writing");
    put(text, "data-source", shown.source);
    showSource(source, shown.source);
    showMark(mark, isFresh ? shown.right : null, example().answer);
  }
  draw();
}
block("merged-answer", answerBlock);
block("answer-by-method", answerBlock);
