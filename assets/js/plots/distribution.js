// The distribution of |d| on a logarithmic axis, with the kept part and the thresholds.
// Zoom by dragging, or with + and - and the arrows; the zoom stays while the sliders move.
import { svg, put, say, px, percent, level, three, spread } from "../base/shapes.js";
import { atRate } from "../session/densities.js";
import { shade } from "./heatmap.js";
import * as words from "./plot_sentences.js";

const LEFT = 42, RIGHT = 8, TOP = 30, HEIGHT = 176, FLOOR = HEIGHT - 34;
const LABEL = 44; // pixels for the label of a level, and its distance

/** @param {any} root @param {any} onZoom */
export const distributionPlot = (root, onZoom) => {
  let built = "", pair = "", /** @type {any} */ domain = null, width = 0, /** @type {any} */ view = null;
  let /** @type {any} */ all = null, /** @type {any} */ bands = [], /** @type {any} */ cuts = [],
    /** @type {any} */ axis = null, /** @type {any} */ brush = null, top = 1,
    /** @type {any} */ title = null;

  /** @returns {[number, number]} */
  const full = () => {
    const edges = view.table.edges;
    return [Math.log10(edges[0]), Math.log10(edges[edges.length - 1])];
  };
  /** @returns {[number, number]} */
  const range = () => domain || full();
  const x = (/** @type {any} */ magnitude) => {
    const [low, high] = range();
    return LEFT + ((Math.log10(magnitude) - low) / (high - low)) * (width - LEFT - RIGHT);
  };

  function build() {
    root.replaceChildren();
    put(root, "viewBox", `0 0 ${width} ${HEIGHT}`);
    put(root, "width", width);
    put(root, "height", HEIGHT);
    const clip = svg("clipPath", { id: `${root.id}-clip` }, svg("defs", {}, root));
    svg("rect", { x: LEFT, y: 0, width: Math.max(width - LEFT - RIGHT, 1), height: HEIGHT }, clip);
    const inside = svg("g", { "clip-path": `url(#${root.id}-clip)` }, root);
    all = svg("path", { class: "all" }, inside);
    const count = view.levels.length;
    bands = Array.from({ length: count }, (_, i) => count - 1 - i).map((k) => ({
      k, path: svg("path", { class: "band", "data-partition": k, style: `fill:${shade(k, count)}` }, inside),
    }));
    cuts = view.thresholds.map((/** @type {any} */ _, /** @type {number} */ k) => ({
      spread: svg("rect", { class: "spread", y: TOP, height: FLOOR - TOP }, inside),
      line: svg("line", { class: "threshold", "data-partition": k, y1: 14 + 12 * (k % 2), y2: FLOOR }, inside),
      text: svg("text", { class: "tick cut middle", y: 11 + 12 * (k % 2) }, inside),
    }));
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: FLOOR, y2: FLOOR, class: "rule" }, root);
    axis = svg("g", {}, root);
    title = svg("text", { x: px((LEFT + width - RIGHT) / 2), y: HEIGHT - 3, class: "axis middle" }, root);
    brush = svg("rect", { class: "brush", y: 0, height: FLOOR, width: 0 }, root);
  }

  // Outline of the bins at a share of each: a path of steps.
  function steps(/** @type {any} */ share) {
    const { edges, histogram } = view.table;
    let path = `M${px(x(edges[0]))} ${FLOOR}`;
    for (let b = 0; b < histogram.length; b++) {
      const y = px(FLOOR - ((histogram[b] * share(b)) / top) * (FLOOR - TOP));
      path += `L${px(x(edges[b]))} ${y}L${px(x(edges[b + 1]))} ${y}`;
    }
    return `${path}L${px(x(edges[edges.length - 1]))} ${FLOOR}Z`;
  }

  function ticks() {
    axis.replaceChildren();
    const [low, high] = range();
    const wide = high - low > 1.2;
    const values = [];
    for (let p = Math.floor(low); p <= high; p++) {
      for (const m of wide ? [1] : high - low > 0.5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9])
        values.push(m * 10 ** p);
    }
    for (const value of values) {
      const at = x(value);
      if (at < LEFT || at > width - RIGHT) continue;
      svg("line", { x1: px(at), x2: px(at), y1: FLOOR, y2: FLOOR + 4, class: "rule" }, axis);
      svg("text", { x: px(at), y: FLOOR + 16, class: "tick middle" }, axis, three(value));
    }
    const share = top / view.numel;
    svg("text", { x: LEFT - 6, y: TOP + 4, class: "tick end" }, axis, percent(share));
    svg("text", { x: LEFT - 6, y: FLOOR, class: "tick end" }, axis, "0");
    svg("text", { x: 0, y: 11, class: "axis" }, axis, "share");
  }

  function draw(/** @type {any} */ next, /** @type {any} */ size) {
    view = next;
    const shape = `${size}/${view.levels.length}/${view.thresholds.length}/${view.pair}`;
    if (shape !== built) {
      if (pair !== view.pair) setDomain(null);
      pair = view.pair;
      width = size;
      built = shape;
      top = Math.max(...view.table.histogram, 1);
      build();
      redrawFixed();
    }
    say(title, view.axisTitle ?? words.score().axis);
    const { kept_histogram: kept, count } = view.table;
    for (const { k, path } of bands) {
      const stays = (/** @type {any} */ b) =>
        (view.shows === "random" ? 1 - view.levels[k] : atRate(kept, b, count, view.levels[k]));
      put(path, "d", steps(stays));
    }
    const at = (/** @type {any} */ value) => x(Math.max(value, view.table.edges[0]));
    const places = labelsOf(view.thresholds.map((/** @type {any} */ [, middle]) => at(middle)));
    view.thresholds.forEach((/** @type {any} */ [low, middle, high], /** @type {number} */ k) => {
      const { line, spread, text } = cuts[k];
      put(line, "x1", px(at(middle))); put(line, "x2", px(at(middle)));
      put(spread, "x", px(at(low))); put(spread, "width", px(Math.max(at(high) - at(low), 0)));
      put(text, "x", px(places[k]));
      say(text, level(view.levels[k]));
    });
  }
  // The highest level is written to the right of its line, the others to the left, in two rows; labels of
  // one row stand side by side.
  function labelsOf(/** @type {any} */ lines) {
    const places = lines.map((/** @type {any} */ at, /** @type {number} */ k) => at
      + ((k > 0 || at > width - 60) && at > LEFT + 50 ? -LABEL / 2 : LABEL / 2));
    for (const row of [0, 1]) {
      // from left to right
      const those = places.map((/** @type {any} */ _, /** @type {number} */ k) => k)
        .filter((/** @type {number} */ k) => k % 2 === row).reverse();
      spread(those.map((/** @type {number} */ k) => places[k]), width - LABEL / 2, LABEL)
        .forEach((at, i) => { places[those[i]] = at; });
    }
    return places;
  }
  function redrawFixed() { put(all, "d", steps(() => 1)); ticks(); }

  // --- zoom ---------------------------------------------------------------------------------
  function setDomain(/** @type {any} */ next) { domain = next; onZoom(domain !== null); }
  function zoom(/** @type {number} */ low, /** @type {number} */ high) {
    const [first, last] = full();
    const whole = last - first;
    const size = Math.min(Math.max(high - low, 0.05), whole);
    const start = Math.min(Math.max(low, first), last - size);
    setDomain(size >= whole * 0.999 ? null : [start, start + size]);
    redrawFixed();
    draw(view, width);
  }
  const magnitudeAt = (/** @type {any} */ event) => {
    const at = event.clientX - root.getBoundingClientRect().left;
    const [low, high] = range();
    return low + ((Math.min(Math.max(at, LEFT), width - RIGHT) - LEFT) / (width - LEFT - RIGHT)) * (high - low);
  };
  let /** @type {any} */ from = null;
  root.addEventListener("pointerdown", (/** @type {any} */ event) => {
    if (!view || event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls
    from = magnitudeAt(event);
    root.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointermove", (/** @type {any} */ event) => {
    if (from === null) return;
    const [a, b] = [x(10 ** from), x(10 ** magnitudeAt(event))].sort((p, q) => p - q);
    put(brush, "x", px(a)); put(brush, "width", px(b - a));
  });
  const end = (/** @type {any} */ event) => {
    if (from === null) return;
    const [low, high] = [from, magnitudeAt(event)].sort((p, q) => p - q);
    from = null;
    put(brush, "width", 0);
    if (x(10 ** high) - x(10 ** low) > 8) zoom(low, high);
  };
  root.addEventListener("pointerup", end);
  root.addEventListener("pointercancel", () => { from = null; put(brush, "width", 0); });
  root.addEventListener("keydown", (/** @type {any} */ event) => {
    if (!view) return;
    const [low, high] = range();
    const quarter = (high - low) / 4;
    /** @type {Record<string, number[]>} */
    const ranges = {
      "+": [low + quarter, high - quarter], "=": [low + quarter, high - quarter],
      "-": [low - quarter, high + quarter], ArrowLeft: [low - quarter, high - quarter],
      ArrowRight: [low + quarter, high + quarter], Escape: full(),
    };
    const next = ranges[event.key];
    if (next) { event.preventDefault(); zoom(next[0], next[1]); }
  });
  return { draw, reset: () => { if (view) zoom(...full()); } };
};
