// Distances between two models or merges: a heatmap of one measure, and a table of all measures.
import { amounts, signs, html, svg, say, put, px, percent, count } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import * as history from "../session/history.js";
import { paint, part } from "../session/parts.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";
import * as tables from "../session/tables.js";
import { heatmapPlot, layerWords } from "./heatmap.js";
import * as words from "./plot_sentences.js";

// --- the choice of two models -----------------------------------------------------------------------
part("compare-choice", ({ host, put: send }) => {
  host.replaceChildren();
  /** @type {Record<string, string>} */
  const sides = { first: "merged", second: "" };
  const boxes = Object.fromEntries(
      [["first", "Compare", "The model everything is measured from"],
          ["second", "with", "The model it is compared with"]].map(([key, label, title]) => {
    const wrap = html("label", { class: "choice", title }, host);
    html("span", {}, wrap, label);
    const box = html("select", { id: `compare-${key}` }, wrap);
    box.addEventListener("change", () => { sides[key] = box.value; tell(); });
    return [key, box];
  }));
  // Send the slot that is not shown: only the browser knows it.
  const others = () => {
    const { slot, slots } = history.history();
    const name = slot === "A" ? "B" : "A";
    return { slot: name, other: slots[name] };
  };
  const tell = () => send({ ...sides, ...(Object.values(sides).includes("other") && others()) });
  history.onSettled(() => tell());
  let offered = "";
  paint(() => {
    const hash = tables.recipe(), { slot, other: slotState } = others();
    const models = controls.state.models.map((model) => model.ref);
    const options = [
      ["merged", `the merge${hash ? ` (${hash.slice(0, 6)})` : ""}`],
        ["other", `the merge in slot ${slot}${slotState ? "" : " (empty yet)"}`],
      ...[controls.state.base, ...models].filter(Boolean).map((name) => [name, words.label(name)]),
    ];
    const key = JSON.stringify(options);
    if (key === offered) return;
    offered = key;
    const names = options.map(([name]) => name);
    if (!names.includes(sides.first)) sides.first = "merged";
    if (!names.includes(sides.second)) sides.second = models[0] ?? controls.state.base;
    for (const [side, box] of Object.entries(boxes)) {
      box.replaceChildren();
      for (const [name, text] of options)
        html("option", { value: name, ...(name === "other" && !slotState && { disabled: "" }) }, box, text);
      box.value = sides[side];
    }
    tell();
  });
});

// --- the measures: X and Y are the two, W the base -----------------------------------------------
/** @param {number} x */
const two = (x) => (Math.abs(x) < 0.005 ? "0" : x.toFixed(2).replace("-", "−"));
const MEASURES = [
  { name: "over_base", title: "difference ÷ base", unit: "‖X − Y‖ / ‖W‖, %", text: percent, map: amounts, low: 0,
      grows: true,
    how: "Colour, number: size of the difference of the two, divided by the size of the base's weights W." },
  { name: "delta_cosine", title: "cosine of the two changes", unit: "cosine", text: two, map: signs, low: -1, high: 1,
    how: "Colour, number: 1, reddish, where both moved the same way from the base; 0 where they have nothing in "
    + "common; −1, bluish, the opposite way." },
  { name: "sign_agreement", title: "sign agreement", unit: "share of what both changed, %", text: percent, map: signs,
      low: 0, high: 1,
    how: "Colour, number: of the weights that both changed, the share moved in the same direction. 50\u202f% is "
    + "chance." },
  { name: "first_only", title: "changed by X only", unit: "share of weights, %", text: percent, map: amounts, low: 0,
      grows: true,
    how: "Colour, number: share of the weights that the first has changed from the base, and the second has not." },
  { name: "second_only", title: "changed by Y only", unit: "share of weights, %", text: percent, map: amounts, low: 0,
      grows: true,
    how: "Colour, number: share of the weights that the second has changed from the base, and the first has not." },
];
/** @param {any} result @param {any} options */
const hasValues = (result, { name }) => result.cells.some((/** @type {MatrixCell} */ cell) => cell[name] !== null);
/** @param {string} name */
const isMeasure = (name) => MEASURES.some((quantity) => quantity.name === name);
/** @param {any} result */
const names = (result) => result.sides.map((/** @type {any} */ { label }) => label);
/** @param {any} options @param {any} result */
const titled = ({ title }, result) => title.replace(" X ", ` ${names(result)[0]} `)
  .replace(" Y ", ` ${names(result)[1]} `);

/** @param {any} result */
const sourced = (result) => {
  const layers = result.cells.map((/** @type {MatrixCell} */ { layer }) => layer);
  return { sources: tables.sourcesOf(layers) };
};

/** @param {any} result @param {any} measure */
function sentence(result, measure) {
  const cells = result.cells.filter((/** @type {MatrixCell} */ cell) => cell[measure.name] !== null);
  const [x, y] = names(result);
  const all = result.modules[measure.name];
  const best = cells.reduce((/** @type {any} */ a, /** @type {any} */ b) =>
    (b[measure.name] > a[measure.name] ? b : a));
  const place = `layer ${layerWords(sourced(result), best.layer)}, ${best.kind} (${measure.text(best[measure.name])})`;
  if (result.modules.changed === 0) return `No matrix of ${x} and ${y} differs`;
  if (measure.name === "over_base")
    return `${first(x)} and ${y} differ by ${measure.text(all)} of the base, most in ${place}`;
  if (measure.name === "delta_cosine")
    return `The changes of ${x} and ${y} have a cosine of ${measure.text(all)}, most in ${place}`;
  if (measure.name === "sign_agreement")
    return `${first(x)} and ${y} agree in ${measure.text(all)} of the signs, most in ${place}`;
  return `${measure.text(all)} of the weights are changed by ${measure.name === "first_only" ? x : y} only, most in `
    + `${place}`;
}
/** @param {string} text */
const first = (text) => text[0].toUpperCase() + text.slice(1);

part("compare", ({ host, get, watch }) => {
  host.replaceChildren();
  const runs = watchRuns(host, "compare", {
    label: "Comparing",
    idle: "Not compared yet. Take the base and a domain model, the merge and a domain model, or the merges of settings "
    + "A and B.",
  });
  const box = html("section", { class: "plot plot-compare" }, host);
  const wrap = html("label", { class: "choice", title: "What the colour of a cell means" }, box);
  html("span", {}, wrap, "Show");
  const select = html("select", { id: "compare-measure" }, wrap);
  const heading = html("h3", { class: "plot-title" }, box);
  let /** @type {any} */ result = null, measure = MEASURES[0], /** @type {any} */ cells = [],
    /** @type {any} */ pointed = null,
    drawn = "";
  const drawing = (/** @type {string} */ id, /** @type {any} */ colours) => {
    const root = svg("svg",
      { id, role: "img", tabindex: "0",
        "aria-label": "Difference by layer and module. Arrow keys move from cell to cell." }, box);
    return { root, colours, ...heatmapPlot(root, (index) => { pointed = index; showTip(); }, colours) };
  };
  const maps = [drawing("compare-amounts", amounts), drawing("compare-signs", signs)];
  const how = html("p", { class: "how" }, box);
  const tip = html("div", { class: "tip", hidden: "" }, box);
  const announcement = html("output", { class: "sr", "aria-live": "polite" }, host);
  const settings = html("div", { class: "compared" }, host);
  const table = tableOf(host);
  let map = maps[0];
  saveable(box, "compare", () => table.rows(), () => map.root);

  function showTip() {
    const cell = pointed === null ? null : cells[pointed];
    tip.hidden = !cell;
    if (!cell) return;
    const text = [`layer ${layerWords(sourced(result), cell.layer)}, ${cell.kind}`,
      ...MEASURES.filter((quantity) => cell[quantity.name] !== null)
      .map((quantity) => `${titled(quantity, result)} ${quantity.text(cell[quantity.name])}`)].join(" · ");
    say(tip, text);
    const { root } = map, { x, y, width, height } = map.boxOf(pointed);
    const left = Math.min(Math.max(x + width / 2 - 130, 0), Math.max(root.clientWidth - 260, 0));
    tip.style.top = `${px(root.getBoundingClientRect().top - box.getBoundingClientRect().top + y + height + 6)}px`;
    tip.style.transform = `translate(${px(left)}px, 0)`;
    if (document.activeElement === root) say(announcement, text);
  }
  function draw() {
    if (!result) return;
    if (!hasValues(result, measure)) measure = MEASURES.find((quantity) => hasValues(result, quantity)) ?? MEASURES[0];
    const width = Math.floor(host.clientWidth);
    const key = `${width}/${result.id}/${measure.name}`;
    if (!width || key === drawn) return;
    drawn = key;
    const layers = [...new Set(result.cells.map((/** @type {any} */ { layer }) => layer))],
      kinds = [...new Set(result.cells.map((/** @type {any} */ { kind }) => kind))];
    cells = result.cells.filter((/** @type {MatrixCell} */ cell) => cell[measure.name] !== null);
    const high = measure.high ?? (Math.max(...cells.map((/** @type {MatrixCell} */ cell) => cell[measure.name])) || 1);
    map = maps.find(({ colours }) => colours === measure.map) ?? maps[0];
    for (const heatmap of maps) heatmap.root.style.display = heatmap === map ? "" : "none";
    map.draw({
      table: { layers, kinds, ...sourced(result) }, key: `${result.id}/${measure.name}`,
      cells: cells.map((/** @type {MatrixCell} */ cell) =>
        ({ layer: cell.layer, kind: cell.kind, l: layers.indexOf(cell.layer), value: cell[measure.name], kept: null })),
      scale: { low: measure.low, high, text: measure.text, cell: measure.text, unit: measure.unit },
    }, width);
    say(heading, sentence(result, measure));
    const [x, y] = names(result);
    say(how, `${measure.how} X: ${x}, Y: ${y}, W: ${result.base}.`);
    offer();
    table.fill(result);
    tell();
  }
  function offer() {
    select.replaceChildren();
    for (const quantity of MEASURES)
      html("option", { value: quantity.name, ...(!hasValues(result, quantity) && { disabled: "" }) }, select,
        titled(quantity, result));
    select.value = measure.name;
  }
  select.addEventListener("change", () => {
    measure = MEASURES.find((quantity) => quantity.name === select.value) ?? measure;
    draw();
  });
  function tell() {
    settings.replaceChildren();
    if (!result.settings) return;
    html("p", { class: "how" }, settings, result.settings.length ? `From ${names(result)[0]} to ${names(result)[1]}:`
      : "The two recipes are the same.");
    const list = html("ul", { class: "settings" }, settings);
    for (const line of result.settings) html("li", {}, list, line);
  }
  function take(/** @type {any} */ next) {
    if (!runs.take(next)) return;
    if (next.result) {
      result = { ...next.result, id: next.id };
      for (const { recipe } of result.sides) tables.noteMerged(recipe);
    }
    put(host, "data-result", result !== null);
  }
  watch(take);
  take(get());
  new ResizeObserver(draw).observe(host);
  const measured = () => result?.sides.find((/** @type {any} */ { label }) => label === "the merge")?.recipe;
  paint(() => { runs.paint(measured()); draw(); });
});

// --- the table: every measure of every cell, sorted by any -----------------------------------------
/** @param {any} host */
function tableOf(host) {
  const wrap = html("div", { class: "compared" }, host);
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of differences" },
    wrap);
  const table = html("table", { id: "compare-table" }, scroll);
  let /** @type {any} */ result = null, /** @type {any} */ by = null, falling = true;
  const columns = () => [
    { name: "layer", title: "layer", text: String }, { name: "kind", title: "module", text: String },
      { name: "numel", title: "weights", unit: "count", text: count },
    ...MEASURES.map((quantity) => ({ ...quantity, title: titled(quantity, result) })),
  ];
  function sorted() {
    const rows = [...result.cells];
    if (!by) return rows;
    const order = (/** @type {any} */ a, /** @type {any} */ b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
    return rows.sort((a, b) => {
      // what has no value comes last
      if (a[by] === null || b[by] === null) return Number(a[by] === null) - Number(b[by] === null);
      return falling ? order(b[by], a[by]) : order(a[by], b[by]);
    });
  }
  function build() {
    table.replaceChildren();
    html("caption", {}, table,
      `${first(names(result)[0])} and ${names(result)[1]}, module by module. A click on a heading sorts.`);
    const head = html("tr", {}, html("thead", {}, table));
    for (const { name, title, unit } of columns()) {
      const sort = by === name ? (falling ? "descending" : "ascending") : "none";
      const th = html("th", { scope: "col", "aria-sort": sort, title: unit ?? "" }, head);
      const button = html("button", { type: "button", "data-sort": name }, th, title);
      button.addEventListener("click", () => {
        falling = by === name ? !falling : true;
        by = name;
        build();
        table.querySelector(`button[data-sort="${name}"]`).focus();
      });
    }
    const body = html("tbody", {}, table);
    for (const cell of sorted()) {
      const row = html("tr", {}, body);
      for (const { name, text } of columns())
        html("td", { "data-name": name }, row, cell[name] === null ? "–" : text(cell[name]));
    }
  }
  return {
    fill(/** @type {any} */ next) { if (next !== result) { result = next; build(); } },
    rows: () => result && {
      columns: columns()
      .map(({ title, unit, name }) =>
        (unit ? `${title} (${isMeasure(name) ? unit.replace(", %", " as a share") : unit})`
          : title)),
      rows: sorted().map((cell) => columns().map(({ name }) => cell[name])),
    },
  };
}
