// For a class: a link that fixes the listed lessons, the visible parts of the workbench, and the current
// settings. For everybody: a printable page of one's work. All of it in this browser.
import { html, say } from "../base/shapes.js";
import { leavable } from "../controls/class_locked.js";
import { ask, ofClass } from "./entry.js";
import { numbered, tied, fill } from "./prose.js";

const WORKBENCH = "workbench";

export const listed = (lessons) => {
  const kept = lessons.filter((lesson) => ofClass().includes(lesson.name));
  return kept.length ? kept : lessons; // a link of lessons that are gone shows what there is
};

/** Whether a class link holds nothing that is known. */
export const namesNone = (lessons) => ofClass().length > 0
  && ![WORKBENCH, ...lessons.map(({ name }) => name)].some((name) => ofClass().includes(name));

export const forClass = (parent, lessons) => {
  const fold = html("details", { class: "for-class" }, parent);
  html("summary", {}, fold, "For a class");
  html("p", { class: "how" }, fold, "A link to the lessons you tick, with the settings the page has now.");
  const ticks = (parent, entries) => entries.map(([name, title]) => {
    const label = html("label", { class: "check" }, parent);
    const box = html("input", { type: "checkbox", value: name, checked: "" }, label);
    html("span", {}, label, title);
    return box;
  });
  const boxes = ticks(fold, [...lessons.map(({ name, title }) => [name, title]), [WORKBENCH, "The workbench too"]]);
  const bench = boxes.at(-1), inside = html("details", { class: "bench-parts" }, fold);
  html("summary", {}, inside, "What of the workbench");
  html("p", { class: "how" }, inside,
    "What you do not tick is hidden, and stays as it is set now. If a setting is hidden, so are presets, recipes and "
    + "the four merges: they would change it.");
  const parts = leavable.flatMap(([title, entries]) => {
    const group = html("fieldset", {}, inside);
    html("legend", {}, group, title);
    return ticks(group, entries);
  });
  bench.addEventListener("change", () => { inside.hidden = !bench.checked; });
  const copy = html("button", { type: "button", class: "small" }, fold, "Copy link");
  const status = html("p", { class: "how", role: "status" }, fold);
  copy.addEventListener("click", async () => {
    const names = boxes.filter((box) => box.checked).map((box) => box.value);
    const first = names.find((name) => name !== WORKBENCH);
    if (!first) { say(status, "Tick at least one lesson."); return; }
    const url = new URL(window.location.href);
    url.searchParams.delete("__theme");
    url.searchParams.set("learn", first);
    url.searchParams.set("class", names.join("."));
    const hidden = parts.filter((box) => !box.checked).map((box) => box.value);
    url.searchParams.delete("hide");
    if (bench.checked && hidden.length) url.searchParams.set("hide", hidden.join("."));
    try {
      await navigator.clipboard.writeText(url.href);
      say(status, "Link copied.");
    } catch { say(status, url.href); }
  });
};
export const forSave = (parent, lessons, progress) => {
  const print = html("button", { type: "button", class: "small" }, parent, "Save what I did");
  const status = html("p", { class: "how", role: "status" }, parent);
  print.addEventListener("click", async () => {
    say(status, "Gathering …");
    try {
      give(await report(lessons, progress()));
      say(status, "Saved as a page that can be printed.");
    } catch (error) { say(status, error.message); }
  });
};

// --- one's work as a self-contained page ------------------------------------------------------------
async function report(lessons, { answers, tried, done, acts, numbers = {} }) {
  const begun = lessons.filter(({ name }) => done[name] || acts[name]
    || Object.keys(answers).some((key) => key.startsWith(`${name}/`)));
  const read = await Promise.all(begun.map(({ name }) => ask("lesson", name)));
  const page = document.implementation.createHTMLDocument("What I learned about merging models");
  page.documentElement.lang = "en";
  html("meta", { charset: "utf-8" }, page.head);
  html("style", {}, page.head,
      "body{font:16px/1.5 system-ui,sans-serif;max-width:720px;margin:32px auto;padding:0 16px}h2{margin:28px 0 "
      + "4px;break-after:avoid}"
    + "section{break-inside:avoid;margin:12px "
      + "0}.right{color:#1d6b45}.wrong{color:#8a5a00}button{font:inherit;border:0;background:none;padding:0}");
  html("h1", {}, page.body, "What I learned about merging models");
  html("p", {}, page.body,
    `DPPA Studio, ${new Date().toISOString().slice(0, 10)}: ${Object.keys(done).length} of ${lessons.length} lessons `
    + `done.`);
  for (const lesson of read) {
    html("h2", {}, page.body, `${numbered(lesson)}${done[lesson.name] ? " ✓" : ""}`);
    for (const text of byCase(acts[lesson.name] ?? {})) html("p", {}, page.body, tied(text));
    lesson.segments.filter((segment) => segment.kind === "quiz").forEach((quiz, i) => {
      const choice = quiz.choices[answers[`${lesson.name}/${i}`]];
      if (!choice) return;
      const box = html("section", {}, page.body);
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
  fill(page.body, numbers); // as they were when the question was answered
  return `<!doctype html>\n${page.documentElement.outerHTML}`;
}
// Each case beside its repair, in the order in which the cases were first run.
function byCase(acts) {
  const keys = Object.keys(acts), caseOf = (key) => key.split("/")[0];
  const cases = [...new Set(keys.map(caseOf))];
  return cases.flatMap((caseName) => keys.filter((key) => caseOf(key) === caseName).map((key) => acts[key]));
}
function give(text) {
  const link = html("a",
    { href: URL.createObjectURL(new Blob([text], { type: "text/html" })), download: "dppa-lessons.html" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
