// Questions the paper leaves open: results of experiments, as curves or as ranges with intervals.
import { html, svg, say, three } from "../../base/shapes.js";
import { resultText as tidy, resultNumber as number, resultPlot } from "../../plots/experiment-plots.js";
import * as history from "../../session/history.js";
import { select, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";
import { ranges } from "../rows_and_cells.js";

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8a5a00", "#777777"],
  DASHES = ["none", "7 4", "2 4", "8 3 2 3", "12 3", "4 2"];

block("open-question", ({ host, result, ask }) => {
  const bar = html("div", { class: "plot-bar" }, host);
  const heading = html("p", { class: "asked" }, host);
  const place = html("div", {}, host);
  const status = html("p", { class: "how", role: "status" }, host);
  const fold = html("details", {}, host); // first one says what one expects
  html("summary", {}, fold, "What was found");
  const findings = html("ul", { class: "finding" }, fold);
  html("p", { class: "how" }, fold, result.words);
  const fresh = byChoice(host, ask, {}, draw, (problem) => say(status, problem));
  if (result.keys.length) select(bar, "Experiment", result.keys, result.key, (key) => fresh({ key }));
  function draw({ question, finding, plot, note }) {
    say(heading, tidy(question));
    findings.replaceChildren(); // names stand between stars
    for (const text of tidy(finding).replaceAll("*", "").split(/(?<=[.?]) (?=[A-Z‖])/)) html("li", {}, findings, text);
    fold.open = false;
    say(status, "");
    place.replaceChildren();
    if (result.map) mapOf(result.map);
    if (plot.kind === "bars") spans(plot, note);
    else curves(plot);
  }
  // Who wins, over sets and rates: the first figure of the view Experiments.
  function mapOf(map) {
    const box = html("section", { class: "plot plot-result" }, place);
    html("h3", { class: "plot-title" }, box, map.title);
    const root = svg("svg", { role: "group", "aria-label": `${map.title}. The numbers stand in the view Experiments.` },
      box);
    const fixed = history.refusal();
    html("p", { class: "how" }, box,
      `${map.how.replaceAll("*", "")} ${fixed || "Underlined: a click sets the controls of the page to this merge."}`);
    const news = html("p", { class: "how", role: "status" }, box);
    const pick = ([table, row], label) =>
      (result.set[table]?.[row] && !fixed ? () => { take({ table, row }, label, news); } : null);
    new ResizeObserver(() => { if (box.clientWidth) resultPlot(root, map, box.clientWidth, null, pick); }).observe(box);
  }
  async function take(place, name, news) {
    try {
      const reply = await ask({ key: result.key, ...place });
      history.goTo(reply.take);
      say(news,
        `The controls of the page are set to the merge of ${name}, its models included. Workbench, above, leads there, `
        + `and Learn back; Undo there brings back what was set before.`);
    } catch (error) { say(news, error.message); }
    news.scrollIntoView({ block: "nearest" });
  }
  function curves({ title, x, y, series }) {
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
        const rows = line.x.map((at, k) => [at, line.y[k], line.low[k], line.high[k]]).sort((a, b) => a[0] - b[0]);
        return { label: line.name, colour: COLOURS[i % COLOURS.length], dash: DASHES[i % DASHES.length], marks: true,
          points: rows.map(([at, value]) => [at, value]), spans: rows.map(([at, , from, to]) => [at, from, to]) };
      }),
      slider: x.title,
      at: result.at ?? low,
      how: `Across: ${unit(x)}. Up: ${unit(y)}. `
      + `${series.some((line) => line.low.some((end) => end !== null)) ? "Upright strokes: 95 % intervals." : ""}`,
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
});
