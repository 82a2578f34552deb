// A table of scores for one of four measures: numbers with intervals, and a plot of dots.
import { svg, put, px, percent, three, two, ticks } from "../base/shapes.js";
import * as history from "../session/history.js";
import { part } from "../session/parts.js";

const whole = (share) => String(Math.round(100 * share));
const signed = (share) => `${share > 0 ? "+" : share < 0 ? "−" : ""}${Math.abs(100 * share).toFixed(1)}`;
const range = ({ value, ci95 }) => ({ value, low: ci95[0], high: ci95[1] });

// cell(details of a model in a domain) and last(its row): {value, low, high}, or null if there is none.
export const scoreMeasures = [
  { name: "accuracy", title: "accuracy", text: percent, brackets: whole, unit: "%", last: "mean",
    cell: (detail) => ({ value: detail.accuracy, low: detail.ci95[0], high: detail.ci95[1] }),
    of: (row) => row.mean !== null && { value: row.mean, low: row.mean_ci95[0], high: row.mean_ci95[1] },
    how: "Share of unseen test questions answered exactly right, in percent; in brackets and as a bar, the 95 % "
    + "interval. More questions make it narrower." },
  { name: "retention", title: "retention", text: percent, brackets: whole, unit: "% of the own model's", last: "mean",
      few: "Without a row: base and domain models, which keep nothing of another.",
    cell: (detail) => detail.retention && range(detail.retention),
    of: (row) => row.mean_retention && range(row.mean_retention),
    how: "Accuracy divided by that of the domain's own model on the same questions; last the geometric mean. In "
    + "brackets, the 95 % interval, by drawing the questions anew." },
  { name: "forgetting", title: "forgetting", text: signed, brackets: signed, unit: "points", last: null,
      few: "Without a row: the base itself, and merges made for every domain.",
    cell: (detail) => detail.forgetting && range(detail.forgetting), of: () => null,
    how: "Accuracy of the base minus the model's own, in points, on domains the model was not made for. Below 0 it "
    + "knows more than the base." },
  { name: "loss", title: "loss of the right answers", text: three, brackets: two, unit: "nats per token", last: null,
    cell: (detail) => ({ value: detail.loss, low: detail.loss_ci95[0], high: detail.loss_ci95[1] }), of: () => null,
    how: "Mean negative log-likelihood of the right answers' tokens: 0 is certain of every one. It also ranks models "
    + "that answer nothing exactly right." },
];

// The range of the axis: from 0, or lower if a value is negative.
export const scoreReach = (details, measure) => {
  const cells = details.flatMap((row) => Object.values(row.domains)).filter(Boolean).map(measure.cell).filter(Boolean);
  return { low: Math.min(0, ...cells.map(({ low }) => low)),
    high: Math.max(measure.name === "accuracy" ? 1 : 0.001, ...cells.map(({ high }) => high)) };
};

// the last one for a number on the axis
const LEFT = 158, RIGHT = 16, TOP = 8, LINE = 13, GAP = 9, BOTTOM = 42, ROOM = 38;
export const scorePlot = (root, rows, domains, measure, colour, width) => {
  const drawable = rows.filter(({ detail }) =>
    Object.values(detail.domains).some((entry) => entry && measure.cell(entry)));
  const { low, high } = scoreReach(drawable.map(({ detail }) => detail), measure);
  const x = (value) => LEFT + ((value - low) / (high - low)) * (width - LEFT - RIGHT);
  const bottom = TOP + drawable.length * (LINE * domains.length + GAP);
  root.replaceChildren();
  for (
    const [name, value] of [["viewBox", `0 0 ${width} ${bottom + BOTTOM}`], ["width", width],
      ["height", bottom + BOTTOM]]) put(root, name, value);
  for (const value of ticks(low, high, Math.min(Math.floor((width - LEFT - RIGHT) / ROOM), 5))) {
    svg("line", { x1: px(x(value)), x2: px(x(value)), y1: TOP, y2: bottom, class: value ? "grid" : "zero" }, root);
    svg("text", { x: px(x(value)), y: bottom + 15, class: "tick middle" }, root, measure.text(value) || "0");
  }
  drawable.forEach(({ label, target, detail }, i) => {
    const top = TOP + i * (LINE * domains.length + GAP);
    svg("text", { x: 0, y: top + LINE - 2, class: "axis" }, root, label);
    domains.forEach((domain, j) => {
      const interval = detail.domains[domain] && measure.cell(detail.domains[domain]), y = top + LINE * j + LINE / 2;
      svg("text", { x: LEFT - 6, y: y + 4, class: "tick end" }, root, domain);
      if (!interval) return;
      svg("line",
        { x1: px(x(interval.low)), x2: px(x(interval.high)), y1: y, y2: y, stroke: colour(target), "stroke-width": 4,
          "stroke-opacity": 0.45 }, root);
      svg("circle",
        { cx: px(x(interval.value)), cy: y, r: 3.5, fill: colour(target), "data-value": +interval.value.toPrecision(6),
          "data-domain": domain, "data-target": target }, root);
    });
  });
  svg("text", { x: width, y: bottom + 34, class: "axis end" }, root, `${measure.title}, ${measure.unit}`);
};

// Send the slot that is not shown: only the browser knows it.
part("score-other", ({ host, put: send }) => {
  host.replaceChildren();
  const tell = () => {
    const { slot, slots } = history.history(), name = slot === "A" ? "B" : "A";
    send({ slot: name, state: slots[name] ?? null });
  };
  history.onSettled(tell);
  tell();
});
