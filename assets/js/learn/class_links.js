// For a class: a link that fixes the lessons, how much of the workbench is visible, and the current settings.
import { html, say } from "../base/shapes.js";
import { leavable } from "../controls/class_locked.js";
import { asideOf } from "../session/local_address.js";
import { ofClass } from "./entry.js";

const WORKBENCH = "workbench";

export const listed = (lessons) => {
  const kept = lessons.filter((lesson) => ofClass().includes(lesson.name));
  return kept.length ? kept : lessons; // a link of lessons that are gone shows what there is
};

/** Whether a class link holds nothing that is known. */
export const namesNone = (lessons) => ofClass().length > 0
  && ![WORKBENCH, ...lessons.map(({ name }) => name)].some((name) => ofClass().includes(name));

// How much of the workbench a class sees: title, and the controls that stay visible; null for none.
const ALL = leavable.flatMap(([, entries]) => entries);
const SMALL = ["rate", "amplification", "history", "modules", "chat"];
/** @type {Record<string, [string, string[] | null]>} */
const PURPOSES = {
  lessons: ["Lessons only", null],
  small: ["A small workbench too", SMALL],
  all: ["The whole workbench too", ALL.map(([name]) => name)],
};

function linkOf(lessons, shown) {
  const url = new URL(window.location.href);
  for (const name of ["__theme", "hide", "view"]) url.searchParams.delete(name);
  url.searchParams.set("learn", lessons[0].name);
  url.searchParams.set("class", [...lessons.map(({ name }) => name), ...(shown ? [WORKBENCH] : [])].join("."));
  const hidden = ALL.map(([name]) => name).filter((name) => shown && !shown.includes(name));
  if (hidden.length) url.searchParams.set("hide", hidden.join("."));
  return url.href;
}
// What a class will see, in words.
function seen(lessons, all, shown) {
  const read = lessons.length === all.length ? "all lessons" : lessons.map(({ title }) => title).join("; ");
  const parts = ALL.filter(([name]) => shown?.includes(name)).map(([, title]) => title).join(", ");
  const bench = shown?.length === ALL.length ? " The whole workbench, open to every change."
    : shown ? ` On the workbench: ${parts}. All else is hidden, and stays as it is set now.` : " No workbench.";
  return `Your class sees ${read}, the five questions and the glossary.${bench}`;
}

export const forClass = (parent, lessons) => {
  const fold = html("details", { class: "for-class" }, parent);
  html("summary", {}, fold, "For a class");
  html("p", { class: "how" }, fold, "A link with the settings the page has now.");
  const tick = (place, type, value, title, isOn) => {
    const label = html("label", { class: "check" }, place);
    const box = html("input", { type, name: `class-${type}`, value, ...(isOn && { checked: "" }) }, label);
    html("span", {}, label, title);
    return box;
  };
  const kinds = Object.entries(PURPOSES).map(([kind, [title]]) => tick(fold, "radio", kind, title, kind === "small"));
  const inside = html("details", {}, fold);
  html("summary", {}, inside, "Which lessons");
  const boxes = lessons.map(({ name, title }) => tick(inside, "checkbox", name, title, true));
  const preview = html("p", { class: "how", "data-preview": "" }, fold);
  const look = html("a", { target: "_blank", rel: "noopener" }, html("p", {}, fold), "Look at it in a new tab");
  const copy = html("button", { type: "button", class: "small" }, fold, "Copy link");
  const status = html("p", { class: "how", role: "status" }, fold);
  function draw() {
    const some = lessons.filter((_, i) => boxes[i].checked);
    const [, shown] = PURPOSES[kinds.find((box) => box.checked).value];
    copy.disabled = look.hidden = !some.length;
    say(preview, some.length ? seen(some, lessons, shown) : "Tick at least one lesson.");
    if (some.length) look.href = linkOf(some, shown);
    say(status, "");
  }
  fold.addEventListener("change", draw);
  fold.addEventListener("toggle", draw); // the settings may be others by now
  copy.addEventListener("click", async () => {
    draw();
    try {
      await navigator.clipboard.writeText(look.href);
      say(status, ["Link copied.", asideOf(new URL(look.href))].join(" ").trim());
    } catch { say(status, look.href); }
  });
  draw();
};
