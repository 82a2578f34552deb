// The uncertainty of a score, and the methods compared with DPPA.
import { html, say, percent, percent1, THIN } from "../../base/shapes.js";
import { select, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";
import { ranges } from "../rows_and_cells.js";

block("interval-width", ({ host, result, ask }) => {
  let data = result;
  const bar = html("div", { class: "plot-bar" }, host);
  const status = html("p", { class: "how", role: "status" }, host);
  const fresh = byChoice(host, ask, {}, (next) => {
    data = next;
    plot.update(spec());
  }, (problem) => say(status, problem));
  select(bar, "Share of right answers", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95].map((x) => [x, percent(x)]), result.share,
    (share) => fresh({ share: +share }));
  const last = data.rows[data.rows.length - 1][0];
  let at = 50;
  const title = () => {
    const [n, low, high, right] = data.rows.find(([items]) => items === at);
    // of 10 questions no count is 95 %
    const nearest = Math.abs(right / n - data.share) < 1e-9 ? "" : `, the nearest to ${percent(data.share)}`;
    return `${right} of ${n} right${nearest}: of all such questions it is between ${percent(low)} and `
      + `${percent(high)}, ${(100 * (high - low)).toFixed(1)} points apart`;
  };
  const spec = () => ({
    title: title(),
    series: [
      { label: "upper end", colour: "#D55E00", dash: "7 4", points: data.rows.map(([n, , high]) => [n, high]) },
      { label: "what was counted", colour: "var(--d-edge)", dash: "4 4",
        points: [[data.rows[0][0], data.share], [last, data.share]] },
      { label: "lower end", colour: "#0072B2", points: data.rows.map(([n, low]) => [n, low]) },
    ],
  });
  const plot = lines(host, {
    name: "interval-width",
    label: "95 % interval of a score over the number of questions",
    x: { label: "questions", low: 10, high: last, step: 10, ticks: [10, 200, 400, 600, 800, 1000], text: String },
    y: { label: "right answers", low: 0.2, high: 1, text: percent1, tick: percent },
    slider: "Questions",
    at,
    onAt: (n) => { at = n; plot.update({ title: title() }); },
    how: `Wilson's interval: with 95${THIN}% confidence the share on all such questions lies inside.`,
    ...spec(),
  });
});

block("leaderboard", ({ host, result }) => {
  const points = (x) => `${x < 0 ? "−" : "+"}${Math.abs(100 * x).toFixed(1)}`;
  const reference = result.rows.find((row) => row.method === "dppa");
  ranges(host, {
    name: "leaderboard",
    label: "Retention of every method beside DPPA's",
    title: `DPPA stands at place ${result.figures.place} of ${result.figures.methods}`,
    rows: result.rows.map((row) => ({
      label: row.title, value: row.mean, low: row.low, high: row.high, strong: row.method === "dppa",
      hollow: row.method !== "dppa" && !row.significant,
      text: row.method === "dppa" ? `0 (keeps ${percent1(row.retention)})`
      : `${points(row.mean)}${row.significant ? "" : " (may be chance)"}`,
    })),
    how: `Points of retention more or less than DPPA, which keeps ${percent1(reference.retention)}: mean of the three `
    + `domains, with 95${THIN}% intervals of the paired differences. Right of the line: better. A hollow dot: no `
    + `significant difference from DPPA, p-values corrected for all comparisons (Holm).`,
  });
});
