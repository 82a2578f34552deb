// Attribution of an answer to layers or modules: bars around zero, or a heatmap of signed values.
// Text of people and models is inserted as text, never as markup.
import { signs, html, svg, say, put, px, three, superscript } from "../base/shapes.js";
import { paint, part, server } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";
import * as tables from "../session/tables.js";
import { rowHeight, rowLabel, layerWords, TOP, BOTTOM, SOURCE, heatmapPlot } from "./heatmap.js";

const UNIT = "nats per token";
/** @param {number} x */
const signed = (x) => `${x > 0 ? "+" : x < 0 ? "−" : ""}${three(Math.abs(x))}`;
const SMALLEST = 0.001; // smaller changes may be rounding: they get no full colour or bar
/** @param {any} effects */
const reach = (effects) => Math.max(...effects.map((/** @type {any} */ { change }) => Math.abs(change)), SMALLEST);
/** @param {any} effects */
const sourced = (effects) => ({ sources: tables.sourcesOf(effects.map((/** @type {any} */ { layer }) => layer)) });
/** @param {any} options @param {any} effects */
const nameOf = ({ layer, kind }, effects) => {
  if (layer === null) return "outside";
  return `layer ${layerWords(sourced(effects), layer)}${kind === null ? "" : `, ${kind}`}`;
};

// --- words --------------------------------------------------------------------------------
/** @param {any} options */
function title({ effects, by }) {
  const most = effects.reduce((/** @type {any} */ a, /** @type {any} */ b) => (b.change > a.change ? b : a));
  if (most.change < SMALLEST) return `No ${by} matters for this answer by itself`;
  const layer = layerWords(sourced(effects), most.layer);
  const who = most.layer === null ? "What lies outside the layers" : most.kind === null ? `Layer ${layer}`
    : `The ${most.kind} module of layer ${layer}`;
  return `${who} matters most: ${signed(most.change)}\u202f${UNIT}`;
}
/** @type {Record<string, any>} */
const HOW = {
  layer: "One bar per layer: how the answer's loss changes without the layer's change. To the right of 0 the answer "
  + "needs the layer, to the left it "
    + "stands in its way; outside: embedding, last norm, head. Loss: mean negative log-likelihood of the answer's "
      + "tokens; 0 is certain of every one.",
  module: "Colour, number: how the answer's loss changes without that matrix's change. Above 0, reddish: the answer "
  + "needs it; below, bluish: it stands "
    + "in its way. Loss: mean negative log-likelihood of the answer's tokens; 0 is certain of every one.",
};
const IDLE = "Not measured yet. Each layer's change is taken out of the merge in turn, and the answer is read again.";

// --- bars -----------------------------------------------------------------------------------
const NUMBER = 54, RIGHT = 64;
/** @param {any} root @param {any} options @param {number} width */
function bars(root, { effects }, width) {
  const row = rowHeight(effects.length), bottom = TOP + row * effects.length;
  const table = sourced(effects), LEFT = NUMBER + (table.sources.length ? SOURCE : 0);
  const most = reach(effects), some = effects.some((/** @type {any} */ { change }) => change < 0);
  const low = some ? -most : 0;
  const x = (/** @type {any} */ value) => LEFT + ((value - low) / (most - low)) * (width - LEFT - RIGHT);
  root.replaceChildren();
  put(root, "viewBox", `0 0 ${width} ${bottom + BOTTOM}`);
  put(root, "width", width);
  put(root, "height", bottom + BOTTOM);
  svg("text", { x: 0, y: TOP - 8, class: "axis" }, root, "layer");
  for (const value of some ? [-most, 0, most] : [0, most / 2, most]) {
    svg("line", { x1: px(x(value)), x2: px(x(value)), y1: TOP, y2: bottom, class: value ? "grid" : "zero" }, root);
    svg("text", { x: px(x(value)), y: bottom + 16, class: "tick middle" }, root, signed(value) || "0");
  }
  effects.forEach((/** @type {any} */ { layer, change }, /** @type {number} */ i) => {
    const y = TOP + row * i, from = Math.min(x(0), x(change));
    const ends = change < 0 ? { x: px(x(0) + 5), class: "tick" } : { x: px(x(change) + 5), class: "tick" };
    if (row >= 14 || i % 2 === 0)
      svg("text", { x: LEFT - 8, y: y + row / 2 + 4, class: "tick end" }, root,
        layer === null ? "outside" : rowLabel(table, layer));
    svg("rect", {
      class: "bar", "data-layer": layer ?? "outside", "data-value": +change.toPrecision(6), x: px(from), y: y + 3,
      width: px(Math.abs(x(change) - x(0))), height: row - 6, fill: signs.colour(change < 0 ? 0.15 : 0.85),
    }, root);
    if (row >= 14) svg("text", { ...ends, y: y + row / 2 + 4 }, root, signed(change) || "0");
  });
  svg("text", { x: px((LEFT + width - RIGHT) / 2), y: bottom + 36, class: "axis middle" }, root,
    `change of the loss, ${UNIT}`);
}

// --- the same as a heatmap's view --------------------------------------------------------------
/** @param {any} result */
function viewOf(result) {
  const layers = [...new Set(result.effects.map((/** @type {any} */ { layer }) => layer))];
  const kinds = [...new Set(result.effects.map((/** @type {any} */ { kind }) => kind))];
  const most = reach(result.effects);
  const power = most < 0.01 || most >= 100 ? Math.floor(Math.log10(most) + 1e-9) : 0; // named once, below
  const cell = (/** @type {number} */ x) => {
    const text = Math.abs(x / 10 ** power).toFixed(2);
    return +text ? `${x < 0 ? "−" : "+"}${text}` : "0";
  };
  return {
    table: { layers, kinds, ...sourced(result.effects) }, key: `${layers}/${kinds}`,
    cells: result.effects.map((/** @type {any} */ { layer, kind, change }) =>
      ({ layer, kind, l: layers.indexOf(layer), value: change, kept: null })),
    scale: { low: -most, high: most, text: cell, cell, unit: power ? `${UNIT}, times 10${superscript(power)}` : UNIT },
  };
}

part("attribution", ({ host, get, watch }) => {
  host.replaceChildren();
  const runs = watchRuns(host, "attribution", { label: "Measuring", idle: IDLE });
  const box = html("section", { class: "plot plot-attribution" }, host);
  const heading = html("h3", { class: "plot-title" }, box);
  const barsRoot = svg("svg",
    { id: "attribution-bars", role: "img", "aria-label": "Change of the answer's loss by layer." }, box);
  const mapRoot = svg("svg",
    { id: "attribution-map", role: "img", tabindex: "0",
      "aria-label": "Change of the answer's loss by layer and module. Arrow keys move from cell to cell." }, box);
  const how = html("p", { class: "how" }, box);
  const sentence = html("p", { class: "said" }, box);
  const about = html("p", { class: "how" }, box);
  const tip = html("div", { class: "tip", hidden: "" }, box);
  const announcement = html("output", { class: "sr", "aria-live": "polite" }, host);
  const twin = twinTable(host);
  let /** @type {any} */ result = null, /** @type {any} */ pointed = null, drawn = "";
  saveable(box, "attribution", rows, () => (result?.by === "module" ? mapRoot : barsRoot));

  const map = heatmapPlot(mapRoot, (index) => { pointed = index; showTip(); }, signs);
  function showTip() {
    const effect = pointed === null || !result ? null : result.effects[pointed];
    tip.hidden = !effect;
    if (!effect) return;
    const name = nameOf(effect, result.effects);
    const text = `${name}: ${signed(effect.change)}\u202f${UNIT}, to a loss of ${three(effect.loss)}`;
    say(tip, text);
    const { x, y, width, height } = map.boxOf(pointed);
    const left = Math.min(Math.max(x + width / 2 - 130, 0), Math.max(mapRoot.clientWidth - 260, 0));
    tip.style.top = `${px(mapRoot.getBoundingClientRect().top - box.getBoundingClientRect().top + y + height + 6)}px`;
    tip.style.transform = `translate(${px(left)}px, 0)`;
    if (document.activeElement === mapRoot) say(announcement, text);
  }
  function draw() {
    if (!result) return;
    const width = Math.floor(host.clientWidth);
    const key = `${width}/${result.id}`;
    if (!width || key === drawn) return;
    drawn = key;
    const layered = result.by === "layer";
    barsRoot.style.display = layered ? "" : "none";
    mapRoot.style.display = layered ? "none" : "";
    if (layered) bars(barsRoot, result, width); else map.draw(viewOf(result), width);
    say(heading, title(result));
    say(how, HOW[result.by]);
    say(sentence, result.sentence);
    const base = result.base_loss === null ? "" : ` Without any delta, as the base, it is ${three(result.base_loss)}.`;
    say(about,
      `${result.own ? "The merge's own answer" : "The answer"}, ${result.tokens} tokens: “${result.answer}”. Its loss `
      + `is ${three(result.loss)}\u202f${UNIT}.${base} Question: “${result.prompt}”`);
    twin(result);
  }
  function rows() {
    if (!result) return null;
    return {
      columns: ["layer", "module", `loss without it (${UNIT})`, `change of the loss (${UNIT})`],
      rows: result.effects.map((/** @type {any} */ { layer, kind, loss, change }) =>
        [layer ?? "outside", layer === null ? null : kind, loss, change]),
    };
  }
  function take(/** @type {any} */ next) {
    if (!runs.take(next)) return;
    if (next.result) { result = { ...next.result, id: next.id }; tables.noteMerged(result.recipe); }
    put(host, "data-result", result !== null);
  }
  watch(take);
  take(get());
  new ResizeObserver(draw).observe(host);
  paint(() => { runs.paint(result?.recipe); draw(); });
});

// The numbers for readers who cannot see the plot.
/** @param {any} host */
function twinTable(host) {
  const details = html("details", { class: "twin-box compared" }, host);
  html("summary", {}, details, "The plot as a table");
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attribution as a table" },
    details);
  const table = html("table", { class: "twin" }, scroll);
  return (/** @type {any} */ { effects, by }) => {
    table.replaceChildren();
    html("caption", {}, table, `Loss of the answer without one ${by}, in ${UNIT}`);
    const head = html("tr", {}, html("thead", {}, table));
    for (const name of [by, "loss without it", "change"]) html("th", { scope: "col" }, head, name);
    const body = html("tbody", {}, table);
    for (const effect of effects) {
      const row = html("tr", {}, body);
      html("th", { scope: "row" }, row, nameOf(effect, effects));
      html("td", {}, row, three(effect.loss));
      html("td", {}, row, signed(effect.change) || "0");
    }
  };
}

// --- example questions: one of each domain, or the last one of the chat -------------------------------
part("attribution-examples", ({ host, get, trigger }) => {
  host.replaceChildren();
  const pick = (/** @type {any} */ prompt) => { if (prompt) { server.asked = prompt; trigger("pick"); } };
  for (const { domain, colour, prompt } of get() || []) {
    const button = html("button",
      { type: "button", class: "small", "data-domain": domain, title: prompt,
        "aria-label": `Example, ${domain}: ${prompt}` }, host);
    button.style.setProperty("--model", colour);
    html("span", { class: "swatch", "aria-hidden": "true" }, button);
    html("span", {}, button, domain);
    button.addEventListener("click", () => pick(prompt));
  }
  const questions = () => document.querySelectorAll("#transcript .question");
  const last = html("button",
    { type: "button", class: "small", "data-domain": "chat", title: "The question asked last in the chat" }, host,
    "last question of the chat");
  const newest = () => [...questions()].pop()?.textContent ?? "";
  last.addEventListener("click", () => pick(newest()));
  let taken = "";
  paint(() => {
    last.disabled = questions().length === 0;
    if (document.body.dataset.view !== "attribution" || last.disabled || newest() === taken) return;
    const typed = document.querySelector("#attribution-prompt textarea")?.value;
    if (!typed || typed === taken) pick((taken = newest()));
  });
});
