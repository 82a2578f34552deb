// The status line: the recipe, the models in memory, whether answers and scores match it, running work
// and its remaining time. Also the line of exact numbers below the plots.
import { meaning } from "../base/glossary_bubbles.js";
import { html, say, sayProse, put, percent1, percent, count, THIN } from "../base/shapes.js";
import * as controls from "../session/controls.js";
import { redraw, paint, part, server, waits } from "../session/parts.js";
import * as tables from "../session/tables.js";
import * as frame from "../plots/frame_values.js";
import * as words from "../plots/plot_sentences.js";

const WORDS = {
  idle: "", starting: "loading models …", merging: "merging …", answering: "answering …", scoring: "scoring …",
  measuring: "measuring …", counting: "counting …", exporting: "exporting …",
};
const STOPS = { stop: "chat", "score-stop": "score" }, STARTS = { send: "chat", "score-run": "score" };
const TICK_MS = 1000;
const short = (recipe) => recipe.slice(0, 6);
const freshness = (recipe, current) => (recipe === null ? "none" : recipe === current ? "fresh" : "stale");
// The recipe that answered or was scored, and whether the controls still describe it.
function answerNote(subject, recipe, current) {
  const state = freshness(recipe, current);
  return state === "fresh" ? `${subject} matches the settings`
    : `${subject} of ${short(recipe)} is older than the settings`;
}
function loadedWords({ models, merges, bytes }) {
  const many = [[models.length, "model"], [merges, "merge"]].filter(([number]) => number)
    .map(([number, noun]) => `${number} ${noun}${number === 1 ? "" : "s"}`);
  if (!many.length) return ["nothing loaded yet", "Models are loaded when they are first asked."];
  const names = models.map((ref) => server.names[ref]?.label ?? ref.replace(/^zoo:/, ""));
  return [`${many.join(", ")} loaded`,
    `In memory now: ${[...names, ...many.slice(models.length ? 1 : 0)].join(", ")}; ${size(bytes)}. Others are loaded `
    + `when they are first asked.`];
}
const size = (bytes) =>
  (bytes >= 1e9 ? `${(bytes / 2 ** 30).toFixed(1)}${THIN}GiB`
    : `${Math.max(Math.round(bytes / 2 ** 20), 1)}${THIN}MiB`);

// --- remaining time: the server's estimate, or the previous duration ---------------------------------
export const left = {}; // part -> seconds, if the server sends them
const begun = {}, took = {}; // part -> {activity, at}; activity -> seconds
function follow() {
  const now = performance.now();
  for (const [part, activity] of Object.entries(server.activity)) {
    const before = begun[part];
    if (before?.activity === activity) continue;
    if (before && before.activity !== "waiting") took[before.activity] = (now - before.at) / 1000;
    if (activity === "idle") delete begun[part];
    else begun[part] = { activity, at: now };
  }
}
function guess(part) {
  const { activity, at } = begun[part] ?? {};
  if (!activity || activity === "waiting") return "";
  const passed = (performance.now() - at) / 1000,
    rest = left[part] ?? (took[activity] === undefined ? null : took[activity] - passed);
  if (rest !== null && rest !== undefined && rest > 0.5) return `, ${about(rest)}`;
  return passed >= 2 ? `, for ${Math.floor(passed)}${THIN}s` : "";
}
// Rounded coarsely: a pace measured over seconds cannot predict single seconds.
export function about(seconds) {
  if (seconds < 10) return "a few seconds left";
  if (seconds < 55) return `about ${5 * Math.ceil(seconds / 5)}${THIN}s left`;
  return `about ${Math.ceil(seconds / 60)}${THIN}min left`;
}

part("status", ({ host, get, watch, trigger }) => {
  host.replaceChildren();
  host.setAttribute("data-status", "");
  const recipe = html("span", { class: "recipe" }, host);
  meaning(recipe, "recipe");
  const merged = html("span", { class: "merged", title: "Whether the weights of this recipe are in memory" }, host);
  const loaded = html("span", { class: "loaded" }, host);
  const fresh = html("span", { class: "fresh" }, host);
  const scored = html("span", { class: "scored", hidden: "" }, host);
  const activity = html("span", { class: "activity", role: "status" }, host);
  let before = "", tick = 0;
  const take = (value) => {
    if (value && value.models) server.service.models = value.models;
    if (value && value.merged) tables.noteMerged(value.merged);
    if (value && value.loaded) server.service.loaded = value.loaded;
    redraw();
  };
  watch(take);
  take(get());
  paint(() => {
    const current = tables.recipe();
    follow();
    const [part, running] = Object.entries(server.activity).find(([, value]) => value !== "idle") ?? [];
    const activityName = running ?? (server.service.models === "ready" ? "idle" : "starting");
    const state = freshness(server.answered, current);
    put(host, "data-recipe", current ?? "");
    put(host, "data-fresh", state);
    put(host, "data-activity", activityName);
    put(host, "data-models", server.service.models);
    put(host, "data-scored", freshness(server.scored, current));
    say(recipe, current === null ? "recipe …" : current ? `recipe ${short(current)}` : "no recipe");
    say(merged, tables.isMerged(current) ? "merged" : "not merged yet");
    loaded.hidden = !server.service.loaded; // a public page does not say what others asked
    if (server.service.loaded) {
      const [inMemory, names] = loadedWords(server.service.loaded);
      say(loaded, inMemory);
      put(loaded, "title", names);
    }
    fresh.hidden = server.answered === null;
    if (server.answered !== null) say(fresh, answerNote("chat answer", server.answered, current));
    scored.hidden = server.scored === null;
    if (server.scored !== null) say(scored, answerNote("score", server.scored, current));
    const turn = waits();
    say(activity, activityName === "waiting" ? turn
      : `${WORDS[activityName] ?? `${activityName} …`}${running ? guess(part) : ""}`);
    clearTimeout(tick);
    if (running) tick = setTimeout(redraw, TICK_MS);
    else if (before && before !== activityName) trigger("look"); // something ended: other models are in memory
    before = activityName;
  });
});
// --- Stop buttons are muted while nothing runs, start buttons while something runs. Only their look
// changes: a click at the moment an answer begins is never lost.
function mute(ids, when) {
  for (const [id, part] of Object.entries(ids)) {
    const button = document.getElementById(id);
    if (button) put(button, "aria-disabled", (server.activity[part] === "idle") === when);
  }
}
paint(() => { mute(STOPS, true); mute(STARTS, false); });

part("exact", ({ host, outer, get, put: send, watch, trigger }) => {
  host.replaceChildren();
  tables.askAtRest(() => { send({ planned: tables.isPlanned() }); trigger("rest"); });
  const problem = html("p", { class: "problem", role: "status", hidden: "" }, host);
  const measuring = html("p", { class: "measuring", role: "status", hidden: "" }, host);
  const line = html("p", { class: "numbers" }, host);
  const focus = html("span", {}, line);
  const all = html("span", { class: "muted" }, line);
  const mark = html("span", { class: "mark" }, line);
  meaning(mark, "exact");
  watch(tables.takeExact);
  tables.takeExact(get());
  paint(() => {
    const view = frame.view();
    const exact = server.exact;
    const current = exact !== null && tables.isCurrent();
    const trouble = server.trouble || (current ? exact.problem : "");
    problem.hidden = !trouble;
    sayProse(problem, trouble);
    const busy = server.activity.see !== "idle";
    measuring.hidden = !busy;
    say(measuring, busy ? (server.activity.see === "waiting" ? waits() : `${server.measuring || "Measuring"} …`) : "");
    if (!view || !exact) return;
    const who = words.label(controls.state.focus);
    const about = view.exact ? "" : "≈ ";
    const kept = `${who} keeps ${about}${percent1(view.share)} · ${about}${count(Math.round(view.kept))} of `
      + `${count(view.numel)} weights · ${about}${percent(view.energy)} of the squared change`;
    const unknown = view.shows === "whole" && controls.method().combines && !tables.outcome();
    const rest = unknown ? " · what stays is known after the merge" : controls.method().combines ? ""
      : ", all of them kept";
    say(focus, view.shows === "whole" ? `${who} has ${count(view.numel)} weights${rest}` : kept);
    say(all, view.changed !== null ? `the merge changed ${percent1(view.changed)}`
      : current && view.shows !== "whole"
        ? `all together ${percent1(exact.share)} · ${count(exact.kept)} of ${count(exact.numel)}` : "");
    say(mark, unknown ? "" : view.exact ? "exact" : "estimating …"); // unknown values are never exact
    put(outer, "data-rate", String(+(exact.rate * 100).toFixed(4)));
    put(outer, "data-recipe", exact.recipe);
    put(outer, "data-kept", (100 * exact.share).toFixed(4));
  });
});
