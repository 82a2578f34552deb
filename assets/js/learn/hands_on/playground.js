// Merges that a reader tries on a few search questions; the best try then answers more, unseen ones.
import { html, level, percent, put, say, three, THIN } from "../../base/shapes.js";
import { controlOf, evenBands, schema } from "../../session/controls.js";
import { select, slide } from "../charts.js";
import { block, did, solved } from "../frame.js";

const { span: [, highest = 99], scale } = controlOf("rate");
const COLUMNS = ["Try", "Pruned", "Strongest", "Next", "Right"];
const times = (/** @type {number} */ x) => `×${THIN}${three(x)}`;
const name = (/** @type {number} */ beats) => (beats ? `magnitude at ${level(beats)}` : "the whole sum");
const told = ({ right, n }) => `${right} of ${n} (${percent(right / n)})`;
const lead = (mine, theirs) => Math.round(100 * (mine.right / mine.n - theirs.right / theirs.n));
const points = (/** @type {number} */ x) => `${x < 0 ? "−" : "+"}${Math.abs(x)}`;
const between = ({ low, high }) => `${Math.round(100 * low)} to ${percent(high)}`;
// Tries last as long as the page: goal -> {tries, other, end}.
/** @type {Record<string, {tries: any[], other: any, end: any}>} */
const kept = {};

block("playground", ({ host, result, ask }) => {
  const { goals, tries: most, items } = result, names = goals.map((/** @type {any} */ goal) => goal.name);
  let goal = goals[0], isBusy = false;
  const chosen = { rate: goal.lowest, factors: [1, 1] };
  const now = () => (kept[goal.name] ??= { tries: [], other: null, end: null });
  const best = () => [...now().tries].sort((a, b) => b.right - a.right)[0];
  const bar = html("div", { class: "plot-bar" }, host);
  select(bar, "Goal", goals.map((/** @type {any} */ each) => [each.name, each.title]), goal.name, (picked) => {
    goal = goals.find((/** @type {any} */ each) => each.name === picked);
    begin();
  });
  const aim = html("p", { role: "status" }, host), place = html("div", {}, host);
  const rows = html("div", { class: "hand-go" }, host);
  const button = (text, act) => {
    const made = html("button", { type: "button", class: "small" }, rows, text);
    made.addEventListener("click", act);
    return made;
  };
  const attempt = button("Try it", tryIt), finish = button("Hidden test of the best try", end);
  const again = button("Start over", () => { delete kept[goal.name]; begin(); });
  const news = html("p", { class: "how", role: "status" }, host);
  const scroll = html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tries" }, host);
  const found = html("div", { class: "found", role: "status" }, host);

  const score = (merge, split) =>
    ask({ ...merge, split }, (/** @type {number} */ at, /** @type {number} */ of, /** @type {string} */ stage) =>
      say(news, of ? `${stage} (${at + 1} of ${of}) …` : `${stage} …`));
  const others = (beats, split) => score({ rate: beats, factors: [], strength: 0 }, split);
  // One request at a time; what came for a goal is kept with it.
  async function run(work) {
    const state = now();
    isBusy = true;
    draw();
    try { await work(state); say(news, ""); } catch (error) { say(news, error.message); }
    isBusy = false;
    draw();
    if (!now().other && !news.textContent) begin(); // another goal was chosen meanwhile
  }
  function begin() {
    chosen.rate = Math.max(chosen.rate, goal.lowest);
    sliders();
    draw();
    const { beats } = goal;
    if (!now().other && !isBusy) run(async (state) => { state.other = await others(beats, "search"); });
  }
  function tryIt() {
    const merge = { rate: chosen.rate, factors: [...chosen.factors] }, { beats } = goal;
    run(async (state) => {
      state.other ??= await others(beats, "search");
      state.tries.push({ ...merge, ...await score(merge, "search") });
    });
  }
  function end() {
    const { rate, factors } = best(), { name: key, title, beats } = goal;
    run(async (state) => {
      const hidden = await score({ rate, factors }, "test"), theirs = await others(beats, "test");
      state.end = { hidden, theirs };
      const top = [...state.tries].sort((a, b) => b.right - a.right)[0];
      did(key, `${title}: best of ${state.tries.length} tries ${told(top)} on search questions, ${told(hidden)} on `
        + `unseen ones; ${name(beats)} ${told(theirs)} there.`);
      solved(key, names);
    });
  }

  // --- drawing ----------------------------------------------------------------------------------
  function sliders() {
    place.replaceChildren();
    const rate = slide(place, "play-rate", "Pruning rate", [goal.lowest * scale, highest, 1],
      (value) => { chosen.rate = +(value / scale).toFixed(12); show(); });
    const factors = chosen.factors.map((_, k) => slide(place, `play-factor-${k + 1}`, "", schema.factor,
      (value) => { chosen.factors[k] = value; show(); }));
    function show() {
      const bands = evenBands(chosen.rate, 2);
      rate(chosen.rate * scale, level(chosen.rate));
      factors.forEach((row, k) => {
        const label = row(chosen.factors[k], times(chosen.factors[k])).firstElementChild;
        say(label, `${k ? "Next" : "Strongest"} ${level(k ? bands[0] - bands[1] : 1 - bands[0])}`);
      });
    }
    show();
  }
  function draw() {
    const { tries, other: theirs, end: ended } = now(), top = best();
    say(aim, `To beat: ${name(goal.beats)}, ${theirs ? `${told(theirs)} of the search questions right` : "…"}. `
      + `${tries.length} of ${most} tries.`);
    attempt.disabled = isBusy || Boolean(ended) || tries.length >= most;
    finish.disabled = isBusy || !tries.length || Boolean(ended);
    again.disabled = isBusy || !tries.length;
    scroll.replaceChildren();
    if (tries.length) {
      const table = html("table", {}, scroll), head = html("tr", {}, html("thead", {}, table));
      for (const text of COLUMNS) html("th", { scope: "col" }, head, text);
      const body = html("tbody", {}, table);
      tries.forEach((each, i) => {
        const line = html("tr", {}, body);
        put(line, "aria-current", each === top);
        html("th", { scope: "row" }, line, `${i + 1}${each === top ? " best" : ""}`);
        for (const text of [level(each.rate), ...each.factors.map(times), told(each)]) html("td", {}, line, text);
      });
    }
    found.replaceChildren();
    if (!ended) return;
    const { hidden, theirs: magnitude } = ended;
    const [before, after] = [lead(top, theirs), lead(hidden, magnitude)];
    html("p", {}, found, `Unseen questions right: your best try ${told(hidden)}, ${name(goal.beats)} `
      + `${told(magnitude)}; 95${THIN}% intervals ${between(hidden)} and ${between(magnitude)}.`);
    const sure = hidden.low > magnitude.high || hidden.high < magnitude.low;
    html("p", {}, found, `Its lead: ${points(before)} points on the ${items.search} search questions it was chosen by, `
      + `${points(after)} on the unseen ones. ${after < before ? "The rest was luck." : "Luck did not help."} `
      + `${after > 0 ? "You beat it" : "You did not beat it"}${sure ? "."
        : `, though ${items.test} questions are too few to be sure.`}`);
  }
  begin();
}, { tasks: true });
