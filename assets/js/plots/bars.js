// The kept share of each layer, stacked by partition; the rows align with the heatmap's.
import { svg, put, say, px, percent, niceTop } from "../base/shapes.js";
import { rowHeight, TOP, BOTTOM } from "./heatmap.js";

const LEFT = 26, RIGHT = 46;

// Strongest partition darkest: the model's colour, mixed with what is light in this theme.
export const shade = (partition, count) => {
  const part = Math.round(100 - (partition * 60) / Math.max(count - 1, 1));
  return `color-mix(in oklab, var(--focus) ${part}%, var(--d-pale))`;
};

export const barsPlot = (root) => {
  let built = "";
  let bands = [], ends = [], mean = null, ticks = [], scaleTop = 0;

  function build(view, width) {
    const layers = view.table.layers;
    const row = rowHeight(layers.length);
    const bottom = TOP + row * layers.length;
    root.replaceChildren();
    put(root, "viewBox", `0 0 ${width} ${bottom + BOTTOM}`);
    put(root, "width", width);
    put(root, "height", bottom + BOTTOM);
    ticks = [0, 0.5, 1].map((share) => {
      const x = px(LEFT + (width - LEFT - RIGHT) * share);
      svg("line", { x1: x, x2: x, y1: TOP, y2: bottom, class: "grid" }, root);
      return svg("text", { x, y: bottom + 16, class: "tick middle" }, root);
    });
    svg("text", { x: px(LEFT + (width - LEFT - RIGHT) / 2), y: bottom + 36, class: "axis middle" }, root, view.axis);
    svg("text", { x: 0, y: TOP - 8, class: "axis" }, root, "layer");
    const every = row >= 14 ? 1 : row >= 10 ? 2 : 4;
    bands = layers.map(() => []);
    ends = layers.map((layer, i) => {
      const y = TOP + row * i;
      if (i % every === 0) svg("text", { x: LEFT - 8, y: y + row / 2 + 4, class: "tick end" }, root, String(layer));
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

  return (view, width) => {
    const shape = `${width}/${view.key}/${view.bands.length}/${view.axis}`;
    if (shape !== built) { build(view, width); built = shape; }
    const last = view.bands[view.bands.length - 1];
    scaleTop = niceTop(Math.max(...last, 1e-9));
    const span = (width - LEFT - RIGHT) / scaleTop;
    // A tick stands at its number: half of 25 % is 12.5 %, not 13 %.
    ticks.forEach((tick, i) => say(tick, `${Number(((100 * scaleTop * i) / 2).toFixed(1))}\u2009%`));
    bands.forEach((row, i) => {
      let before = 0;
      row.forEach((rect, k) => {
        const share = Math.max(view.bands[k][i] - before, 0);
        put(rect, "x", px(LEFT + before * span));
        put(rect, "width", px(share * span));
        put(rect, "data-value", +(100 * share).toFixed(3));
        before += share;
      });
      if (ends[i]) say(ends[i], percent(before));
    });
    const x = px(LEFT + Math.min(view.middle, scaleTop) * span);
    put(mean, "x1", x); put(mean, "x2", x);
  };
};
