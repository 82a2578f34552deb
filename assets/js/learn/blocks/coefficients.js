// AdaMerging's entropy over two coefficients, and the optimiser's path.
import { amounts, html, svg, say, put, px, three } from "../../base/shapes.js";
import { saveable } from "../../session/save_plots.js";
import { select } from "../charts.js";
import { awaiting, block, COMPUTING } from "../frame.js";

const LEFT = 56, TOP = 8, FOOT = 42, RIGHT = 12, LARGEST = 460;

block("entropy-surface", ({ host, result, ask }) => {
  let data = result, step = result.path.length - 1, width = 0, requests = 0; // requests: times other models were chosen
  // The partial result. A step chosen by the reader stays; otherwise the newest is shown.
  function take(partial) {
    if (step === data.path.length - 1) step = partial.path.length - 1;
    data = partial;
    draw();
  }
  const bar = html("div", { class: "plot-bar" }, host);
  const awaits = awaiting(host);
  const status = html("p", { class: "how", role: "status" }, host);
  let [first, second] = data.names.map((name) => `zoo:${name}`);
  const fresh = async (changes) => {
    first = changes.first ?? first;
    second = changes.second ?? second;
    say(status, "");
    awaits(`${COMPUTING} …`);
    const serial = (requests += 1), late = () => serial !== requests;
    step = data.path.length - 1;
    try {
      const whole = await ask({ first, second }, (completed, total, stage, partial) => {
        if (late()) return;
        say(status, `${stage}: ${completed} of ${total}`);
        if (!partial) return;
        awaits("");
        take(partial);
      });
      if (late()) return;
      awaits("");
      take(whole);
      say(status, "");
    } catch (error) { if (!late()) { awaits(""); say(status, error.message); } }
  };
  const options = data.models.map((name) => [`zoo:${name}`, name]);
  select(bar, "Across", options, first, (reference) => fresh({ first: reference }));
  select(bar, "Up", options, second, (reference) => fresh({ second: reference }));
  const box = html("div", { class: "plot learn-plot" }, host);
  const title = html("h3", { class: "plot-title" }, box);
  const root = svg("svg", { role: "img", "aria-label": "Entropy over two coefficients, and the way of the optimiser" },
    box);
  const slide = html("div", { class: "learn-slide" }, box);
  html("label", { for: "surface-step" }, slide, "Step");
  const range = html("input", { type: "range", id: "surface-step", min: 0, step: 1 }, slide);
  const read = html("output", { for: "surface-step" }, slide);
  range.addEventListener("input", () => { step = +range.value; draw(); });
  const how = html("p", { class: "how" }, box);
  saveable(box, "entropy-surface", () => ({
    columns: [`coefficient of ${data.names[0]}`, `coefficient of ${data.names[1]}`, "entropy (nats)"],
    rows: data.axis.flatMap((a, i) => data.axis.map((b, k) => [a, b, data.mean[i][k] ?? ""])),
  }), () => root);

  // For a point not computed yet, the nearest computed one.
  function filled({ axis, mean }) {
    const computed = axis.flatMap((_, i) => axis.map((_, k) => [i, k])).filter(([i, k]) => mean[i][k] !== null);
    return mean.map((row, i) => row.map((value, k) => {
      if (value !== null) return value;
      const far = ([x, y]) => Math.hypot(x - i, y - k);
      const [x, y] = computed.reduce((best, point) => (far(point) < far(best) ? point : best));
      return mean[x][y];
    }));
  }
  // The surface between grid points, by linear interpolation.
  function at([first, second], surface) {
    const { axis } = data, gap = axis[1] - axis[0], last = axis.length - 2;
    const place = (value) => Math.min(Math.max(value / gap, 0), last + 1);
    const [x, y] = [place(first), place(second)],
      [i, k] = [Math.min(Math.floor(x), last), Math.min(Math.floor(y), last)];
    const across = (row) => surface[row][k] + (y - k) * (surface[row][k + 1] - surface[row][k]);
    return across(i) + (x - i) * (across(i + 1) - across(i));
  }
  function draw() {
    const { axis, mean, path, names, lowest, settings } = data;
    const now = path[step], surface = filled(data), numbers = mean.flat().filter((value) => value !== null);
    const whole = numbers.length === axis.length ** 2;
    range.max = path.length - 1;
    range.value = step;
    range.style.setProperty("--filled", `${(100 * step) / (path.length - 1 || 1)}%`);
    put(range, "aria-valuetext", `step ${step}`);
    say(read, `${step} of ${path.length - 1}`);
    say(title, whole
      ? `Step ${step}: ${names[0]} × ${three(now[0])}, ${names[1]} × ${three(now[1])}; entropy about `
        + `${three(at(now, surface))} nats`
      : `${numbers.length} of ${axis.length ** 2} points are computed; the others show their nearest`);
    say(how,
        `Mean entropy of the merge's next token, in nats (one is 1.44 bits), over the answers of ${settings.prompts} `
        + `questions of each domain; colours follow its logarithm, dark is low. `
      + `Lowest of the grid: ${three(Math.min(...numbers))} at ${names[0]} × ${three(lowest[0])}, ${names[1]} × `
        + `${three(lowest[1])}. The optimiser starts at ${settings.start} for both, with steps of at most about `
        + `${settings.lr}; each dot is one.`);
    if (width <= 0) return;
    root.replaceChildren();
    const side = Math.min(width - LEFT - RIGHT, LARGEST), size = side / axis.length, height = TOP + side + FOOT;
    Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })
      .forEach(([name, value]) => put(root, name, value));
    const logs = numbers.map(Math.log), low = Math.min(...logs), high = Math.max(...logs);
    const x = (value) => LEFT + (value / (axis[1] - axis[0]) + 0.5) * size,
      y = (value) => TOP + side - (value / (axis[1] - axis[0]) + 0.5) * size;
    axis.forEach((a, i) => axis.forEach((b, k) => {
      const share = (Math.log(surface[i][k]) - low) / (high - low || 1);
      svg("rect",
        { x: px(x(a) - size / 2), y: px(y(b) - size / 2), width: px(size), height: px(size),
          style: `fill:${amounts.colour(share)}`, ...(mean[i][k] === null && { class: "guess" }) }, root);
      if (mean[i][k] === null) return;
      const number = svg("text", { x: px(x(a)), y: px(y(b)), class: "number", style: `fill:${amounts.ink(share)}` },
        root, mean[i][k].toFixed(mean[i][k] < 0.0995 ? 3 : 2).replace(/^0/, ""));
      if (size < 34) number.remove();
    }));
    axis.forEach((value) => {
      svg("text", { x: px(x(value)), y: TOP + side + 16, class: "tick middle" }, root, String(value));
      svg("text", { x: LEFT - 7, y: px(y(value) + 4), class: "tick end" }, root, String(value));
    });
    svg("text", { x: px(LEFT + side / 2), y: height - 6, class: "axis middle" }, root, `coefficient of ${names[0]}`);
    svg("text",
      { x: 14, y: px(TOP + side / 2), class: "axis middle", transform: `rotate(-90 14 ${px(TOP + side / 2)})` }, root,
      `coefficient of ${names[1]}`);
    const points = path.slice(0, step + 1).map(([a, b]) => `${px(x(a))},${px(y(b))}`).join(" ");
    svg("polyline", { points, class: "way under" }, root);
    svg("polyline", { points, class: "way" }, root);
    for (const [a, b] of path.slice(0, step))
      svg("circle", { cx: px(x(a)), cy: px(y(b)), r: 3, class: "way-step" }, root);
    svg("circle", { cx: px(x(now[0])), cy: px(y(now[1])), r: 6, class: "way-end" }, root);
  }
  new ResizeObserver(() => {
    const next = Math.floor(box.clientWidth);
    if (next !== width) { width = next; draw(); }
  }).observe(box);
  draw();
  return (partial) => { if (!requests) take(partial); };
});
