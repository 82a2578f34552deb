// Plots of the lessons: curves with a slider that shows their values, and cells with numbers in them.
import { svg, html, say, put, px, three, ticks } from "../base/shapes.js";
import { saveable } from "../session/save_plots.js";

const LEFT = 52, RIGHT = 14, TOP = 12, FOOT = 40, HEIGHT = 260;
let figureCount = 0;

const decades = (low, high) => {
  const values = [];
  for (let p = Math.ceil(Math.log10(low) - 1e-9); p <= Math.log10(high) + 1e-9; p++) values.push(10 ** p);
  return values.length > 1 ? values : [low, high];
};
// The value of a curve at x, between its points; null outside them.
export function valueAt(points, x) {
  const after = points.findIndex(([at]) => at >= x - 1e-9);
  if (after < 0 || (after === 0 && points[0][0] > x + 1e-9)) return null;
  const [high, last] = points[after];
  if (after === 0 || Math.abs(high - x) < 1e-9) return last;
  const [low, first] = points[after - 1];
  return first === null || last === null ? null : first + ((x - low) / (high - low)) * (last - first);
}

// The frame of a plot: a title and a drawing.
export function figure(host, name, label) {
  const box = html("div", { class: "plot learn-plot" }, host);
  const title = html("h3", { class: "plot-title" }, box);
  const root = svg("svg", { role: "img", "aria-label": label, id: `learn-${name}-${(figureCount += 1)}` }, box);
  return { box, title, root };
}

// spec: {name, title, how, x: {label, low, high, text, step}, y: {label, low, high, text, tick, log},
// series: [{label, colour, dash, marks, points: [[x, y], …], spans: [[x, low, high], …]}], at, slider, onAt(x), notes:
// [{x, text, row}]}
// Returns {update(changes), at(x)}; `slider` is the name of the control that shows the curves' values.
export const lines = (host, spec) => {
  const { box, title, root } = figure(host, spec.name, spec.label ?? spec.x.label);
  const controls = html("div", { class: "learn-slide" }, box);
  const id = `${root.id}-at`;
  const label = html("label", { for: id }, controls, spec.slider ?? spec.x.label);
  const range = html("input", { type: "range", id, min: spec.x.low, max: spec.x.high, step: spec.x.step ?? "any" },
    controls);
  const read = html("output", { for: id }, controls);
  const legend = html("ul", { class: "learn-legend" }, box);
  const how = html("p", { class: "how" }, box);
  let width = 0, at = spec.at ?? spec.x.low, cursor = null, dots = [];
  range.value = at;

  const inside = () => width - LEFT - RIGHT;
  const xOf = (x) => LEFT + ((x - spec.x.low) / (spec.x.high - spec.x.low)) * inside();
  const share = (y) =>
    (spec.y.log ? Math.log(y / spec.y.low) / Math.log(spec.y.high / spec.y.low)
      : (y - spec.y.low) / (spec.y.high - spec.y.low));
  const yOf = (y) => TOP + (1 - share(Math.max(y, spec.y.log ? spec.y.low : -Infinity))) * (HEIGHT - TOP - FOOT);
  const textOf = (axis, value) => (axis.text ?? three)(value);

  function axes() {
    const floor = HEIGHT - FOOT;
    for (const value of spec.y.log ? decades(spec.y.low, spec.y.high) : ticks(spec.y.low, spec.y.high, 4)) {
      const y = yOf(value);
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: px(y), y2: px(y), class: "grid" }, root);
      svg("text", { x: LEFT - 7, y: px(y + 4), class: "tick end" }, root, (spec.y.tick ?? spec.y.text ?? three)(value));
    }
    for (const value of spec.x.ticks ?? ticks(spec.x.low, spec.x.high, width < 480 ? 4 : 8)) {
      const x = xOf(value);
      svg("line", { x1: px(x), x2: px(x), y1: floor, y2: floor + 4, class: "rule" }, root);
      svg("text", { x: px(x), y: floor + 17, class: "tick middle" }, root, textOf(spec.x, value));
    }
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: floor, y2: floor, class: "rule" }, root);
    svg("text", { x: px(LEFT + inside() / 2), y: HEIGHT - 5, class: "axis middle" }, root, spec.x.label);
  }
  function path(points) {
    let text = "", pen = "M";
    for (const [x, y] of points) {
      if (y === null) { pen = "M"; continue; }
      text += `${pen}${px(xOf(x))} ${px(yOf(y))}`;
      pen = "L";
    }
    return text;
  }
  function draw() {
    if (width <= 0) return;
    root.replaceChildren();
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT }))
      put(root, name, value);
    axes();
    for (const { x, text, row = 0 } of spec.notes ?? []) {
      svg("line", { x1: px(xOf(x)), x2: px(xOf(x)), y1: TOP, y2: HEIGHT - FOOT, class: "mean" }, root);
      const late = x > (spec.x.low + spec.x.high) / 2;
      svg("text", { x: px(xOf(x) + (late ? -5 : 5)), y: TOP + 11 + 14 * row, class: late ? "tick end" : "tick" }, root,
        text);
    }
    const clip = svg("clipPath", { id: `${root.id}-clip` }, svg("defs", {}, root)); // a curve may leave above
    svg("rect", { x: LEFT - 3, y: TOP - 3, width: Math.max(inside() + 6, 1), height: HEIGHT - TOP - FOOT + 6 }, clip);
    const curves = svg("g", { "clip-path": `url(#${root.id}-clip)` }, root);
    for (const series of spec.series) {
      svg("path",
        { d: path(series.points), class: "curve-line-path", style: `stroke:${series.colour}`,
          "stroke-dasharray": series.dash ?? "none" }, curves);
      for (const [x, from, to] of series.spans ?? [])
        if (from !== null)
        svg("line",
          { x1: px(xOf(x)), x2: px(xOf(x)), y1: px(yOf(from)), y2: px(yOf(to)),
            style: `stroke:${series.colour};stroke-width:1.5;stroke-opacity:0.6` }, curves);
      if (series.marks)
        for (const [x, y] of series.points)
        if (y !== null) svg("circle", { cx: px(xOf(x)), cy: px(yOf(y)), r: 3.5, style: `fill:${series.colour}` }, root);
    }
    cursor = svg("line", { y1: TOP, y2: HEIGHT - FOOT, class: "cursor" }, root);
    dots = spec.series.map((series) =>
      svg("circle", { r: 5, class: "cursor-dot", style: `fill:${series.colour}` }, root));
    follow();
  }
  function rows() {
    legend.replaceChildren();
    return spec.series.map((series) => {
      const row = html("li", {}, legend);
      const mark = svg("svg", { width: 26, height: 10, class: "legend-mark", "aria-hidden": "true" }, row);
      svg("line",
        { x1: 1, x2: 25, y1: 5, y2: 5, style: `stroke:${series.colour};stroke-width:3`,
          "stroke-dasharray": series.dash ?? "none" }, mark);
      html("span", {}, row, series.label);
      return html("output", {}, row);
    });
  }
  let values = rows();
  function follow() {
    say(read, textOf(spec.x, at));
    spec.series.forEach((series, i) => {
      const y = valueAt(series.points, at);
      say(values[i], y === null ? "–" : textOf(spec.y, y));
      if (!cursor) return;
      const visible = y !== null && y <= spec.y.high * 1.01;
      put(dots[i], "visibility", visible ? "visible" : "hidden");
      if (visible) { put(dots[i], "cx", px(xOf(at))); put(dots[i], "cy", px(yOf(y))); }
    });
    if (cursor) { put(cursor, "x1", px(xOf(at))); put(cursor, "x2", px(xOf(at))); }
  }
  function go(x, announce = true) {
    at = Math.min(Math.max(x, spec.x.low), spec.x.high);
    range.value = at;
    if (spec.x.step) at = +range.value;
    put(range, "aria-valuetext", textOf(spec.x, at));
    range.style.setProperty("--filled", `${(100 * (at - spec.x.low)) / (spec.x.high - spec.x.low)}%`);
    follow();
    if (announce) spec.onAt?.(at);
  }
  range.addEventListener("input", () => go(+range.value));
  const point = (event) => {
    const { left } = root.getBoundingClientRect();
    go(spec.x.low + ((event.clientX - left - LEFT) / inside()) * (spec.x.high - spec.x.low));
  };
  root.addEventListener("pointerdown", (event) => { root.setPointerCapture(event.pointerId); point(event); });
  root.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
  function words() {
    say(title, spec.title ?? "");
    title.hidden = !spec.title;
    say(how, spec.how ?? "");
    say(label, spec.slider ?? spec.x.label);
  }
  words();
  go(at, false);
  saveable(box, spec.name, () => ({
    columns: ["curve", spec.x.label, spec.y.label],
    rows: spec.series.flatMap((series) => series.points.map(([x, y]) => [series.label, x, y])),
  }), () => root);
  new ResizeObserver(() => {
    const next = Math.floor(box.clientWidth);
    if (next !== width) { width = next; draw(); }
  }).observe(box);
  return {
    box,
    at: (x) => (x === undefined ? at : go(x)),
    update(changes) {
      const before = spec.series.length;
      spec = { ...spec, ...changes };
      if (spec.series.length !== before || changes.series) values = rows();
      words();
      draw();
      go(at, false);
    },
  };
};

// A row of choices, as a select with its label.
export const select = (host, label, options, initial, act) => {
  const wrap = html("label", { class: "choice" }, host);
  html("span", {}, wrap, label);
  const select = html("select", {}, wrap);
  for (const [value, text] of options)
    html("option", { value, ...(value === initial && { selected: "" }) }, select, text);
  select.addEventListener("change", () => act(select.value));
  return select;
};

/**
 * A slider with its name, and its value as text; the function draws it at a value.
 * @param {Element} host @param {string} id @param {string} label @param {number[]} span Lowest, highest, step.
 * @param {(value: number) => void} take
 */
export const slide = (host, id, label, [low, high, step], take) => {
  const row = html("div", { class: "learn-slide" }, host);
  html("label", { for: id }, row, label);
  const range = html("input", { type: "range", id, min: low, max: high, step }, row);
  const read = html("output", { for: id }, row);
  range.addEventListener("input", () => take(+range.value));
  return (/** @type {number} */ value, /** @type {string} */ text) => {
    range.value = value;
    say(read, text);
    put(range, "aria-valuetext", text);
    range.style.setProperty("--filled", `${(100 * (value - low)) / (high - low || 1)}%`);
    return row;
  };
};
