// Learn: the list of lessons, one lesson with its blocks, the glossary.
import { html, say, put, THIN } from "../base/shapes.js";
import { quiz } from "./quiz.js";
import { listed, namesNone, forClass } from "./class_links.js";
import { FIVE, drawFive } from "./five_questions.js";
import { forSave } from "./report.js";
import { learn, go, ask, ofClass, rename } from "./entry.js";
import { drawGlossary } from "./glossary_page.js";
import { figures, fill, numbered, prose } from "./prose.js";
import { forget, keep, progress, solvedOf } from "./progress.js";

const GLOSSARY = "glossary";
// --- blocks: name -> build({host, args, result, ask, write}) -----------------------------------------------
const builders = {}, withTasks = new Set();
// build draws the server's result for the lesson's arguments. ask(args) requests the block with others;
// write(result) puts the numbers of another result into the lesson's text.
// If a result comes in parts, build returns a function that draws further parts.
// tasks: whether it calls solved(), and its lesson is done by that. More in docs/development.md.
export const block = (name, build, { tasks = false } = {}) => {
  builders[name] = build;
  if (tasks) withTasks.add(name);
};
// While another choice is awaited, what stands in the block is dimmed, under a line that says so; "" ends it.
export const awaiting = (host) => {
  const line = html("p", { class: "awaits", role: "status", hidden: "" }), text = html("span", {}, line);
  host.querySelector(".plot-bar").after(line);
  return (message) => {
    say(text, message);
    line.hidden = !message;
    put(host, "data-awaits", Boolean(message));
  };
};
export const COMPUTING = "Computing what you chose";
// Requests a block with all that is chosen. Of choices made while it computes, only the newest is drawn.
export const byChoice = (host, ask, first, draw, fail) => {
  let choices = first, newest = 0;
  const awaits = awaiting(host);
  return async (change) => {
    choices = { ...choices, ...change };
    const count = (newest += 1);
    const current = (act) => { if (count === newest) act(); };
    awaits(`${COMPUTING} …`);
    try {
      const result = await ask(choices, (_step, _total, stage) => current(() => awaits(`${COMPUTING}: ${stage} …`)));
      current(() => { awaits(""); draw(result); });
    } catch (error) { current(() => { awaits(""); fail(error.message); }); }
  };
};

// What was done in the lesson that is open, beside its questions: told in one sentence, one for each key.
export const did = (key, text) => {
  keep((now) => { (now.acts[learn.open] ??= {})[key] = text; });
  offer(learn.open);
};
// One task of a block is solved; the lesson is done once all of them are.
export const solved = (key, all) => {
  keep((now) => { (now.solved[learn.open] ??= {})[key] = true; });
  if (all.every((task) => solvedOf(learn.open)[task])) markDone(learn.open);
};

// --- the place, built once ---------------------------------------------------------------------------
let /** @type {any} */ place = null, /** @type {any} */ catalogue = null, /** @type {any} */ leaving = null;
export const build = (host) => {
  place ??= laidOut(host);
  return (name, focus) => open(name, focus);
};
function laidOut(host) {
  host.replaceChildren();
  const nav = html("nav", { class: "learn-nav", "aria-label": "Lessons" }, host);
  const fold = html("button", { type: "button", class: "learn-fold", "aria-expanded": "false" }, nav, "Lessons");
  const list = html("div", { class: "learn-list" }, nav);
  fold.addEventListener("click", () => {
    const shut = fold.getAttribute("aria-expanded") === "false";
    put(fold, "aria-expanded", shut);
  });
  const main = html("article", { class: "lesson", "aria-live": "off" }, host);
  host.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-lesson]");
    if (!link) return;
    event.preventDefault();
    go(link.dataset.lesson);
  });
  return { host, nav, fold, list, main };
}
async function open(name, focus) {
  leaving?.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  put(place.host, "data-lesson-state", "loading");
  if (!place.main.firstChild) html("p", { class: "muted", role: "status" }, place.main, "Fetching the lessons …");
  try {
    if (!catalogue) {
      const reply = await ask("catalogue");
      catalogue = { ...reply, lessons: listed(reply.lessons) };
    }
    if (signal.aborted) return;
    const names = new Set([...catalogue.lessons.map((lesson) => lesson.name), GLOSSARY, ...Object.keys(FIVE)]);
    const unknown = name !== "start" && !names.has(name);
    if (name === "start" || unknown) {
      name = (catalogue.lessons.find((lesson) => !progress().done[lesson.name]) ?? catalogue.lessons[0]).name;
      rename(name);
    }
    drawList(name);
    put(place.fold, "aria-expanded", "false");
    const lesson = name === GLOSSARY || FIVE[name] ? null : await ask("lesson", name, {}, { signal });
    place.main.replaceChildren();
    if (lesson) drawLesson(lesson, signal);
    else if (FIVE[name]) drawFive(place.main, name, catalogue.five, () => open(name, true));
    else drawGlossary(place.main, catalogue.glossary);
    if (unknown || namesNone(catalogue.lessons)) {
      place.main.prepend(
        html("p", { class: "problem", role: "alert" }, null,
          "This link names no lesson that is known here. It may be cut off, or of another version."));
    }
  } catch (error) {
    place.main.replaceChildren();
    const line = html("p", { class: "problem", role: "alert" }, place.main, error.message);
    retryButton(line, () => open(name, focus));
  }
  put(place.host, "data-lesson-state", "done");
  put(place.host, "data-lesson", name);
  if (focus) place.main.querySelector("h2")?.focus({ preventScroll: true });
}
function retryButton(after, act) {
  const button = html("button", { type: "button", class: "small" }, null, "Try again");
  button.addEventListener("click", act);
  after.after(button);
  return button;
}

// --- the list ----------------------------------------------------------------------------------------
function drawList(current) {
  const { done, five, answers, acts } = progress(), { lessons } = catalogue;
  const finished = lessons.filter((lesson) => done[lesson.name]).length;
  say(place.fold, `Lessons · ${finished} of ${lessons.length} done`);
  place.list.replaceChildren();
  const item = (parent, name, title, about, ready) => {
    const row = html("li", {}, parent);
    const link = html("a",
      { href: `?learn=${name}`, "data-lesson": name, ...(name === current && { "aria-current": "page" }) }, row);
    html("span", { class: "tick-mark", "aria-hidden": "true" }, link, ready ? "✓" : "");
    html("span", { class: "learn-name" }, link, title);
    if (ready) html("span", { class: "sr" }, link, " (done)");
    if (about) html("span", { class: "learn-about" }, link, about);
  };
  const again = (time) => item(html("ol", {}, place.list), time, FIVE[time], "", five[time]);
  again("before");
  for (const part of new Set(lessons.map((lesson) => lesson.part))) {
    html("h2", { class: "learn-part" }, place.list, part);
    const list = html("ol", {}, place.list);
    for (const lesson of lessons)
      if (lesson.part === part)
        item(list, lesson.name, numbered(lesson), `${lesson.minutes}${THIN}min`, done[lesson.name]);
  }
  again("after");
  html("h2", { class: "learn-part" }, place.list, "To look up");
  item(html("ol", {}, place.list), GLOSSARY, "Glossary", "", false);
  html("p", { class: "how" }, place.list,
    `${finished} of ${lessons.length} done. A lesson is done once all its questions are answered right; one without `
    + `questions, once you say so. What you did is kept in this browser only.`);
  if (finished || Object.keys({ ...answers, ...acts, ...five }).length) {
    forSave(place.list, catalogue);
    html("button", { type: "button", class: "small did" }, place.list, "Forget what I did")
      .addEventListener("click", () => { forget(); open(current, false); });
  }
  if (!ofClass().length) forClass(place.list, catalogue.lessons);
}

// --- one lesson --------------------------------------------------------------------------------------
function drawLesson(lesson, signal) {
  const { main } = place;
  figures.now = {};
  const index = catalogue.lessons.findIndex((entry) => entry.name === lesson.name);
  const { part, about, number } = catalogue.lessons[index];
  html("p", { class: "eyebrow" }, main, `${number ? `Lesson ${number}` : part} · ${lesson.minutes}${THIN}min`);
  html("h2", { class: "lesson-title", tabindex: "-1" }, main, lesson.title);
  html("p", { class: "lesson-about" }, main, about);
  if (!index && !progress().five.before) html("a", { href: "?learn=before", "data-lesson": "before" },
    html("p", { class: "how" }, main), "Five questions first? The same come after the last lesson.");
  let quizzes = 0;
  for (const segment of lesson.segments) {
    if (segment.kind === "prose") prose(segment.html, main);
    if (segment.kind === "block") blockBox(segment, main, signal);
    if (segment.kind === "try") attempt(segment, main);
    if (segment.kind === "quiz") question(lesson, segment, quizzes++, main);
  }
  end(lesson, index, main, quizzes);
}
function blockBox(segment, main, signal) {
  const { name, arguments: args, seen: visible } = segment;
  const box = html("section",
    { class: "block-box", "data-block": name, "data-state": "loading", ...(!visible && { hidden: "" }) }, main);
  const again = (others, news) => ask("block", name, others, { signal, progress: news });
  const write = (result) => {
    for (const [key, value] of Object.entries(result.figures ?? {})) figures.now[`${name}.${key}`] = value;
    fill(main);
  };
  const start = async () => {
    box.replaceChildren();
    put(box, "data-state", "loading");
    const wait = html("p", { class: "block-wait", role: "status" }, box, "Computing …");
    let /** @type {any} */ more = null; // draws further parts, if a part is drawn already
    const draw = (result, state) => {
      if (!visible) return;
      if (more) more(result);
      else more = builders[name]({ host: box, args, result, ask: again, write });
      put(box, "data-state", state);
    };
    try {
      const result = await again(args, (completed, total, stage, partial) => {
        const now = total ? `${stage}: ${completed} of ${total}` : `${stage} …`;
        say(wait, now);
        for (const hole of main.querySelectorAll(`[data-figure^="${name}."]:not([data-filled])`)) say(hole, now);
        if (partial) draw(partial, "partial");
      });
      wait.remove();
      write(result);
      draw(result, "done");
      put(box, "data-state", "done");
    } catch (error) {
      box.hidden = false;
      put(box, "data-state", "failed");
      retryButton(html("p", { class: "problem", role: "alert" }, box, error.message), start);
      wait.remove();
    }
  };
  start();
}
function attempt(segment, main) {
  const box = html("section", { class: "attempt" }, main);
  html("h3", {}, box, "Try it");
  prose(segment.html, box);
  const fold = html("details", {}, box);
  html("summary", {}, fold, "What to notice");
  prose(segment.notice, fold);
}
function question(lesson, segment, number, main) {
  const key = `${lesson.name}/${number}`;
  quiz(main, segment, number, progress().answers[key], (choice) => {
    const all = lesson.segments.filter((part) => part.kind === "quiz");
    const rightly = (answers, i) => all[i].choices[answers[`${lesson.name}/${i}`]]?.right;
    keep((now) => {
      now.numbers = { ...now.numbers, ...figures.now };
      if (rightly(now.answers, number)) return; // a right answer stays right while the others are read
      now.answers[key] = choice;
      now.tried[key] = [...new Set([...(now.tried[key] ?? []), choice])];
    });
    offer(lesson.name);
    const { answers } = progress();
    const right = all.every((_, i) => rightly(answers, i));
    if (right) markDone(lesson.name);
  });
}
// What was done can be saved and forgotten from the first answer on.
function offer(name) {
  if (!place.list.querySelector(".did")) drawList(name);
}
function markDone(name) {
  keep((now) => { now.done[name] = true; });
  drawList(name);
  for (const line of place.main.querySelectorAll(".lesson-done")) line.hidden = false;
}
function end(lesson, index, main, quizzes) {
  const line = html("p", { class: "lesson-done", role: "status", hidden: "" }, main, "Lesson done.");
  line.hidden = !progress().done[lesson.name];
  if (lesson.sources.length) {
    const box = html("section", { class: "sources" }, main);
    html("h3", {}, box, "Sources");
    const list = html("ul", {}, box);
    for (const { title, url, section } of lesson.sources) {
      const row = html("li", {}, list);
      html("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, row, title);
      if (section) row.append(`, ${section}`);
    }
  }
  const bar = html("div", { class: "lesson-end" }, main);
  const step = (target, text) => {
    html("a", { href: `?learn=${target.name}`, "data-lesson": target.name, class: "step" }, bar,
      `${text}: ${numbered(target)}`);
  };
  const asks = quizzes || lesson.segments.some(({ kind, name }) => kind === "block" && withTasks.has(name));
  if (!asks && !progress().done[lesson.name]) {
    const button = html("button", { type: "button", class: "small" }, bar, "I have read this");
    button.addEventListener("click", () => { markDone(lesson.name); button.remove(); });
  }
  const five = (time) => ({ name: time, title: FIVE[time] });
  step(catalogue.lessons[index - 1] ?? five("before"), "Before");
  step(catalogue.lessons[index + 1] ?? five("after"), "Next");
}
