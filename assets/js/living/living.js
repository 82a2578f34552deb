// A living figure: a page that draws one figure and needs no server. Its address says which, and with which settings.
import { html, put, byId } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { FIGURES, readAddress } from "../session/figure_address.js";
import { paint, redraw, server } from "../session/parts.js";
import { adoptState } from "../session/session_value.js";
import * as tables from "../session/tables.js";
import * as frame from "../plots/frame_values.js";
import { answers, questionInput } from "./answers.js";
import { asking, examples, openWith } from "./asking.js";
import { byHandFigure } from "./by_hand.js";
import { list, mergeInputs, modelInput } from "./inputs.js";
import { QUANTITIES } from "../plots/plot_sentences.js";
import { strip } from "../stage/strip.js";
import * as plots from "./plots.js";

const data = JSON.parse(byId("living-data").textContent);
const host = byId("figure"), box = html("div", { class: "figure-parts" });
/** @param {HTMLElement} at */
const stripWithAnswer = (at) => strip(at, (last) => answers(last, html("div", {}, at)));
/** Figure -> its parts, and what its controls are. @type {Record<string, {parts: Function[], inputs: string[]}>} */
const LAYOUTS = {
  stage: { parts: [(/** @type {any} */ at) => strip(at), answers, plots.kept],
    inputs: ["merge", "factors", "model", "question"] },
  strip: { parts: [stripWithAnswer], inputs: ["merge", "factors", "question"] },
  heatmap: { parts: [plots.heatmap], inputs: ["merge", "model", "quantity"] },
  kept: { parts: [plots.kept], inputs: ["merge", "model"] },
  distribution: { parts: [plots.distribution], inputs: ["merge", "model"] },
  answer: { parts: [answers], inputs: ["merge", "factors", "question"] },
};

// --- the settings: those of the address, else the usual ones -----------------------------------------
const models = data.usual.models.map((/** @type {DomainModel} */ { ref }) => ref);
const nameOf = (/** @type {string} */ ref) => ref.replace(/^zoo:/, "");
const { values, problems } = readAddress(window.location.hash,
  { strengths: Object.keys(data.tables).map(Number), models: models.map(nameOf),
    methods: data.methods.map((/** @type {any} */ { name }) => name) });

function begin() {
  server.methods = data.methods;
  controls.state.base = data.usual.base;
  takeTables(data.usual.strength);
  adoptState(data.usual);
  openWith(data);
  const { rate, method, factors, strength, coefficients, model, quantity, q } = values;
  controls.set({
    ...(rate !== undefined && { rate: 100 * rate }), ...(method && { method }), ...(quantity && { quantity }),
    ...(factors && { factors, partitions: factors.length }), ...(strength !== undefined && { strength }),
    ...(coefficients && { models: controls.state.models.map((row, i) => ({ ...row, coefficient: coefficients[i] })) }),
    focus: `zoo:${model ?? nameOf(models[0])}`,
  });
  asking.question = q ?? examples()[0].prompt;
}
let /** @type {number | null} */ drawnStrength = null;
/** Tables are made for a strength. @param {number} strength */
function takeTables(strength) {
  if (strength === drawnStrength) return;
  drawnStrength = strength;
  tables.takeTables({ tables: data.tables[strength], names: data.names, outliers: data.outliers,
    settings: data.settings });
}
/** Pruning by magnitude is DPPA's plan without a shift. */
const strengthNow = () => (controls.method().name === "magnitude" ? 0 : controls.state.strength);

// --- theme, and what the address got wrong -----------------------------------------------------------
function dress() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const choose = () =>
    document.body.classList.toggle("dark", values.theme ? values.theme === "dark" : dark.matches);
  choose();
  dark.addEventListener("change", () => { choose(); redraw(); });
  put(document.body, "data-ground", values.ground ?? "page");
  host.replaceChildren();
  for (const problem of problems) html("p", { class: "figure-problem", role: "alert" }, host, problem);
}

// --- one figure ---------------------------------------------------------------------------------------
/** @param {string} name */
function build(name) {
  const { parts, inputs } = LAYOUTS[name];
  const bar = html("form", { class: "figure-inputs", "aria-label": "Settings" }, host);
  bar.addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  host.append(box);
  /** @type {Record<string, () => () => void>} */
  const builders = { merge: () => mergeInputs(bar, inputs.includes("factors")), question: () => questionInput(bar),
    model: () => modelInput(bar), quantity: () => quantityInput(bar) };
  const drawInputs = inputs.filter((input) => builders[input]).map((input) => builders[input]());
  const drawParts = parts.map((part) => {
    const place = html("div", { class: "figure-part" }, box);
    return { draw: part(place), place };
  });
  paint(() => {
    takeTables(strengthNow());
    host.style.setProperty("--focus", server.names[controls.state.focus].colour);
    for (const draw of drawInputs) draw();
    const view = frame.makeView();
    for (const { draw, place } of drawParts) draw(view, Math.floor(place.clientWidth));
    put(host, "data-drawn", name);
  });
  new ResizeObserver(redraw).observe(box);
}
/** @param {Element} bar */
function quantityInput(bar) {
  const { select } = list(bar, "quantity", "Colour", [], (value) => controls.set({ quantity: value }));
  return () => {
    const all = frame.quantities().filter((name) => !["overlap", "conflict"].includes(name) && !frame.isAfter(name));
    if (select.dataset.all !== all.join()) {
      select.dataset.all = all.join();
      select.replaceChildren(...all.map((value) => html("option", { value }, null, QUANTITIES[value].title)));
    }
    select.value = frame.quantity();
  };
}

begin();
dress();
const name = values.figure ?? FIGURES[0];
put(document.body, "data-figure", name);
if (name === "by-hand") byHandFigure(host, data.byHand); else build(name);
window.addEventListener("hashchange", () => window.location.reload());
if (values.ratio === "16:9") { // the whole figure, as large as its frame lets it be
  put(document.body, "data-ratio", "16:9");
  const fit = () => host.style.setProperty("--scale",
    String(Math.min(window.innerWidth / host.offsetWidth, window.innerHeight / host.offsetHeight)));
  window.addEventListener("resize", fit);
  new ResizeObserver(fit).observe(host);
} else { // a page that holds the figure in a frame may give it the height it needs
  new ResizeObserver(() => window.parent.postMessage({ livingHeight: host.offsetHeight }, "*")).observe(host);
}
