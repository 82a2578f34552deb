// The buttons that start and stop long work. While Gradio is ending a stopped run, it silently drops a
// click, and mistakes a new run for the old one: such a click waits here.
import { failed } from "../base/field_notices.js";
import { paint, server, setActivity } from "../session/parts.js";

const RUNS = [ // part, start button, stop button
  ["chat", "send", "stop"],
  ["score", "score-run", "score-stop"],
  ["compare", "compare-run", "compare-stop"],
  ["spectrum", "spectrum-run", "spectrum-stop"],
  ["size", "size-run", "size-stop"],
  ["formscores", "formscores-run", "formscores-stop"],
  ["attribution", "attribution-run", "attribution-stop"],
  ["advice", "advice-run", "advice-stop"],
  ["perplexity", "perplexity-run", "perplexity-stop"],
  ["course", "course-run", "course-stop"],
  ["questions", "questions-run", "questions-stop"],
  ["tasks", "tasks-run", "tasks-stop"],
];
const QUIET_MS = 150; // Gradio reports the end of a stopped run twice, and is ready after the second report
const PATIENCE_MS = 3000; // Gradio reports nothing if the run ended by itself when Stop was pressed
const ending = new Set(), again = new Set(), goesOn = new Set(); // parts
const quiet = {}; // part -> timer
/** Part -> ends its run in the tab, of which Gradio knows nothing. @type {Record<string, (() => void) | undefined>} */
export const runsInTab = {};
const busy = (part) => (server.activity[part] ?? "idle") !== "idle";
function hold(event) {
  event.stopImmediatePropagation();
  event.preventDefault();
}
// One press starts one run: further presses count once it has ended.
function start(part, event) {
  if (busy(part)) hold(event);
  else if (ending.has(part)) { again.add(part); hold(event); }
  if (!busy(part)) setActivity(part, "waiting");
}
function stop(part, event) {
  if (runsInTab[part]) { hold(event); stops(part); return; }
  if (ending.has(part)) { again.delete(part); hold(event); }
  stops(part);
  setActivity(part, "idle");
}
export const stops = (part) => {
  again.delete(part);
  runsInTab[part]?.();
  if (!busy(part)) return;
  ending.add(part);
  restIn(part, PATIENCE_MS);
};
// A run failed or was stopped; a waiting press counts once Gradio reports nothing more.
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
  const [, run] = RUNS.find(([name]) => name === part) ?? [];
  document.getElementById(run)?.click();
}

// A Stop too early for Gradio has no effect: that run ends by itself.
paint(() => {
  for (const part of ending) {
    const activity = server.activity[part];
    if (busy(part) && activity !== "waiting") goesOn.add(part);
    else if (!busy(part) && goesOn.has(part)) ended(part);
  }
});

// In the capture phase, before Gradio's handlers.
window.addEventListener("click", (event) => {
  const id = event.target?.closest?.("button")?.id;
  const run = id && RUNS.find((row) => row.includes(id, 1));
  if (run) (id === run[1] ? start : stop)(run[0], event);
}, true);
window.addEventListener("keypress", (event) => {
  if (event.key === "Enter" && event.shiftKey && event.target?.matches?.("#prompt textarea")) start("chat", event);
}, true);
