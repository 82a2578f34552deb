// The trials of a search: what they say, and their plots.
import { amounts, svg, put, px, three, percent, level, ticks, axis, spread } from "../base/shapes.js";
import { server } from "../session/parts.js";
import * as adamerging from "./adamerging.js";

const LEFT = 46, RIGHT = 12, TOP = 26, HEIGHT = 210, BOTTOM = 44;
const named = (ref) => server.names[ref]?.label ?? ref.replace(/^zoo:/, "");
const plain = (value) => (typeof value === "number" ? three(value) : String(value));
const valueWords = (name, value) => (name === "rate" ? level(value) : plain(value)); // as on the sliders
// The slider's name of a setting, sent by the server.
export const settings = (value, trial) => (adamerging.isOne(value) ? adamerging.coefficients(value, trial)
  : Object.entries(trial.values).map(([name, setting]) => `${value.words[name]} ${valueWords(name, setting)}`)
      .join(", "));
// The goal of a search: the mean retention, the least one, or one domain's.
export const after = (value) => value.goals?.[0] ?? "retention";
export const domainOf = (value) => after(value).split(".")[1];
export const byWhom = (value) =>
  (domainOf(value) ? ` by ${domainOf(value)}` : after(value) === "worst" ? " by the worst domain" : "");
const geometric = (shares) => (shares.length ? shares.reduce((a, b) => a * b, 1) ** (1 / shares.length) : 0);
export const isClimb = (value) => value.way === "climb";
const goalOf = (trial) => trial.goals[0];
const whole = (value) => value.trials.filter((trial) => trial.state === "complete");
export const bestOf = (value) => (adamerging.isOne(value) && adamerging.bestOf(value))
  || (value.way === "joint" && value.result?.best)
  || whole(value).reduce((a, b) => (a && goalOf(a) >= goalOf(b) ? a : b), null);
const SAME = 1e-9; // scores are shares of a few questions: ties are common
const equals = (value, best) => whole(value).filter((trial) => Math.abs(goalOf(trial) - goalOf(best)) < SAME);

// --- words ----------------------------------------------------------------------------------
export function title(value) {
  if (adamerging.isOne(value)) return adamerging.title(value);
  const first = `Best on the search questions${value.state === "done" ? "" : " so far"}`;
  if (isClimb(value)) { // each model by itself: there is no overall best
    const best = new Map();
    for (const trial of value.trials) if (!(best.get(trial.model)?.score >= trial.score)) best.set(trial.model, trial);
    return `${first} of each: `
      + `${[...best.values()].map((trial) =>
        `${named(trial.model)} ${percent(trial.score)} at ×\u00a0${trial.factors.map(plain).join("\u00a0/\u00a0")}`)
            .join(", ")}`;
  }
  const best = bestOf(value);
  if (!best) return value.trials.length ? "No setting was scored to the end yet" : "";
  // some are tried twice
  const others = new Set(equals(value, best).map((trial) => JSON.stringify(trial.values))).size - 1;
  const ties = others ? `, and at ${others === 1 ? "one other setting" : `${others} other settings`}` : "";
  return `${first}: ${percent(goalOf(best))} kept${byWhom(value)} at ${settings(value, best)}${ties}`;
}
export const HOW = {
  climb: "One mark per setting: the factor that is being raised, and the score it gives: what is kept of the domain "
  + "model's score, over its tasks "
    + "(geometric mean), on the search questions. Solid: the strongest band; dashed: the next.",
  optuna: "One mark per trial: what is kept of the domain models' scores ({whose}). Hollow: given up after a domain. A "
  + "click, or Enter, takes one over.",
  joint: "One mark per setting: what is kept of the domain models' scores (mean). The loss of the right answers "
  + "decides which setting is asked next, "
    + "and which of equally high marks is the best. A click, or Enter, takes one over.",
  front: "One mark per trial: how many changes are kept, and what is kept of the domain models' scores. The line joins "
  + "those that no other one beats. "
    + "Hollow: given up after a domain. A click, or Enter, takes one over.",
  adamerging: adamerging.HOW,
  grid: "Colour, number: what is kept of the domain models' scores (geometric mean), in percent. A frame with a "
  + "corner: the best, or all that are equally good. A click, or Enter, takes a cell over.",
};
export const kindOf = (value) => (value.way === "optuna" && value.goals?.length > 1 ? "front" : value.way);
function trialWords(value, trial) {
  const kept = Object.entries(trial.retentions).map(([domain, share]) => `${domain} ${percent(share)}`).join(", ");
  return `${settings(value, trial)}: ${kept || "not scored"}; ${percent(trial.density)} of the changes `
    + `kept${trial.take ? "" : "; cannot be taken over"}`;
}

// --- the plots ---------------------------------------------------------------------------------
// x: {low, high, text, title, whole?}; y: {low, high, marks, title}.
function frame(root, width, height, x, y) {
  root.replaceChildren();
  put(root, "viewBox", `0 0 ${width} ${height}`);
  put(root, "width", width);
  put(root, "height", height);
  const at = {
    x: (value) => LEFT + ((value - x.low) / (x.high - x.low || 1)) * (width - LEFT - RIGHT),
    y: (value) => TOP + (1 - (value - y.low) / (y.high - y.low || 1)) * HEIGHT,
  };
  for (const v of y.marks) {
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: px(at.y(v)), y2: px(at.y(v)), class: "grid" }, root);
    svg("text", { x: LEFT - 6, y: px(at.y(v) + 4), class: "tick end" }, root, percent(v));
  }
  for (const h of ticks(x.low, x.high).filter((tick) => !x.whole || Number.isInteger(tick))) {
    svg("text", { x: px(at.x(h)), y: TOP + HEIGHT + 17, class: "tick middle" }, root, x.text(h));
  }
  svg("text", { x: 0, y: 12, class: "axis" }, root, y.title);
  svg("text", { x: px((LEFT + width - RIGHT) / 2), y: TOP + HEIGHT + 36, class: "axis middle" }, root, x.title);
  return at;
}
function span(values, least) {
  const low = Math.min(...values), high = Math.max(...values);
  const more = Math.max(least - (high - low), 0) / 2;
  return { low: Math.max(low - more, 0), high: high + more };
}
const scoreAxis = (scores, title) => {
  const { low, high } = span(scores, 0.2);
  return { ...axis(low, high), title };
};
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${px(x)} ${px(y)}`).join("");

function climb(root, value, width) {
  const factors = value.trials.map((t) => t.factors[t.band]), scores = value.trials.map((t) => t.score);
  const at = frame(root, width, TOP + HEIGHT + BOTTOM,
    { ...span(factors, 0.5), text: three, title: "factor of the band (×)" }, scoreAxis(scores, "kept of the score"));
  const lines = new Map();
  for (const trial of value.trials) {
    const key = `${trial.model}/${trial.band}`;
    if (!lines.has(key)) lines.set(key, []);
    lines.get(key).push(trial);
  }
  const ends = []; // one for each model, at its last line
  for (const trials of lines.values()) {
    const [{ model, band }] = trials, colour = server.names[model]?.colour ?? "var(--d-accent)";
    const points = trials.map((t) => [at.x(t.factors[t.band]), at.y(t.score)]);
    svg("path", { class: `way${band ? " second" : ""}`, d: path(points), stroke: colour }, root);
    trials.forEach((trial, i) => {
      const g = svg("g",
        { class: "point", "data-model": model, "data-band": band, "data-score": +trial.score.toPrecision(6) }, root);
      svg("circle", { class: "mark-trial", cx: px(points[i][0]), cy: px(points[i][1]), r: 4.5, fill: colour }, g);
      svg("title", {}, g, `${named(model)} × ${trial.factors.map(plain).join(" / ")}: ${percent(trial.score)}`);
    });
    if (!lines.has(`${model}/${band + 1}`)) ends.push({ model, at: points[points.length - 1] });
  }
  ends.sort((a, b) => a.at[1] - b.at[1]);
  const heights = spread(ends.map(({ at: [, y] }) => y - 7), TOP + HEIGHT, 13);
  ends.forEach(({ model, at: [x] }, i) =>
    svg("text", { x: px(Math.min(x + 7, width - 50)), y: px(heights[i]), class: "tick" }, root, named(model)));
}
function marks(root, value, at, place, pick) {
  const best = value.result?.best?.number ?? bestOf(value)?.number;
  for (const trial of value.trials) {
    const complete = trial.state === "complete";
    const g = svg("g", {
      class: `trial${complete ? "" : " lost"}${trial.number === best ? " best" : ""}`, "data-number": trial.number,
      "data-state": trial.state,
      tabindex: "0", role: "button", "aria-label": trialWords(value, trial),
    }, root);
    const [x, y] = place(trial);
    svg("circle", { class: "mark-trial", cx: px(at.x(x)), cy: px(at.y(y)), r: 5.5, fill: "var(--d-accent)" }, g);
    svg("title", {}, g, trialWords(value, trial));
    pick(g, trial);
  }
}
function shownScore(value, trial) { // of a pruned trial: over the domains asked
  const shares = Object.values(trial.retentions);
  if (trial.goals.length) return goalOf(trial);
  if (after(value) === "worst") return shares.length ? Math.min(...shares) : 0;
  return domainOf(value) ? trial.retentions[domainOf(value)] ?? 0 : geometric(shares);
}
function trialPlot(root, value, width, pick) {
  const scores = value.trials.map((t) => shownScore(value, t));
  const x = { low: 1, high: Math.max(value.total ?? 0, value.trials.length, 2), text: String, whole: true,
    title: "trial" };
  const at = frame(root, width, TOP + HEIGHT + BOTTOM, x, scoreAxis(scores, "kept of the scores"));
  let most = 0;
  const best = whole(value)
    .map((trial) => [at.x(value.trials.indexOf(trial) + 1), at.y((most = Math.max(most, goalOf(trial))))]);
  svg("path", { class: "way", d: path(best), stroke: "var(--d-accent)" }, root);
  marks(root, value, at, (trial) => [value.trials.indexOf(trial) + 1, shownScore(value, trial)], pick);
}
function frontPlot(root, value, width, pick) {
  const kept = value.trials.map((t) => t.density), scores = value.trials.map((t) => shownScore(value, t));
  const at = frame(root, width, TOP + HEIGHT + BOTTOM, { ...span(kept, 0.2), text: percent, title: "changes kept" },
    scoreAxis(scores, "kept of the scores"));
  const beats = (a, b) => goalOf(a) >= goalOf(b) && a.density <= b.density
    && (goalOf(a) > goalOf(b) || a.density < b.density);
  const front = whole(value).filter((trial) => !whole(value).some((rival) => beats(rival, trial)))
    .sort((a, b) => a.density - b.density);
  svg("path",
    { class: "way front", d: path(front.map((t) => [at.x(t.density), at.y(goalOf(t))])), stroke: "var(--d-accent)",
      "data-front": front.length }, root);
  marks(root, value, at, (trial) => [trial.density, shownScore(value, trial)], pick);
}
function gridPlot(root, value, width, pick) {
  const [down, across] = value.sides;
  const row = 34, step = (width - LEFT - RIGHT) / across.values.length, top = TOP + 16;
  const height = top + row * down.values.length + 8;
  root.replaceChildren();
  put(root, "viewBox", `0 0 ${width} ${height}`);
  put(root, "width", width);
  put(root, "height", height);
  svg("text", { x: px(LEFT + (width - LEFT - RIGHT) / 2), y: 12, class: "axis middle" }, root,
    value.words[across.name]);
  svg("text", { x: 0, y: 12, class: "axis" }, root, value.words[down.name]);
  across.values.forEach((v, i) =>
    svg("text", { x: px(LEFT + step * (i + 0.5)), y: top - 6, class: "tick middle" }, root,
      valueWords(across.name, v)));
  down.values.forEach((v, i) =>
    svg("text", { x: LEFT - 6, y: px(top + row * (i + 0.5) + 4), class: "tick end" }, root, valueWords(down.name, v)));
  const scores = whole(value).map(goalOf), low = Math.min(...scores), high = Math.max(...scores);
  const top1 = bestOf(value), best = new Set(top1 ? equals(value, top1).map(({ number }) => number) : []);
  for (const trial of value.trials) {
    const i = down.values.indexOf(trial.values[down.name]), j = across.values.indexOf(trial.values[across.name]);
    const complete = trial.state === "complete", share = high > low ? (goalOf(trial) - low) / (high - low) : 0.5;
    const g = svg("g", {
      class: `trial${best.has(trial.number) ? " best" : ""}`, "data-number": trial.number, "data-state": trial.state,
      tabindex: "0", role: "button", "aria-label": trialWords(value, trial),
    }, root);
    svg("rect",
      { class: "mark-trial", x: px(LEFT + step * j + 1), y: px(top + row * i + 1), width: px(step - 2), height: row - 2,
        rx: 2, fill: complete ? amounts.colour(share) : "var(--d-sunk)" }, g);
    if (best.has(trial.number)) {
      const x = LEFT + step * (j + 1) - 1, y = top + row * i + 1;
      svg("path", { class: "corner", d: `M${px(x - 11)} ${px(y)}H${px(x)}V${px(y + 11)}Z` }, g);
    }
    svg("text",
      { class: "number", x: px(LEFT + step * (j + 0.5)), y: px(top + row * (i + 0.5)),
        fill: complete ? amounts.ink(share) : "var(--d-ink)" }, g,
      complete ? String(Math.round(100 * goalOf(trial))) : "–");
    svg("title", {}, g, trialWords(value, trial));
    pick(g, trial);
  }
}

/** Kind of search -> draws its trials: (root, value, width, pick). @type {Record<string, (...args: any[]) => void>} */
export const PLOTS = { climb, joint: trialPlot, optuna: trialPlot, front: frontPlot, grid: gridPlot,
  adamerging: adamerging.plot };
