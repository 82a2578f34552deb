// A merge in one line: models, delta, prune, amplify, add, answer; every part moves with the controls.
import { html, svg, put, say, percent, percent1, px, three, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { atRate, partitionsOf } from "../session/densities.js";
import { server } from "../session/parts.js";
import * as frame from "../plots/frame_values.js";
import { shade } from "../plots/heatmap.js";
import { answers } from "./answers.js";

const WIDTH = 110, ROW = 26, GAP = 6, RARE = 0.005; // bins with a smaller share begin no hill
const STATIONS = ["models", "delta", "prune", "amplify", "add", "answer"];

/**
 * The frame's values of every model that takes part: what it keeps, how long that is, how it is spread.
 * @returns {{ref: string, colour: string, weight: number, share: number, length: number, view: any}[]}
 */
function parts() {
  const { focus, models } = controls.state;
  const all = models.filter(controls.decides).map((model) => {
    controls.state.focus = model.ref;
    const view = frame.makeView(), factors = controls.factorsOf(model.ref);
    const squares = view.cells.reduce((/** @type {number} */ sum, /** @type {any} */ cell) => sum + cell.squares, 0);
    const left = view.cells.reduce((/** @type {number} */ sum, /** @type {any} */ cell) =>
      sum + cell.squares * (view.shows === "whole" ? 1 : partitionsOf(view, cell).reduce(
        (/** @type {number} */ inside, /** @type {number[]} */ [, energy], /** @type {number} */ k) =>
          inside + energy * (factors[k] ?? 1) ** 2, 0)), 0);
    return { ref: model.ref, colour: server.names[model.ref].colour, weight: model.coefficient,
      share: view.shows === "whole" ? 1 : view.share, length: Math.sqrt(left / squares), view };
  });
  controls.state.focus = focus;
  return all;
}

/** The outline of a histogram at a share of each bin. @param {any} view @param {(bin: number) => number} share */
function hill({ table: { histogram }, numel }, share) {
  const first = histogram.findIndex((/** @type {number} */ n) => n > RARE * numel), bins = histogram.slice(first);
  const top = Math.max(...bins), step = WIDTH / bins.length;
  const y = (/** @type {number} */ i) => px(ROW - (ROW - 2) * (bins[i] / top) * share(first + i));
  return `M0 ${ROW}${Array.from(bins, (_, i) => `L${px(i * step)} ${y(i)}L${px((i + 1) * step)} ${y(i)}`).join("")}`
    + `L${WIDTH} ${ROW}Z`;
}

/** Share of a bin that a level keeps. @param {any} view @param {number} k */
const stays = (view, k) => (/** @type {number} */ bin) =>
  (view.shows === "whole" ? 1 : view.shows === "random" ? 1 - view.levels[k]
    : atRate(view.table.kept_histogram, bin, view.table.count, view.rates[k]));

/** @param {Element} parent @param {number} rows */
const drawing = (parent, rows) => {
  const height = rows * (ROW + GAP) - GAP;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true", class: "station-plot" }, parent);
};
/** @param {Element} root @param {number} i @param {string} colour */
const rowOf = (root, i, colour) => {
  const row = svg("g", { transform: `translate(0 ${i * (ROW + GAP)})` }, root);
  row.style.setProperty("--focus", colour);
  return row;
};

/** Draws one station anew. @type {Record<string, (root: Element, all: any[]) => string>} */
const DRAW = {
  models: (root, all) => {
    all.forEach(({ ref, colour }, i) => {
      const row = rowOf(root, i, colour);
      svg("rect", { x: 0, y: 0, width: WIDTH, height: ROW, rx: 6, class: "pill" }, row);
      svg("text", { x: WIDTH / 2, y: ROW / 2 + 4, class: "middle" }, row, server.names[ref].label);
    });
    return `${all.length} ${all.length === 1 ? "model" : "models"} made from one base`;
  },
  delta: (root, all) => {
    all.forEach(({ colour, view }, i) =>
      svg("path", { d: hill(view, () => 1), class: "hill" }, rowOf(root, i, colour)));
    return "what each changed, small to large";
  },
  prune: (root, all) => {
    all.forEach(({ colour, view }, i) => {
      const row = rowOf(root, i, colour);
      svg("path", { d: hill(view, () => 1), class: "hill pale" }, row);
      svg("path", { d: hill(view, stays(view, view.levels.length - 1)), class: "hill" }, row);
    });
    const shares = new Set(all.map(({ share }) => percent(share)));
    return shares.size === 1 && all[0].share > 0.9995 ? "all of it stays" : `${[...shares].join(", ")} of it stays`;
  },
  amplify: (root, all) => {
    const highest = Math.max(2, ...all.flatMap(({ ref }) => controls.factorsOf(ref)));
    all.forEach(({ ref, colour }, i) => {
      const row = rowOf(root, i, colour), factors = controls.factorsOf(ref), height = ROW / factors.length;
      factors.forEach((factor, k) => {
        const bar = svg("rect", { x: 0, y: px(k * height), width: px((WIDTH * factor) / highest),
          height: px(height - 1), class: "band" }, row);
        bar.style.fill = shade(k, factors.length);
      });
      svg("line", { x1: px(WIDTH / highest), x2: px(WIDTH / highest), y1: -2, y2: ROW + 2, class: "mean" }, row);
    });
    const factors = controls.factorsOf(all[0].ref);
    return factors.every((x) => x === 1) ? `×${THIN}1: as it is`
      : factors.map((x) => `×${THIN}${three(x)}`).join(", then ");
  },
  add: (root, all) => {
    const longest = Math.max(1, ...all.map(({ length, weight }) => Math.abs(weight * length)));
    all.forEach(({ colour, length, weight }, i) => {
      const row = rowOf(root, i, colour), x = (WIDTH * Math.abs(weight * length)) / longest;
      svg("rect", { x: 0, y: 2, width: WIDTH / longest, height: ROW - 4, rx: 3, class: "whole" }, row);
      svg("rect", { x: 0, y: 2, width: px(x), height: ROW - 4, rx: 3, class: weight < 0 ? "hill pale" : "hill" }, row);
      svg("text", { x: 6, y: ROW / 2 + 4, class: "on" }, row, percent(weight * length));
    });
    return "length added to the base, of the whole change";
  },
};

/** @param {HTMLElement} host @param {boolean} hasAnswer Whether the last station holds the merge's answer. */
export function strip(host, hasAnswer = true) {
  const title = html("h2", { class: "plot-title" }, host);
  const line = html("ol", { class: "strip" }, host);
  const names = STATIONS.filter((name) => name !== "answer" || hasAnswer);
  const stations = names.filter((name) => name !== "answer").map((name) => {
    const item = html("li", { class: "station", "data-station": name }, line);
    html("h3", {}, item, name);
    const root = drawing(item, Math.max(controls.state.models.length, 1));
    return { name, root, caption: html("p", { class: "how" }, item) };
  });
  const last = hasAnswer && html("li", { class: "station", "data-station": "answer" }, line);
  if (last) html("h3", {}, last, "answer");
  const drawAnswer = last && answers(last, html("div", {}, host));
  return () => {
    const all = parts();
    if (drawAnswer) drawAnswer();
    put(line, "data-models", all.length);
    if (!all.length) { say(title, "No model takes part: the merge is the base"); return; }
    const share = all.reduce((sum, part) => sum + part.share, 0) / all.length;
    say(title, share > 0.9995 ? "All changes are added to the base"
      : `${percent1(share)} of each model's changes are added to the base`);
    for (const { name, root, caption } of stations) {
      root.replaceChildren();
      say(caption, DRAW[name](root, all));
    }
  };
}
