// A merge in one line: models, delta, prune, amplify, add, answer; every part moves with the controls.
import { html, svg, put, say, percent, percent1, px, three, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { atRate, partitionsOf } from "../session/densities.js";
import { server } from "../session/parts.js";
import * as frame from "../plots/frame_values.js";
import { shade } from "../plots/heatmap.js";

const WIDTH = 110, ROW = 26, GAP = 6, RARE = 0.005, ALL = 0.9995; // RARE: bins with a smaller share begin no hill
const STATIONS = ["models", "delta", "prune", "amplify", "add"];

/** The frame's values of every model that takes part. @returns {any[]} */
function parts() {
  const all = controls.state.models.filter(controls.decides).map((model) => {
    const view = frame.viewOf(model.ref), factors = controls.factorsOf(model.ref);
    let whole = 0, left = 0; // squared lengths
    for (const cell of view.cells) {
      whole += cell.squares;
      left += view.shows === "whole" ? cell.squares
        : partitionsOf(view, cell).reduce(
          (/** @type {number} */ sum, /** @type {any} */ [, energy], /** @type {number} */ k) =>
            sum + cell.squares * energy * (factors[k] ?? 1) ** 2, 0);
    }
    return { ref: model.ref, colour: server.names[model.ref].colour, factors, view,
      share: view.shows === "whole" ? 1 : view.share, added: model.coefficient * Math.sqrt(left / whole) };
  });
  const longest = Math.max(1, ...all.map(({ added }) => Math.abs(added)));
  const highest = Math.max(2, ...all.flatMap(({ factors }) => factors));
  return all.map((part) => ({ ...part, longest, highest }));
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

/**
 * A row of a drawing for each model.
 * @param {Element} root @param {any[]} all @param {(row: Element, part: any) => (part: any) => void} build Builds one
 *   row, and returns what updates it.
 */
function rows(root, all, build) {
  root.replaceChildren();
  put(root, "viewBox", `0 0 ${WIDTH} ${all.length * (ROW + GAP) - GAP}`);
  return all.map((part, i) => {
    const row = svg("g", { transform: `translate(0 ${i * (ROW + GAP)})` }, root);
    row.style.setProperty("--focus", part.colour);
    return build(row, part);
  });
}

/** Station -> what builds a row of it. @type {Record<string, (row: Element, part: any) => (part: any) => void>} */
const BUILD = {
  models: (row, { ref }) => {
    svg("rect", { x: 0, y: 0, width: WIDTH, height: ROW, rx: 6, class: "pill" }, row);
    svg("text", { x: WIDTH / 2, y: ROW / 2 + 4, class: "middle" }, row, server.names[ref].label);
    return () => {};
  },
  delta: (row, { view }) => {
    svg("path", { d: hill(view, () => 1), class: "hill" }, row);
    return () => {};
  },
  prune: (row, { view }) => {
    svg("path", { d: hill(view, () => 1), class: "hill pale" }, row);
    const path = svg("path", { class: "hill" }, row);
    return ({ view: now }) => put(path, "d", hill(now, stays(now, now.levels.length - 1)));
  },
  amplify: (row, { factors }) => {
    const height = ROW / factors.length;
    const bars = factors.map((/** @type {number} */ _, /** @type {number} */ k) =>
      svg("rect", { x: 0, y: px(k * height), height: px(height - 1), class: "band",
        style: `fill:${shade(k, factors.length)}` }, row));
    const one = svg("line", { y1: -2, y2: ROW + 2, class: "mean" }, row);
    return ({ factors: now, highest }) => {
      now.forEach((/** @type {number} */ factor, /** @type {number} */ k) =>
        put(bars[k], "width", px((WIDTH * factor) / highest)));
      put(one, "x1", px(WIDTH / highest));
      put(one, "x2", px(WIDTH / highest));
    };
  },
  add: (row) => {
    const whole = svg("rect", { x: 0, y: 2, height: ROW - 4, rx: 3, class: "whole" }, row);
    const bar = svg("rect", { x: 0, y: 2, height: ROW - 4, rx: 3 }, row);
    const text = svg("text", { x: 6, y: ROW / 2 + 4, class: "on" }, row, "");
    return ({ added, longest }) => {
      put(whole, "width", px(WIDTH / longest));
      put(bar, "width", px((WIDTH * Math.abs(added)) / longest));
      put(bar, "class", added < 0 ? "hill pale" : "hill");
      say(text, percent(added));
    };
  },
};

/** Station -> its sentence. @type {Record<string, (all: any[]) => string>} */
const CAPTIONS = {
  models: (all) => `${all.length} ${all.length === 1 ? "model" : "models"} of one base`,
  delta: () => "changes, small to large",
  prune: (all) => {
    const shares = [...new Set(all.map(({ share }) => percent(share)))];
    return all.every(({ share }) => share > ALL) ? "all of it stays" : `${shares.join(", ")} of it stays`;
  },
  amplify: ([{ factors }]) =>
    (factors.every((/** @type {number} */ x) => x === 1) ? `×${THIN}1: as it is`
      : factors.map((/** @type {number} */ x) => `×${THIN}${three(x)}`).join(", then ")),
  add: () => "of its length is added",
};

/**
 * @param {HTMLElement} host
 * @param {((station: HTMLElement) => () => void) | null} buildAnswer Builds the last station, returns what
 *   draws it.
 */
export function strip(host, buildAnswer = null) {
  const title = html("h2", { class: "plot-title" }, host);
  const line = html("ol", { class: "strip" }, host);
  const stations = STATIONS.map((name) => {
    const item = html("li", { class: "station", "data-station": name }, line);
    html("h3", {}, item, name);
    const root = svg("svg", { "aria-hidden": "true", class: "station-plot" }, item);
    return { name, root, caption: html("p", { class: "how" }, item),
      updates: /** @type {((part: any) => void)[]} */ ([]) };
  });
  let built = "";
  const last = buildAnswer && html("li", { class: "station", "data-station": "answer" }, line);
  if (last) html("h3", {}, last, "answer");
  const drawAnswer = last && buildAnswer(last);
  return () => {
    const all = parts();
    if (drawAnswer) drawAnswer();
    put(line, "data-models", all.length);
    if (!all.length) { say(title, "No model takes part: the merge is the base"); return; }
    const share = all.reduce((sum, part) => sum + part.share, 0) / all.length;
    say(title, share > ALL ? "All changes are added to the base"
      : `${percent1(share)} of each model's changes are added to the base`);
    const shape = all.map(({ ref, factors }) => `${ref} ${factors.length}`).join();
    for (const station of stations) {
      if (shape !== built) station.updates = rows(station.root, all, BUILD[station.name]);
      all.forEach((part, i) => station.updates[i](part));
      say(station.caption, CAPTIONS[station.name](all));
    }
    built = shape;
  };
}
