// The error in one matrix's outputs: over the pruning rate, and over the factor of the kept changes.
import { html, three, percent, percent1, THIN } from "../../base/shapes.js";
import { select, valueAt, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";

const KEPT = "#0072B2", DRAWN = "#D55E00", BANDS = "#009E73";
const times = (x) => `×${THIN}${three(x)}`;

block("output-error", ({ host, result, ask }) => {
  let data = result, at = 0.9;
  const bar = html("div", { class: "plot-bar" }, host);
  const status = html("p", { class: "how", role: "status" }, host);
  const tell = (text) => { status.textContent = text; };
  const change = byChoice(host, ask, { model: data.model, module: data.module }, (next) => {
    data = next;
    tell("");
    overRate.update(rateSpec());
    overFactor.update(factorSpec());
  }, tell);
  select(bar, "Model", result.models.map((row) => [row.model, row.label]), result.model, (model) => change({ model }));
  select(bar, "Matrix", result.modules.map((name) => [name, name]), result.module, (module) => change({ module }));

  const curve = (pick) => data.rates.map((row) => [row.rate, pick(row)]);
  function rateSpec() {
    const errorOf = (pick) => percent(valueAt(curve(pick), at));
    return {
      title: `At ${percent(at)} pruned, the largest changes lose ${errorOf((row) => row.largest.plain)} of the effect; `
      + `a rescaled draw misses by ${errorOf((row) => row.dare)}`,
      series: [
        { label: "largest kept", colour: KEPT, points: curve((row) => row.largest.plain) },
        { label: "largest kept, two best factors (as DPPA)", colour: BANDS, dash: "8 3 2 3",
          points: curve((row) => row.halved) },
        { label: "drawn at random", colour: DRAWN, dash: "2 4", points: curve((row) => row.drawn.plain) },
        { label: "drawn, × 1/(1−p) (DARE)", colour: DRAWN, points: curve((row) => row.dare) },
        { label: "drawn, best factor (DAREx’s 1/q)", colour: "#CC79A7", dash: "7 4",
          points: curve((row) => row.drawn.best) },
        { label: "weights instead of delta, largest kept", colour: "var(--d-ink)", dash: "2 6",
          points: curve((row) => row.weights) },
      ],
      how: `0: the outputs of ${data.module} are those of the domain model. 100${THIN}%: as far off as without the `
      + `delta, which makes ${percent1(data.effect)} of the output. Measured on questions of the model's own domain. `
      + `A curve that leaves the plot above is still read below it.`,
    };
  }
  function factorSpec() {
    const nearest = data.rates.reduce((best, next) =>
      (Math.abs(next.rate - at) < Math.abs(best.rate - at) ? next : best));
    const points = (fit) => data.factors.map((factor, i) => [factor, fit.over[i]]);
    const dare = 1 / (1 - nearest.rate), last = data.factors[data.factors.length - 1];
    return {
      title: `At ${percent(nearest.rate)} pruned, the best factor is ${times(nearest.largest.factor)} for the largest, `
      + `${times(nearest.drawn.factor)} for a draw`,
      series: [
        { label: "largest kept", colour: KEPT, points: points(nearest.largest) },
        { label: "drawn at random", colour: DRAWN, dash: "2 4", points: points(nearest.drawn) },
      ],
      notes: [
        { x: Math.min(dare, last), text: dare <= last ? "1/(1−p)" : `1/(1−p) = ${times(dare)}: beyond this edge` },
        { x: Math.min(nearest.drawn.factor, last), text: "1/q", row: 1 },
        { x: Math.min(nearest.halves[0], last), text: "α₁", row: 2 },
        { x: Math.min(nearest.halves[1], last), text: "α₂", row: 3 },
      ],
      how: "1/(1−p): DARE. 1/q: the best factor of the draw, as DAREx looks for it. α₁, α₂: the best two for the "
      + "larger and the smaller half of the largest, as DPPA looks for them. Follows the rate chosen above, at the "
      + "nearest one computed.",
    };
  }
  const overRate = lines(host, {
    name: "output-error",
    label: "Error of the outputs over the pruning rate",
    x: { label: "pruning rate p", low: 0, high: 0.98, step: 0.01, ticks: [0, 0.2, 0.4, 0.6, 0.8, 0.98], text: percent },
    y: { label: "‖d x − d̂ x‖ / ‖d x‖", low: 0, high: 1.6, text: percent1, tick: percent },
    slider: "Pruning rate",
    at,
    onAt: (rate) => { at = rate; overRate.update({ title: rateSpec().title }); overFactor.update(factorSpec()); },
    ...rateSpec(),
  });
  const overFactor = lines(host, {
    name: "output-factor",
    label: "Error of the outputs over the factor",
    x: { label: "factor of what is left", low: 0, high: 12, step: 0.05, text: times },
    y: { label: "‖d x − s · d̂ x‖ / ‖d x‖", low: 0, high: 2, text: percent1, tick: percent },
    slider: "Factor",
    at: 1,
    ...factorSpec(),
  });
});
