// Save what I did: a reader's work as a page of its own, that can be printed or handed in.
import { html, say } from "../base/shapes.js";
import { ask } from "./entry.js";
import { FIVE, fiveLines, fiveResult } from "./five_questions.js";
import { keep, progress } from "./progress.js";
import { fill, numbered, tied } from "./prose.js";

const MOST_CHARACTERS = 60;
const TITLE = "What I learned about merging models";
const today = () => new Date().toISOString().slice(0, 10);
/** A file's name of letters, digits and dashes. */
const fileName = (name) => {
  const safe = name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  return `dppa-${safe || "lessons"}-${today()}.html`;
};

export const forSave = (parent, { lessons, five }) => {
  const label = html("label", { class: "your-name" }, parent, "Your name, for the page you save");
  const input = html("input", { type: "text", maxlength: MOST_CHARACTERS, autocomplete: "name" }, label);
  input.value = progress().name;
  input.addEventListener("change", () => keep((now) => { now.name = input.value.trim(); }));
  const button = html("button", { type: "button", class: "small" }, parent, "Save what I did");
  const status = html("p", { class: "how", role: "status" }, parent);
  button.addEventListener("click", async () => {
    say(status, "Gathering …");
    const name = fileName(input.value);
    try {
      give(await report(lessons, five, input.value.trim()), name);
      say(status, `Saved as ${name}, a page that can be printed.`);
    } catch (error) { say(status, error.message); }
  });
};

// At most ten lines: who, when, what was done, and both results of the five questions.
function summary(lessons, five, name) {
  const { answers, tried, done, solved } = progress();
  const first = Object.keys(answers).filter((key) => (tried[key] ?? []).length === 1).length;
  const results = Object.keys(FIVE).map((time) => `${time} the lessons ${fiveResult(time, five) || "not answered"}`);
  return [
    ...(name ? [`Name: ${name}`] : []),
    `Date: ${today()}`,
    `Lessons done: ${lessons.filter((lesson) => done[lesson.name]).length} of ${lessons.length}`,
    `Questions of the lessons: ${Object.keys(answers).length} answered, ${first} of them with one try`,
    `The same five questions: ${results.join(", ")}`,
    ...lessons.filter((lesson) => solved[lesson.name])
      .map((lesson) => `${lesson.title}: ${Object.keys(solved[lesson.name]).length} tasks done`),
  ];
}

async function report(lessons, five, name) {
  const { answers, tried, done, acts, numbers } = progress();
  const begun = lessons.filter(({ name }) => done[name] || acts[name]
    || Object.keys(answers).some((key) => key.startsWith(`${name}/`)));
  const read = await Promise.all(begun.map(({ name }) => ask("lesson", name)));
  const page = document.implementation.createHTMLDocument(TITLE);
  page.documentElement.lang = "en";
  html("meta", { charset: "utf-8" }, page.head);
  html("style", {}, page.head,
    "body{font:16px/1.5 system-ui,sans-serif;max-width:720px;margin:32px auto;padding:0 16px}h2{margin:28px 0 "
    + "4px;break-after:avoid}section{break-inside:avoid;margin:12px "
    + "0}.right{color:#1d6b45}.wrong{color:#8a5a00}button{font:inherit;border:0;background:none;padding:0}");
  html("h1", {}, page.body, TITLE);
  const list = html("ul", { class: "summary" }, page.body);
  for (const line of summary(lessons, five, name)) html("li", {}, list, tied(line));
  if (Object.keys(progress().five).length) drawFive(page.body, five);
  for (const lesson of read) drawLesson(page.body, lesson, { answers, tried, done, acts });
  fill(page.body, numbers); // as they were when the question was answered
  return `<!doctype html>\n${page.documentElement.outerHTML}`;
}
function drawFive(body, five) {
  html("h2", {}, body, "The same five questions");
  const list = html("ol", {}, body);
  for (const { html: question, said } of fiveLines(five)) {
    const row = html("li", {}, list);
    html("span", {}, row).innerHTML = question; // the page's own, safe
    row.append(` ${said}`);
  }
}
function drawLesson(body, lesson, { answers, tried, done, acts }) {
  html("h2", {}, body, `${numbered(lesson)}${done[lesson.name] ? " ✓" : ""}`);
  for (const text of byCase(acts[lesson.name] ?? {})) html("p", {}, body, tied(text));
  lesson.segments.filter((segment) => segment.kind === "quiz").forEach((quiz, i) => {
    const choice = quiz.choices[answers[`${lesson.name}/${i}`]];
    if (!choice) return;
    const box = html("section", {}, body);
    // the lesson's own, safe
    const append = (tag, text, kind = "") => { html(tag, { class: kind }, box).innerHTML = text; };
    append("p", quiz.html);
    const before = (tried[`${lesson.name}/${i}`] ?? []).map((k) => quiz.choices[k])
      .filter((option) => option && option !== choice);
    for (const option of before) append("p", `Tried first: ${option.html}`, "wrong");
    append("p", `${choice.right ? "Right: " : "Not quite: "}${choice.html}`, choice.right ? "right" : "wrong");
    append("p", choice.why);
  });
}
// Each case beside its repair, in the order in which the cases were first run.
function byCase(acts) {
  const keys = Object.keys(acts), caseOf = (key) => key.split("/")[0];
  const cases = [...new Set(keys.map(caseOf))];
  return cases.flatMap((caseName) => keys.filter((key) => caseOf(key) === caseName).map((key) => acts[key]));
}
function give(text, name) {
  const link = html("a", { href: URL.createObjectURL(new Blob([text], { type: "text/html" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
