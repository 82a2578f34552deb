// The heatmap: layers down, modules across. Built once per table, then only recoloured. And the bars
// beside it, whose rows align with its own.
import { amounts, html, svg, put, say, px, percent, niceTop } from "../base/shapes.js";

const LEFT = 34;
export const SOURCE = 70; // room for the name of a layer's source
export const TOP = 40, BOTTOM = 46;
const GROUPS = Object.fromEntries([
  ...["q", "k", "v", "qkv", "o"].map((kind) => [kind, "attention"]),
  ...["router", "gate", "up", "gate_up", "down"].map((kind) => [kind, "MLP"]),
]);

/** @param {any} layers */
export const rowHeight = (layers) => Math.max(10, Math.min(34, Math.floor(272 / layers)));
/** @param {any} row */
const isTall = (row) => row >= 20;
// Whether so many layers have rows tall enough for a number in every cell.
/** @param {any} layers */
export const isNumbered = (layers) => isTall(rowHeight(layers));

// A layer's number; in a stack with its source.
/** @param {{sources?: [string, number][]}} table @param {number} layer */
export const layerWords = (table, layer) => {
  const [model, there] = table.sources?.[layer] ?? [];
  return model === undefined ? String(layer) : `${layer} (layer ${there} of ${model})`;
};
/** @param {{sources?: [string, number][]}} table @param {number} layer */
export const rowLabel = (table, layer) => {
  const [model, there] = table.sources?.[layer] ?? [];
  return model === undefined ? String(layer) : `${shortened(model)} ${there} → ${layer}`;
};
/** @param {string} name */
const shortened = (name) => name.length > 8 ? `${name.slice(0, 7)}…` : name;

// onPoint(index or null): the cell under the pointer or chosen by keyboard. onPick(index, byKey): it was
// clicked, or Enter was pressed on it. Colours are for amounts, or for signed values with zero in the middle.
/**
 * @param {any} root
 * @param {(index: number | null) => void} onPoint
 * @param {{colour: any, ink: any}} [colours]
 * @param {(index: number, byKey?: boolean) => void} [onPick]
 */
export function heatmapPlot(root, onPoint, { colour: viridis, ink: inkOn } = amounts, onPick = () => {}) {
  let built = "";
  let /** @type {any} */ cells = [];
  let /** @type {any} */ bar = null;
  let cursor = -1;
  let left = LEFT;

  function build(/** @type {any} */ view, /** @type {number} */ width) {
    const { layers, kinds, sources } = view.table;
    const row = rowHeight(layers.length);
    left = sources?.length ? LEFT + SOURCE : LEFT;
    const step = (width - left) / kinds.length;
    const height = TOP + row * layers.length + BOTTOM;
    root.replaceChildren();
    put(root, "viewBox", `0 0 ${width} ${height}`);
    put(root, "height", height);
    put(root, "width", width);
    axes(view, step, row);
    cells = view.cells.map((/** @type {MatrixCell} */ cell) => {
      const x = left + step * kinds.indexOf(cell.kind), y = TOP + row * layers.indexOf(cell.layer);
      const g = svg("g", { class: "cell", "data-layer": cell.layer, "data-kind": cell.kind }, root);
      const value = svg("rect", { class: "value", x: px(x + 1), y: y + 1, width: px(step - 2), height: row - 2, rx: 2 },
        g);
      const text = isTall(row) && step >= 38
        ? svg("text", { x: px(x + step / 2), y: y + row / 2, class: "number" }, g, "") : null;
      const size = row >= 20 ? 5 : 3;
      const [right, middle] = [x + step - 3 - size, y + 2 + size];
      const mark = svg("path",
        { class: "mark-own", d: `M${px(right)} ${middle - size}l${size} ${size} -${size} ${size} -${size} -${size}z` },
        g);
      return { g, value, text, mark, box: { x, y, width: step, height: row } };
    });
    bar = colourbar(width, TOP + row * layers.length + 14);
    cursor = -1;
  }

  function axes(/** @type {any} */ view, /** @type {any} */ step, /** @type {any} */ row) {
    const { layers, kinds } = view.table;
    svg("text", { x: 0, y: TOP - 8, class: "axis" }, root, "layer");
    kinds.forEach((/** @type {string} */ kind, /** @type {number} */ i) => {
      svg("text", { x: px(left + step * (i + 0.5)), y: TOP - 8, class: "tick middle" }, root, kind);
      const group = GROUPS[kind];
      if (group && GROUPS[kinds[i - 1]] !== group) {
        const span = kinds.filter((/** @type {number} */ k) => GROUPS[k] === group).length;
        svg("text", { x: px(left + step * (i + span / 2)), y: 12, class: "axis middle" }, root, group);
        svg("line",
          { x1: px(left + step * i + 3), x2: px(left + step * (i + span) - 3), y1: 17, y2: 17, class: "rule" }, root);
      }
    });
    const every = row >= 14 ? 1 : row >= 10 ? 2 : 4;
    layers.forEach((/** @type {number | null} */ layer, /** @type {number} */ i) => {
      if (i % every) return;
      const tick = svg("text", { x: left - 8, y: TOP + row * (i + 0.5) + 4, class: "tick end" }, root,
        rowLabel(view.table, Number(layer)));
      svg("title", {}, tick, `layer ${layerWords(view.table, Number(layer))}`);
    });
  }

  function colourbar(/** @type {number} */ width, /** @type {number} */ y) {
    const steps = 40, from = LEFT, span = width - LEFT;
    for (let i = 0; i < steps; i++) {
      svg("rect",
        { x: px(from + (span * i) / steps), y, width: px(span / steps + 0.5), height: 8,
          fill: viridis((i + 0.5) / steps) }, root);
    }
    return {
      low: svg("text", { x: from, y: y + 22, class: "tick" }, root),
      unit: svg("text", { x: px(from + span / 2), y: y + 22, class: "axis middle" }, root),
      high: svg("text", { x: width, y: y + 22, class: "tick end" }, root),
    };
  }

  function draw(/** @type {any} */ view, /** @type {number} */ width) {
    const shape = `${width}/${view.key}`;
    if (shape !== built) { build(view, width); built = shape; }
    const { low, high, text, cell: inCell, unit } = view.scale;
    const none = view.counting ? "…" : "–";
    view.cells.forEach((/** @type {MatrixCell} */ cell, /** @type {number} */ i) => {
      const part = cells[i];
      const hasValue = cell.value !== null;
      const share = high > low ? (cell.value - low) / (high - low) : 0.5;
      put(part.g, "data-own", cell.marked === true);
      put(part.g, "data-picked", cell.layer === view.picked?.layer && cell.kind === view.picked?.kind);
      put(part.g, "data-value", hasValue ? +cell.value.toPrecision(4) : "");
      put(part.value, "fill", hasValue ? viridis(share) : "var(--d-sunk)");
      if (part.text) {
        say(part.text, hasValue ? inCell(cell.value) : none);
        put(part.text, "fill", hasValue ? inkOn(share) : "var(--d-ink)");
      }
    });
    say(bar.low, text(low)); say(bar.high, text(high)); say(bar.unit, unit);
  }

  function choose(/** @type {number} */ index) {
    if (index === cursor) return;
    cells[cursor]?.g.classList.remove("chosen");
    cursor = index;
    if (cells[index]) {
      cells[index].g.classList.add("chosen");
      root.appendChild(cells[index].g); // its outline lies over its neighbours
    }
    onPoint(index < 0 ? null : index);
  }
  const pickedNow = () => cells.findIndex((/** @type {any} */ { g }) => g.getAttribute("data-picked") === "true");
  const indexOf = (/** @type {any} */ event) =>
    cells.findIndex((/** @type {any} */ cell) => cell.g === event.target?.closest?.("g.cell"));
  root.addEventListener("pointermove", (/** @type {any} */ event) => choose(indexOf(event)));
  root.addEventListener("pointerleave", () => { if (document.activeElement !== root) choose(-1); });
  root.addEventListener("click", (/** @type {any} */ event) => {
    choose(indexOf(event));
    if (cursor >= 0) onPick(cursor);
  });
  root.addEventListener("blur", () => choose(-1));
  root.addEventListener("focus", () => {
    if (cursor < 0 && root.matches(":focus-visible")) choose(Math.max(pickedNow(), 0));
  });
  root.addEventListener("keydown", (/** @type {any} */ event) => {
    const by = /** @type {Record<string, number[]>} */ (
      { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] })[event.key];
    if (event.key === "Escape") choose(-1);
    if ((event.key === "Enter" || event.key === " ") && cursor >= 0) { event.preventDefault(); onPick(cursor, true); }
    if (!by || !cells.length) return;
    event.preventDefault();
    choose(neighbour(Math.max(cursor, 0), by));
  });
  function neighbour(/** @type {number} */ index, /** @type {any} */ [dx, dy]) {
    const from = cells[index].box;
    const x = from.x + from.width * (0.5 + dx), y = from.y + from.height * (0.5 + dy);
    const next = cells.findIndex((/** @type {any} */ { box }) => x > box.x && x < box.x + box.width && y > box.y
      && y < box.y + box.height);
    return next < 0 ? index : next;
  }
  return { draw, boxOf: (/** @type {number} */ index) => cells[index]?.box };
}

// --- the kept share of each layer, stacked by partition ----------------------------------------
const BARS_LEFT = 26, BARS_RIGHT = 46;

// Strongest partition darkest: the model's colour, mixed with what is light in this theme.
/** @param {number} partition @param {any} count */
export const shade = (partition, count) => {
  const part = Math.round(100 - (partition * 60) / Math.max(count - 1, 1));
  return `color-mix(in oklab, var(--focus) ${part}%, var(--d-pale))`;
};

/** @param {any} root */
export const barsPlot = (root) => {
  let built = "";
  let /** @type {any} */ bands = [], /** @type {any} */ ends = [], /** @type {any} */ mean = null,
    /** @type {any} */ ticks = [], scaleTop = 0;

  function build(/** @type {any} */ view, /** @type {number} */ width) {
    const layers = view.table.layers;
    const row = rowHeight(layers.length);
    const bottom = TOP + row * layers.length;
    root.replaceChildren();
    put(root, "viewBox", `0 0 ${width} ${bottom + BOTTOM}`);
    put(root, "width", width);
    put(root, "height", bottom + BOTTOM);
    ticks = [0, 0.5, 1].map((share) => {
      const x = px(BARS_LEFT + (width - BARS_LEFT - BARS_RIGHT) * share);
      svg("line", { x1: x, x2: x, y1: TOP, y2: bottom, class: "grid" }, root);
      return svg("text", { x, y: bottom + 16, class: "tick middle" }, root);
    });
    svg("text", { x: px(BARS_LEFT + (width - BARS_LEFT - BARS_RIGHT) / 2), y: bottom + 36, class: "axis middle" }, root,
      view.axis);
    svg("text", { x: 0, y: TOP - 8, class: "axis" }, root, "layer");
    const every = row >= 14 ? 1 : row >= 10 ? 2 : 4;
    bands = layers.map(() => []);
    ends = layers.map((/** @type {number | null} */ layer, /** @type {number} */ i) => {
      const y = TOP + row * i;
      if (i % every === 0)
        svg("text", { x: BARS_LEFT - 8, y: y + row / 2 + 4, class: "tick end" }, root, String(layer));
      for (let k = 0; k < view.bands.length; k++) {
        bands[i].push(svg("rect", {
          class: "band", "data-layer": layer, "data-partition": k, y: y + 3, height: row - 6,
          style: `fill:${shade(k, view.bands.length)}`,
        }, root));
      }
      return row >= 14 ? svg("text", { x: width, y: y + row / 2 + 4, class: "tick end" }, root) : null;
    });
    mean = svg("line", { class: "mean", y1: TOP - 4, y2: bottom }, root);
  }

  return (/** @type {any} */ view, /** @type {number} */ width) => {
    const shape = `${width}/${view.key}/${view.bands.length}/${view.axis}`;
    if (shape !== built) { build(view, width); built = shape; }
    const last = view.bands[view.bands.length - 1];
    scaleTop = niceTop(Math.max(...last, 1e-9));
    const span = (width - BARS_LEFT - BARS_RIGHT) / scaleTop;
    // A tick stands at its number: half of 25 % is 12.5 %, not 13 %.
    ticks.forEach((/** @type {any} */ tick, /** @type {number} */ i) =>
      say(tick, `${Number(((100 * scaleTop * i) / 2).toFixed(1))}\u202f%`));
    bands.forEach((/** @type {any} */ row, /** @type {number} */ i) => {
      let before = 0;
      row.forEach((/** @type {any} */ rect, /** @type {number} */ k) => {
        const share = Math.max(view.bands[k][i] - before, 0);
        put(rect, "x", px(BARS_LEFT + before * span));
        put(rect, "width", px(share * span));
        put(rect, "data-value", +(100 * share).toFixed(3));
        before += share;
      });
      if (ends[i]) say(ends[i], percent(before));
    });
    const x = px(BARS_LEFT + Math.min(view.middle, scaleTop) * span);
    put(mean, "x1", x); put(mean, "x2", x);
  };
};

// --- the same heatmap as a table --------------------------------------------------------------------
/** @param {HTMLElement} host @param {() => void} opened */
export function twinTable(host, opened) {
  const details = html("details", { class: "twin-box" }, host);
  html("summary", {}, details, "The heatmap as a table");
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Heatmap as a table" },
    details);
  const table = html("table", { class: "twin" }, scroll);
  const parts = { caption: html("caption", {}, table), head: html("thead", {}, table), body: html("tbody", {}, table) };
  const twin = { ...parts, details, key: "", cells: [] };
  details.addEventListener("toggle", opened);
  return twin;
}
/** @param {any} twin @param {any} view @param {any} caption */
export function fillTwin(twin, view, caption) {
  const { layers, kinds } = view.table;
  if (twin.key !== view.key) {
    twin.key = view.key;
    twin.head.replaceChildren(); twin.body.replaceChildren();
    const head = html("tr", {}, twin.head);
    for (const name of ["layer", ...kinds]) html("th", { scope: "col" }, head, name);
    const rows = layers.map((/** @type {number | null} */ layer) => {
      const row = html("tr", {}, twin.body);
      html("th", { scope: "row" }, row, rowLabel(view.table, Number(layer)));
      return kinds.map(() => html("td", {}, row, "–"));
    });
    twin.cells = view.cells.map((/** @type {MatrixCell} */ cell) => rows[cell.l][kinds.indexOf(cell.kind)]);
  }
  if (!twin.details.open) return;
  say(twin.caption, caption);
  view.cells.forEach((/** @type {MatrixCell} */ cell, /** @type {number} */ i) =>
    say(twin.cells[i], (cell.value === null ? "–" : view.scale.text(cell.value)) + (cell.marked ? " ◆" : "")));
}
