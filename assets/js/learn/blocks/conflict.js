// Two domains in one weight: overlap and conflict of two deltas, and an election of signs.
import { html, say, three, percent, percent1, THIN } from "../../base/shapes.js";
import { lines, select } from "../charts.js";
import { block, byChoice } from "../frame.js";
import { cells, pointed, ranges } from "../rows_and_cells.js";

const COLOURS = ["#0072B2", "#E69F00", "#009E73"], DASHES = ["none", "7 4", "2 4"];
const and = new Intl.ListFormat("en-GB");
const signed = (x) => three(x).replace("-", "−");
const four = (x) =>
  (x === 0 ? "0" : x.toFixed(Math.abs(x) < 0.9995 ? 3 : 2).replace("0.", ".")
    .replace("-", Math.abs(x) < 0.0005 ? "" : "−"));

block("conflict-rates", ({ host, result }) => {
  const { pairs } = result;
  const x = { label: "pruning rate p", low: 0, high: 0.99, step: 0.01, ticks: [0, 0.2, 0.4, 0.6, 0.8, 0.99],
    text: percent };
  const series = (name) => pairs.map((pair, i) => ({
    label: `${pair.first} and ${pair.second}`, colour: COLOURS[i % 3], dash: DASHES[i % 3],
    points: pair[name].slice(0, 100).map((y, k) => [k / 100, y]),
  }));
  let at = 0.8;
  const value = (name, rate) => pairs[0][name][Math.round(100 * rate)];
  const names = `${pairs[0].first} and ${pairs[0].second}`;
  const titles = (rate) => ({
    overlap: `At ${percent(rate)} pruned, ${percent(value("overlap", rate))} of what ${pairs[0].first} keeps, `
    + `${pairs[0].second} keeps too`,
    conflict: `Where ${names} meet, ${percent(value("conflict", rate))} change in opposite directions`,
  });
  function moved(rate, sibling) { // both plots are read at one rate
    if (rate === at) return;
    at = rate;
    overlap.update({ title: titles(rate).overlap });
    conflict.update({ title: titles(rate).conflict });
    sibling.at(rate);
  }
  const overlap = lines(host, {
    name: "overlap", label: "Overlap over the pruning rate", x, title: titles(at).overlap, at, slider: "Pruning rate",
    y: { label: "overlap", low: 0, high: 1, text: percent1, tick: percent },
    series: [...series("overlap"),
      { label: "by chance: 1 − p", colour: "var(--d-edge)", dash: "4 4", points: [[0, 1], [0.99, 0.01]] }],
    onAt: (rate) => moved(rate, conflict),
    how: "Of the changes that the first one keeps, the share that the other keeps too. Two masks drawn by chance would "
    + "meet in 1 − p. All curves lie nearly on that one: that is the finding.",
  });
  const conflict = lines(host, {
    name: "conflict", label: "Conflict over the pruning rate", x, title: titles(at).conflict, at,
    slider: "Pruning rate",
    y: { label: "conflict", low: 0, high: 0.6, text: percent1, tick: percent },
    series: [...series("conflict"),
      { label: "by chance: half", colour: "var(--d-edge)", dash: "4 4", points: [[0, 0.5], [0.99, 0.5]] }],
    onAt: (rate) => moved(rate, overlap),
    how: "Of the changes that both keep, the share with opposite signs.",
  });
});

block("sign-election", ({ host, result, ask, write }) => {
  let data = result, at = [0, 0];
  const bar = html("div", { class: "plot-bar" }, host);
  const grid = html("div", { class: "cells-row" }, host);
  const status = html("p", { class: "how", role: "status" }, host);
  const change = byChoice(host, ask, {}, draw, (problem) => say(status, problem));
  select(bar, "Matrix", result.modules.map((name) => [name, name]), result.module, (module) => change({ module }));
  const specs = () => {
    const all = [...data.deltas, data.mean, data.elected];
    const top = Math.max(...data.deltas.flat(2).map(Math.abs)) || 1;
    const titles = [...data.models.map((name) => `d of ${name}`), "mean of all", "mean of who agrees"];
    return all.map((values, i) => ({ name: "votes", title: titles[i], values, top, text: four }));
  };
  const tables = specs().map((spec) => cells(grid, spec));
  function tell() {
    const [r, c] = at;
    tables.forEach((table) => table.update({ marked: (row, column) => row === r && column === c }));
    const votes = data.deltas.map((delta) => delta[r][c]), sum = votes.reduce((a, b) => a + b, 0);
    const sign = Math.sign(sum), agree = data.models.filter((_, i) => Math.sign(votes[i]) === sign);
    const texts = data.models.map((name, i) => `${name} ${signed(votes[i])}`);
    say(status,
        `Row ${r + 1}, column ${c + 1}: ${texts.join(", ")}. The sum is ${signed(sum)}, so `
        + `${sign > 0 ? "plus" : sign < 0 ? "minus" : "nobody"} is elected`
      + `${agree.length ? ` and ${and.format(agree)} agree${agree.length === 1 ? "s" : ""}` : ""}: `
        + `${signed(data.elected[r][c])}. The mean of all is ${signed(data.mean[r][c])}.`);
  }
  function draw(next) {
    data = next;
    write(data);
    specs().forEach((spec, i) => tables[i].update(spec));
    tell();
  }
  pointed(grid, (place) => { at = place; tell(); });
  tell();
});

block("two-manners", ({ host, result }) => {
  const { pairs, seeds } = result.figures, whole = (share) => `${Math.round(share)}${THIN}%`;
  ranges(host, {
    name: "two-manners",
    label: "What each method keeps of the worse manner",
    names: 250,
    title: "Kept of the worse manner, of the accuracy of its own model",
    rows: result.rows.map((row) => ({ ...row, strong: /DPPA/.test(row.label), text: whole(row.value) })),
    how: `Measured on SmolLM2-135M, ${pairs} pairs of ${seeds} trainings. A dot: the mean; its line: from the least `
    + `training to the most. All but the first have a coefficient for each model.`,
  });
});
