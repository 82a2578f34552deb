// The pinned answer over one setting: its loss, and the value at which its text changes.
import { html, svg, put, say, px, axis as axisOf, three } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { afterFrame, part, redraw, server } from "../session/parts.js";
import { saveable } from "../session/save_plots.js";
import { mergeNow, tab } from "../tab/words.js";
import { exampleOf, pinnedNow } from "./answer.js";
import { firstChanges, measured } from "./curve.js";
import { amount, changesIn } from "./curve_words.js";

const LEFT = 46, RIGHT = 14, TOP = 16, BOTTOM = 34, HEIGHT = 176, REST_MS = 500;

/** @type {any} */
let /** @type {any} */ value = null, /** @type {any} */ view = null;
let trigger = /** @type {(event: string) => void} */ (() => {}), send = /** @type {(value: any) => void} */ (() => {});
let serial = 0, lastQuestion = "", running = false, timer = 0, drawn = "";
/** Control -> its values, as the server has them. @type {Record<string, {values: number[], step: number}>} */
let axes = {};
let isHere = false, subject = "", refused = ""; // whether the tab measures; of what; what it could not

// --- what is varied --------------------------------------------------------------------------
const named = (reference) => server.names[reference]?.label ?? reference;
function offered() {
  const models = controls.deciding(), settings = [];
  if (!models.length) return settings;
  const focus = models.includes(controls.state.focus) ? controls.state.focus : models[0];
  if (controls.pruner()) {
    settings.push({ axis: "rate", model: focus, band: 0, title: "pruning rate", unit: "pruning rate (%)" });
    const suffix = controls.state.linked ? "" : ` of ${named(focus)}`;
    controls.levels()
      .forEach((_, band) =>
        settings.push(
          { axis: "factor", model: focus, band, title: `factor of partition ${band + 1}${suffix}`,
            unit: `factor of partition ${band + 1}${suffix} (×)` }));
  }
  for (const model of models)
    settings.push(
      { axis: "coefficient", model, band: 0, title: `coefficient of ${named(model)}`,
        unit: `coefficient of ${named(model)} (×)` });
  return settings;
}
const currentRange = () => {
  const all = offered();
  return all.find(({ title }) => title === view?.choice.value) ?? all[0] ?? null;
};
const isCurrent = ({ axis, model, band }) =>
    (axis === "rate" ? controls.rate() : axis === "factor" ? controls.factorsOf(model)[band]
  : controls.state.models.find(({ ref }) => ref === model)?.coefficient ?? null);
// Everything else that the curve depends on.
function question(over) {
  const { rate, levels, models, ...rest } = controls.choices();
  const { partitions, shares } = controls.state;
  const fixed = models.map((/** @type {any} */ [ref, weight, factors]) => [ref,
    over.axis === "coefficient" && ref === over.model ? null : weight,
    over.axis === "factor"
      ? factors.map((x, k) => (k === over.band && (controls.state.linked || ref === over.model) ? null : x))
      : factors]);
  return controls.asText(
    { prompt: pinnedNow().question, over, rest, partitions, shares, fixed,
      ...(over.axis === "rate" ? {} : { rate, levels }) });
}

// --- in the tab: under the thumb. A coarse curve is finished before the next one begins ----------
const tabMerge = () => (tab.state === "ready" && refused !== lastQuestion ? mergeNow() : null);
async function measureHere() {
  if (isHere) return; // it goes on with the newest settings by itself
  isHere = true;
  for (let over = currentRange(); over && view.details.open && lastQuestion; over = currentRange()) {
    const merge = tabMerge(), key = lastQuestion, { question: asked } = pinnedNow();
    if (!merge) { askSoon(); break; }
    const of = `${over.title} ${asked}`, item = exampleOf(asked), start = axes[over.axis].values[0], id = ++serial;
    if (subject !== of) value = null;
    subject = of;
    running = true;
    try {
      await measured(over, axes[over.axis], merge, asked, item, (points, reference, isCoarse) => {
        if (document.hidden) lastQuestion = ""; // asked anew once the page is seen
        const isAsked = lastQuestion && view.details.open;
        if (!isAsked || `${currentRange()?.title} ${pinnedNow().question}` !== of) return false;
        if (!value || !isCoarse || value.id === id)
          value = { id, axis: over.axis, start, reference, by: item ? "" : named(over.model), points,
            changes: firstChanges(points, start) };
        redraw();
        return isCoarse || key === lastQuestion;
      });
    } catch { refused = key; } // the server measures it
    if (key === lastQuestion && refused !== key) break;
  }
  isHere = running = false;
  redraw();
}
// --- by the server: only while it is open, and at rest ------------------------------------------
function askSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const over = currentRange();
    if (!view?.details.open || !over || !pinnedNow().question || question(over) !== lastQuestion) return;
    const { title, unit, ...place } = over;
    send({ id: ++serial, prompt: pinnedNow().question, ...place });
    running = true;
    trigger("trace");
  }, REST_MS);
}
afterFrame(() => {
  if (!view?.details.open || document.hidden) return;
  syncChoice();
  const over = currentRange(), now = over && pinnedNow().question ? question(over) : "";
  if (now !== lastQuestion) {
    if (running && !isHere) { running = false; serial += 1; trigger("halt"); }
    lastQuestion = now;
    if (now && tabMerge()) measureHere();
    else {
      value = null;
      if (now) askSoon();
    }
  }
  draw(over);
});

// --- the panel ---------------------------------------------------------------------------------
function build(parent) {
  const details = html("details", { class: "breaks" }, parent);
  html("summary", {}, details, "At which setting does this answer change?");
  const box = html("div", { class: "plot plot-breaks" }, details);
  const label = html("label", { class: "choice", title: "The setting that is varied; all others stay." }, box);
  html("span", {}, label, "Setting");
  const choice = html("select", { id: "breaks-axis" }, label);
  const summary = html("p", { class: "breaks-said", role: "status" }, box);
  const root = svg("svg", { id: "breaks-plot", role: "img", "aria-label": "Loss of the answer over a setting" }, box);
  const how = html("p", { class: "how" }, box);
  view = { details, choice, summary, root, how, width: 0 };
  saveable(box, "breaks", rows, () => root);
  details.addEventListener("toggle", () => {
    if (!details.open && running && !isHere) { running = false; trigger("halt"); }
    if (!details.open) lastQuestion = "";
    redraw();
  });
  choice.addEventListener("change", redraw);
  new ResizeObserver(() => { view.width = Math.floor(box.clientWidth); drawn = ""; redraw(); }).observe(box);
}
const rows = () => value && {
  columns: [currentRange()?.unit ?? value.axis, "loss (nats/token)", "answer"],
  rows: value.points.map(([x, loss, text]) => [scaled(x), loss, text]),
};
const scaled = (x) => (value?.axis === "rate" ? 100 * x : x);
function syncChoice() {
  const titles = offered().map(({ title }) => title), key = titles.join("\n");
  if (view.choice.dataset.key === key) return;
  const before = view.choice.value;
  view.choice.dataset.key = key;
  view.choice.replaceChildren();
  for (const title of titles) html("option", { value: title }, view.choice, title);
  if (titles.includes(before)) view.choice.value = before;
}

function draw(over) {
  const now = over && isCurrent(over), width = view.width;
  const key = JSON.stringify([value?.id, value?.points.length, running, now, over?.title, width]);
  if (key === drawn || !width) return;
  drawn = key;
  say(view.summary, sentence(over));
  put(view.details, "data-done", Boolean(value) && !running);
  view.root.replaceChildren();
  put(view.root, "viewBox", `0 0 ${width} ${HEIGHT}`);
  put(view.root, "width", width);
  put(view.root, "height", HEIGHT);
  say(view.how,
    value
    ? `Loss: how surprised the merge is by ${value.by ? `the answer of ${value.by}` : "the right answer"}, `
    + `“${value.reference}”; lower is better. Filled marks: the merge writes what it writes at `
    + `${amount(over, value.start)}.` : "");
  if (value?.points.length > 1) plot(over, now, width);
}
function sentence(over) {
  if (!pinnedNow().question) return "Pin a question first.";
  if (!over) return "No model takes part in the merge.";
  return value ? changesIn(over, value, running) : "Measuring …";
}
function plot(over, now, width) {
  const { points, start, changes } = value;
  const losses = points.map(([, loss]) => loss), xs = points.map(([x]) => scaled(x));
  const across = axisOf(Math.min(...xs), Math.max(...xs), width < 500 ? 4 : 6),
    down = axisOf(0, Math.max(...losses, 0.01), 4);
  const at = (x) => LEFT + ((x - across.low) / (across.high - across.low)) * (width - LEFT - RIGHT);
  const to = (loss) => HEIGHT - BOTTOM - ((loss - down.low) / (down.high - down.low)) * (HEIGHT - TOP - BOTTOM);
  const { root } = view;
  for (const mark of across.marks) {
    svg("line", { class: "grid", x1: px(at(mark)), x2: px(at(mark)), y1: TOP, y2: HEIGHT - BOTTOM }, root);
    svg("text", { class: "tick", x: px(at(mark)), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, root,
      three(mark));
  }
  for (const mark of down.marks)
    svg("text", { class: "tick", x: LEFT - 6, y: px(to(mark) + 4), "text-anchor": "end" }, root, three(mark));
  svg("text", { class: "tick", x: px((LEFT + width - RIGHT) / 2), y: HEIGHT - 4, "text-anchor": "middle" }, root,
    over.unit);
  svg("text", { class: "tick", x: 0, y: 10 }, root, "loss (nats/token)");
  for (const [low, high] of changes) {
    const x = px(at(scaled((low + high) / 2)));
    svg("line", { class: "breaks-change", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }, root);
  }
  svg("polyline",
    { class: "breaks-line", points: points.map(([x, loss]) => `${px(at(scaled(x)))},${px(to(loss))}`).join(" ") },
    root);
  const usual = points.find(([x]) => x === start)?.[2];
  for (const [x, loss, text] of points) {
    const dot = svg("circle",
      { class: "breaks-dot", cx: px(at(scaled(x))), cy: px(to(loss)), r: 3.5, "data-same": text === usual }, root);
    svg("title", {}, dot, `${amount(over, x)}: ${text || "(an empty answer)"}`);
  }
  if (now === null) return;
  const next = Math.max(points.findIndex(([x]) => x >= now - 1e-9), 0), [x1, l1] = points[next],
    [x0, l0] = points[Math.max(next - 1, 0)];
  const loss = x1 > x0 ? l0 + ((Math.min(now, x1) - x0) / (x1 - x0)) * (l1 - l0) : l1;
  svg("circle", { class: "breaks-here", cx: px(at(scaled(now))), cy: px(to(loss)), r: 6 }, root);
}

// Last, as the part may be built at once.
part("breaks", ({ host, put: give, trigger: fire, watch, get }) => {
  [send, trigger] = [give, fire];
  axes = get()?.axes ?? axes;
  build(host);
  watch(() => {
    const next = get();
    if (next?.id !== serial || !next.points) return;
    value = next;
    running = !next.done;
    redraw();
  });
});
