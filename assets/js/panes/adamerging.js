// A run of AdaMerging: what it says, and its plot: entropy and right answers at every checkpoint.
import { svg, put, px, three, percent, ticks, axis, spread } from "../base/shapes.js";
import { server } from "../session/parts.js";

const LEFT = 52, RIGHT = 64, TOP = 28, HEIGHT = 120, GAP = 52, FOOT = 44, LABEL = 13, HALF_SIGN = 5;
export const HOW = "Above: how unsure the merge is of the models' answers to held-out questions (entropy). Below: how "
  + "many of these it answers right. One line for each model's domain; marks: their mean at a checkpoint. Ringed: the "
  + "best. Crossed: collapsed. A click, or Enter, takes one over.";

const named = (ref) => server.names[ref]?.label ?? ref.replace(/^zoo:/, "");
const colour = (ref) => server.names[ref]?.colour ?? "var(--d-muted)";
export const isOne = (value) => value?.way === "adamerging";
export const bestOf = (value) => value.trials.findLast((trial) => trial.best);
// "math × 1.02, law × 0.9–1.1": a range over the layers.
export const coefficients = (value, trial) => trial.coefficients.map((row, i) => {
  const low = three(Math.min(...row)), high = three(Math.max(...row));
  return `${named(value.models[i])} ×\u00a0${low === high ? low : `${low}–${high}`}`;
}).join(", ");
const nats = (entropy) => `${three(entropy)} nats`;

export function title(value) {
  const best = bestOf(value);
  if (!best) return "";
  return `Best checkpoint${value.state === "done" ? "" : " so far"}: step ${best.number}, ${percent(best.accuracy)} of `
    + `the held-out answers right at ${coefficients(value, best)}`;
}
function collapse(value) {
  const worse = value.trials.find((trial) => trial.collapsed);
  if (!worse) return "";
  const best = value.trials.filter((trial) => trial.best && trial.number < worse.number).at(-1);
  const end = value.result?.ended_early
    ? ` The run ended at step ${value.trials.at(-1).number}, after several such checkpoints in a row.` : "";
  const entropy = `entropy fell from ${three(best.entropy)} to ${nats(worse.entropy)}`;
  const right = `right answers from ${percent(best.accuracy)} to ${percent(worse.accuracy)}`;
  return ` It collapsed at step ${worse.number}: ${entropy}, and ${right}; it became surer of wrong answers.${end}`;
}
export function finished(value, before) {
  const best = bestOf(value);
  if (!best || value.state === "running") return "";
  if (value.state === "stopped")
    return `Cancelled after step ${value.trials.at(-1).number}; its checkpoints stay.${collapse(value)}`;
  return `${value.trials.at(-1).number} steps. ${best.number ? `The best checkpoint is that of step ${best.number}.`
    : "No step was better than the start."}${collapse(value)} ${value.result?.test ?? ""} ${before}`;
}
export const rows = (value) => ({
  columns: ["step", "entropy (nats)", "right answers (share)", "collapsed",
    ...value.models.flatMap((ref) => ["entropy (nats)", "right answers (share)", "coefficient (×)"]
      .map((what) => `${named(ref)}: ${what}`))],
  rows: value.trials.map((trial) => [trial.number, trial.entropy, trial.accuracy, trial.collapsed,
    ...trial.domains.flatMap((one, i) => [one.entropy, one.accuracy, trial.coefficients[i].join(" / ")])]),
});

const words = (value, trial) => `Step ${trial.number}: entropy ${nats(trial.entropy)}, ${percent(trial.accuracy)} right`
  + `${trial.collapsed ? ", collapsed" : ""}; ${coefficients(value, trial)}`
  + `${trial.take ? "" : "; cannot be taken over"}`;

// One panel: an axis, a line for each domain, their mean. Returns the places of the means.
function panel(root, value, width, top, { key, heading, text }) {
  const steps = value.settings.steps, all = value.trials.flatMap((trial) => trial.domains.map((one) => one[key]));
  const y = axis(Math.min(...all), Math.max(...all), 4);
  const at = (step, number) => [LEFT + (step / steps) * (width - LEFT - RIGHT),
    top + (1 - (number - y.low) / (y.high - y.low || 1)) * HEIGHT];
  svg("text", { x: 0, y: top - 14, class: "axis" }, root, heading);
  for (const mark of y.marks) {
    const [, height] = at(0, mark);
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: px(height), y2: px(height), class: "grid" }, root);
    svg("text", { x: LEFT - 6, y: px(height + 4), class: "tick end" }, root, text(mark));
  }
  const line = (points, attributes) =>
    svg("path", { d: points.map(([a, b], i) => `${i ? "L" : "M"}${px(a)} ${px(b)}`).join(""), ...attributes }, root);
  value.models.forEach((ref, i) => {
    line(value.trials.map((trial) => at(trial.number, trial.domains[i][key])),
      { class: "way domain", stroke: colour(ref), "data-model": ref });
  });
  const last = value.trials.at(-1);
  const ends = [["mean", last], ...value.models.map((ref, i) => [named(ref), last.domains[i]])]
    .map(([name, figures]) => ({ name, place: at(last.number, figures[key]) }))
    .sort((a, b) => a.place[1] - b.place[1]);
  const heights = spread(ends.map(({ place }) => place[1]), top + HEIGHT, LABEL);
  ends.forEach(({ name, place: [x] }, i) =>
    svg("text", { x: px(x + 9), y: px(heights[i] + 4), class: "tick" }, root, name));
  const means = value.trials.map((trial) => at(trial.number, trial[key]));
  line(means, { class: "way mean", stroke: "var(--d-ink)" });
  return means;
}
export function plot(root, value, width, pick) {
  const low = TOP + HEIGHT + GAP, height = low + HEIGHT + FOOT, best = bestOf(value);
  root.replaceChildren();
  for (const [name, size] of [["viewBox", `0 0 ${width} ${height}`], ["width", width], ["height", height]])
    put(root, name, size);
  const unsure = panel(root, value, width, TOP, { key: "entropy", heading: "entropy (nats)", text: three });
  const right = panel(root, value, width, low, { key: "accuracy", heading: "held-out answers right", text: percent });
  const steps = value.settings.steps;
  for (const step of ticks(0, steps).filter(Number.isInteger)) {
    const x = LEFT + (step / steps) * (width - LEFT - RIGHT);
    svg("text", { x: px(x), y: low + HEIGHT + 17, class: "tick middle" }, root, String(step));
  }
  svg("text", { x: px((LEFT + width - RIGHT) / 2), y: height - 8, class: "axis middle" }, root, "step");
  value.trials.forEach((trial, i) => {
    const g = svg("g", {
      class: `trial${trial === best ? " best" : ""}${trial.collapsed ? " collapsed" : ""}`, "data-number": trial.number,
      "data-coefficients": JSON.stringify(trial.coefficients), tabindex: "0", role: "button",
      "aria-label": words(value, trial),
    }, root);
    for (const [x, y] of [unsure[i], right[i]]) {
      svg("circle", { class: "mark-trial", cx: px(x), cy: px(y), r: 5.5, fill: "var(--d-accent)" }, g);
      if (trial.collapsed) {
        const s = HALF_SIGN;
        const d = `M${px(x - s)} ${px(y - s)}l${2 * s} ${2 * s}m0 ${-2 * s}l${-2 * s} ${2 * s}`;
        svg("path", { class: "cross", d }, g);
      }
    }
    svg("title", {}, g, words(value, trial));
    pick(g, trial);
  });
}
