// Plots of results: lines, bars and points with their 95 % intervals, and heatmaps.
import { amounts, signs, html, svg, put, px, ticks, axis } from "../base/shapes.js";
import { server } from "../session/parts.js";
import { bandOf, fingerRoom, shiftOf } from "./mark_places.js";

const LEFT = 54, RIGHT = 14, TOP = 10, HEIGHT = 210, BOTTOM = 44;
const LETTER = 6.6, FEW = 8; // pixels; up to so many values of an axis are all marked
const SERIES = 8, CLICK = "Set the controls to this merge"; // distinguishable colours; what a mark does

// One decimal from 10 on, three digits below; as in docs/experiments.md.
/** @param {any} value */
const number = (value) =>
  (Math.abs(value) >= 10 ? value.toFixed(1).replace(/\.0$/, "") : String(+value.toPrecision(3))).replace("-", "−");
// A half to the even tenth, as in sentences, which Python writes.
/** @param {any} value */
const tenth = (value) => (Math.abs(value * 10) % 1 === 0.5 ? (2 * Math.round(value * 5)) / 10 : +value.toFixed(1));
/** With one decimal if it is a share or a difference of shares. */
export const resultValue = (/** @type {any} */ value, /** @type {any} */ unit) =>
  (unit === "%" || unit === "points" ? String(tenth(value)).replace("-", "−") : number(value));
// As the rest of the page writes them: no line ends between a number and its sign.
/** @param {string} text */
export const resultText = (text) => text.replace(/(\d) %/g, "$1\u202f%").replace(/(^|[\s(])-(?=\d)/g, "$1−")
  .replaceAll("‖d‖/‖W‖", "‖d‖/\u2060‖W‖");
/** @param {any} options */
const axisText = ({ title, unit }) => (unit ? `${title} (${unit})` : title);
export { number as resultNumber, axisText as resultAxis };

const numeric = (/** @type {any[]} */ values) => values.filter((x) => typeof x === "number");
/** @param {any} root @param {number} width @param {number} height */
function size(root, width, height) {
  root.replaceChildren();
  for (const [name, value] of [["viewBox", `0 0 ${width} ${height}`], ["width", width], ["height", height]])
    put(root, String(name), value);
}

/** Each series has its own mark, besides its colour. @type {((x: number, y: number) => string)[]} */
const MARKS = [
  (x, y) => `M${px(x - 4)} ${px(y)}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z`,
  (x, y) => `M${px(x - 3.6)} ${px(y - 3.6)}h7.2v7.2h-7.2Z`,
  (x, y) => `M${px(x)} ${px(y - 5)}l5 5l-5 5l-5 -5Z`,
  (x, y) => `M${px(x)} ${px(y - 5)}l4.7 8.4h-9.4Z`,
  (x, y) => `M${px(x)} ${px(y + 5)}l4.7 -8.4h-9.4Z`,
  (x, y) => `M${px(x - 5)} ${px(y - 1.6)}h10v3.2h-10Z`,
  (x, y) => `M${px(x - 1.4)} ${px(y - 5)}h2.8v3.6h3.6v2.8h-3.6v3.6h-2.8v-3.6h-3.6v-2.8h3.6Z`,
];
const DASHES = ["none", "6 3", "2 3", "8 3 2 3"], mark = (/** @type {number} */ place) => MARKS[place % MARKS.length];
/** @param {any} series @param {any} place */
const colourOf = ({ name, line }, place) => {
  if (line) return "var(--d-ink)";
  const zooEntry = Object.entries(server.names).find(([ref, { label }]) => ref.startsWith("zoo:") && label === name);
  return zooEntry ? zooEntry[1].colour : `var(--series-${place % SERIES})`;
};
// The marks and names of all series, in the form of `saveable`.
/** @param {any} list @param {any} chart */
export const resultLegend = (list, chart) => {
  list.replaceChildren();
  if (chart.kind === "heatmap" || chart.series.length < 2) return;
  chart.series.forEach((/** @type {any} */ series, /** @type {any} */ place) => {
    const item = html("li", {}, list);
    const root = svg("svg", { width: 14, height: 12, viewBox: "0 0 14 12", "aria-hidden": "true" }, item);
    svg("path", { d: chart.kind === "bars" ? "M1 1h12v10h-12Z" : series.line ? "M0 5h14v2h-14Z" : mark(place)(7, 6),
      fill: colourOf(series, place) }, root);
    html("span", {}, item, series.name);
  });
};

/** @param {any} root @param {any} chart @param {number} width @param {any} marks @param {any} at */
function yAxis(root, chart, width, marks, at) {
  for (const v of marks) {
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: px(at(v)), y2: px(at(v)),
      class: v || chart.y.text ? "grid" : "zero" }, root);
    svg("text", { x: LEFT - 6, y: px(at(v) + 4), class: "tick end" }, root, (chart.y.text ?? number)(v));
  }
  const middle = TOP + HEIGHT / 2;
  svg("text", { x: 11, y: middle, class: "axis middle", transform: `rotate(-90 11 ${middle})` }, root,
    axisText(chart.y));
}
// All names; of numbers that would overlap, the first and the last, the others only in the tips.
/** @param {any} root @param {any} chart @param {number} width @param {any} names @param {any} at */
function xAxis(root, chart, width, names, at) {
  const foot = TOP + HEIGHT, tilted = tilts(names, width);
  const say = names ? String : chart.x.text ?? number;
  const labels = (names ?? chart.x.marks ?? marksOf(chart))
    .map((/** @type {any} */ value) => ({ x: at(value), text: say(value) }));
  const apart = (/** @type {any} */ label, /** @type {any} */ next) =>
    next.x - label.x >= ((label.text.length + next.text.length) * LETTER) / 2 + 4;
  const spacedLabels = [];
  for (const label of labels) {
    if (names || !spacedLabels.length || apart(spacedLabels.at(-1), label)) spacedLabels.push(label);
    else if (label === labels.at(-1) && spacedLabels.length > 1) spacedLabels.splice(-1, 1, label);
  }
  for (const { x, text } of spacedLabels) {
    svg("text",
      { x: px(x), y: foot + 16, class: `tick ${tilted ? "end" : "middle"}`,
        ...(tilted ? { transform: `rotate(-32 ${px(x)} ${foot + 12})` } : {}) }, root, text);
  }
  svg("text", { x: px((LEFT + width - RIGHT) / 2), y: foot + below(names, width) - 6, class: "axis middle" }, root,
    axisText(chart.x));
}
// The measured values if they are few; else round ones within the plot.
/** @param {any} chart */
function marksOf(chart) {
  const values = [...new Set(chart.series.flatMap((/** @type {any} */ series) => series.x))].sort((a, b) => a - b),
    [low, high] = [values[0], values[values.length - 1]];
  return values.length <= FEW ? values : ticks(low, high);
}
/** @param {any} names */
const longest = (names) => Math.max(0, ...(names ?? []).map((/** @type {string} */ name) => String(name).length));
/** @param {any} names @param {number} width */
const tilts = (names, width) => Boolean(names) && longest(names) * LETTER > (width - LEFT - RIGHT) / names.length;
/** @param {any} names @param {number} width */
const below = (names, width) => (tilts(names, width) ? BOTTOM + Math.min(longest(names) * 3.4, 90) : BOTTOM);
/** @param {any} root @param {number} x @param {number} low @param {number} high @param {any} at @param {any} colour */
function whisker(root, x, low, high, at, colour) {
  if (typeof low !== "number" || typeof high !== "number") return;
  svg("path", { class: "whisker", d: `M${px(x - 3)} ${px(at(low))}h6m-3 0V${px(at(high))}m-3 0h6`, stroke: colour },
    root);
}
/** @param {any} root @param {any} chart @param {any} series @param {number} i @param {any} to @param {any} pick */
function tip(root, chart, series, i, to, pick) {
  const low = series.low[i], high = series.high[i];
  const interval = typeof low === "number" && typeof high === "number" ? ` (${number(low)} to ${number(high)})` : "";
  const x = typeof series.x[i] === "number" ? (chart.x.text ?? number)(series.x[i]) : series.x[i];
  const label = series.labels[i] ? `, ${series.labels[i]}` : "";
  const unit = chart.x.unit === "%" ? "\u202f%" : chart.x.text ? ` ${chart.x.unit}` : "";
  const point = `${series.name}${label}: ${chart.x.title} ${x}${unit}`;
  const go = to && pick?.(to, point);
  const sentence = `${point}, ${chart.y.title} ${(chart.y.text ?? number)(series.y[i])}`
    + `${chart.y.unit === "%" ? "\u202f%" : ` ${chart.y.unit}`}${interval}`;
  svg("title", {}, root, go ? `${sentence}. A click, or Enter: ${go.does ?? CLICK}.` : sentence);
  if (go) clickable(root, sentence, go);
}
/** @type {(...all: any[]) => void} */
const seriesOf = (root, chart, series, place, at, pick) => {
  const colour = colourOf(series, place), band = bandOf(chart, at), shift = shiftOf(chart, place, at);
  const points = series.x.map((/** @type {any} */ x, /** @type {number} */ i) => [at.x(x) + shift, series.y[i], i])
    .filter((/** @type {any} */ [, y]) => typeof y === "number");
  if (chart.kind === "lines" || series.line) {
    const path = points.map((/** @type {any} */ [x, y], /** @type {number} */ k) =>
      `${k ? "L" : "M"}${px(x)} ${px(at.y(y))}`).join("");
    svg("path",
      { class: "curve-line", d: path, stroke: colour,
        "stroke-dasharray": series.line ? "none" : DASHES[Math.floor(place / MARKS.length) % DASHES.length] }, root);
  }
  for (const [x, y, i] of series.line ? [] : points) {
    const g = svg("g", { class: "point", "data-series": series.name, "data-value": y }, root);
    if (chart.kind === "bars") {
      const [top, foot] = [at.y(Math.max(y, 0)), at.y(Math.min(y, 0))];
      svg("rect",
        { x: px(x - band / 2 + 0.5), width: px(Math.max(band - 1, 1)), y: px(top),
          height: px(Math.max(foot - top, 0.5)), fill: colour }, g);
      whisker(g, x, series.low[i], series.high[i], at.y, "var(--d-ink)");
    } else {
      whisker(g, x, series.low[i], series.high[i], at.y, colour);
      if (chart.places?.[place]?.[i]) // room for a finger
        svg("circle", { cx: px(x), cy: px(at.y(y)), r: px(at.reach(x, at.y(y))), fill: "transparent" }, g);
      svg("path", { d: mark(place)(x, at.y(y)), fill: colour }, g);
    }
    tip(g, chart, series, i, chart.places?.[place]?.[i], pick);
  }
};
// The least and the greatest value of some charts, intervals included.
/** @param {any} charts */
export const resultBounds = (charts) => {
  const all =
    numeric(
      charts.flatMap((/** @type {any} */ chart) =>
        chart.series.flatMap((/** @type {any} */ series) => [...series.y, ...series.low, ...series.high])));
  return all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
};
/** @param {any} root @param {any} chart @param {number} width @param {any} bounds @param {any} pick */
function drawChart(root, chart, width, bounds, pick) {
  const named = chart.series.some((/** @type {any} */ series) =>
    series.x.some((/** @type {number} */ x) => typeof x === "string"));
  const names = named ? [...new Set(chart.series.flatMap((/** @type {any} */ series) => series.x))] : null;
  const [least, most] = bounds ?? resultBounds([chart]);
  const { low: bottom, high: top, marks } = chart.kind === "bars" ? axis(Math.min(least, 0), Math.max(most, 0))
    : chart.y.axis ?? axis(least, most);
  const all = names ? [] : numeric(chart.series.flatMap((/** @type {any} */ series) => series.x));
  const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  const inner = width - LEFT - RIGHT, edge = 10; // so that whiskers at the ends are whole
  const at = {
    room: names ? inner / names.length : 0,
    x: names ? (/** @type {number} */ x) => LEFT + (inner / names.length) * (names.indexOf(x) + 0.5)
    : (/** @type {number} */ x) => LEFT + edge + ((x - low) / (high - low || 1)) * (inner - 2 * edge),
    y: (/** @type {number} */ y) => TOP + (1 - (y - bottom) / (top - bottom)) * HEIGHT,
  };
  size(root, width, TOP + HEIGHT + below(names, width));
  yAxis(root, chart, width, marks, at.y);
  xAxis(root, chart, width, names, at.x);
  const reach = fingerRoom(chart, at);
  chart.series.forEach((/** @type {any} */ series, /** @type {any} */ place) =>
    seriesOf(root, chart, series, place, { ...at, reach }, pick));
}

/** @type {Record<string, any>} */
const SIGNS = { "▲": "wins", "△": "wins, but not against magnitude as pruned", "▼": "loses", "=": "ties",
  "?": "undecided", "×": "both below one model that is not merged" };
/** A long name in two lines; the second is its last part. @param {string} name */
const inTwo = (name) => name.split(/(?<=,) (?=[^,]*$)/);
// `pick` gives what a click on a cell does, by its place (table and row), or nothing.
/** @param {any} root @param {any} map @param {number} width @param {any} pick */
function drawHeatmap(root, map, width, pick) {
  const longest = Math.max(...map.rows.map((/** @type {any} */ rowName) => rowName.length));
  const left = Math.min(12 + 6.6 * longest, width * 0.48);
  const row = 28, step = (width - left - RIGHT) / map.columns.length, top = 54, foot = top + row * map.rows.length;
  const values = numeric(map.cells.flat()), [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = map.middle === null ? 0
    : Math.max(...values.map((/** @type {any} */ v) => Math.abs(v - map.middle)), 1e-12);
  const share = (/** @type {any} */ v) =>
    (map.middle === null ? (v - low) / (high - low || 1) : 0.5 + (v - map.middle) / (2 * reach));
  const ramp = map.middle === null ? amounts : signs;
  size(root, width, foot + 52);
  svg("text", { x: 0, y: 12, class: "axis" }, root, axisText(map.y));
  svg("text", { x: px(left + (width - left - RIGHT) / 2), y: 30, class: "axis middle" }, root, axisText(map.x));
  map.columns.forEach((/** @type {string} */ name, /** @type {any} */ j) =>
    svg("text", { x: px(left + step * (j + 0.5)), y: 47, class: "tick middle" }, root, name));
  map.rows.forEach((/** @type {string} */ name, /** @type {number} */ i) => {
    const halves = name.length * LETTER > left - 6 ? inTwo(name) : [name];
    halves.forEach((text, k) => svg("text",
      { x: px(left - 6), y: px(top + row * (i + 0.5) + 4 + 12 * (k - (halves.length - 1) / 2)), class: "tick end" },
      root, text));
    map.cells[i].forEach((/** @type {any} */ value, /** @type {any} */ j) => {
      const sign = map.marks?.[i]?.[j] ?? ""; // files of earlier versions have none
      const colourValue = value === null || sign === "×" ? null : value; // the colour of one that tells nothing would
      const g = svg("g",
        { class: "point", "data-row": name, "data-column": map.columns[j],
          ...(value === null ? {} : { "data-value": value }) }, root);
      svg("rect",
        { x: px(left + step * j + 1), y: px(top + row * i + 1), width: px(step - 2), height: row - 2, rx: 2,
          fill: colourValue === null ? "var(--d-sunk)" : ramp.colour(share(colourValue)) }, g);
      svg("text",
        { class: "number", x: px(left + step * (j + 0.5)), y: px(top + row * (i + 0.5)),
          fill: colourValue === null ? "var(--d-ink)" : ramp.ink(share(colourValue)) }, g,
          value === null ? "–" : `${number(value)} ${sign}`.trim());
      const sentence = `${map.y.title} ${name}, ${map.x.title} ${map.columns[j]}: `
        + `${value === null ? "not measured" : `${number(value)} ${map.z.unit}${sign && `, ${SIGNS[sign]}`}`}`;
      const place = map.places?.[i]?.[j], go = place && pick?.(place, `${name}, ${map.columns[j]} pruned`);
      svg("title", {}, g, go ? `${sentence}. A click, or Enter: ${CLICK}.` : sentence);
      if (go) clickable(g, sentence, go);
    });
  });
  scale(root, map, { left, width, foot }, map.middle === null ? [low, high] : [map.middle - reach, map.middle + reach],
    ramp);
}
/** @param {any} g @param {string} sentence @param {any} go */
function clickable(g, sentence, go) {
  const attributes = { tabindex: 0, role: "button", "aria-label": `${go.does ?? CLICK}. ${sentence}`,
    ...(go.chosen && { "data-chosen": "true" }) };
  for (const [name, value] of Object.entries(attributes)) put(g, name, value);
  g.addEventListener("click", () => {
    for (const sibling of g.parentNode.querySelectorAll("[data-chosen]")) sibling.removeAttribute("data-chosen");
    put(g, "data-chosen", "true");
    go();
  });
  g.addEventListener("keydown", (/** @type {any} */ event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    g.dispatchEvent(new MouseEvent("click"));
  });
}
/** @param {any} root @param {any} map @param {any} options @param {any} pair @param {any} ramp */
function scale(root, map, { left, width, foot }, [low, high], ramp) {
  const steps = 32, wide = (width - left - RIGHT) / steps;
  for (let i = 0; i < steps; i++)
    svg("rect",
      { x: px(left + wide * i), y: foot + 12, width: px(wide + 0.5), height: 8, fill: ramp.colour(i / (steps - 1)) },
      root);
  svg("text", { x: px(left), y: foot + 36, class: "tick" }, root, number(low));
  const fits = axisText(map.z).length * LETTER + 90 < width - left - RIGHT; // between the numbers, else below them
  svg("text", fits ? { x: px(left + (width - left - RIGHT) / 2), y: foot + 36, class: "axis middle" }
    : { x: px(width - RIGHT), y: foot + 50, class: "axis end" }, root, axisText(map.z));
  svg("text", { x: px(width - RIGHT), y: foot + 36, class: "tick end" }, root, number(high));
}
/**
 * Draw a plot.
 * @param {any} [bounds] of a chart
 * @param {(place: [number, number], what: string) => (() => void) | null} [pick]
 */
export const resultPlot = (/** @type {any} */ root, /** @type {any} */ plot, /** @type {number} */ width, bounds = null,
  pick = () => null) =>
  (plot.kind === "heatmap" ? drawHeatmap(root, plot, width, pick) : drawChart(root, plot, width, bounds, pick));

// The numbers of a plot, for a file.
/** @param {any} plot */
export const resultRows = (plot) => {
  if (plot.kind === "heatmap") {
    return {
      columns: [axisText(plot.y), axisText(plot.x), axisText(plot.z)],
      rows: plot.rows.flatMap((/** @type {any} */ row, /** @type {number} */ i) =>
        plot.columns.map((/** @type {any} */ column, /** @type {any} */ j) => [row, column, plot.cells[i][j]])),
    };
  }
  return {
    columns: ["series", axisText(plot.x), axisText(plot.y), "95 % interval from", "to", "label"],
    rows: plot.series.flatMap((/** @type {any} */ series) =>
      series.x.map((/** @type {number} */ x, /** @type {number} */ i) =>
        [series.name, x, series.y[i], series.low[i] ?? null, series.high[i] ?? null, series.labels[i] ?? ""])),
  };
};
