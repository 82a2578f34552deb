// Plots of the lessons: bars and intervals, row by row, and cells with numbers in them.
import { signs, svg, html, say, put, px, three } from "../base/shapes.js";
import { saveable } from "../session/save_plots.js";
import { figure } from "./charts.js";

// Bars with their numbers beside them. spec: {name, title, how, label, rows: [{label, group, value, text, colour}]}
// Returns {update(spec)}.
const ROW = 26, NAME = 64;
export const bars = (host, spec) => {
  const { box, title, root } = figure(host, spec.name, spec.label);
  const how = html("p", { class: "how" }, box);
  let width = 0;
  function draw() {
    say(title, spec.title ?? "");
    say(how, spec.how ?? "");
    if (width <= 0) return;
    root.replaceChildren();
    const height = spec.rows.length * ROW + 4;
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height }))
      put(root, name, value);
    const top = Math.max(...spec.rows.map((row) => row.value)) || 1, room = Math.max(width - NAME - 150, 60);
    spec.rows.forEach(({ label, group, value, text, colour }, i) => {
      const y = i * ROW, length = (value / top) * room;
      svg("text", { x: 0, y: y + 17 }, root, label);
      const mark = svg("rect",
        { x: NAME, y: y + 4, width: px(length), height: ROW - 8, rx: 2, style: `fill:${colour ?? "var(--d-accent)"}` },
        root);
      svg("title", {}, mark, group ? `${group}: ${label}` : label);
      svg("text", { x: px(NAME + length + 8), y: y + 17, class: "tick" }, root, text);
    });
  }
  draw();
  saveable(box, spec.name, () => ({
    columns: ["part", "name", "value", "text"],
    rows: spec.rows.map(({ group, label, value, text }) => [group ?? "", label, value, text]),
  }), () => root);
  new ResizeObserver(() => {
    const next = Math.floor(box.clientWidth);
    if (next !== width) { width = next; draw(); }
  }).observe(box);
  return { box, update(changes) { spec = { ...spec, ...changes }; draw(); } };
};

// Values with their intervals beside a line at 0. spec: {name, title, how, label, rows: [{label, value, low, high,
// text, strong, hollow}]}
// Where it is narrow, name and text stand above their interval, without its bracket: it has the whole width.
export const ranges = (host, spec) => {
  const { box, title, root } = figure(host, spec.name, spec.label);
  say(title, spec.title);
  html("p", { class: "how" }, box, spec.how ?? "");
  let width = 0;
  function draw() {
    root.replaceChildren();
    const narrow = width < 480, step = narrow ? 38 : ROW, height = spec.rows.length * step + 4;
    const names = narrow ? 6 : spec.names ?? 150, texts = narrow ? 0 : 150;
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height }))
      put(root, name, value);
    const low = Math.min(0, ...spec.rows.map((row) => row.low)),
      high = Math.max(0, ...spec.rows.map((row) => row.high));
    const x = (value) => names + ((value - low) / (high - low || 1)) * Math.max(width - names - texts - 12, 40);
    svg("line", { x1: px(x(0)), x2: px(x(0)), y1: 0, y2: height, class: "rule" }, root);
    spec.rows.forEach(({ label, value, low: from, high: to, text, strong, hollow }, i) => {
      const words = i * step + (narrow ? 14 : ROW / 2 + 4), y = i * step + (narrow ? 27 : ROW / 2),
        colour = `var(${strong ? "--d-ink" : "--d-accent"})`;
      svg("text", { x: 0, y: words, style: strong ? "font-weight:700" : "" }, root, label);
      svg("line",
        { x1: px(x(from)), x2: px(x(to)), y1: y, y2: y,
          style: `stroke:var(--d-accent);stroke-width:3;stroke-opacity:0.55` }, root);
      svg("circle",
        { cx: px(x(value)), cy: y, r: narrow ? 3 : 4.5,
          style: `fill:${hollow ? "var(--d-card)" : colour};stroke:${colour};stroke-width:1.5` }, root);
      svg("text", { x: width - texts, y: words, class: narrow ? "tick end" : "tick" }, root,
        narrow ? text.replace(/ \(.*/, "") : text);
    });
  }
  saveable(box, spec.name, () => ({
    columns: ["name", "value", "low", "high"],
    rows: spec.rows.map(({ label, value, low, high }) => [label, value, low, high]),
  }), () => root);
  new ResizeObserver(() => {
    const next = Math.floor(box.clientWidth);
    if (next !== width && next > 0) { width = next; draw(); }
  }).observe(box);
};

// A small matrix with its numbers, in colours whose middle is 0. spec: {name, title, values, top, text, marked(r, c)}
// Returns {box, root, cells, update(changes)}.
export const cells = (host, spec) => {
  const box = html("div", { class: "learn-cells" }, host);
  const title = html("h3", {}, box);
  const scroll = html("div", { class: "cells-scroll" }, box);
  const table = html("table", { class: "cells", "aria-label": spec.title }, scroll);
  let cells = [];
  function build() {
    table.replaceChildren();
    cells = spec.values.map((row, r) => {
      const line = html("tr", {}, table);
      return row.map((_, c) => html("td", { "data-row": r, "data-column": c }, line));
    });
  }
  function draw() {
    say(title, spec.title ?? "");
    if (cells.length !== spec.values.length || cells[0]?.length !== spec.values[0]?.length) build();
    const top = spec.top ?? (Math.max(...spec.values.flat().map(Math.abs)) || 1);
    spec.values.forEach((row, r) => row.forEach((value, c) => {
      const cell = cells[r][c], share = 0.5 + 0.5 * Math.min(Math.max(value / top, -1), 1);
      say(cell, (spec.text ?? three)(value));
      cell.style.background = signs.colour(share);
      cell.style.color = signs.ink(share);
      put(cell, "data-marked", Boolean(spec.marked?.(r, c)));
    }));
  }
  draw();
  return { box, get cells() { return cells; }, update(changes) { spec = { ...spec, ...changes }; draw(); } };
};

// Report the cell, [row, column], under a mouse or a finger.
export const pointed = (grid, tell) => {
  for (const name of ["pointerover", "click"]) {
    grid.addEventListener(name, (event) => {
      const cell = event.target.closest("td");
      if (cell) tell([+cell.dataset.row, +cell.dataset.column]);
    });
  }
};
