// For a class: a link that fixes the listed lessons, the visible parts of the workbench, and the current
// settings. Made in this browser.
import { html, say } from "../base/shapes.js";
import { leavable } from "../controls/class_locked.js";
import { ofClass } from "./entry.js";

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
