// Why a factor helps: the loss of right answers over the factor on what pruning kept, foretold and measured.
import { html, put, three, two, percent, percent1, THIN } from "../../base/shapes.js";
import { select, lines } from "../charts.js";
import { block } from "../frame.js";

const times = (x) => `×${THIN}${three(x)}`;
const SMOOTH = 0.02, HEADROOM = 1.25;
// The loss with a factor on what is kept, by the second order around the unpruned model.
const foretold = ({ loss, slope_kept, slope_removed, kept, crossed, removed }, factor) => {
  const more = factor - 1;
  return loss + more * slope_kept - slope_removed + (more * more * kept - 2 * more * crossed + removed) / 2;
};
const bestOf = ({ slope_kept, kept, crossed }) => 1 + (crossed - slope_kept) / kept;

block("loss-by-factor", ({ host, result }) => {
  const { factors, places } = result, low = factors[0], high = factors.at(-1);
  const named = (key) => [...new Set(places.map((one) => one[key]))];
  let domain = "law", rate = result.figures.rate;
  const bar = html("div", { class: "plot-bar" }, host);
  select(bar, "Model", named("domain").map((one) => [one, one]), domain, (name) => { domain = name; draw(); });
  select(bar, "Pruned", named("rate").map((one) => [one, percent(one)]), rate, (one) => { rate = +one; draw(); });
  const at = () => places.find((one) => one.domain === domain && one.rate === rate);
  const lossAt = (place, factor) => place.losses[factors.indexOf(factor)];
  const costs = (place) => {
    const cost = lossAt(place, 1) - place.parts.loss, left = lossAt(place, place.best) - place.parts.loss;
    return { cost, left, said: foretold(place.parts, 1) - place.parts.loss };
  };
  function spec() {
    const place = at(), { parts, losses } = place, { cost, left, said } = costs(place);
    const grid = Array.from({ length: Math.round((high - low) / SMOOTH) + 1 }, (_, i) => low + i * SMOOTH);
    const top = Math.max(lossAt(place, 1), lossAt(place, low), foretold(parts, 1), parts.loss * 2) * HEADROOM;
    const turned = cost > 0 ? `, ${times(place.best)} leaves ${two(left)}` : "";
    return {
      title: `${domain}, ${percent(rate)} pruned: costs ${two(cost)} nats per token (foretold ${two(said)})${turned}`,
      y: { label: "loss of right answers, nats per token", low: 0, high: top, text: three },
      series: [
        { label: "measured", colour: "#0072B2", marks: true, points: factors.map((factor, i) => [factor, losses[i]]) },
        { label: "foretold", colour: "#D55E00", dash: "7 4", points: grid.map((factor) => [factor, foretold(parts, factor)]) },
        { label: "not pruned", colour: "var(--d-edge)", dash: "2 4", points: [[low, parts.loss], [high, parts.loss]] },
      ],
    };
  }
  const plot = lines(host, {
    name: "loss-by-factor",
    label: "Loss of right answers over the factor on what pruning kept",
    x: { label: "factor on what is kept", low, high, text: times },
    slider: "Factor",
    at: 1,
    how: "Up: loss of right answers, in nats per token; lower is better. Foretold from the unpruned model alone; measured on questions of the search split.",
    ...spec(),
  });
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All rates as a table" }, host);
  const table = html("table", {}, scroll);
  function fill() {
    table.replaceChildren();
    const head = html("tr", {}, html("thead", {}, table)), body = html("tbody", {}, table);
    for (const text of ["pruned", "Σ d² kept", "cost, foretold", "cost, measured", "best factor, foretold", "measured", "cost left", "accuracy without it", "with it"]) html("th", { scope: "col" }, head, text);
    for (const one of places.filter((place) => place.domain === domain)) {
      const { cost, left, said } = costs(one), line = html("tr", {}, body);
      put(line, "aria-current", one.rate === rate);
      html("th", { scope: "row" }, line, percent(one.rate));
      for (const text of [percent(one.energy), two(said), two(cost), times(bestOf(one.parts)), times(one.best), two(left), percent1(one.without), percent1(one.with)]) html("td", {}, line, text);
    }
  }
  function draw() {
    plot.update(spec());
    fill();
  }
  fill();
});
