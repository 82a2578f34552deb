// What is true now: which recipe, whether the last answer was made with it, what runs.
// Also the line of exact numbers under the plots.
(() => {
  "use strict";
  const dppa = window.dppa;
  const { html, say, put, percent1, percent, count } = dppa.shapes;
  const WORDS = {
    idle: "idle", starting: "loading models …", merging: "merging …", answering: "answering …", scoring: "scoring …",
    measuring: "measuring …", exporting: "exporting …",
  };
  const STOPS = { stop: "chat", "score-stop": "score" };
  const FRESH = { none: "no answer yet", fresh: "answer is fresh", stale: "answer is stale" };

  dppa.part("status", ({ host, get, watch }) => {
    host.replaceChildren();
    host.setAttribute("data-status", "");
    const recipe = html("span", { class: "recipe" }, host);
    dppa.meaning(recipe, "recipe");
    const merged = html("span", {}, host);
    const fresh = html("span", { class: "fresh" }, host);
    const activity = html("span", { class: "activity", role: "status" }, host);
    const take = (value) => {
      if (value && value.models) dppa.service.models = value.models;
      if (value && value.merged) dppa.noteMerged(value.merged);
      dppa.redraw();
    };
    watch(take);
    take(get());
    dppa.paint(() => {
      const known = dppa.recipe();
      const running = Object.values(dppa.activity).find((what) => what !== "idle");
      const what = running ?? (dppa.service.models === "ready" ? "idle" : "starting");
      const state = dppa.answered === null ? "none" : dppa.answered === known ? "fresh" : "stale";
      put(host, "data-recipe", known ?? "");
      put(host, "data-fresh", state);
      put(host, "data-activity", what);
      put(host, "data-models", dppa.service.models);
      say(recipe, known === null ? "recipe …" : known ? `recipe ${known.slice(0, 6)}` : "no recipe");
      say(merged, dppa.isMerged(known) ? "merged" : "not merged yet");
      say(fresh, FRESH[state]);
      const waits = dppa.waits();
      say(activity, what === "waiting" ? waits : WORDS[what]);
    });
  });
  // --- Stop is there to be pressed while something runs, and muted while nothing does. Only its look
  // changes: a click that comes the moment an answer begins is never lost.
  dppa.paint(() => {
    for (const [id, part] of Object.entries(STOPS)) {
      const button = document.getElementById(id);
      if (button) put(button, "aria-disabled", dppa.activity[part] === "idle");
    }
  });

  // --- the queue: Gradio writes "queue: 1/2" into an unseen element while an event waits --------
  const SETTLED_MS = 400; // whoever is alone waits for a moment too, and is not told of a queue
  let since = null;
  function before(part) {
    const text = document.getElementById(`${part}-place`)?.textContent ?? "";
    return Number(/queue: (\d+)\//.exec(text)?.[1] ?? 0);
  }
  dppa.waits = () => {
    const part = Object.keys(dppa.activity).find((name) => dppa.activity[name] === "waiting");
    if (!part) { since = null; return ""; }
    since ??= performance.now();
    setTimeout(dppa.redraw, SETTLED_MS);
    const count = performance.now() - since < SETTLED_MS ? 0 : before(part);
    return count ? `waiting, ${count} before it …` : "waiting for its turn …";
  };

  const made = new Set(); // recipes that this page has seen in memory
  dppa.isMerged = (recipe) => Boolean(recipe) && (made.has(recipe)
    || (dppa.exact?.recipe === recipe && dppa.service.merged));
  dppa.noteMerged = (recipe) => { if (recipe) made.add(recipe); };

  dppa.part("exact", ({ host, outer, get, watch, trigger }) => {
    host.replaceChildren();
    dppa.askExact = () => trigger("rest");
    const problem = html("p", { class: "problem", role: "status", hidden: "" }, host);
    const measuring = html("p", { class: "measuring", role: "status", hidden: "" }, host);
    const line = html("p", { class: "numbers" }, host);
    const focus = html("span", {}, line);
    const all = html("span", { class: "muted" }, line);
    const mark = html("span", { class: "mark" }, line);
    dppa.meaning(mark, "exact");
    watch(dppa.takeExact);
    dppa.takeExact(get());
    dppa.paint(() => {
      const view = dppa.view?.();
      const exact = dppa.exact;
      const current = exact !== null && dppa.isCurrent();
      const trouble = dppa.trouble || (current ? exact.problem : "");
      problem.hidden = !trouble;
      say(problem, trouble);
      const busy = dppa.activity.see !== "idle";
      measuring.hidden = !busy;
      say(measuring, busy ? `${dppa.measuring || "Measuring"} …` : "");
      if (!view || !exact) return;
      const who = dppa.words.label(dppa.state.focus);
      const about = view.exact ? "" : "≈ ";
      const kept = `${who} keeps ${about}${percent1(view.share)} · ${about}${count(Math.round(view.kept))} of ${count(view.numel)} weights · energy ${about}${percent(view.energy)}`;
      const merged = dppa.outcome() ? "" : " · what stays is known after the merge";
      say(focus, view.shows === "whole" ? `${who} has ${count(view.numel)} weights${dppa.method().combines ? merged : ", all of them kept"}` : kept);
      say(all, view.changed !== null ? `the merge changed ${percent1(view.changed)}`
        : current && view.shows !== "whole" ? `all together ${percent1(exact.share)} · ${count(exact.kept)} of ${count(exact.numel)}` : "");
      say(mark, view.exact ? "exact" : "estimating …");
      put(outer, "data-rate", String(+(exact.rate * 100).toFixed(4)));
      put(outer, "data-recipe", exact.recipe);
      put(outer, "data-kept", (100 * exact.share).toFixed(4));
    });
  });
})();
