// The entry to Learn: its button, its address, its requests to the server. Lessons and the modules that
// draw them are loaded when Learn is first opened.
import { say, put, html } from "../base/shapes.js";
import { pageNow } from "../session/page_mode.js";
import { paint, redraw, part } from "../session/parts.js";

const AGAIN_MS = 500, LOST_MS = 30_000;
/** The lesson that is open; empty for the workbench. */
export const learn = { open: "" };

// --- requests: those made at the same moment are sent together, one bundle at a time ------------
let /** @type {any} */ send = null, bundles = 0, keys = 0, waiting = [], /** @type {any} */ flying = null, timer = 0;
// kind: "catalogue", "lesson" or "block". options: {progress(completed, total, stage, partial), signal}; partial
// is the partial answer, or null. A request whose signal is aborted is not repeated, and never answered.
/**
 * @param {string} kind
 * @param {string} [name]
 * @param {object} [args]
 * @param {{progress?: Function, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export const ask = (kind, name = "", args = {}, options = {}) => new Promise((resolve, reject) => {
  queue({ key: `k${(keys += 1)}`, what: kind, name, arguments: args, resolve, reject, ...options });
});
function queue(question) {
  if (question.signal?.aborted) return;
  waiting.push(question);
  setTimeout(next, 0);
}
function next() {
  if (flying || !waiting.length || !send) return;
  flying = { id: (bundles += 1), questions: waiting.splice(0, 16) };
  clearTimeout(timer);
  timer = setTimeout(fail, LOST_MS);
  send(
    { id: flying.id,
      asks: flying.questions.map(({ key, what, name, arguments: args }) => ({ key, what, name, arguments: args })) });
}
function take(value) {
  if (!flying || value?.id !== flying.id || !value.answers) return;
  const { questions } = flying;
  flying = null;
  clearTimeout(timer);
  for (const question of questions) {
    const answer = value.answers[question.key];
    if (question.signal?.aborted) continue;
    if (!answer) question.reject(new Error("The server left this question out."));
    else if (answer.error) question.reject(new Error(answer.error));
    else if (answer.pending) {
      question.progress?.(...answer.pending, answer.shown);
      setTimeout(() => queue(question), AGAIN_MS);
    } else question.resolve(answer.value);
  }
  next();
}
export const fail = () => {
  const questions = flying?.questions ?? [];
  flying = null;
  for (const question of questions) question.reject(new Error("The server did not answer. Try again."));
  next();
};

// --- loading -------------------------------------------------------------------------------------
const LOST = "The lessons could not be fetched. Try again.";
let /** @type {any} */ fetched = null;
/** @type {() => Promise<{build: (host: HTMLElement) => (name: string, focus: boolean) => void}>} */
let fetchLessons = () => Promise.reject(new Error(LOST));
/** Sets how the lessons are fetched; they import this module. @param {typeof fetchLessons} fetching */
export const lessonsFrom = (fetching) => { fetchLessons = fetching; };
const styled = () => new Promise((resolve, reject) => {
  const link = document.createElement("link");
  link.addEventListener("load", resolve);
  link.addEventListener("error", () => { link.remove(); reject(new Error(LOST)); });
  document.head.append(
    Object.assign(link, { rel: "stylesheet", href: new URL("learn/learn.css", document.baseURI).href }));
});
const fetchAll = async () => {
  const drawn = fetchLessons().catch(() => { throw new Error(LOST); });
  const [{ build }] = await Promise.all([drawn, styled()]);
  return build;
};

// --- open and close: the address holds the state, so that Back and links work ---------------------
const parameter = (name) => new URL(window.location.href).searchParams.get(name) ?? "";
/** The lessons of a class link, and perhaps the workbench; empty for others. */
export const ofClass = () => parameter("class").split(".").filter(Boolean);
// A class link without the workbench: only another address leads there.
const closed = () => ofClass().length > 0 && !ofClass().includes("workbench");
const named = () => parameter("learn") || (closed() ? "start" : "");
const addressWith = (name) => {
  const url = new URL(window.location.href);
  if (name) url.searchParams.set("learn", name);
  else url.searchParams.delete("learn");
  return url.href;
};
// At every draw: Gradio may mount the title after the lessons are there.
function name() {
  const button = document.getElementById("learn-open");
  if (!button) return;
  say(button, !learn.open ? "Learn" : pageNow() === "stage" ? "Stage" : "Workbench");
  put(button, "aria-pressed", Boolean(learn.open));
  button.hidden = closed();
}
paint(name);
// Nothing is drawn behind a lesson opened by an address: wait for the title.
const nameSoon = (looks) => { name(); if (looks) setTimeout(nameSoon, 250, looks - 1); };
let /** @type {any} */ host = null;
async function show(name, focus) {
  learn.open = name || "";
  document.body.dataset.mode = learn.open ? "learn" : "work";
  redraw();
  if (!learn.open && focus) document.getElementById("learn-open")?.focus();
  if (!learn.open || !host) return;
  try {
    fetched ??= fetchAll();
    const build = await fetched;
    build(host)(learn.open, focus);
  } catch (error) {
    fetched = null;
    const line = html("p", { class: "problem", role: "alert" }, null, error.message);
    host.replaceChildren(line);
  }
}
// name: a lesson, "start" for the first unfinished one, "" for the workbench.
export const go = (name) => {
  if (name === learn.open || (!name && closed())) return;
  window.history.pushState({ learn: name }, "", addressWith(name));
  window.scrollTo(0, 0);
  show(name, true);
};
// The first unfinished lesson is chosen once the list is loaded.
export const rename = (name) => {
  learn.open = name;
  window.history.replaceState(window.history.state, "", addressWith(name));
};
document.addEventListener("click", (event) => {
  if (event.target?.closest?.("#learn-open")) go(learn.open ? "" : "start");
  const lesson = event.target?.closest?.("[data-opens]")?.dataset.opens; // a button elsewhere that leads to a lesson
  if (lesson) go(lesson);
});
window.addEventListener("popstate", () => { if (named() !== learn.open) show(named(), true); });

part("learn", (part) => {
  host = part.host;
  send = (value) => { part.put(value); part.trigger("ask"); };
  part.watch(take);
  next();
  if (named()) { show(named(), false); nameSoon(40); }
});
