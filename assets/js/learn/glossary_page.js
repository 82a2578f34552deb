// The glossary as a page of Learn.
import { html } from "../base/shapes.js";

export function drawGlossary(main, glossary) {
  html("h2", { class: "lesson-title", tabindex: "-1" }, main, "Glossary");
  html("p", { class: "lesson-about" }, main, "What the words on this page mean.");
  const list = html("dl", { class: "glossary" }, main);
  for (const term of Object.keys(glossary).sort((a, b) => a.localeCompare(b, "en", { sensitivity: "base" }))) {
    html("dt", {}, list, term);
    html("dd", {}, list, glossary[term]);
  }
}
