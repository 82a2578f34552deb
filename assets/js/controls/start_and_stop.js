// The buttons that start long work, and those that stop it. While Gradio still ends what was stopped it
// drops a click without a word, and takes what it starts then for the old run: such a click waits here.
import { failed } from "../base/field_notices.js";
import { paint } from "../session/frames.js";
import { server, setActivity } from "../session/server.js";

const RUNS = [ // part, what starts it, what stops it
  ["chat", "send", "stop"],
  ["score", "score-run", "score-stop"],
  ["compare", "compare-run", "compare-stop"],
  ["attribution", "attribution-run", "attribution-stop"],
  ["advice", "advice-run", "advice-stop"],
  ["perplexity", "perplexity-run", "perplexity-stop"],
];
const QUIET_MS = 150; // Gradio tells the end of what was stopped twice, and is ready after the second time
const PATIENCE_MS = 3000; // of what ended by itself as Stop was pressed, it tells nothing
const ending = new Set(), again = new Set(), goesOn = new Set(); // parts
const quiet = {}; // part -> timer
const busy = (part) => (server.activity[part] ?? "idle") !== "idle";
function hold(event) {
  event.stopImmediatePropagation();
  event.preventDefault();
}
// One press starts one run: the next ones count again once it has ended.
function start(part, event) {
  if (busy(part)) hold(event);
  else if (ending.has(part)) { again.add(part); hold(event); }
  if (!busy(part)) setActivity(part, "waiting");
}
function stop(part, event) {
  if (ending.has(part)) { again.delete(part); hold(event); }
  stops(part);
  setActivity(part, "idle");
}
export const stops = (part) => {
  again.delete(part);
  if (!busy(part)) return;
  ending.add(part);
  restIn(part, PATIENCE_MS);
};
// A run failed, or has been stopped for good; a press that waits here counts once nothing follows.
export const ended = (part) => {
  failed(part);
  if (again.has(part)) { restIn(part, QUIET_MS); return; }
  rest(part);
  if (busy(part)) setActivity(part, "idle");
};
function restIn(part, ms) {
  clearTimeout(quiet[part]);
  quiet[part] = setTimeout(rest, ms, part);
}
function rest(part) {
  clearTimeout(quiet[part]);
  ending.delete(part);
  goesOn.delete(part);
  if (!again.delete(part)) return;
  setActivity(part, "idle");
  const [, run] = RUNS.find(([name]) => name === part);
  document.getElementById(run)?.click();
}

// A Stop that came too early for Gradio stops nothing: that run ends by itself.
paint(() => {
  for (const part of ending) {
    const what = server.activity[part];
    if (busy(part) && what !== "waiting") goesOn.add(part);
    else if (!busy(part) && goesOn.has(part)) ended(part);
  }
});

// Before Gradio hears of it.
window.addEventListener("click", (event) => {
  const id = event.target.closest?.("button")?.id;
  const found = id && RUNS.find((one) => one.includes(id, 1));
  if (found) (id === found[1] ? start : stop)(found[0], event);
}, true);
window.addEventListener("keypress", (event) => {
  if (event.key === "Enter" && event.shiftKey && event.target.matches?.("#prompt textarea")) start("chat", event);
}, true);
