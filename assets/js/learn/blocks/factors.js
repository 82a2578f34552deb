// Why a factor helps: the loss of right answers over the factor on what pruning kept, foretold and measured.
import { html, put, three, two, percent, THIN } from "../../base/shapes.js";
import { select, lines } from "../charts.js";
import { block } from "../frame.js";

const times = (x) => `×${THIN}${three(x)}`;
const HEADROOM = 1.25, FIRST_RATE = 0.9, STEP = 0.05;

block("loss-by-factor", ({ host, result }) => {
  const { factors, places } = result, low = factors[0], high = factors.at(-1);
  const named = (key) => [...new Set(places.map((place) => place[key]))];
  let domain = "law", rate = FIRST_RATE;
  const bar = html("div", { class: "plot-bar" }, host);
  select(bar, "Model", named("domain").map((name) => [name, name]), domain, (name) => { domain = name; draw(); });
  select(bar, "Pruned", named("rate").map((share) => [share, percent(share)]), rate,
    (value) => { rate = +value; draw(); });
  const at = () => places.find((place) => place.domain === domain && place.rate === rate);
  function spec() {
    const place = at(), { unpruned, foretold, measured, cost, best, left } = place, plain = factors.indexOf(1);
    const top = Math.max(measured[plain], measured[0], foretold[plain], 2 * unpruned) * HEADROOM;
    const curve = (losses) => factors.map((factor, i) => [factor, losses[i]]);
    return {
      title: `${domain}, ${percent(rate)} pruned: costs ${two(cost)} nats per token (foretold `
      + `${two(place["foretold-cost"])})${cost > 0 ? `, ${times(best)} leaves ${two(left)}` : ""}`,
      y: { label: "loss of right answers, nats per token", low: 0, high: top, text: three },
      series: [
        { label: "measured", colour: "#0072B2", marks: true, points: curve(measured) },
        { label: "foretold", colour: "#D55E00", dash: "7 4", points: curve(foretold) },
        { label: "not pruned", colour: "var(--d-edge)", dash: "2 4", points: [[low, unpruned], [high, unpruned]] },
      ],
    };
  }
  const plot = lines(host, {
    name: "loss-by-factor",
    label: "Loss of right answers over the factor on what pruning kept",
    x: { label: "factor on what is kept", low, high, step: STEP, text: times },
    slider: "Factor",
    at: 1,
    how: "Up: loss of right answers, in nats (1.44 bits) per token; lower is better. Foretold: from the whole model; "
    + "measured on questions of the search split. Cost: this loss minus the unpruned model's; below 0, pruning helps. "
    + "The best factor has the least loss, which need not be the most right answers.",
    ...spec(),
  });
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All rates as a table" },
    host);
  const table = html("table", {}, scroll);
  function fill() {
    table.replaceChildren();
    const head = html("tr", {}, html("thead", {}, table)), body = html("tbody", {}, table);
    for (const text of ["pruned", "right as pruned", "right with the factor", "best factor", "foretold", "cost",
      "foretold"]) html("th", { scope: "col" }, head, text);
    for (const entry of places.filter((place) => place.domain === domain)) {
      const line = html("tr", {}, body);
      put(line, "aria-current", entry.rate === rate);
      html("th", { scope: "row" }, line, percent(entry.rate));
      const cells = [percent(entry.without), percent(entry.with), times(entry.best), times(entry["foretold-best"]),
        two(entry.cost), two(entry["foretold-cost"])];
      for (const text of cells) html("td", {}, line, text);
    }
  }
  function draw() {
    plot.update(spec());
    fill();
  }
  fill();
});
