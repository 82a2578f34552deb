// A coefficient by layer as a curve through a few points: drawn, dragged, or moved by keys.
import { html, svg, say, put, px } from "../base/shapes.js";
import { schema } from "./controls.js";

const HEIGHT = 92, LEFT = 26, RIGHT = 10, TOP = 8, BOTTOM = 18;
const [LOW, HIGH, STEP] = schema.coefficient, LEAP = 0.25;
/** @param {number} x */
const round = (x) => Math.round(Math.min(Math.max(x, LOW), HIGH) / STEP) * STEP;
/** @param {number} x */
const tidy = (x) => +round(x).toFixed(2);
/** @param {Curve} curve @param {number} layer */
const at = (curve, layer) => { // the value of a curve there
  const k = Math.max(curve.findIndex((/** @type {any} */ [l]) => l >= layer), 1);
  const [[a, x], [b, y]] = [curve[k - 1], curve[k]];
  return x + ((layer - a) / (b - a)) * (y - x);
};

// The curves of a list of models. A flat one is the same merge as its number: it is drawn but not sent.
// modelOf(reference) -> model; update(reference, patch) changes the model.
/** @param {any} modelOf @param {any} update */
export const curvesOf = (modelOf, update) => {
  const flat = new Map(); // reference -> points
  return {
    move(/** @type {string} */ reference, /** @type {Curve} */ curve) {
      const level = curve[0][1], { coefficient, curve: before } = modelOf(reference);
      if (curve.some((/** @type {any} */ [, value]) => value !== level)) {
        flat.delete(reference);
        update(reference, { curve });
        return;
      }
      flat.set(reference, curve);
      if (before?.length || coefficient !== level) update(reference, { curve: [], coefficient: level });
    },
    // a number becomes a flat curve, and a curve the number from before
    toggle(/** @type {string} */ reference, /** @type {number} */ last) {
      const { coefficient, curve } = modelOf(reference), open = flat.delete(reference);
      if (curve?.length) update(reference, { curve: [] });
      else if (!open) flat.set(reference, [[0, coefficient], [last, coefficient]]);
    },
    shown(/** @type {any} */ { ref, coefficient, curve }) { // points; empty while the number is shown
      if (curve?.length) return curve;
      const points = flat.get(ref) ?? [];
      return points.length && points[0][1] === coefficient ? points : [];
    },
  };
};

// A coefficient by part of the layers in words: "self_attn 0, 0.5, 1; the rest 0.5".
const MOST_NUMBERS = 6;
/** @param {string} parts */
export const partsInWords = (parts) => JSON.parse(parts).map((/** @type {any} */ { part, value }) => {
  const numbers = typeof value === "number" ? [value] : Object.values(value);
  const words = numbers.map((x) => String(Number(x.toPrecision(3))));
  if (words.length > MOST_NUMBERS) words.splice(MOST_NUMBERS - 2, words.length - MOST_NUMBERS + 1, "…");
  return `${part ?? "the rest"}: ${words.join(", ")}`;
}).join("; ");

// The button that switches between number and curve.
/** @param {Element} parent @param {string} who */
export const curveButton = (parent, who) => {
  const button = html("button",
    { type: "button", class: "by-layer", "aria-pressed": "false", "aria-label": `Coefficient of ${who} by layer`,
      title: "Coefficient by layer: a curve to draw; again for one number" }, parent);
  const icon = svg("svg", { width: 20, height: 14, viewBox: "0 0 20 14", "aria-hidden": "true" }, button);
  svg("polyline", { points: "2,11 8,4 13,8 18,3" }, icon);
  svg("circle", { cx: 8, cy: 4, r: 2.2 }, icon);
  return button;
};

// name: of the coefficient; onMove(curve) at every move.
/** @param {Element} parent @param {any} options */
export const curveEditor = (parent, { name, onMove }) => {
  const box = html("div", { class: "curve", hidden: "" }, parent);
  const root = svg("svg", { height: HEIGHT, role: "group", "aria-label": `${name}, layer by layer` }, box);
  const line = html("div", { class: "curve-line" }, box);
  const readout = html("span", { class: "how" }, line);
  const add = html("button",
    { type: "button", class: "small", "aria-label": "Add point", title: "A point in the middle of the widest gap" },
    line, "Add");
  const drop = html("button",
    { type: "button", class: "small", "aria-label": "Remove point", title: "The point chosen last; the ends stay" },
    line, "Remove");
  /** @type {Curve} */
  let curve = [];
  let last = 0, width = 0, current = 0, dragged = false, built = "";
  /** @type {any[]} */
  let dots = [];
  let /** @type {any} */ path = null;

  const x = (/** @type {number} */ layer) => LEFT + ((width - LEFT - RIGHT) * layer) / Math.max(last, 1);
  const y = (/** @type {any} */ value) => TOP + ((HEIGHT - TOP - BOTTOM) * (HIGH - value)) / (HIGH - LOW);
  const layerAt = (/** @type {number} */ place) =>
    Math.min(Math.max(Math.round(((place - LEFT) / (width - LEFT - RIGHT)) * last), 0), last);
  const valueAt = (/** @type {number} */ place) =>
    tidy(HIGH - ((place - TOP) / (HEIGHT - TOP - BOTTOM)) * (HIGH - LOW));
  const isEnd = (/** @type {number} */ k) => k === 0 || k === curve.length - 1;

  function change(/** @type {any} */ next, /** @type {number} */ k) {
    curve = next;
    current = k;
    draw();
    onMove(curve.map((/** @type {[number, number]} */ point) => [...point]));
  }
  // a point stays between its neighbours
  function move(/** @type {number} */ k, /** @type {number} */ layer, /** @type {any} */ value) {
    const place = isEnd(k) ? curve[k][0] : Math.min(Math.max(layer, curve[k - 1][0] + 1), curve[k + 1][0] - 1);
    change(curve.map((point, i) => (i === k ? [place, tidy(value)] : point)), k);
  }
  function insert(/** @type {number} */ layer, /** @type {any} */ value) {
    const index = curve.findIndex(([l]) => l === layer);
    if (index >= 0) { move(index, layer, value); return; }
    const k = curve.findIndex(([l]) => l > layer);
    change([...curve.slice(0, k), [layer, tidy(value)], ...curve.slice(k)], k);
  }
  function remove(/** @type {number} */ k) {
    if (isEnd(k)) return;
    change(curve.filter((_, i) => i !== k), k - 1);
    dots[current].focus();
  }
  add.addEventListener("click", () => {
    const gaps = curve.slice(1).map(([l], i) => l - curve[i][0]);
    const k = gaps.indexOf(Math.max(...gaps));
    if (gaps[k] < 2) return;
    const layer = curve[k][0] + Math.floor(gaps[k] / 2);
    insert(layer, at(curve, layer));
    dots[current].focus();
  });
  drop.addEventListener("click", () => remove(current));

  // --- pointer: a press on a point grabs it, a press elsewhere adds one ------------------------------
  const placeOf = (/** @type {any} */ event) => {
    const { left, top } = root.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  root.addEventListener("pointerdown", (/** @type {any} */ event) => {
    event.preventDefault();
    const [px0, py0] = placeOf(event), k = dots.indexOf(event.target);
    dragged = true;
    root.setPointerCapture(event.pointerId);
    if (k >= 0) { current = k; draw(); } else insert(layerAt(px0), valueAt(py0));
    dots[current].focus();
  });
  root.addEventListener("pointermove", (/** @type {any} */ event) => {
    if (!dragged) return;
    const [left, top] = placeOf(event);
    move(current, layerAt(left), valueAt(top));
  });
  for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, () => { dragged = false; });

  // --- keys ------------------------------------------------------------------------------------------
  root.addEventListener("keydown", (/** @type {any} */ event) => {
    const k = dots.indexOf(event.target);
    if (k < 0) return;
    const [layer, value] = curve[k], step = event.shiftKey ? LEAP : STEP;
    /** @type {Record<string, [number, number]>} */
    const places = {
      ArrowUp: [layer, value + step], ArrowDown: [layer, value - step], ArrowLeft: [layer - 1, value],
      ArrowRight: [layer + 1, value],
      PageUp: [layer, value + LEAP], PageDown: [layer, value - LEAP],
    };
    const to = places[event.key];
    if (to) move(k, ...to);
    else if (event.key === "Delete" || event.key === "Backspace") remove(k);
    else return;
    event.preventDefault();
  });

  // --- drawing: rebuilt if its shape changes, else only moved ----------------------------------------
  function build() {
    root.replaceChildren();
    put(root, "width", width);
    put(root, "viewBox", `0 0 ${width} ${HEIGHT}`);
    for (const value of [LOW, 0, 1, HIGH]) {
      svg("line",
        { class: value === 0 ? "rule" : "grid", x1: LEFT, x2: px(width - RIGHT), y1: px(y(value)), y2: px(y(value)) },
        root);
      svg("text", { class: "tick end", x: LEFT - 6, y: px(y(value) + 4) }, root, String(value));
    }
    [0,
      last].forEach((layer, i) =>
        svg("text", { class: i ? "tick end" : "tick", x: i ? px(width) : LEFT - 4, y: HEIGHT - 3 }, root,
          i ? `layer ${layer}` : "0"));
    path = svg("polyline", { class: "curve-path" }, root);
    dots = curve.map((_, k) => {
      const dot = svg("circle",
        { class: "curve-dot", r: 7, tabindex: 0, role: "slider", "aria-valuemin": LOW, "aria-valuemax": HIGH,
          "aria-orientation": "vertical" }, root);
      dot.addEventListener("focus", () => { current = k; draw(); });
      return dot;
    });
  }
  function draw() {
    const shape = `${width}/${last}/${curve.length}`;
    if (shape !== built) { built = shape; build(); }
    put(path, "points", curve.map(([layer, value]) => `${px(x(layer))},${px(y(value))}`).join(" "));
    dots.forEach((dot, k) => {
      const [layer, value] = curve[k];
      put(dot, "cx", px(x(layer)));
      put(dot, "cy", px(y(value)));
      put(dot, "class", k === current ? "curve-dot chosen" : "curve-dot");
      put(dot, "aria-label", `${name} at layer ${layer}`);
      put(dot, "aria-valuenow", value);
      put(dot, "aria-valuetext", `${value.toFixed(2)} at layer ${layer}`);
    });
    const [layer, value] = curve[current] ?? curve[0];
    say(readout, `layer ${layer}: ${value.toFixed(2)} ×`);
    put(drop, "aria-disabled", isEnd(current));
  }
  new ResizeObserver(() => { width = Math.max(Math.floor(box.clientWidth) - 4, 0); if (width && curve.length) draw(); })
    .observe(box);
  return {
    show(/** @type {any} */ next, /** @type {any} */ layers) {
      box.hidden = next.length === 0;
      if (!next.length) return;
      if (last === layers && JSON.stringify(next) === JSON.stringify(curve)) return;
      last = layers;
      curve = next.map((/** @type {[number, number]} */ point) => [...point]);
      current = Math.min(current, curve.length - 1);
      width ||= Math.max(Math.floor(box.clientWidth) - 4, 0);
      if (width) draw();
    },
  };
};
