// The search: every trial as a mark, the Pareto front or the grid, and applying a trial.
// Names of models and settings are inserted as text, never as markup.
import { html, svg, say, put } from "../base/shapes.js";
import { paint, part, server, setActivity } from "../session/parts.js";
import * as controls from "../session/controls.js";
import { watchRuns } from "../session/runs.js";
import { saveable } from "../session/save_plots.js";
import * as adamerging from "./adamerging.js";
import { takesOver } from "./take_over.js";
import { after, bestOf, domainOf, HOW, isClimb, kindOf, PLOTS, settings, title, byWhom } from "./search-plots.js";

/** Start was pressed. @type {() => void} */
export let startSearch = () => {};
const IDLE = "Nothing searched yet. Settings are tried on search questions; the test asks others.";
const BEFORE = "Score what you take over, in the Score tab: it asks more questions, and plain merges stand beside it.";
const PRUNED = " Task arithmetic, which prunes nothing, may beat it.";
const before = () => BEFORE + (controls.pruner() ? PRUNED : "");
const NOT_SHOWN = "The controls of the page cannot show that setting: the command line can (dppa search).";
const WAYS = { climb: "the climb", joint: "the joint search", optuna: "Optuna", grid: "the grid",
  adamerging: "AdaMerging" };

part("search", ({ host, get, watch, trigger }) => {
  document.body.dataset.search ??= "joint";
  host.replaceChildren();
  const earlier = html("p", { class: "how", hidden: "" }, host); // names the shown result, after another way was chosen
  const runs = watchRuns(host, "search", { label: "Searching", idle: IDLE });
  const box = html("section", { class: "plot plot-search" }, host);
  const heading = html("h3", { class: "plot-title" }, box);
  const root = svg("svg", { id: "search-plot", role: "group", "aria-label": "Trials of the search." }, box);
  const how = html("p", { class: "how" }, box);
  const sentence = html("p", { class: "said", role: "status" }, host);
  startSearch = () => {
    if (server.activity.search !== "idle") return;
    cancelled = false;
    setActivity("search", "waiting");
    trigger("start");
  };
  document.addEventListener("click", (event) => {
    cancelled ||= Boolean(event.target?.closest?.("#search-stop"));
  }, true);
  const take = html("button", { type: "button", id: "search-take", hidden: "" }, host, "Take over the best");
  const saves = saveable(box, "search", rows, () => root);
  let /** @type {any} */ value = null, drawn = "", cancelled = false;

  const { over, forget } = takesOver(sentence, NOT_SHOWN);
  const pick = (g, trial) => {
    const go = () => over(trial.take, settings(value, trial));
    g.addEventListener("click", go);
    g.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      go();
    });
  };
  const bestState = () => value?.result?.take ?? (value && !isClimb(value) ? bestOf(value)?.take : null);
  take.addEventListener("click", () => over(bestState(), isClimb(value) ? "the factors found" : "the best setting"));

  function draw() {
    const width = Math.floor(host.clientWidth);
    if (!value?.trials.length || !width) return;
    const key = `${width}/${value.id}/${value.state}/${value.trials.length}`;
    if (key === drawn) return;
    drawn = key;
    const focused = root.contains(document.activeElement) ? document.activeElement?.getAttribute("data-number") ?? null
      : null;
    const kind = kindOf(value);
    PLOTS[kind](root, value, width, pick);
    if (focused !== null) root.querySelector(`[data-number="${CSS.escape(focused)}"]`)?.focus();
    say(heading, title(value));
    say(how, HOW[kind].replace("{whose}", byWhom(value) ? `here${byWhom(value)}` : "geometric mean"));
  }
  function rows() {
    if (!value?.trials.length) return null;
    if (adamerging.isOne(value)) return adamerging.rows(value);
    if (isClimb(value)) {
      return { columns: ["model", "band", "factors (×)", "score (share)"],
        rows: value.trials.map((t) => [t.model, t.band + 1, t.factors.join(" / "), t.score]) };
    }
    const names = [...new Set(value.trials.flatMap((t) => Object.keys(t.values)))];
    const domains = [...new Set(value.trials.flatMap((t) => Object.keys(t.retentions)))];
    return {
      columns: ["trial", ...names, "state",
        `${domainOf(value) ?? (after(value) === "worst" ? "least" : "mean")} retention (share)`,
        ...domains.map((d) => `${d}: retention (share)`), "changes kept (share)"],
      rows: value.trials.map((t) =>
        [t.number + 1, ...names.map((n) => t.values[n] ?? null), t.state, t.goals[0] ?? null,
          ...domains.map((d) => t.retentions[d] ?? null), t.density]),
    };
  }
  function finished(value) {
    if (adamerging.isOne(value)) return adamerging.finished(value, before());
    if (value.state === "stopped" && value.trials.length)
      return `${value.trials.length} settings were tried and stay. Start goes on from there.`;
    if (value.state !== "done") return "";
    const summary = isClimb(value) ? "Found: the factors of each model by itself, the strongest band first"
      : `${value.trials.length} settings tried`;
    return `${summary}. ${value.result?.test ?? ""} ${before()}`;
  }
  function accept(next) {
    // Cancel may overtake the first value of a run, which is then ignored.
    if (next?.state === "running" && cancelled) next = { ...next, state: "stopped" };
    // Trials before Cancel stay: they are a result.
    if (!next || !Array.isArray(next.trials)) return;
    const message = finished(next);
    if (!runs.take({ ...next, told: message, result: next.result ?? next.trials[0] })) return;
    // what is taken over of a run stays said while it goes on
    if (next.id !== value?.id) forget();
    value = next;
    if (!value.trials.length) { root.replaceChildren(); drawn = ""; } // a run of its own
    put(host, "data-trials", value.trials.length);
    box.hidden = saves.hidden = value.trials.length === 0;
    take.hidden = !bestState();
    say(take, value.result?.worse ? "Take over, although worse in this test" : "Take over the best");
  }
  watch(accept);
  accept(get());
  new ResizeObserver(draw).observe(host);
  paint(() => {
    const way = document.body.dataset.search, differs = Boolean(value?.trials.length) && value.way !== way;
    earlier.hidden = !differs;
    if (differs) say(earlier, `Below: what ${WAYS[value.way]} found before. Start searches by ${WAYS[way]}.`);
    runs.paint("");
    draw();
  });
});
