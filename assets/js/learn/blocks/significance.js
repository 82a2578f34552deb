// Dynamically Pruning: two matrices that share a budget by their outliers, and one matrix by hand, its kept share over
// the pruning rate with every intermediate number.
import { html, say, three, percent1, percent, THIN } from "../../base/shapes.js";
import { select, slide, lines } from "../charts.js";
import { block, byChoice } from "../frame.js";

const signed = (x) => (x === 0 ? "0" : `${x < 0 ? "−" : "+"}${THIN}${three(Math.abs(x))}`);
const added = (x) => (x === 0 ? "+ 0" : signed(x)); // within a sum
const count = (n) => n.toLocaleString("en-US");
// a, b and a − b with as few digits as leave the difference true of what is written.
function written(a, b) {
  const holds = (n) => Math.abs(+a.toFixed(n) - +b.toFixed(n) - +(a - b).toFixed(n)) < 10 ** -(n + 2);
  const n = [3, 4, 5, 6, 7, 8].find(holds) ?? 8;
  return [a, b, a - b].map((x) => x.toFixed(n).replace("-", "−"));
}
const share = (x) => `${three(100 * x)}${THIN}%`;

block("two-matrices", ({ host, result }) => {
  const { matrices, multiples, density } = result, colours = ["#D55E00", "#009E73"];
  const title = (multiple) => `Above ${three(multiple)} times their own mean are `
    + matrices.map(({ name, above }) => `${share(above[multiples.indexOf(multiple)])} of ${name}`).join(", ");
  const plot = lines(host, {
    name: "two-matrices",
    label: "Share of the entries above a multiple of their mean, of two matrices",
    title: title(result.multiple),
    x: { label: "|d| as a multiple of the matrix's own mean", low: 0, high: multiples[multiples.length - 1],
      step: multiples[1], text: three },
    y: { label: "share of the entries above it", low: 1e-5, high: 1, log: true, text: share },
    series: matrices.map(({ name, above }, i) => ({ label: name, colour: colours[i], dash: i ? "7 4" : "none",
      points: above.map((y, k) => [multiples[k], y]) })),
    slider: "Threshold",
    at: result.multiple,
    onAt: (multiple) => plot.update({ title: title(multiple) }),
    how: `Both have ${count(matrices[0].numel)} entries. DP counts above ${result.multiple} times the mean.`,
  });
  const strength = slide(host, "budget-strength", "Strength λ", [0, density, 0.01], draw);
  const bar = html("div", { class: "budget", "aria-hidden": "true" }, host);
  const parts = matrices.map((_, i) => html("span", { style: `border-color:${colours[i]}` }, bar));
  const budget = html("p", { class: "how", role: "status" }, host);
  function draw(value) {
    strength(value, three(value));
    const kept = matrices.map(({ name, move }, i) => {
      const share = density + move * value;
      parts[i].style.flexGrow = String(100 * share);
      say(parts[i], percent(share));
      return `${percent(share)} of ${name}`;
    });
    say(budget,
      `Kept: ${kept.join(", ")}; always ${percent(density)} of both, the budget at ${percent(1 - density)} pruned.`);
  }
  draw(result.strength);
});

block("significance-by-hand", ({ host, args, result, ask }) => {
  let data = result, at = 0.8;
  const end = (pick) => data.modules.reduce((best, next) => (pick(next.density[80], best.density[80]) ? next : best));
  let selected = data.modules[Math.floor(data.modules.length / 2)].name;
  const bar = html("div", { class: "plot-bar" }, host);
  const fresh = byChoice(host, ask, { ...args, model: data.model, strength: data.strength }, (next) => {
    data = next;
    draw();
  }, (problem) => say(note, problem));
  select(bar, "Model", result.models.map((row) => [row.model, row.label]), result.model, (model) => fresh({ model }));
  const pick = select(bar, "Matrix", data.modules.map(({ name }) => [name, name]), selected, (name) => {
    selected = name;
    draw();
  });
  select(bar, "Strength λ", [[0, "0"], [0.04, "0.04"], [0.08, "0.08 (paper)"], [0.16, "0.16"]], result.strength,
    (strength) => fresh({ strength: +strength }));
  const curve = (module) => module.density.map((density, i) => [data.rates[i], density]);
  const selectedModule = () => data.modules.find(({ name }) => name === selected) ?? data.modules[0];
  function spec() {
    const most = end((a, b) => a > b), least = end((a, b) => a < b), module = selectedModule();
    return {
      title: `At ${percent(at)} pruned, ${module.name} keeps ${percent1(module.density[Math.round(100 * at)])}`,
      series: [
        { label: `chosen: ${module.name}`, colour: "#0072B2", points: curve(module) },
        ...(least.density[80] < most.density[80] ? [ // at strength 0 all keep the same
          { label: `most: ${most.name}`, colour: "#D55E00", dash: "7 4", points: curve(most) },
          { label: `least: ${least.name}`, colour: "#009E73", dash: "2 4", points: curve(least) },
        ] : []),
        { label: "all alike: 1 − p", colour: "var(--d-edge)", points: [[0, 1], [0.99, 0.01]] },
      ],
      how: "The weighted mean of all densities is 1 − p at every rate. Curves that reach 0 or 1 stay there, and the "
      + "others make up for it.",
    };
  }
  const plot = lines(host, {
    name: "densities",
    label: "Density of a matrix over the pruning rate",
    x: { label: "pruning rate p", low: 0, high: 0.99, step: 0.01, ticks: [0, 0.2, 0.4, 0.6, 0.8, 0.99], text: percent },
    y: { label: "density", low: 0, high: 1, text: percent1, tick: percent },
    slider: "Pruning rate",
    at,
    onAt: (rate) => { at = rate; plot.update({ title: spec().title }); steps(); },
    ...spec(),
  });
  const list = html("ol", { class: "worked" }, host);
  const rows = Array.from({ length: 5 }, () => html("li", {}, list));
  const note = html("p", { class: "how", role: "status" }, host);
  function steps() {
    const module = selectedModule(), layer = data.layers.find((row) => row.layer === module.layer);
    const farthest = Math.max(...data.layers.map((row) => Math.abs(row.share - data.mean_layer)));
    const plain = 1 - at + module.by_layer + module.by_module, density = module.density[Math.round(100 * at)];
    const [ofLayer, ofAll, apart] = written(100 * layer.share, 100 * data.mean_layer),
      [u, mean, c] = written(module.ratio, module.ratio - module.centred);
    const far = (100 * farthest).toFixed(apart.split(".")[1].length);
    const texts = [
      `Layer ${module.layer}: ${count(layer.above)} of ${count(layer.of)} entries lie above `
        + `${data.k_layer}${THIN}×${THIN}its mean |d| of ${three(layer.mean)}. S = ${share(layer.share)}`,
      `Beside the mean of all layers, ${share(data.mean_layer)}: a(layer) = ${data.strength} × (${ofLayer} − `
        + `${ofAll}) / ${far} = ${signed(module.by_layer)}. ${far} is the largest such distance of any layer`,
      `The matrix: ${count(module.above)} of ${count(module.of)} entries lie above ${data.k_module}${THIN}×${THIN}its `
        + `own mean of ${three(module.mean)}. s = ${share(module.share)}, that is u = ${three(module.ratio)} times the `
        + `mean of all matrices, ${share(data.mean_module)}`,
      `Minus the mean of all u: c = ${u} − ${mean} = ${c}. In this mean larger matrices count more, so it is not 1. `
        + `a(matrix) = ${data.strength} × ${module.centred < 0 ? `(${c})` : c} / ${three(data.largest_centred)} = `
        + `${signed(module.by_module)}. ${three(data.largest_centred)} is the largest |c| of any matrix`,
      `Density = (1 − ${three(at)}) ${added(module.by_layer)} ${added(module.by_module)} = ${three(plain)}. Kept `
        + `from 0 to 1, and the mean of all at 1 − p: ${three(density)}. Its own `
        + `pruning rate: ${percent1(1 - density)}`,
    ];
    texts.forEach((text, i) => say(rows[i], text.replaceAll(THIN, "\u202f"))); // a number and its % stay in one line
  }
  function draw() {
    if (!data.modules.some(({ name }) => name === selected)) {
      selected = data.modules[0].name;
      pick.replaceChildren(...data.modules.map(({ name }) => html("option", { value: name }, null, name)));
    }
    plot.update(spec());
    steps();
  }
  steps();
});
