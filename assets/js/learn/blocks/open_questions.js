// Questions the paper leaves open: results of experiments, as curves or as ranges with intervals.
import { html, say, three } from "../../base/shapes.js";
import { resultText as tidy, resultNumber as number } from "../../plots/experiment-plots.js";
import { select, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";
import { ranges } from "../rows_and_cells.js";

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8a5a00", "#777777"],
  DASHES = ["none", "7 4", "2 4", "8 3 2 3", "12 3", "4 2"];

/** @param {any} block */
function questionBlock({ host, result, ask }) {
  const bar = html("div", { class: "plot-bar" }, host);
  const heading = html("p", { class: "asked" }, host);
  const place = html("div", {}, host);
  const status = html("p", { class: "how", role: "status" }, host);
  const fold = html("details", {}, host); // first one says what one expects
  html("summary", {}, fold, "What was found");
  const findings = html("ul", { class: "finding" }, fold);
  html("p", { class: "how" }, fold, result.words);
  const fresh = byChoice(host, ask, {}, draw, (problem) => say(status, problem));
  if (result.keys.length) select(bar, result.choose, result.keys, result.key, (key) => fresh({ key }));
  if (!result.words) fold.remove(); // the lesson's text says what was found
  function draw({ question, finding, plot, note }) {
    say(heading, tidy(question));
    findings.replaceChildren(); // names stand between stars
    for (const text of tidy(finding).replaceAll("*", "").split(/(?<=[.?]) (?=[A-Z‖])/)) html("li", {}, findings, text);
    fold.open = false;
    say(status, "");
    place.replaceChildren();
    if (plot.kind === "bars") spans(plot, note);
    else curves(plot, note);
  }
  function curves({ title, x, y, series }, note) {
    const xs = series.flatMap((line) => line.x),
      ys = series.flatMap((line) => [...line.low, ...line.high, ...line.y]).filter((value) => value !== null);
    const low = Math.min(...xs), high = Math.max(...xs), ends = [Math.min(0, ...ys), Math.max(0, ...ys)];
    const unit = (axis) => (axis.unit ? `${axis.title} (${axis.unit})` : axis.title);
    lines(place, {
      name: "open-question",
      label: title,
      title,
      x: { label: unit(x), low, high, text: three },
      y: { label: unit(y), low: ends[0] * 1.05, high: ends[1] * 1.05 || 1, text: number },
      series: series.map((line, i) => {
        const rows = line.x.map((at, k) => [at, line.y[k], line.low[k] ?? null, line.high[k]])
          .sort((a, b) => a[0] - b[0]);
        return { label: line.name, colour: COLOURS[i % COLOURS.length], dash: DASHES[i % DASHES.length], marks: true,
          points: rows.map(([at, value]) => [at, value]), spans: rows.map(([at, , from, to]) => [at, from, to]) };
      }),
      slider: x.title,
      at: low,
      how: `Across: ${unit(x)}. Up: ${unit(y)}. `
      + `${series.some((line) => line.low.some((end) => end !== null)) ? "Upright strokes: 95 % intervals. " : ""}`
      + note,
    });
  }
  function spans({ title, y, series }, note) {
    ranges(place, {
      name: "open-question",
      label: title,
      title,
      rows: series.flatMap((group) =>
        group.x.map((label, k) =>
          ({ label: `${label}, ${group.name}`, value: group.y[k], low: group.low[k] ?? group.y[k],
            high: group.high[k] ?? group.y[k], text: number(group.y[k]) }))),
      how: `${y.title} (${y.unit}), with 95 % intervals. ${note}`.trim(),
    });
  }
  draw(result);
}
block("open-question", questionBlock);
block("forms-by-size", questionBlock);
